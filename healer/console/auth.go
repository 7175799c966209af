package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
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
// its notifications, and exactly one kind of credential. Files are read again
// when they change.
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
	names := map[string]bool{}
	for i, c := range a.Clients {
		at := fmt.Sprintf("clients[%d].", i)
		if c.Name == "" || names[c.Name] {
			report(at+"name", fmt.Sprintf("got %q, want a name of its own: it stands in the audit trail", c.Name))
		}
		names[c.Name] = true
		c.checkRoles(at, sources, report)
		a.checkCredential(at, c, report)
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
	files map[string]secret
	known map[[32]byte]string // digest of a basic login that bcrypt found right → the hash it was right for
}

type secret struct {
	text string
	at   time.Time
	size int64
}

func newGuard(a func() *Auth, insecure bool) *guard {
	return &guard{
		auth: a, insecure: insecure, bcrypts: make(chan struct{}, 2), slow: newSlowdown(),
		files: map[string]secret{}, known: map[[32]byte]string{},
	}
}

// errBusy: the queue for password hashes is full.
var errBusy = errors.New("too many logins at once")

// client finds whose credential the request carries; nil = nobody's.
func (g *guard) client(r *http.Request) (*Client, error) {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return g.byBearer(strings.TrimSpace(bearer)), nil
	}
	if user, password, ok := r.BasicAuth(); ok {
		return g.byBasic(r.Context(), user, password)
	}
	return nil, nil
}

func (g *guard) byBearer(token string) *Client {
	var found *Client
	given := sha256.Sum256([]byte(token))
	clients := g.auth().Clients
	for i := range clients {
		c := &clients[i]
		if c.BearerFile == "" {
			continue
		}
		want, err := g.read(c.BearerFile)
		if err != nil || want == "" {
			continue
		}
		wanted := sha256.Sum256([]byte(want))
		if subtle.ConstantTimeCompare(given[:], wanted[:]) == 1 {
			found = c
		}
	}
	return found
}

func (g *guard) byBasic(ctx context.Context, user, password string) (*Client, error) {
	clients := g.auth().Clients
	for i := range clients {
		c := &clients[i]
		if c.Basic == nil || c.Basic.User != user {
			continue
		}
		hash, err := g.read(c.Basic.BcryptFile)
		if err != nil || hash == "" {
			return nil, nil
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

// read gives a credential file's text, read again when the file changed.
func (g *guard) read(name string) (string, error) {
	name = g.auth().path(name)
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.files[name]; ok && s.at.Equal(info.ModTime()) && s.size == info.Size() {
		return s.text, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	s := secret{text: strings.TrimSpace(string(text)), at: info.ModTime(), size: info.Size()}
	g.files[name] = s
	return s.text, nil
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
// credential, 403 without the role, 503 when the login queue is full.
func (g *guard) need(role Role, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if role == RoleOpen || g.insecure {
			next(w, r)
			return
		}
		c, err := g.client(r)
		switch {
		case err != nil:
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
