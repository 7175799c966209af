package plan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// compiler walks the settings once: it reports mistakes and fills the book.
type compiler struct {
	report func(path, text string)
	s      *Settings
	book   *Book
	alone  bool // one plan from its kept text: nothing around it is known
}

// Check reports every mistake of the settings with its path.
func (s *Settings) Check(report func(path, text string)) {
	(&compiler{report: report, s: s, book: &Book{}}).compile()
}

// Compile makes a Book of settings. The error names every mistake of Check.
func Compile(s Settings) (*Book, error) {
	c, mistakes := collecting(&s)
	c.compile()
	if err := joined(*mistakes); err != nil {
		return nil, err
	}
	return c.book, nil
}

// joined sorts mistakes, one a line; nil if there are none.
func joined(mistakes []error) error {
	slices.SortFunc(mistakes, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(mistakes...)
}

// collecting gives a compiler that keeps its mistakes.
func collecting(s *Settings) (*compiler, *[]error) {
	var mistakes []error
	report := func(path, text string) { mistakes = append(mistakes, fmt.Errorf("%s: %s", path, text)) }
	return &compiler{report: report, s: s, book: &Book{}}, &mistakes
}

// SetDirectory makes the names of *_file keys relative to the settings' folder.
func (s *Settings) SetDirectory(dir string) {
	for i := range s.Prometheus {
		s.Prometheus[i].HTTPConfig.SetDirectory(dir)
	}
	for i := range s.Alertmanagers {
		s.Alertmanagers[i].HTTPConfig.SetDirectory(dir)
	}
	for _, n := range s.Notify {
		if n.Webhook != nil {
			n.Webhook.HTTPConfig.SetDirectory(dir)
			n.Webhook.URLFile = promconfig.JoinDir(dir, n.Webhook.URLFile)
		}
	}
	for _, p := range s.Plans {
		for _, step := range slices.Concat(p.Steps, p.Undo) {
			if step.HTTP != nil {
				step.HTTP.HTTPConfig.SetDirectory(dir)
			}
		}
	}
}

// compile goes from what others refer to towards what refers: a scenario finds
// the services, plans and contacts that it names.
func (c *compiler) compile() {
	for _, key := range laterKeys(c.s) {
		if key.set {
			c.report(key.path, "known, not yet available")
		}
	}
	c.top()
	c.servers()
	c.outside()
	c.services()
	c.plans()
	c.contacts()
	c.book.Escalate = c.escalate("escalate", &c.s.Escalate, Escalate{})
	c.watchdog()
	c.scenarios()
}

// top compiles the keys that stand alone.
func (c *compiler) top() {
	s, b := c.s, c.book
	if b.Cluster = s.Cluster; s.Cluster == "" {
		c.report("cluster", "missing: it is the first part of the key of an incident")
	}
	b.SQLite = s.Storage.SQLite
	b.Targets = c.targets("targets", s.Targets, Targets{Detect: time.Minute, Locate: 5 * time.Minute, Recover: 10 * time.Minute})
	b.Gather = c.duration("gather", s.Gather, 0)
	b.MaxWait = c.duration("max_wait", s.MaxWait, 2*time.Minute)
	b.QuietFor = c.duration("quiet_for", s.QuietFor, 5*time.Minute)
	b.ReopenWithin = c.duration("reopen_within", s.ReopenWithin, 30*time.Minute)
	b.limits, b.Limits = s.Limits, c.limits("limits", s.Limits)
	b.Limits.InFlight = cmp.Or(b.Limits.InFlight, 1)
	b.Limits.Attempts = cmp.Or(b.Limits.Attempts, 1)
	if b.Limits.Cooldown.First == 0 {
		b.Limits.Cooldown = defaultCooldown
	}
	words := func(key string, given []string) []string {
		if slices.Contains(given, "") {
			c.report("labels."+key, "an empty label name")
		}
		if len(given) == 0 {
			return []string{key}
		}
		return given
	}
	b.labels = labelSettings{
		Service: words("service", s.Labels.Service), Node: words("node", s.Labels.Node),
		Scope: words("scope", s.Labels.Scope), Severity: words("severity", s.Labels.Severity),
	}
}

// duration takes what is given or the default. Zero is never meant: it would
// switch a wait or a clock off.
func (c *compiler) duration(path string, d *model.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	if *d <= 0 {
		c.report(path, "got 0s, want a duration above zero")
		return otherwise
	}
	return time.Duration(*d)
}

// targets compiles the three clocks; what is not given is taken from above.
func (c *compiler) targets(path string, t targetSettings, otherwise Targets) Targets {
	out := Targets{
		Detect:  c.duration(path+".detect", t.Detect, otherwise.Detect),
		Locate:  c.duration(path+".locate", t.Locate, otherwise.Locate),
		Recover: c.duration(path+".recover", t.Recover, otherwise.Recover),
	}
	if out.Detect > out.Locate || out.Locate > out.Recover {
		c.report(path, fmt.Sprintf("want detect <= locate <= recover, all from the fault's start, got %s, %s, %s", out.Detect, out.Locate, out.Recover))
	}
	return out
}

// defaultCooldown is that of HEALING 7, S11.
var defaultCooldown = cooldown{First: 15 * time.Minute, Factor: 2, Max: 4 * time.Hour}

// limits compiles one level. What it does not give stays zero: it adds no limit.
func (c *compiler) limits(path string, l limitSettings) Limits {
	count := func(key string, n *int) int {
		if n == nil {
			return 0
		}
		if *n < 1 {
			c.report(path+"."+key, fmt.Sprintf("got %d, want at least 1; enabled: false stops a plan", *n))
		}
		return *n
	}
	out := Limits{InFlight: count("in_flight", l.InFlight), Attempts: count("attempts", l.Attempts)}
	if l.Cooldown == nil {
		return out
	}
	at := path + ".cooldown"
	cool := cooldown{
		First:  c.duration(at+".first", l.Cooldown.First, defaultCooldown.First),
		Max:    c.duration(at+".max", l.Cooldown.Max, defaultCooldown.Max),
		Factor: defaultCooldown.Factor,
	}
	if l.Cooldown.Factor != nil {
		cool.Factor = *l.Cooldown.Factor
	}
	if !(cool.Factor >= 1) {
		c.report(at+".factor", fmt.Sprintf("got %g, want at least 1: a cooldown never shrinks with failures", cool.Factor))
	}
	if cool.First > cool.Max {
		c.report(at, fmt.Sprintf("first %s is longer than max %s", cool.First, cool.Max))
	}
	out.Cooldown = cool
	return out
}

// askTime is how long one server is waited for.
const askTime = 2 * time.Second

// servers compiles prometheus[] and alertmanagers[].
func (c *compiler) servers() {
	names := c.unique("prometheus", name)
	if len(c.s.Prometheus) == 0 {
		c.report("prometheus", "missing: the receiver proves everything by it")
	}
	for i, p := range c.s.Prometheus {
		at := fmt.Sprintf("prometheus[%d]", i)
		names(i, p.Name)
		c.baseURL(at+".url", p.URL)
		timeout := c.duration(at+".timeout", p.Timeout, askTime)
		c.book.Prometheus = append(c.book.Prometheus,
			Server{Name: p.Name, URLs: []string{p.URL}, Timeout: timeout, HTTPConfig: client(p.HTTPConfig)})
	}
	names = c.unique("alertmanagers", name)
	for i, a := range c.s.Alertmanagers {
		at := fmt.Sprintf("alertmanagers[%d]", i)
		names(i, a.Name)
		if len(a.Peers) == 0 {
			c.report(at+".peers", "missing: name every peer of this set")
		}
		for j, peer := range a.Peers {
			c.baseURL(fmt.Sprintf("%s.peers[%d]", at, j), peer)
		}
		cluster := cmp.Or(a.Cluster, c.s.Cluster)
		c.book.Alertmanagers = append(c.book.Alertmanagers,
			Server{Name: a.Name, Cluster: cluster, URLs: a.Peers, Timeout: askTime, HTTPConfig: client(a.HTTPConfig)})
	}
}

// client gives the http_config or the default of prometheus/common.
func client(given *promconfig.HTTPClientConfig) promconfig.HTTPClientConfig {
	if given == nil {
		return promconfig.DefaultHTTPClientConfig
	}
	return *given
}

// baseURL checks the address of a server: paths are put behind it.
func (c *compiler) baseURL(path, text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		c.report(path, "missing")
	case err != nil:
		c.report(path, fmt.Sprintf("parsing the url: %v", bare(err)))
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		c.report(path, fmt.Sprintf("got %q, want http://host:port or https://…", text))
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		c.report(path, fmt.Sprintf("%q holds credentials, a query or a fragment; credentials belong into http_config", u.Redacted()))
	}
}

