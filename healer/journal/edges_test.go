package journal

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onefiveten/onefiveten/healer"
)

// SQLite follows a link to the file, and so must the lock.
func TestALinkedJournalIsOneJournal(t *testing.T) {
	file := tempFile(t)
	folder := filepath.Join(t.TempDir(), "folder")
	name := filepath.Join(t.TempDir(), "name.db")
	early := filepath.Join(t.TempDir(), "early.db")
	for link, to := range map[string]string{folder: filepath.Dir(file), name: file, early: filepath.Join(folder, "journal.db")} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	first := openTest(t, early, time.Now) // the link was there before the file
	for _, other := range []string{file, name, filepath.Join(folder, "journal.db")} {
		s, err := Open(other, Options{})
		if err == nil {
			err = errors.Join(errors.New("it was opened"), s.Close())
		}
		wantError(t, err, "in use by process")
	}
	accept(t, first, firing("a", 1))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(orphans(t, openTest(t, file, time.Now))); n != 1 {
		t.Errorf("%d episodes, want 1", n)
	}
}

func TestALinkThatLeadsNowhereIsRefused(t *testing.T) {
	link := tempFile(t)
	if err := os.Symlink(link, link); err != nil {
		t.Fatal(err)
	}
	_, err := Open(link, Options{})
	wantError(t, err, link, "following")
}

// A full disk is met at the commit, when the log is written, and not at a
// statement: here the kernel lets no file grow.
func TestACommitThatTheDiskRefusesKeepsTheOldState(t *testing.T) {
	file := tempFile(t)
	s := openTest(t, file, time.Now)
	accept(t, s, firing("a", 1))
	var free unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &free); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	limit := func(bytes uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: free.Max}); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(free.Cur)
	big := healer.Notification{Source: "main", Body: []byte(strings.Repeat("x", 1<<20)), Alerts: []healer.Alert{firing("b", 1)}}
	for i, room := range []uint64{0, 100, 200_000} {
		log, err := os.Stat(file + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		limit(uint64(log.Size()) + room)
		for range 2 {
			_, err := s.Accept(t.Context(), big)
			wantError(t, err, "committing", "disk I/O error")
		}
		limit(free.Cur)
		if open := orphans(t, s); len(open) != 1+i {
			t.Errorf("with room for %d bytes: %d episodes are open, want %d: nothing was kept", room, len(open), 1+i)
		}
		if got := accept(t, s, firing(fmt.Sprint("later", i), 1)); got.Opened != 1 {
			t.Errorf("once there was room: accepted %+v, want opened", got)
		}
	}
}
