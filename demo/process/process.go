// Package process runs the parts of the demo as children that cannot outlive
// it. It is given commands and addresses; it gives running processes with their
// logs, told when they are ready and stopped within a bounded time.
package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	pollEvery = 50 * time.Millisecond
	tailLines = 12
)

// Command is one part: its program, its arguments and how to know that it is
// ready.
type Command struct {
	Name  string   // for people and for the log's name
	Path  string   // the program
	Args  []string // without the program
	Env   []string // added to the parent's
	Log   string   // file that takes both outputs; its folder is made; empty = discarded
	Ready string   // URL that answers 200 when the part is ready; empty = at once
}

// Process is a started Command. It is in a process group of its own and dies
// with the process that started it.
type Process struct {
	command Command
	cmd     *exec.Cmd
	done    chan struct{}
	err     error // set before done is closed
}

// Start starts the command and gives it back without waiting for it to be ready.
func Start(c Command) (*Process, error) {
	p := &Process{command: c, done: make(chan struct{})}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	log, err := openLog(c.Log)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	if log != nil {
		p.cmd.Stdout, p.cmd.Stderr = log, log
	}
	started := make(chan error)
	go p.keep(log, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	return p, nil
}

// keep starts the child and waits for it on one thread: Pdeathsig fires when
// the starting *thread* ends, so the thread must live as long as the child.
func (p *Process) keep(log *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if log != nil {
		defer log.Close()
	}
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// openLog appends, so that the lives of a part that is restarted follow each
// other in one file. No name is no log.
func openLog(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// Pid is the process id; it is the id of its process group, too.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Name is the command's name.
func (p *Process) Name() string { return p.command.Name }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// WaitReady polls the command's Ready address until it answers 200. It ends
// early, with the tail of the log, when the process dies or ctx is over.
func (p *Process) WaitReady(ctx context.Context) error {
	if p.command.Ready == "" {
		return nil
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		last := ask(ctx, p.command.Ready)
		if last == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.died()
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be ready: %w (%v)%s", p.Name(), ctx.Err(), last, p.tail())
		case <-tick.C:
		}
	}
}

// ask is one look at a readiness address: nil when it answers 200.
func ask(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s, want 200", url, resp.Status)
	}
	return nil
}

// died says how the process ended, and shows the end of its log.
func (p *Process) died() error {
	how := "with exit code 0"
	if p.err != nil {
		how = "with " + p.err.Error()
	}
	return fmt.Errorf("%s ended early %s%s", p.Name(), how, p.tail())
}

// tail is the end of the log, for an error; empty when there is no log at all.
func (p *Process) tail() string {
	if p.command.Log == "" {
		return ""
	}
	text := Tail(p.command.Log, tailLines)
	if text == "" {
		return "\n(its log " + p.command.Log + " is empty)"
	}
	return "\nend of " + p.command.Log + ":\n" + text
}

// Tail gives the last lines of a file, indented; empty when there are none.
func Tail(file string, lines int) string {
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	all = all[max(0, len(all)-lines):]
	return "    " + strings.Join(all, "\n    ")
}

// Kill ends the whole process group at once and waits until the process is
// gone. It is harmless when it has ended before.
func (p *Process) Kill() {
	p.signal(-p.Pid(), syscall.SIGKILL)
	<-p.done
}

// Stop asks the process to end and kills its group when it has not within
// grace.
func (p *Process) Stop(grace time.Duration) {
	p.signal(p.Pid(), syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
	}
}

// signal leaves alone what has been waited for: its id may be another's by now.
func (p *Process) signal(pid int, s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(pid, s)
	}
}

// Err is how the process ended: nil while it runs or when it ended with 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Group stops what was added to it, the youngest first.
type Group struct {
	stops []func()
}

// Add puts a stop on top; it is called once.
func (g *Group) Add(stop func()) { g.stops = append(g.stops, stop) }

// Start starts a command, adds it to the group and waits until it is ready.
func (g *Group) Start(ctx context.Context, within time.Duration, c Command) (*Process, error) {
	p, err := Start(c)
	if err != nil {
		return nil, err
	}
	g.Add(func() { p.Stop(3 * time.Second) })
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not ready within %s", within))
	defer cancel()
	if err := p.WaitReady(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, err
	}
	return p, nil
}

// Close stops everything; a second call does nothing.
func (g *Group) Close() {
	for n := len(g.stops) - 1; n >= 0; n-- {
		g.stops[n]()
	}
	g.stops = nil
}
