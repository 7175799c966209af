// Package action carries out rendered steps: programs by argv and HTTP calls.
// It is given what steps may start and call; it gives for each try one of the
// four outcomes of HEALING 9. It never repeats a try, follows no redirect,
// starts no shell, and takes nothing from its own environment.
package action

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/config"

	"github.com/onefiveten/onefiveten/healer"
)

// Settings say what steps may do.
type Settings struct {
	Programs []string // absolute paths that may be started; none = no exec
	Hosts    []string // host:port that may be called; none = no HTTP

	// Clients are the http_configs of HTTP steps, by Request.Client. A step
	// without one is called without credentials.
	Clients map[string]*config.HTTPClientConfig

	// Owner is the user id that must own the programs and their folders: 0,
	// root, but in tests. Trusted is a folder whose own safety, and that of the
	// folders above it, is taken for granted: none, but in tests.
	Owner   uint32
	Trusted string
}

// Check reports every mistake with its path in the configuration: programs that
// are missing or that somebody else could change, hosts that are no host:port,
// clients that would leave the checked way.
func (s Settings) Check(report func(path, text string)) {
	for i, program := range s.Programs {
		if _, err := s.safeProgram(program); err != nil {
			report(fmt.Sprintf("exec.programs[%d]", i), err.Error())
		}
	}
	for i, host := range s.Hosts {
		if _, err := normalHost(host); err != nil {
			report(fmt.Sprintf("http.allowed_hosts[%d]", i), err.Error())
		}
	}
	for name, client := range s.Clients {
		if err := checkClient(client); err != nil {
			report("http_config of "+name, err.Error())
		}
	}
}

// Executor carries out actions; it is a healer.Executor. It is safe for
// concurrent use.
type Executor struct {
	settings Settings
	hosts    map[string]bool
	clients  map[string]*http.Client
	bare     *http.Client // for steps without http_config
}

// New gives an Executor. The error names every mistake that Check finds.
func New(s Settings) (*Executor, error) {
	var mistakes []error
	s.Check(func(path, text string) { mistakes = append(mistakes, fmt.Errorf("%s: %s", path, text)) })
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	e := &Executor{settings: s, hosts: map[string]bool{}, clients: map[string]*http.Client{}}
	for _, host := range s.Hosts {
		normal, err := normalHost(host)
		if err != nil {
			return nil, fmt.Errorf("http.allowed_hosts: %w", err)
		}
		e.hosts[normal] = true
	}
	return e, e.makeClients()
}

// makeClients makes a client for each http_config, and a bare one. Files with
// credentials are read with each call, certificates once now.
func (e *Executor) makeClients() (err error) {
	if e.bare, err = e.client(config.HTTPClientConfig{}, "step"); err != nil {
		return fmt.Errorf("http client: %w", err)
	}
	for name, settings := range e.settings.Clients {
		if e.clients[name], err = e.client(*settings, name); err != nil {
			return fmt.Errorf("http_config of %s: %w", name, err)
		}
	}
	return nil
}

// Do carries out one try of one action. It returns when the try has ended: at
// the latest when the time-out is over or ctx has ended, but for the moment
// that killing takes. What never began is Transient, and Failed if it may not
// be done at all.
func (e *Executor) Do(ctx context.Context, a healer.Action) healer.Result {
	if err := e.Check(a); err != nil {
		return failed("%v", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.Timeout, timeoutError(a.Timeout))
	defer cancel()
	if err := over(ctx); err != nil {
		return healer.Result{Outcome: healer.Transient, Cause: fmt.Sprintf("not begun: %v", err)}
	}
	if a.HTTP != nil {
		return e.call(ctx, a)
	}
	return e.run(ctx, a)
}

// over tells why the time is over, nil if it is not. The deadline is judged by
// the clock, too: in a process that was frozen past it the timer may not have
// come yet, and the claim is another's by now.
func over(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if deadline, set := ctx.Deadline(); set && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Check says whether an action may be carried out at all, without doing
// anything: nil, or the reason why not. Programs are looked at on the disk.
func (e *Executor) Check(a healer.Action) error {
	switch {
	case a.Timeout <= 0:
		return fmt.Errorf("the step has the time-out %s, want more than 0s", a.Timeout)
	case len(a.Exec) > 0 && a.HTTP != nil:
		return errors.New("the step is both exec and http, want one")
	case a.HTTP != nil:
		return e.safeRequest(*a.HTTP)
	case len(a.Exec) > 0:
		return e.safeArgv(a.Exec)
	default:
		return errors.New("the step is neither exec nor http")
	}
}

// DryRun says what Do would do, without doing it. The error is Check's.
func (e *Executor) DryRun(a healer.Action) (string, error) {
	if err := e.Check(a); err != nil {
		return "", err
	}
	if a.HTTP == nil {
		return fmt.Sprintf("would start %s, for at most %s", quoted(a.Exec), a.Timeout), nil
	}
	text := fmt.Sprintf("would send %s %s, for at most %s", a.HTTP.Method, a.HTTP.URL, a.Timeout)
	if len(a.HTTP.Body) > 0 {
		text += ", with the body " + string(a.HTTP.Body)
	}
	return text, nil
}

// quoted writes an argv so that its borders are seen: no shell will read it.
func quoted(argv []string) string {
	texts := make([]string, len(argv))
	for i, argument := range argv {
		texts[i] = strconv.Quote(argument)
	}
	return strings.Join(texts, " ")
}

// failed is the outcome of what was surely not done as asked.
func failed(format string, args ...any) healer.Result {
	return healer.Result{Outcome: healer.Failed, Cause: fmt.Sprintf(format, args...)}
}

// timeoutError is the cause of a step that used up its time.
func timeoutError(after time.Duration) error {
	return fmt.Errorf("no end within %s: %w", after, context.DeadlineExceeded)
}

// outputLimit is how much of a stream or of an answer is kept, in bytes.
const outputLimit = 64 << 10

// keeper keeps the first outputLimit bytes that are written to it and counts
// the rest, so that the writer is never held up.
type keeper struct {
	kept []byte
	more int
}

func (k *keeper) Write(p []byte) (int, error) {
	n := min(len(p), outputLimit-len(k.kept))
	k.kept = append(k.kept, p[:n]...)
	k.more += len(p) - n
	return len(p), nil
}

// String gives what was kept as text that any database takes: valid UTF-8 that
// was not cut within a letter, and no NUL, which PostgreSQL refuses.
func (k *keeper) String() string {
	kept := k.kept
	if k.more > 0 {
		kept = wholeLetters(kept)
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(kept), "\uFFFD"), "\x00", "\uFFFD")
}

// wholeLetters drops the begun letter at the end of a text that was cut.
func wholeLetters(text []byte) []byte {
	for i := len(text) - 1; i >= max(0, len(text)-utf8.UTFMax); i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}
