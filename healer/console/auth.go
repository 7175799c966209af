package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Role is one right of a client. None implies another, except admin, which
// implies all (HEALING 14).
type Role string

// The roles. RoleOpen needs no credential and cannot be configured.
const (
	RoleOpen    Role = ""
	RoleNotify  Role = "notify"
	RoleChange  Role = "change"
	RoleRead    Role = "read"
	RoleApprove Role = "approve"
	RoleRun     Role = "run"
	RolePause   Role = "pause"
	RoleAdmin   Role = "admin"
)

// Auth is the `auth:` part of heal-receiver.yml.
type Auth struct {
	Metrics string   `yaml:"metrics"` // open (default) or read
	Clients []Client `yaml:"clients"`

	dir string
}

// Client is one who may call: a name for the audit trail, roles, the source of
// its notifications, and exactly one kind of credential. Files are read for
// each request, so that a credential that was taken away counts no more.
type Client struct {
	Name       string     `yaml:"name"`
	Roles      []Role     `yaml:"roles"`
	Source     string     `yaml:"source"`
	BearerFile string     `yaml:"bearer_file"`
	Basic      *basicAuth `yaml:"basic"`
	ClientCert *struct {
		SubjectCN string `yaml:"subject_cn"`
		SAN       string `yaml:"san"`
	} `yaml:"client_cert"`
}

type basicAuth struct {
	User       string `yaml:"user"`
	BcryptFile string `yaml:"bcrypt_file"`
}

// SetDirectory gives the folder that relative credential files are found in.
func (a *Auth) SetDirectory(dir string) { a.dir = dir }

// Check reports every mistake of the settings, paths relative to `auth`.
// sources are the names of the configured Alertmanagers.
func (a *Auth) Check(sources []string, report func(path, text string)) {
	if !slices.Contains([]string{"", "open", "read"}, a.Metrics) {
		report("metrics", fmt.Sprintf("got %q, want open or read", a.Metrics))
	}
	names, taken := map[string]bool{}, map[string]int{}
	for i, c := range a.Clients {
		at := fmt.Sprintf("clients[%d].", i)
		if c.Name == "" || names[c.Name] {
			report(at+"name", fmt.Sprintf("got %q, want a name of its own: it stands in the audit trail", c.Name))
		}
		names[c.Name] = true
		c.checkRoles(at, sources, report)
		a.checkCredential(at, c, report)
		a.checkOwn(at, i, c, taken, report)
	}
}

// checkOwn reports a token or a user that an earlier client has: whose roles
// count, and whose name stands in the audit trail, could not be told. taken
// gives the client of each.
func (a *Auth) checkOwn(at string, i int, c Client, taken map[string]int, report func(path, text string)) {
	claim := func(key, path, what string) {
		if other, ok := taken[key]; ok {
			report(at+path, fmt.Sprintf("%s of clients[%d], want one of its own", what, other))
			return
		}
		taken[key] = i
	}
	if c.BearerFile != "" {
		if token, err := a.read(i, c.BearerFile); err == nil {
			claim("bearer "+token, "bearer_file", "the token is that")
		}
	}
	if c.Basic != nil && c.Basic.User != "" {
		claim("basic "+c.Basic.User, "basic.user", c.Basic.User+" is the user")
	}
}

func (c Client) checkRoles(at string, sources []string, report func(path, text string)) {
	known := []Role{RoleNotify, RoleChange, RoleRead, RoleApprove, RoleRun, RolePause, RoleAdmin}
	if len(c.Roles) == 0 {
		report(at+"roles", "want at least one role")
	}
	for j, r := range c.Roles {
		if !slices.Contains(known, r) {
			report(fmt.Sprintf("%sroles[%d]", at, j), fmt.Sprintf("got %q, want one of %v", r, known))
		}
	}
	notifies := slices.Contains(c.Roles, RoleNotify)
	if notifies && !slices.Contains(sources, c.Source) {
		report(at+"source", fmt.Sprintf("got %q, want the name of one of alertmanagers %q: it names the source of what this client sends", c.Source, sources))
	}
}

