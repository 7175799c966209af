package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The beat tells a holder on another host from one that has died there. A
// container that was killed comes back under another name: it waits a minute
// at most.
const (
	lockBeat  = 10 * time.Second // how often the holder writes that it lives
	lockStale = time.Minute      // a holder on another host that is silent for longer is gone
)

// lock is the right of one process to serve a journal: a flock on FILE.lock,
// which the kernel frees with the process. A kernel knows only its own
// processes; against a disk that two hosts mount, the file names the holder's
// host and the time of its last beat.
type lock struct {
	file *os.File
	text func() string // holder, as it stands in the file

	once sync.Once
	done chan struct{}
	beat sync.WaitGroup
}

// takeLock takes the lock or says who has it. host "" = the host's own name.
// The file stays where it is ever after: removing it would let two processes
// hold the lock of two files with one name.
func takeLock(journal, host string, now func() time.Time) (*lock, error) {
	if err := refuseNetwork(filepath.Dir(journal), fileSystem); err != nil {
		return nil, err
	}
	if host == "" {
		var err error
		if host, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("asking for the host's name: %w", err)
		}
	}
	f, err := os.OpenFile(journal+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock: %w", err)
	}
	if err := grab(f, host, now()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	l := &lock{file: f, done: make(chan struct{})}
	l.text = func() string { return fmt.Sprintf("%s %d %d\n", host, os.Getpid(), now().UnixMilli()) }
	if err := l.write(l.text()); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the lock: %w", err), f.Close())
	}
	l.beat.Go(l.keep)
	return l, nil
}

// grab takes the flock and then judges what the last holder left in the file.
func grab(f *os.File, host string, now time.Time) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	text, readErr := io.ReadAll(io.LimitReader(f, 4096))
	var holder string
	var pid, beat int64
	_, scanErr := fmt.Sscan(string(text), &holder, &pid, &beat)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("in use by process %d on host %q: one process serves a journal; stop that one, or ask it (--url)", pid, holder)
	case err != nil:
		return fmt.Errorf("locking %s: %w", f.Name(), err)
	case readErr != nil:
		return fmt.Errorf("reading %s: %w", f.Name(), readErr)
	case scanErr != nil || holder == host: // empty after a clean end; or left by a crash of ours
		return nil
	}
	if silent := now.Sub(time.UnixMilli(beat)).Abs(); silent < lockStale {
		return fmt.Errorf("in use by process %d on host %q, seen %s ago: one host serves a journal; wait %s, or remove %s if that host is surely gone",
			pid, holder, silent.Round(time.Second), lockStale, f.Name())
	}
	return nil
}

// keep writes a beat until the lock is released.
func (l *lock) keep() {
	tick := time.NewTicker(lockBeat)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-tick.C:
			// A beat that cannot be written (disk full) is no reason to stop: the flock holds.
			_ = l.write(l.text())
		}
	}
}

// write replaces the file's text. Longer first, cut after: a reader in between
// sees a holder, and never an empty file.
func (l *lock) write(text string) error {
	if _, err := l.file.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	return l.file.Truncate(int64(len(text)))
}

// release empties the file, a sign of a clean end, and frees the flock.
func (l *lock) release() error {
	var err error
	l.once.Do(func() {
		close(l.done)
		l.beat.Wait()
		err = errors.Join(l.write(""), l.file.Close())
	})
	return err
}

// network names the file systems whose locks and shared memory SQLite cannot
// trust, by the magic number of statfs(2).
var network = map[int64]string{
	0x6969: "NFS", 0x517b: "SMB", 0xfe534d42: "SMB2", 0xff534d42: "CIFS",
	0x5346414f: "AFS", 0x6b414653: "AFS", 0x73757245: "Coda", 0x564c: "NCP",
	0x00c36400: "Ceph", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS",
}

// refuseNetwork refuses a folder on a network file system. kind gives the
// magic number of a folder's file system, 0 where that is unknown.
func refuseNetwork(folder string, kind func(string) (int64, error)) error {
	magic, err := kind(folder)
	if err != nil {
		return fmt.Errorf("looking at the file system of %s: %w", folder, err)
	}
	if name, bad := network[magic]; bad {
		return fmt.Errorf("%s lies on %s: a journal needs a local disk; put it there, or use storage.postgres", folder, name)
	}
	return nil
}
