package journal

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/onefiveten/onefiveten/healer"
)

// Options of Open; the zero value is what a server uses.
type Options struct {
	Now  func() time.Time // the host's clock; nil = time.Now
	Host string           // name that the lock file shows; "" = the host's own
}

// Store keeps the journal in one SQLite file. It is a healer.Store, safe for
// concurrent use. A change passed to Join or Update runs inside the only
// writing transaction and must not call the Store.
type Store struct {
	file  string
	write *sql.DB      // one connection: writers queue for it and never meet a busy file; nil = read only
	read  *sql.DB      // any number of readers, each on its own snapshot
	using sync.RWMutex // held for reading by each change, so that Close can wait
	lock  *lock
	clock *clock
	ids   *ulid.LockedMonotonicReader

	readings readings
	inbox    atomic.Int64        // bytes of all bodies kept
	commit   func(*sql.Tx) error // (*sql.Tx).Commit, but in tests of its failure
}

var _ healer.Store = (*Store)(nil)

// errReadOnly is what every change of an OpenReadOnly journal answers.
var errReadOnly = errors.New("the journal is open for reading only")

// busyTimeout bounds the wait for a reader of another process (a command that
// reads the file); writers of this process queue before the file.
const busyTimeout = 5 * time.Second

// maxReaders bounds the reading connections; each has a page cache of its own.
const maxReaders = 8

// Open opens or makes the journal for the one process that serves it, and
// brings its schema up to date. It is an error if another process has the
// file, if it lies on a network file system, if it is no journal, or if a newer
// program has written it.
func Open(file string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", file, err)
	}
	if file, err = follow(file); err != nil {
		return nil, fmt.Errorf("journal %w", err)
	}
	s := newStore(file, o.Now)
	if s.lock, err = takeLock(file, o.Host, o.Now); err != nil {
		return nil, fmt.Errorf("journal %s: %w", file, err)
	}
	if err := s.openFile(); err != nil {
		return nil, fmt.Errorf("journal %s: %w", file, errors.Join(err, s.Close()))
	}
	return s, nil
}

// OpenReadOnly opens an existing journal for the commands that look at it
// while no server answers; every change is refused. No lock is taken: a server
// may run beside it.
func OpenReadOnly(file string) (*Store, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", file, err)
	}
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	s := newStore(file, time.Now)
	s.read, err = sql.Open("sqlite", dsn(file, "mode=ro", "_pragma=query_only(1)"))
	if err == nil {
		err = checkVersion(context.Background(), s.read)
	}
	if err == nil {
		err = s.sumInbox()
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s: reading it: %w", file, errors.Join(err, s.Close()))
	}
	return s, nil
}

// follow gives the file that a name leads to through links, whether it is there
// already or not. SQLite follows them, too: a lock beside each name would let
// two processes have one journal.
func follow(file string) (string, error) {
	resolved, err := filepath.EvalSymlinks(file)
	if err == nil {
		return resolved, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: following its links: %w", file, err)
	}
	if to, err := os.Readlink(file); err == nil {
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(file), to)
		}
		return follow(to)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(file))
	if err != nil {
		return "", fmt.Errorf("%s: following the links of its folder: %w", file, err)
	}
	return filepath.Join(folder, filepath.Base(file)), nil
}

// newStore makes a Store that has opened nothing yet; Close is safe on it.
func newStore(file string, now func() time.Time) *Store {
	return &Store{
		file:     file,
		clock:    &clock{now: now},
		ids:      &ulid.LockedMonotonicReader{MonotonicReader: ulid.Monotonic(rand.Reader, 0)},
		readings: readings{last: map[string]reading{}},
		commit:   (*sql.Tx).Commit,
	}
}

// openFile opens both pools on a file that is ours alone.
func (s *Store) openFile() error {
	f, err := os.OpenFile(s.file, os.O_RDWR|os.O_CREATE, 0o600) // SQLite itself would let everybody read
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	s.write, err = sql.Open("sqlite", dsn(s.file, "_txlock=immediate",
		"_pragma=journal_mode(wal)", "_pragma=synchronous(full)", "_pragma=foreign_keys(1)"))
	if err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.checkPragmas(); err != nil {
		return err
	}
	now, _ := s.clock.read()
	if err := migrate(context.Background(), s.write, migrations(), now); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn(s.file, "_pragma=query_only(1)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(maxReaders)
	s.read.SetMaxIdleConns(maxReaders)
	return s.sumInbox()
}

// checkPragmas asks SQLite whether it took what durability and the constraints
// rest upon: it ignores what it cannot do without a word.
func (s *Store) checkPragmas() error {
	for _, p := range []struct{ name, want string }{{"journal_mode", "wal"}, {"synchronous", "2"}, {"foreign_keys", "1"}} {
		var got string
		if err := s.write.QueryRow("pragma " + p.name).Scan(&got); err != nil {
			return fmt.Errorf("asking for pragma %s, want a journal of heal-receiver in that file: %w", p.name, err)
		}
		if got != p.want {
			return fmt.Errorf("pragma %s is %q, want %q: the file system may not support it", p.name, got, p.want)
		}
	}
	return nil
}

// sumInbox adds up the inbox once; from then on Accept and Refuse count what
// they keep, since adding up a gigabyte of rows at each scrape is too slow.
func (s *Store) sumInbox() error {
	var sum int64
	if err := s.read.QueryRow("select coalesce(sum(size), 0) from inbox").Scan(&sum); err != nil {
		return fmt.Errorf("adding up the inbox: %w", err)
	}
	s.inbox.Store(sum)
	return nil
}

// dsn gives the driver's name of a file; characters with a meaning in a URI
// are escaped. Pragmas stand here, and are not executed once, because the pool
// opens connections as it likes: each must have them.
func dsn(file string, options ...string) string {
	u := url.URL{Scheme: "file", Path: file, RawQuery: fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds())}
	for _, o := range options {
		u.RawQuery += "&" + o
	}
	return u.String()
}

// Close ends the use of the journal and frees its lock. It waits for the change
// under way: the next process must not find the file half in use.
func (s *Store) Close() error {
	s.using.Lock()
	defer s.using.Unlock()
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} { // the writer last: it folds the WAL into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// Behind is how far the host's clock has jumped back behind the latest instant
// that the journal has given. Beyond one second nothing is claimed until the
// clock has caught up (code "clock"). A jump forward that is put right later
// is waited out as well; a restart forgets it.
func (s *Store) Behind() time.Duration {
	_, behind := s.clock.read()
	return behind
}
