package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
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
