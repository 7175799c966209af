package action

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/onefiveten/onefiveten/healer"
)

// TestMain makes the test binary its own witness: started by an Executor with
// HEAL_WITNESS it plays the program of that name.
func TestMain(m *testing.M) {
	if part := os.Getenv("HEAL_WITNESS"); part != "" {
		witness(part)
		syscall.Exit(0) // without the hooks of os.Exit: under -cover they write to stderr
	}
	os.Exit(m.Run())
}

// said is what the witness tells of itself.
type said struct {
	Args  []string
	Env   []string
	Dir   string
	Stdin int // bytes read until its end
	Group bool
}

func witness(part string) {
	switch part {
	case "say":
		stdin, _ := io.ReadAll(os.Stdin)
		dir, _ := os.Getwd()
		text, _ := json.Marshal(said{Args: os.Args[1:], Env: os.Environ(), Dir: dir, Stdin: len(stdin), Group: unix.Getpgrp() == os.Getpid()})
		fmt.Println(string(text))
	case "exit":
		code, _ := strconv.Atoi(os.Args[1])
		fmt.Println("out")
		fmt.Fprintln(os.Stderr, "err")
		syscall.Exit(code)
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		select {}
	case "flood":
		fmt.Print(strings.Repeat("ä", 40<<10))
		fmt.Fprint(os.Stderr, strings.Repeat("x", 70<<10))
	case "hang": // it has said so when it hangs
		fmt.Println("hanging")
		<-make(chan int)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		bear(os.Args[1], false)
		<-make(chan int)
	case "leaver": // leaves a child in its group that holds stdout
		bear(os.Args[1], false)
	case "escaper": // leaves a child in a session of its own that holds stdout
		bear(os.Args[1], true)
	case "parent": // plays the receiver: an Executor with a program that hangs
		e, err := New(own(os.Args[1], filepath.Dir(os.Args[1])))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		e.Do(context.Background(), healer.Action{
			Exec: []string{os.Args[1], os.Args[2]}, Timeout: time.Hour, Env: map[string]string{"HEAL_WITNESS": "beacon"},
		})
	case "beacon": // shows that it lives by an open connection to a named pipe
		pipe, err := os.OpenFile(os.Args[1], os.O_WRONLY, 0)
		if err == nil {
			fmt.Fprintln(pipe, "alive")
		}
		<-make(chan int)
	}
}

// bear starts a child that hangs with the pipe open.
func bear(pipe string, session bool) {
	held, err := os.OpenFile(pipe, os.O_WRONLY, 0) // by the child from its birth
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	cmd := exec.Command(os.Args[0], pipe)
	cmd.Env = []string{"HEAL_WITNESS=beacon"}
	cmd.Stdout, cmd.ExtraFiles = os.Stdout, []*os.File{held}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid)
}

// own are settings under which one program of a test may be started.
func own(program, trusted string) Settings {
	return Settings{Programs: []string{program}, Owner: uint32(os.Getuid()), Trusted: trusted}
}

// executor gives an Executor that may start the witness, and the witness.
func executor(t *testing.T) (*Executor, string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(own(program, filepath.Dir(program)))
	if err != nil {
		t.Fatal(err)
	}
	return e, program
}

// play lets the witness play a part.
func play(program, part string, arguments ...string) healer.Action {
	return healer.Action{
		Exec: append([]string{program}, arguments...), Timeout: time.Minute,
		Env: map[string]string{"HEAL_WITNESS": part, "HEAL_RUN": "01RUN", "HEAL_FENCE": "7"},
	}
}

// beaconPipe makes a named pipe. Its reader sees the end when the last process
// that holds it has died.
func beaconPipe(t *testing.T) (path string, reader *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "beacon")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	reader = os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { reader.Close() })
	return path, reader
}

