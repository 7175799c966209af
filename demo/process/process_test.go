package process_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

// The test binary plays the parts: its first argument says which.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "play-serve":
			http.ListenAndServe(os.Args[2], http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			os.Exit(1)
		case "play-die":
			fmt.Println("reading the configuration\nline 7: no such thing")
			os.Exit(3)
		case "play-deaf":
			signal.Ignore(syscall.SIGTERM)
			fmt.Println("deaf from here on")
			http.ListenAndServe(os.Args[2], http.NotFoundHandler())
		case "play-parent":
			playParent(os.Args[2])
		}
	}
	os.Exit(m.Run())
}

// playParent starts a child, tells its id, and waits to be killed.
func playParent(addr string) {
	p, err := process.Start(process.Command{Name: "child", Path: self(), Args: []string{"play-serve", addr}, Ready: "http://" + addr})
	if err == nil {
		err = p.WaitReady(context.Background())
	}
	fmt.Println(p.Pid(), err)
	select {}
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

func reserve(t *testing.T) *process.Port {
	t.Helper()
	p, err := process.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestGroup_StartsWaitsAndStopsTheYoungestFirst(t *testing.T) {
	var g process.Group
	var order []string
	g.Add(func() { order = append(order, "first") })
	port := reserve(t)
	p, err := g.Start(soon(t), time.Minute, process.Command{Name: "server", Path: self(),
		Args: []string{"play-serve", port.Addr()}, Ready: port.URL(), Log: filepath.Join(t.TempDir(), "logs", "server.log")})
	if err != nil {
		t.Fatal(err)
	}
	g.Add(func() { order = append(order, "second") })
	resp, err := http.Get(port.URL())
	if err != nil {
		t.Fatalf("ready, and yet: %v", err)
	}
	resp.Body.Close()

	g.Close()
	g.Close()

	if got, want := strings.Join(order, " "), "second first"; got != want {
		t.Errorf("stopped in the order %q, want %q", got, want)
	}
	select {
	case <-p.Done():
	default:
		t.Error("the process is still alive after Close")
	}
}

func TestStart_TellsOfAMissingProgram(t *testing.T) {
	_, err := process.Start(process.Command{Name: "part", Path: "/no/such/program"})
	if err == nil || !strings.HasPrefix(err.Error(), "starting part: ") {
		t.Errorf("got %v, want an error that names the part", err)
	}
}

func TestWaitReady_ShowsTheEndOfTheLogOfAPartThatDiesEarly(t *testing.T) {
	log := filepath.Join(t.TempDir(), "part.log")
	p, err := process.Start(process.Command{Name: "part", Path: self(), Args: []string{"play-die"}, Log: log, Ready: reserve(t).URL()})
	if err != nil {
		t.Fatal(err)
	}
	err = p.WaitReady(soon(t))
	want := "part ended early with exit status 3\nend of " + log + ":\n    reading the configuration\n    line 7: no such thing"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestWaitReady_EndsWhenTheTimeIsOver(t *testing.T) {
	port := reserve(t)
	var g process.Group
	defer g.Close()
	_, err := g.Start(soon(t), 300*time.Millisecond, process.Command{Name: "deaf", Path: self(), Args: []string{"play-deaf", port.Addr()}, Ready: port.URL()})
	if err == nil || !strings.Contains(err.Error(), "not ready within 300ms") || !strings.Contains(err.Error(), "deaf") {
		t.Errorf("got %v, want the name and the time given", err)
	}
}

func TestStop_KillsWhatDoesNotListen(t *testing.T) {
	port, log := reserve(t), filepath.Join(t.TempDir(), "deaf.log")
	p, err := process.Start(process.Command{Name: "deaf", Path: self(), Args: []string{"play-deaf", port.Addr()}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	firstLine(t, log) // before it, SIGTERM would end it
	p.Stop(100 * time.Millisecond)
	if err := p.Err(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("got %v, want an end by SIGKILL", err)
	}
	p.Kill() // again: harmless
}

func TestStart_ChildDiesWithAParentThatIsKilled(t *testing.T) {
	port := reserve(t)
	log := filepath.Join(t.TempDir(), "parent.log")
	parent, err := process.Start(process.Command{Name: "parent", Path: self(), Args: []string{"play-parent", port.Addr()}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Kill()
	child := process.Command{Name: "child", Ready: port.URL()}
	pid := waitForPid(t, log)

	parent.Kill()

	ctx := soon(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil && !zombie(pid) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s (process %d) outlived its parent", child.Name, pid)
		case <-tick.C:
		}
	}
}

// waitForPid reads the first line of the parent's log: "PID <nil>".
func waitForPid(t *testing.T, log string) int {
	t.Helper()
	line := firstLine(t, log)
	var pid int
	var rest string
	if _, err := fmt.Sscan(line, &pid, &rest); err != nil || rest != "<nil>" {
		t.Fatalf("the parent said %q", line)
	}
	return pid
}

// firstLine waits until a log has one.
func firstLine(t *testing.T, log string) string {
	t.Helper()
	ctx := soon(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if f, err := os.Open(log); err == nil {
			line, err := bufio.NewReader(f).ReadString('\n')
			f.Close()
			if err == nil {
				return line
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has no line", log)
		case <-tick.C:
		}
	}
}

// zombie: dead, and not yet waited for by whoever inherited it.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestTail_GivesTheLastLinesOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if got := process.Tail(file, 2); got != "" {
		t.Errorf("of a missing file: got %q", got)
	}
	os.WriteFile(file, []byte("one\ntwo\nthree\n"), 0o644)
	if got, want := process.Tail(file, 2), "    two\n    three"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