func (a *Auth) checkCredential(at string, c Client, report func(path, text string)) {
	kinds := 0
	if c.BearerFile != "" {
		kinds++
		a.checkFile(at+"bearer_file", c.BearerFile, report)
	}
	if c.Basic != nil {
		kinds++
		if c.Basic.User == "" {
			report(at+"basic.user", "want a user name")
		}
		a.checkFile(at+"basic.bcrypt_file", c.Basic.BcryptFile, report)
		a.checkHash(at+"basic.bcrypt_file", *c.Basic, report)
	}
	if c.ClientCert != nil {
		kinds++
		report(at+"client_cert", "known, not yet available")
	}
	if kinds != 1 {
		report(strings.TrimSuffix(at, "."), fmt.Sprintf("got %d kinds of credential, want exactly one of bearer_file, basic, client_cert", kinds))
	}
}

func (a *Auth) checkFile(at, name string, report func(path, text string)) {
	text, err := os.ReadFile(a.path(name))
	switch {
	case err != nil:
		report(at, fmt.Sprintf("reading the credential: %v", err))
	case strings.TrimSpace(string(text)) == "":
		report(at, fmt.Sprintf("%s is empty, want one credential", name))
	}
}

// checkHash reports a text that is no bcrypt hash: no password would be right.
func (a *Auth) checkHash(at string, b basicAuth, report func(path, text string)) {
	text, err := os.ReadFile(a.path(b.BcryptFile))
	if text = bytes.TrimSpace(text); err != nil || len(text) == 0 {
		return // reported already
	}
	if _, err := bcrypt.Cost(text); err != nil {
		report(at, fmt.Sprintf("%s holds no bcrypt hash; make one with htpasswd -nB %s, and keep what follows the colon", b.BcryptFile, b.User))
	}
}

func (a *Auth) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.dir, name)
}

// guard says who a request is from. It is safe for concurrent use.
type guard struct {
	auth     func() *Auth
	insecure bool // everything is allowed: loopback alone, --insecure.no-auth
	bcrypts  chan struct{}
	slow     *slowdown

	mu    sync.Mutex
	known map[[32]byte]string // digest of a basic login that bcrypt found right → the hash it was right for
}

func newGuard(a func() *Auth, insecure bool) *guard {
	return &guard{
		auth: a, insecure: insecure, bcrypts: make(chan struct{}, 2), slow: newSlowdown(),
		known: map[[32]byte]string{},
	}
}

// errBusy: the queue for password hashes is full.
var errBusy = errors.New("too many logins at once")

// client finds whose credential the request carries; nil = nobody's. The error
// says why that cannot be told.
func (g *guard) client(r *http.Request) (*Client, error) {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.auth().byBearer(strings.TrimSpace(bearer))
	}
	if user, password, ok := r.BasicAuth(); ok {
		return g.byBasic(r.Context(), user, password)
	}
	return nil, nil
}

