package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
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
	wrong, lost := errors.New("wrong"), fmt.Errorf("writing what happens: %w", syscall.EPIPE)
	for name, c := range map[string]struct {
		err    error
		missed bool
		end    error
		want   int
	}{
		"well":                          {nil, false, nil, 0},
		"wrong":                         {wrong, false, nil, 1},
		"a clock was missed":            {wrong, true, nil, 1},
		"Ctrl-C":                        {wrong, false, signalled{syscall.SIGINT}, 130},
		"kill":                          {wrong, false, signalled{syscall.SIGTERM}, 143},
		"the terminal is closed":        {wrong, false, signalled{syscall.SIGHUP}, 129},
		"nobody reads":                  {lost, false, nil, 141},
		"the end of keep":               {nil, false, signalled{syscall.SIGINT}, 0},
		"missed, kept and then stopped": {wrong, true, signalled{syscall.SIGINT}, 1},
		"help":                          {flag.ErrHelp, false, nil, 0},
	} {
		if got := exitCode(c.err, c.missed, c.end); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// program builds the demo.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the demo: %v\n%s", err, out)
	}
	return path
}

// However and whenever the demo ends, no process is left behind; and no folder,
// but by kill -9.
func TestDemo_LeavesNothingBehind(t *testing.T) {
	path := program(t)
	for name, c := range map[string]struct {
		signal os.Signal
		moment string // the signal comes when the demo has said this
		alive  int    // processes then; 0 = not counted
		want   int
	}{
		"Ctrl-C before it is ready": {os.Interrupt, "FAULT=crash", 0, 130},
		"Ctrl-C in the fault":       {os.Interrupt, " fault ", 7, 130}, // the demo, two nodes that live, four parts
		"kill":                      {syscall.SIGTERM, " fault ", 7, 143},
		"the terminal is closed":    {syscall.SIGHUP, " fault ", 7, 129},
		"kill -9":                   {syscall.SIGKILL, " fault ", 7, -1},
		"nobody reads any more":     {nil, " fault ", 7, 141},
	} {
		t.Run(name, func(t *testing.T) {
			marker, temp := "ONEFIVETEN_TEST="+rand.Text(), t.TempDir()
			cmd := exec.Command(path, "--fault=crash")
			cmd.Env = append(os.Environ(), marker, "TMPDIR="+temp)
			d := start(t, cmd, marker)
			d.until(t, c.moment)
			if alive := marked(t, marker); c.alive > 0 && len(alive) != c.alive {
				t.Errorf("at %q: %d processes %v, want %d", c.moment, len(alive), alive, c.alive)
			}
			d.end(t, c.signal)
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("exit code %d, want %d\n%s", got, c.want, d.said.String())
			}
			waitGone(t, marker)
			if left, _ := os.ReadDir(temp); c.signal != syscall.SIGKILL && len(left) > 0 {
				t.Errorf("left in the temporary folder: %v", left)
			}
		})
	}
}

// started is a demo that is read line by line.
type started struct {
	cmd   *exec.Cmd
	out   *os.File
	lines *bufio.Scanner
	said  strings.Builder
}

// start gives the demo a pipe of its own to write into, so that it can be closed.
func start(t *testing.T, cmd *exec.Cmd, marker string) *started {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() { // for a test that failed half-way
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
			waitGone(t, marker)
		}
	})
	return &started{cmd: cmd, out: out, lines: bufio.NewScanner(out)}
}

// until reads until the demo has said a word.
func (d *started) until(t *testing.T, word string) {
	t.Helper()
	d.out.SetReadDeadline(time.Now().Add(15 * time.Minute)) // a first build of the servers takes about five
	for d.lines.Scan() {
		d.said.WriteString(d.lines.Text() + "\n")
		if strings.Contains(d.lines.Text(), word) {
			return
		}
	}
	t.Fatalf("the demo never said %q: %v\n%s", word, d.lines.Err(), d.said.String())
}

// end sends the signal, or closes the pipe when there is none, and waits for the
// demo.
func (d *started) end(t *testing.T, signal os.Signal) {
	t.Helper()
	if signal == nil {
		d.out.Close()
	} else if err := d.cmd.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	for d.lines.Scan() {
		d.said.WriteString(d.lines.Text() + "\n")
	}
	d.cmd.Wait()
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
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
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
