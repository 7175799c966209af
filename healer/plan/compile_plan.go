package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// The closed lists of a plan.
var (
	kinds = []string{"rollback", "isolate", "restart", "switchover", "scale_out", "throttle"}
	// leaving kinds leave something in place until it is released.
	leaving = []string{"isolate", "switchover", "scale_out", "throttle"}
	modes   = []string{"observe", "dry_run", "approve", "auto"}
	methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	// interpreters would make a text out of their arguments with -c or -e.
	interpreters = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "python", "python3", "perl", "ruby", "node", "php", "lua", "env"}
)

// plans compiles plans, sorted by name.
func (c *compiler) plans() {
	c.book.Plans, c.book.Clients = map[string]*Plan{}, clients{}
	params := map[string]bool{}
	for _, s := range c.s.Services {
		for key := range s.Params {
			params[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.s.Plans)) {
		c.named("plans."+key, key, name)
		c.book.Plans[key] = c.plan("plans."+key, key, c.s.Plans[key], params)
	}
}

// plan compiles one plan. params are the names that some service defines; nil =
// not known, whatever a template names may be there when it is rendered.
func (c *compiler) plan(at, name string, s planSettings, params map[string]bool) *Plan {
	p := &Plan{
		Name: name, Kind: s.Kind, Mode: cmp.Or(s.Mode, "observe"), Each: 1, Rolling: s.Rolling,
		OnFailure: s.OnFailure, Params: s.Params, Limits: c.limits(at+".limits", s.Limits),
		Atomic:  s.Atomic == nil && len(s.Steps) > 1 || s.Atomic != nil && *s.Atomic,
		Enabled: s.Enabled == nil || *s.Enabled, source: s,
	}
	p.Limits.InFlight = cmp.Or(p.Limits.InFlight, 1)
	c.words(at, p, s)
	c.params(at, s.Params)
	var err error
	if p.Values, err = wholly(cmp.Or(s.Values, defaultValues)); err != nil {
		c.report(at+".values", err.Error())
		p.Values = serviceName
	}
	known := maps.Clone(params)
	for key := range s.Params {
		if known != nil {
			known[key] = true
		}
	}
	c.target(at, p, s.Target, scope{values: p.Values, member: true, params: known, controlAllowed: true})
	names := scope{values: p.Values, member: p.Member, alert: true, params: known, controlAllowed: true}
	for i, text := range s.When {
		p.When = append(p.When, c.query(fmt.Sprintf("%s.when[%d]", at, i), text, names))
	}
	if len(s.Steps) == 0 {
		c.report(at+".steps", "missing: a plan without steps does nothing")
	}
	p.Steps = c.steps(at+".steps", name+"/act", s.Steps, names)
	p.Undo = c.steps(at+".undo", name+"/undo", s.Undo, names)
	p.Verify = c.verify(at+".verify", p.Kind, s.Verify, names)
	c.consequences(at, p, s)
	return p
}

// words checks the closed lists of a plan.
func (c *compiler) words(at string, p *Plan, s planSettings) {
	one := func(key, got string, of []string) {
		if !slices.Contains(of, got) {
			c.report(at+"."+key, fmt.Sprintf("got %q, want one of %s", got, strings.Join(of, ", ")))
		}
	}
	one("kind", p.Kind, kinds)
	one("mode", p.Mode, modes)
	one("each.order", cmp.Or(s.Each.Order, "worst_first"), []string{"worst_first"})
	if s.Each.Max != nil && *s.Each.Max < 1 {
		c.report(at+".each.max", fmt.Sprintf("got %d, want at least 1", *s.Each.Max))
	}
	if s.OnFailure != "" {
		one("on_failure", s.OnFailure, []string{"undo", "keep"})
	}
	if s.Release != "" && s.Release != "manual" && s.Release != "mapping" {
		c.report(at+".release", fmt.Sprintf("got %q, want manual or {repair, when, for, within}", s.Release))
	}
}

// consequences checks what the parts of a plan mean for each other.
func (c *compiler) consequences(at string, p *Plan, s planSettings) {
	switch {
	case p.OnFailure == "" && len(s.Undo) > 0:
		p.OnFailure = "undo"
	case p.OnFailure == "":
		p.OnFailure = "keep"
	case p.OnFailure == "undo" && len(s.Undo) == 0:
		c.report(at+".on_failure", "undo is asked for, but there are no undo steps")
	}
	if p.Kind == "isolate" && !p.Member && p.target.text != "" {
		c.report(at+".target", "isolate takes one member out, so its target must name .Member")
	}
	if p.Mode == "auto" && !c.alone && len(c.s.Alertmanagers) == 0 {
		c.report(at+".mode", "auto needs alertmanagers: without them nobody can tell whether an alert is muted")
	}
	c.release(at, p, s)
}

// release checks how what a plan leaves in place is taken back. A manual one
// needs no undo: a person may put back by hand and say so.
func (c *compiler) release(at string, p *Plan, s planSettings) {
	leaves := slices.Contains(leaving, p.Kind)
	switch {
	case leaves && s.Release == "":
		c.report(at+".release", fmt.Sprintf("missing: %s leaves something in place, so say how it is taken back, or manual", p.Kind))
	case !leaves && s.Release != "" && slices.Contains(kinds, p.Kind):
		c.report(at+".release", fmt.Sprintf("%s leaves nothing in place that could be released", p.Kind))
	case s.Release == "mapping" && len(s.Undo) == 0:
		c.report(at+".undo", "missing: a release other than manual puts back by undo")
	}
	if leaves {
		p.Release = &release{Manual: s.Release == "manual"}
	}
}

// target compiles the target and tells whether it names a member.
func (c *compiler) target(at string, p *Plan, text string, s scope) {
	kind, name, typed := strings.Cut(text, ":")
	if !typed || !slices.Contains(targetTypes, kind) || name == "" {
		c.report(at+".target", fmt.Sprintf("got %q, want type:name with one of %s as type", text, strings.Join(targetTypes, ", ")))
		return
	}
	var err error
	if p.target, err = compileText(text, s); err != nil {
		c.report(at+".target", err.Error())
		return
	}
	if p.target.exec == nil {
		if err := checkTarget(text); err != nil {
			c.report(at+".target", err.Error())
		}
	}
	p.Member = slices.ContainsFunc(p.target.refs, func(r ref) bool { return r.root == "Member.Labels" })
}

// steps compiles a list of steps. phase is what their clients are named after.
func (c *compiler) steps(at, phase string, list []stepSettings, names scope) (out []Step) {
	for i, s := range list {
		step := c.step(fmt.Sprintf("%s[%d]", at, i), s, names)
		if s.HTTP != nil {
			step.Client = fmt.Sprintf("%s/%d", phase, i)
			config := client(s.HTTP.HTTPConfig)
			c.book.Clients[step.Client] = &config
		}
		out = append(out, step)
	}
	return out
}

// step compiles one step. Its codes are judged by what they are: exit codes of a
// program, status codes of a server.
func (c *compiler) step(at string, s stepSettings, names scope) Step {
	out := Step{
		Timeout: c.duration(at+".timeout", s.Timeout, 0), Retries: s.Retries, Idempotent: s.Idempotent,
		TransientCodes: s.TransientCodes, Output: s.Output,
	}
	if s.Timeout == nil {
		c.report(at+".timeout", "missing: every step ends")
	}
	c.within(at+".retries", s.Retries, 0, 100)
	switch {
	case (len(s.Exec) == 0) == (s.HTTP == nil):
		c.report(at, "want exactly one of exec, http")
		return out
	case s.HTTP != nil:
		c.http(at+".http", *s.HTTP, names, &out)
	default:
		out.argv = c.argv(at+".exec", s.Exec, names)
	}
	for i, code := range s.TransientCodes {
		if path := fmt.Sprintf("%s.transient_codes[%d]", at, i); s.HTTP != nil {
			c.within(path, code, 400, 599) // 2xx is ok, 3xx is never followed
		} else {
			c.within(path, code, 1, 255)
		}
	}
	return out
}

// within checks a number.
func (c *compiler) within(path string, got, low, high int) {
	if got < low || got > high {
		c.report(path, fmt.Sprintf("got %d, want %d to %d", got, low, high))
	}
}

// argv compiles a command. The program itself holds no template.
func (c *compiler) argv(at string, args []string, names scope) (out []tmpl) {
	for i, arg := range args {
		names.noTemplate = i == 0
		t, err := compileText(arg, names)
		if err != nil {
			c.report(fmt.Sprintf("%s[%d]", at, i), err.Error())
		}
		if strings.ContainsRune(arg, 0) {
			c.report(fmt.Sprintf("%s[%d]", at, i), "an argument cannot hold a zero byte")
		}
		out = append(out, t)
	}
	switch program := args[0]; {
	case strings.Contains(program, "{{"):
	case !path.IsAbs(program):
		c.report(at+"[0]", fmt.Sprintf("program %q: want an absolute path", program))
	case !c.alone && !slices.Contains(c.s.Exec.Programs, program):
		c.report(at+"[0]", fmt.Sprintf("program %q is not in exec.programs", program))
	case slices.Contains(interpreters, path.Base(program)) && (slices.Contains(args, "-c") || slices.Contains(args, "-e")):
		c.report(at, fmt.Sprintf("%s with -c or -e would read a value as a program", path.Base(program)))
	}
	return out
}

// http compiles the call of a step.
func (c *compiler) http(at string, s httpSettings, names scope, out *Step) {
	if out.method = s.Method; !slices.Contains(methods, s.Method) {
		c.report(at+".method", fmt.Sprintf("got %q, want one of %s", s.Method, strings.Join(methods, ", ")))
	}
	var err error
	if out.url, err = compileURL(s.URL, names); err != nil {
		c.report(at+".url", err.Error())
	} else if !c.alone && !slices.Contains(c.s.HTTP.AllowedHosts, out.url.host()) {
		c.report(at+".url", fmt.Sprintf("%s is not in http.allowed_hosts", out.url.host()))
	}
	if s.HTTPConfig != nil && s.HTTPConfig.ProxyFromEnvironment {
		c.report(at+".http_config.proxy_from_environment", "steps take no proxy from the environment; name it in proxy_url")
	}
	if s.Body != nil && (s.Method == http.MethodGet || s.Method == http.MethodHead) {
		c.report(at+".body", s.Method+" carries no body")
	}
	out.body = c.body(at+".body", s.Body, names)
}

// body compiles the leaves of a tree that will be sent as JSON.
func (c *compiler) body(at string, node any, names scope) any {
	switch n := node.(type) {
	case nil, bool, int, int64, uint64, json.Number:
		return n
	case float64:
		if !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n
		}
	case string:
		t, err := compileText(n, names)
		if err != nil {
			c.report(at, err.Error())
		}
		return t
	case []any:
		out := make([]any, len(n))
		for i, item := range n {
			out[i] = c.body(fmt.Sprintf("%s[%d]", at, i), item, names)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for key, item := range n {
			if strings.Contains(key, "{{") {
				c.report(at+"."+key, "a key holds no template")
			}
			out[key] = c.body(at+"."+key, item, names)
		}
		return out
	}
	c.report(at, fmt.Sprintf("%v cannot be sent as JSON: put it into quotes", node))
	return nil
}

// verify compiles the proof of a plan.
func (c *compiler) verify(at, kind string, s verifySettings, names scope) Verify {
	v := Verify{
		Service: s.Healthy == "service",
		For:     c.duration(at+".for", s.For, 20*time.Second),
		Within:  c.duration(at+".within", s.Within, 90*time.Second),
		Every:   c.duration(at+".every", s.Every, 5*time.Second),
	}
	if least := v.For + 2*v.Every; v.Within < least {
		c.report(at+".within", fmt.Sprintf("got %s, want at least for + 2 × every = %s: no streak could be complete", v.Within, least))
	}
	if s.Settle != nil {
		v.Settle, v.SettleGiven = time.Duration(*s.Settle), true
	}
	switch {
	case s.Healthy != "" && !v.Service:
		c.report(at+".healthy", fmt.Sprintf("got %q, want service, or a query", s.Healthy))
	case v.Service == (s.Query != ""):
		c.report(at, "want exactly one of healthy: service, query")
	case s.Query != "" && kind == "isolate":
		c.report(at, "isolate is proved by healthy: service alone: the member's own probe stays bad once it is drained")
	case s.Query != "":
		v.Query = c.query(at+".query", s.Query, names)
		v.Settle, v.SettleGiven = c.settle(at, durationOf(v.Settle, v.SettleGiven), v.Query)
	}
	return v
}

// durationOf gives a duration as the settings would hold it.
func durationOf(d time.Duration, given bool) *model.Duration {
	if !given {
		return nil
	}
	out := model.Duration(d)
	return &out
}