func (a *Auth) byBearer(token string) (found *Client, err error) {
	given := sha256.Sum256([]byte(token))
	for i := range a.Clients {
		c := &a.Clients[i]
		if c.BearerFile == "" {
			continue
		}
		want, unread := a.read(i, c.BearerFile)
		if unread != nil {
			err = unread
			continue
		}
		wanted := sha256.Sum256([]byte(want))
		if subtle.ConstantTimeCompare(given[:], wanted[:]) == 1 {
			found = c
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, err
}

func (g *guard) byBasic(ctx context.Context, user, password string) (*Client, error) {
	a := g.auth()
	for i := range a.Clients {
		c := &a.Clients[i]
		if c.Basic == nil || c.Basic.User != user {
			continue
		}
		hash, err := a.read(i, c.Basic.BcryptFile)
		if err != nil {
			return nil, err
		}
		ok, err := g.rightPassword(ctx, user, password, hash)
		if err != nil || !ok {
			return nil, err
		}
		return c, nil
	}
	return nil, nil
}

// rightPassword asks bcrypt behind a small bounded queue, once for each right
// login: hashing costs tens of milliseconds, and must not stop notifications.
func (g *guard) rightPassword(ctx context.Context, user, password, hash string) (bool, error) {
	digest := sha256.Sum256([]byte(user + "\x00" + password))
	g.mu.Lock()
	right, seen := g.known[digest]
	g.mu.Unlock()
	if seen && right == hash {
		return true, nil
	}
	wait, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	select {
	case g.bcrypts <- struct{}{}:
		defer func() { <-g.bcrypts }()
	case <-wait.Done():
		return false, errBusy
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		return false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[digest] = hash
	return true, nil
}

// read gives the credential of client i, which is never empty. Whoever reads
// the error may be a stranger: it names no path.
func (a *Auth) read(i int, name string) (string, error) {
	text, err := os.ReadFile(a.path(name))
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	if err != nil {
		return "", fmt.Errorf("reading the credential of auth.clients[%d]: %w", i, err)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return "", fmt.Errorf("reading the credential of auth.clients[%d]: the file is empty", i)
	}
	return string(text), nil
}

func (c *Client) may(r Role) bool {
	return slices.Contains(c.Roles, r) || slices.Contains(c.Roles, RoleAdmin)
}

type callerKey struct{}

// caller is who makes the request: a client's name, or "anonymous".
func caller(ctx context.Context) *Client {
	c, _ := ctx.Value(callerKey{}).(*Client)
	if c == nil {
		return &Client{Name: "anonymous"}
	}
	return c
}

// need lets a request pass that has the role: 401 (late) without a valid
// credential, 403 without the role, 503 when the login queue is full or when a
// credential cannot be read (late): Alertmanager drops what is answered with 401.
func (g *guard) need(role Role, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if role == RoleOpen || g.insecure {
			next(w, r)
			return
		}
		c, err := g.client(r)
		switch {
		case err != nil:
			if !errors.Is(err, errBusy) {
				g.slow.wait(r.Context(), r.RemoteAddr)
			}
			fail(w, http.StatusServiceUnavailable, err.Error())
		case c == nil:
			g.slow.wait(r.Context(), r.RemoteAddr)
			w.Header().Set("WWW-Authenticate", `Bearer realm="heal-receiver"`)
			fail(w, http.StatusUnauthorized, g.refusal())
		case !c.may(role):
			fail(w, http.StatusForbidden, fmt.Sprintf("client %s has the roles %v, want %s", c.Name, c.Roles, role))
		default:
			next(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
		}
	}
}

func (g *guard) refusal() string {
	if len(g.auth().Clients) == 0 {
		return "no valid credential: `auth.clients` is empty, so everything is refused; add a client"
	}
	return "no valid credential: want a bearer token or a basic login of one of `auth.clients`"
}

// slowdown answers bad logins late, later the more an address has sent of
// them; valid ones never wait. Memory and the number of those who wait are
// bounded: beyond that the refusal comes at once.
type slowdown struct {
	mu      sync.Mutex
	bad     map[string]int
	waiting chan struct{}
}

func newSlowdown() *slowdown {
	return &slowdown{bad: map[string]int{}, waiting: make(chan struct{}, 64)}
}

const (
	slowFirst = 50 * time.Millisecond
	slowMost  = 2 * time.Second
)

func (s *slowdown) wait(ctx context.Context, address string) {
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
	default:
		return
	}
	timer := time.NewTimer(s.delay(address))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// delay counts one bad login of the address and doubles its delay.
func (s *slowdown) delay(address string) time.Duration {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.bad) > 4096 {
		clear(s.bad)
	}
	n := s.bad[host]
	s.bad[host] = min(n+1, 10)
	return min(slowFirst<<n, slowMost)
}