// The forms of names: they stand in URLs, metrics and slots of the journal, a
// service's also in alerts.
var (
	name        = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z`)
	serviceName = regexp.MustCompile(`\A` + defaultValues + `\z`)
	labelName   = regexp.MustCompile(`\A[a-zA-Z_][a-zA-Z0-9_]*\z`)
)

// named checks the form of one name.
func (c *compiler) named(path, text string, form *regexp.Regexp) {
	if !form.MatchString(text) {
		c.report(path, fmt.Sprintf("got %q as a name, want letters, digits and ._- after a first letter or digit", text))
	}
}

// unique checks the names of a list.
func (c *compiler) unique(list string, form *regexp.Regexp) func(i int, text string) {
	first := map[string]int{}
	return func(i int, text string) {
		path := fmt.Sprintf("%s[%d].name", list, i)
		c.named(path, text, form)
		if before, twice := first[text]; twice {
			c.report(path, fmt.Sprintf("the name %q is taken by %s[%d]", text, list, before))
			return
		}
		first[text] = i
	}
}

// outside checks what steps may start and call.
func (c *compiler) outside() {
	c.book.Programs, c.book.Hosts = c.s.Exec.Programs, c.s.HTTP.AllowedHosts
	for i, p := range c.s.Exec.Programs {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p {
			c.report(fmt.Sprintf("exec.programs[%d]", i), fmt.Sprintf("got %q, want an absolute path without . or ..", p))
		}
	}
	for i, h := range c.s.HTTP.AllowedHosts {
		if host, port, err := net.SplitHostPort(h); err != nil || host == "" || port == "" {
			c.report(fmt.Sprintf("http.allowed_hosts[%d]", i), fmt.Sprintf("got %q, want host:port", h))
		}
	}
}

// services compiles services[].
func (c *compiler) services() {
	c.book.Services = map[string]*Service{}
	names := c.unique("services", serviceName)
	for i, s := range c.s.Services {
		names(i, s.Name)
		c.book.Services[s.Name] = c.service(fmt.Sprintf("services[%d]", i), s)
	}
}

// service compiles one service. What is filled in by default is kept in its
// settings, too: the kept text of a run must not depend on the file around it.
func (c *compiler) service(at string, s serviceSettings) *Service {
	s.Prometheus = c.served(at+".prometheus", s.Prometheus)
	s.MemberBy = cmp.Or(s.MemberBy, "node")
	if !labelName.MatchString(s.MemberBy) {
		c.report(at+".member_by", fmt.Sprintf("got %q, want the name of a label", s.MemberBy))
	}
	c.vector(at+".members", s.Members)
	c.vector(at+".confirm", s.Confirm)
	c.params(at, s.Params)
	out := &Service{
		Name: s.Name, Owner: s.Owner, Prometheus: s.Prometheus, Members: s.Members, MemberBy: s.MemberBy,
		Confirm: s.Confirm, Params: s.Params, Limits: c.limits(at+".limits", s.Limits),
		Enabled: s.Enabled == nil || *s.Enabled, source: s,
	}
	if s.Healthy.Query == "" {
		c.report(at+".healthy.query", "missing: nothing else proves that the service is well")
		return out
	}
	out.Healthy = c.query(at+".healthy.query", s.Healthy.Query, scope{noTemplate: true})
	out.Settle, out.SettleGiven = c.settle(at+".healthy", s.Healthy.Settle, out.Healthy)
	return out
}

// served gives the Prometheus of a service: the one it names, or the first.
func (c *compiler) served(path, name string) string {
	known := func(p Server) bool { return p.Name == name }
	switch {
	case c.alone:
	case name == "" && len(c.book.Prometheus) > 0:
		return c.book.Prometheus[0].Name
	case name != "" && !slices.ContainsFunc(c.book.Prometheus, known):
		c.report(path, fmt.Sprintf("no prometheus is named %q", name))
	}
	return name
}

// vector checks a query whose samples are read as they are.
func (c *compiler) vector(path, query string) {
	if query == "" {
		return
	}
	if err := parseVector(query); err != nil {
		c.report(path, err.Error())
	}
}

// query compiles a three-valued query and reports what is wrong with it.
func (c *compiler) query(path, text string, s scope) Query {
	q, err := compileQuery(text, s)
	if err != nil {
		c.report(path, err.Error())
	}
	return q
}

// settle gives what is added to the time fence before a proof counts.
func (c *compiler) settle(at string, given *model.Duration, q Query) (settle time.Duration, explicit bool) {
	if given != nil {
		return time.Duration(*given), true
	}
	if q.Recorded {
		c.report(at+".settle", "missing: a recorded name (with ':') hides the range of its rule, so say how long its samples look back")
	}
	return q.Range, false
}

// params checks parameters: an empty one would be an empty text in a template.
func (c *compiler) params(at string, params map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if !labelName.MatchString(key) || params[key] == "" {
			c.report(at+".params."+key, "want a name of letters, digits and _ with a text that is not empty")
		}
	}
}

// contacts compiles notify.
func (c *compiler) contacts() {
	c.book.Contacts = map[string]Contact{}
	for _, key := range slices.Sorted(maps.Keys(c.s.Notify)) {
		n, at := c.s.Notify[key], "notify."+key
		c.named(at, key, name)
		switch {
		case n.Webhook != nil:
			c.book.Contacts[key] = c.webhook(at+".webhook", *n.Webhook)
		case !bool(n.Slack || n.Feishu || n.Template):
			c.report(at, "missing: webhook")
		}
	}
}

// webhook compiles the one kind of contact that is built.
func (c *compiler) webhook(at string, w webhookSettings) Contact {
	if (w.URL == "") == (w.URLFile == "") {
		c.report(at, "want exactly one of url, url_file")
	}
	if w.URL != "" {
		// a webhook's URL is often its own credential: it is never repeated
		u, err := url.Parse(w.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			c.report(at+".url", "want http://host:port/path or https://…")
		}
	}
	return Contact{URL: w.URL, URLFile: w.URLFile, HTTPConfig: client(w.HTTPConfig)}
}

// instants are the words that tell may name (the instants of the journal and
// the two deadlines).
var instants = strings.Fields(`fault_start first_bad_sample active fired received located planned acted
	recovered verified handed_over acked closed locate_deadline recover_deadline`)

// reaches checks names of contacts.
func (c *compiler) reaches(at string, names []string) {
	for i, to := range names {
		if _, known := c.s.Notify[to]; !known {
			c.report(fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("no contact under notify is named %q", to))
		}
	}
}

// watchdog compiles the dead man's check. Whom it does not name it takes from
// escalate.
func (c *compiler) watchdog() {
	s, w := c.s.Watchdog, &c.book.Watchdog
	w.Within = c.duration("watchdog.within", s.Within, 5*time.Minute)
	w.Remind = c.duration("watchdog.remind", s.Remind, c.book.Escalate.Remind)
	c.reaches("watchdog.to", s.To)
	if w.To = s.To; s.To == nil {
		w.To = c.book.Escalate.To
	}
	if s.Enabled != nil && !*s.Enabled {
		w.Within = 0
	}
}

// escalate compiles one level; nil takes all of the level above.
func (c *compiler) escalate(at string, e *escalateSettings, above Escalate) Escalate {
	if e == nil {
		return above
	}
	out := Escalate{To: e.To, Remind: c.duration(at+".remind", e.Remind, 5*time.Minute)}
	c.reaches(at+".to", e.To)
	for i, word := range e.Tell {
		after, err := model.ParseDuration(word)
		switch {
		case slices.Contains(instants, word):
			out.Tell = append(out.Tell, word)
		case err == nil && after > 0:
			out.After = append(out.After, time.Duration(after))
		default:
			c.report(fmt.Sprintf("%s.tell[%d]", at, i), fmt.Sprintf("got %q, want a time after the fault's start such as 8m, or one of %s", word, strings.Join(instants, ", ")))
		}
	}
	if e.Tell == nil {
		out.Tell = []string{"locate_deadline", "recover_deadline"}
	}
	return out
}
