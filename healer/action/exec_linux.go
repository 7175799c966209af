package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onefiveten/onefiveten/healer"
)

// patience is how long a program that was killed, or the streams of one that
// has ended, are waited for: it may hang in the kernel, and a process that left
// its group may hold the streams open for ever.
const patience = time.Second

// run starts a program and waits for its end. The OS thread is locked
// meanwhile: the kernel sends Pdeathsig when the thread ends that has forked,
// not the process.
func (e *Executor) run(ctx context.Context, a healer.Action) healer.Result {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var out, errs keeper
	cmd := command(a, &out, &errs)
	if err := cmd.Start(); err != nil {
		return failed("starting: %v", err)
	}
	cut, ended := waitGroup(ctx, cmd.Process.Pid)
	if !ended {
		go func() { _ = cmd.Wait() }() // reaps it, should it ever end
		return healer.Result{Outcome: healer.InDoubt, Cause: fmt.Sprintf("killed, but still there after %s: %v", patience, context.Cause(ctx))}
	}
	err := cmd.Wait()
	result := judge(ctx, cmd.ProcessState, err, cut, a.TransientCodes)
	result.Output = streams(&out, &errs)
	return result
}

// command prepares a program: leader of a group of its own, killed by the
// kernel should we die, in the folder that nobody unmounts. Its stdin is
// /dev/null, which ends at once; a closed one would be taken by the first file
// that it opens.
func command(a healer.Action, out, errs io.Writer) *exec.Cmd {
	cmd := exec.Command(a.Exec[0], a.Exec[1:]...)
	cmd.Env, cmd.Dir = environment(a), "/"
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = patience
	return cmd
}

// waitGroup waits until the program has ended or ctx has, and then kills its
// whole group either way: what it left behind acts no more. It reports whether
// ctx was first, and whether the program has ended in the end. Its entry is not
// yet reaped then, so the number cannot have gone to another group.
func waitGroup(ctx context.Context, pid int) (cut, ended bool) {
	end := make(chan struct{})
	go awaitEnd(pid, end)
	select {
	case <-end:
	case <-ctx.Done():
		cut = true
	}
	_ = unix.Kill(-pid, unix.SIGKILL) // an error means that nothing is left
	_ = unix.Kill(pid, unix.SIGKILL)  // should it have left its own group
	select {
	case <-end:
		return cut, true
	case <-time.After(patience):
		return cut, false
	}
}

// awaitEnd closes end when a child has ended, and leaves it to be reaped.
func awaitEnd(pid int, end chan<- struct{}) {
	defer close(end)
	for errors.Is(unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

// judge gives the outcome of a program that was started (HEALING 9). An exit
// code counts even if the time was over at the same moment: the program has
// said what it did.
func judge(ctx context.Context, state *os.ProcessState, err error, cut bool, transient []int) healer.Result {
	var status syscall.WaitStatus
	if state != nil {
		status, _ = state.Sys().(syscall.WaitStatus)
	}
	switch {
	case state == nil:
		return healer.Result{Outcome: healer.InDoubt, Cause: fmt.Sprintf("waiting for its end: %v", err)}
	case status.Signaled() && cut:
		return healer.Result{Outcome: healer.InDoubt, Cause: fmt.Sprintf("killed: %v", context.Cause(ctx))}
	case status.Signaled():
		return healer.Result{Outcome: healer.InDoubt, Cause: fmt.Sprintf("ended by the signal %s", status.Signal())}
	case state.ExitCode() == 0:
		return healer.Result{Outcome: healer.OK}
	case slices.Contains(transient, state.ExitCode()):
		return healer.Result{Outcome: healer.Transient, Cause: fmt.Sprintf("exit code %d, declared as without effect", state.ExitCode())}
	default:
		return failed("exit code %d", state.ExitCode())
	}
}

// streams joins both streams for people.
func streams(out, errs *keeper) string {
	text := out.String()
	if out.more > 0 {
		text += fmt.Sprintf("\n[%d bytes more on stdout]", out.more)
	}
	if len(errs.kept) > 0 {
		text += "\n[stderr]\n" + errs.String()
	}
	if errs.more > 0 {
		text += fmt.Sprintf("\n[%d bytes more on stderr]", errs.more)
	}
	return text
}

// ownerOf gives the user id that owns a file.
func ownerOf(info fs.FileInfo) (uint32, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.New("its owner cannot be read")
	}
	return stat.Uid, nil
}