// alive waits for the sign of life, dead for the end of all who could give one.
func alive(t *testing.T, pipe *os.File) *bufio.Reader {
	t.Helper()
	// Until the first writer opens it a pipe is at its end: poll waits for data.
	polled := []unix.PollFd{{Fd: int32(pipe.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(polled, 30_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 {
			t.Fatalf("waiting for a sign of life: got %d, %v", n, err)
		}
		break
	}
	lines := bufio.NewReader(pipe)
	if line, err := lines.ReadString('\n'); line != "alive\n" {
		t.Fatalf("got %q, %v, want a sign of life", line, err)
	}
	return lines
}

func dead(t *testing.T, pipe *os.File) {
	t.Helper()
	polled := []unix.PollFd{{Fd: int32(pipe.Fd())}} // POLLHUP alone
	for {
		n, err := unix.Poll(polled, 30_000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n != 1 || polled[0].Revents&unix.POLLHUP == 0 {
			t.Fatalf("waiting for the end of the child: got %d, %v, events %x", n, err, polled[0].Revents)
		}
		return
	}
}

func TestAProgramGetsItsArgumentsUnchangedAndNothingOfOurs(t *testing.T) {
	t.Setenv("SECRET", "of the receiver")
	e, program := executor(t)
	hostile := []string{
		`web1"}) or vector(1) #`, "--config=/etc/shadow", "x;disable server", "../../admin", "", "$(reboot)", "`id`", "a b\tc\nd", "*", "ä\xff",
	}
	got := e.Do(t.Context(), play(program, "say", hostile...))
	if got.Outcome != healer.OK {
		t.Fatalf("got %+v", got)
	}
	var it said
	if err := json.Unmarshal([]byte(got.Output), &it); err != nil {
		t.Fatal(err)
	}
	want := said{
		Args: append(slices.Clone(hostile[:9]), "ä\uFFFD"), // JSON's, not ours
		Env:  []string{"HEAL_FENCE=7", "HEAL_RUN=01RUN", "HEAL_WITNESS=say", searchPath},
		Dir:  "/", Stdin: 0, Group: true,
	}
	if diff := cmp.Diff(want, it); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnExitDecidesTheOutcome(t *testing.T) {
	e, program := executor(t)
	for _, test := range []struct {
		code string
		want healer.Result
	}{
		{"0", healer.Result{Outcome: healer.OK, Output: "out\n\n[stderr]\nerr\n"}},
		{"1", healer.Result{Outcome: healer.Failed, Cause: "exit code 1", Output: "out\n\n[stderr]\nerr\n"}},
		{"75", healer.Result{Outcome: healer.Transient, Cause: "exit code 75, declared as without effect", Output: "out\n\n[stderr]\nerr\n"}},
		{"137", healer.Result{Outcome: healer.Failed, Cause: "exit code 137", Output: "out\n\n[stderr]\nerr\n"}},
	} {
		a := play(program, "exit", test.code)
		a.TransientCodes = []int{75, 503}
		if diff := cmp.Diff(test.want, e.Do(t.Context(), a)); diff != "" {
			t.Errorf("exit %s: -want +got:\n%s", test.code, diff)
		}
	}
}

func TestAProgramKilledBySomebodyIsInDoubt(t *testing.T) {
	e, program := executor(t)
	want := healer.Result{Outcome: healer.InDoubt, Cause: "ended by the signal terminated"}
	if diff := cmp.Diff(want, e.Do(t.Context(), play(program, "die"))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestATimeOutKillsTheWholeGroupAndIsInDoubt(t *testing.T) {
	e, program := executor(t)
	path, pipe := beaconPipe(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan healer.Result)
	go func() { done <- e.Do(ctx, play(program, "stubborn", path)) }()
	alive(t, pipe)
	cancel(timeoutError(20 * time.Second))
	got := <-done
	dead(t, pipe)
	if got.Outcome != healer.InDoubt || got.Cause != "killed: no end within 20s: context deadline exceeded" {
		t.Errorf("got %+v", got)
	}
}

func TestTheTimeOutOfAStepIsKept(t *testing.T) {
	e, program := executor(t)
	a := play(program, "hang")
	a.Timeout = 300 * time.Millisecond
	got := e.Do(t.Context(), a)
	if got.Outcome != healer.InDoubt || got.Cause != "killed: no end within 300ms: context deadline exceeded" {
		t.Errorf("got %+v", got)
	}
}

func TestWhatAProgramLeavesBehindInItsGroupActsNoMore(t *testing.T) {
	e, program := executor(t)
	path, pipe := beaconPipe(t)
	got := e.Do(t.Context(), play(program, "leaver", path))
	dead(t, pipe)
	if got.Outcome != healer.OK {
		t.Errorf("got %+v", got)
	}
}

func TestAChildThatEscapesHoldsNobodyUp(t *testing.T) {
	e, program := executor(t)
	path, pipe := beaconPipe(t)
	got := e.Do(t.Context(), play(program, "escaper", path))
	alive(t, pipe)
	pid, err := strconv.Atoi(strings.TrimSpace(got.Output))
	if err != nil {
		t.Fatalf("got the output %q: %v", got.Output, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	dead(t, pipe)
	if got.Outcome != healer.OK {
		t.Errorf("got %+v", got)
	}
}

func TestChildrenDieWithTheParent(t *testing.T) {
	_, program := executor(t)
	path, pipe := beaconPipe(t)
	parent := exec.Command(program, program, path)
	parent.Env = []string{"HEAL_WITNESS=parent"}
	parent.Stdout = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	alive(t, pipe)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	dead(t, pipe)
}

func TestOutputIsKeptUpToItsLimit(t *testing.T) {
	e, program := executor(t)
	got := e.Do(t.Context(), play(program, "flood"))
	want := strings.Repeat("ä", 32<<10) + "\n[16384 bytes more on stdout]\n[stderr]\n" +
		strings.Repeat("x", 64<<10) + "\n[6144 bytes more on stderr]"
	if got.Outcome != healer.OK || got.Output != want {
		t.Errorf("got %s %q with %d bytes ending in %q, want %d bytes",
			got.Outcome, got.Cause, len(got.Output), got.Output[max(0, len(got.Output)-60):], len(want))
	}
}

func TestAStepIsNotBegunWhenItsTimeIsOver(t *testing.T) {
	e, program := executor(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want := healer.Result{Outcome: healer.Transient, Cause: "not begun: context canceled"}
	if diff := cmp.Diff(want, e.Do(ctx, play(program, "say"))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// frozen is a context whose timer has not come yet although its time is over.
type frozen struct{ context.Context }

func (frozen) Deadline() (time.Time, bool) { return time.Unix(1, 0), true }

func TestAReplicaFrozenPastItsLeaseActsNoMore(t *testing.T) {
	e, program := executor(t)
	want := healer.Result{Outcome: healer.Transient, Cause: "not begun: context deadline exceeded"}
	for _, a := range []healer.Action{play(program, "say"), post("http://127.0.0.1:1")} {
		e.hosts["127.0.0.1:1"] = true
		if diff := cmp.Diff(want, e.Do(frozen{t.Context()}, a)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestAProgramThatCannotBeStartedHasFailed(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	write(t, broken, "no program\n", 0o755)
	e, err := New(own(broken, dir))
	if err != nil {
		t.Fatal(err)
	}
	got := e.Do(t.Context(), healer.Action{Exec: []string{broken}, Timeout: time.Second})
	want := healer.Result{Outcome: healer.Failed, Cause: "starting: fork/exec " + broken + ": exec format error"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	got = e.Do(t.Context(), healer.Action{Exec: []string{broken}, Timeout: time.Second})
	want.Cause = fmt.Sprintf("program %q: lstat %s: no such file or directory", broken, broken)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAProgramThatBecameUnsafeIsNotStarted(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	write(t, script, "#!/bin/sh\necho ran\n", 0o755)
	e, err := New(own(script, dir))
	if err != nil {
		t.Fatal(err)
	}
	a := healer.Action{Exec: []string{script}, Timeout: time.Minute}
	if got := e.Do(t.Context(), a); got.Outcome != healer.OK || got.Output != "ran\n" {
		t.Errorf("got %+v", got)
	}
	if err := os.Chmod(script, 0o777); err != nil {
		t.Fatal(err)
	}
	want := healer.Result{Outcome: healer.Failed, Cause: fmt.Sprintf("program %q: %s is -rwxrwxrwx: others may change it; run chmod go-w on it", script, script)}
	if diff := cmp.Diff(want, e.Do(t.Context(), a)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
