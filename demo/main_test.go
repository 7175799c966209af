package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOptions_FlagsGoBeforeTheVariablesOfMake(t *testing.T) {
	t.Setenv("FAULT", "all")
	t.Setenv("KEEP", "1")
	t.Setenv("STACK", "build")
	o, err := options(nil)
	if err != nil || strings.Join(o.Faults, " ") != "all" || !o.Keep || o.Which != "build" {
		t.Errorf("variables: got %+v, %v", o, err)
	}
	o, err = options([]string{"--fault=observer,crash", "--keep=false", "--stack="})
	if err != nil || strings.Join(o.Faults, " ") != "observer crash" || o.Keep || o.Which != "" {
		t.Errorf("flags: got %+v, %v", o, err)
	}
	t.Setenv("KEEP", "0")
	if o, _ = options(nil); o.Keep {
		t.Error("KEEP=0: got keep")
	}
	if _, err := options([]string{"crash"}); err == nil || err.Error() != `got argument "crash", want flags alone` {
		t.Errorf("got %v", err)
	}
}

func TestExitCode(t *testing.T) {
	wrong := errors.New("wrong")
	for name, c := range map[string]struct {
		err                 error
		missed, interrupted bool
		want                int
	}{
		"well":                          {nil, false, false, 0},
		"wrong":                         {wrong, false, false, 1},
		"a clock was missed":            {wrong, true, false, 1},
		"interrupted":                   {wrong, false, true, 130},
		"the end of keep":               {nil, false, true, 0},
		"missed, kept and then stopped": {wrong, true, true, 1},
		"help":                          {flag.ErrHelp, false, false, 0},
	} {
		if got := exitCode(c.err, c.missed, c.interrupted); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// However the demo ends in the middle of a fault, no process is left behind.
func TestDemo_LeavesNoProcess(t *testing.T) {
	program := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the demo: %v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		signal os.Signal
		want   int
	}{
		"Ctrl-C":  {os.Interrupt, 130},
		"kill":    {syscall.SIGTERM, 130},
		"kill -9": {syscall.SIGKILL, -1},
	} {
		t.Run(name, func(t *testing.T) {
			marker, temp := "ONEFIVETEN_TEST="+rand.Text(), t.TempDir()
			cmd := exec.Command(program, "--fault=crash")
			cmd.Env = append(os.Environ(), marker, "TMPDIR="+temp)
			said, ended := startUntil(t, cmd, " fault ")
			if alive := marked(t, marker); len(alive) != 7 {
				t.Errorf("in the fault: %d processes %v, want the demo, two nodes that live and four parts", len(alive), alive)
			}
			cmd.Process.Signal(c.signal)
			<-ended
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("exit code %d, want %d\n%s", got, c.want, said)
			}
			waitGone(t, marker)
			if left, _ := os.ReadDir(temp); c.want == 130 && len(left) > 0 {
				t.Errorf("left in the temporary folder: %v", left)
			}
		})
	}
}

// startUntil starts the demo and waits until it has said a word; ended is closed
// when it has been waited for.
func startUntil(t *testing.T, cmd *exec.Cmd, word string) (said *bytes.Buffer, ended <-chan struct{}) {
	t.Helper()
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	said = &bytes.Buffer{}
	found, done := make(chan bool, 1), make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), word) {
				found <- true
				io.Copy(io.Discard, out)
				return
			}
		}
	}()
	go func() { cmd.Wait(); close(done) }()
	select {
	case <-found:
	case <-done:
		t.Fatalf("the demo ended early:\n%s", said)
	case <-time.After(15 * time.Minute): // a first build of the servers takes about five
		t.Fatalf("the demo never said %q:\n%s", word, said)
	}
	return said, done
}

// marked lists the processes that carry the marker in their environment.
func marked(t *testing.T, marker string) (names []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if env, err := os.ReadFile(file); err == nil && bytes.Contains(env, []byte(marker)) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			names = append(names, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return names
}

func waitGone(t *testing.T, marker string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left := marked(t, marker)
		if len(left) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("left behind: %v", left)
		case <-tick.C:
		}
	}
}
