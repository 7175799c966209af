package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Of the rules' world: what is watched, and the intervals. d_e is the default.
const (
	ruleServices = 200
	ruleNodes    = 20
	ruleInterval = 5 * time.Second  // P, S and E
	ruleDelay    = time.Second      // d_e
	ruleRounds   = 3                // evaluations that are measured
	ruleAlone    = 10 * time.Second // of scraping without rules
	ruleSettled  = 3 * time.Minute  // by which a group has seen everything
)

// ruleList is the answer of Prometheus to the question for rules, as far as it is
// read. Times are in seconds.
type ruleList struct {
	Data struct {
		Groups []evaluatedGroup `json:"groups"`
	} `json:"data"`
}

// evaluatedGroup is a group after an evaluation. EvaluationTime is what
// prometheus_rule_group_last_duration_seconds says.
type evaluatedGroup struct {
	Name           string          `json:"name"`
	EvaluationTime float64         `json:"evaluationTime"`
	LastEvaluation time.Time       `json:"lastEvaluation"`
	Rules          []evaluatedRule `json:"rules"`
}

// evaluatedRule is one rule of it; LastError is empty while it works.
type evaluatedRule struct {
	Name           string  `json:"name"`
	Query          string  `json:"query"`
	EvaluationTime float64 `json:"evaluationTime"`
	LastError      string  `json:"lastError"`
}

// until is the time up to the end of the first rule of a name, which a bound calls
// d_e, and whether there is one.
func (g evaluatedGroup) until(name string) (float64, bool) {
	var sum float64
	for _, r := range g.Rules {
		if sum += r.EvaluationTime; r.Name == name {
			return sum, true
		}
	}
	return 0, false
}

// err is what the rules of it complain about.
func (g evaluatedGroup) err() error {
	var all []error
	for _, r := range g.Rules {
		if r.LastError != "" {
			all = append(all, fmt.Errorf("rule %s of group %s: %s", r.Name, g.Name, r.LastError))
		}
	}
	return errors.Join(all...)
}

// ruleTime is what one group costs, in ms.
type ruleTime struct {
	what, group   string
	rules         int
	whole, detect []float64 // a value per evaluation: of all rules, and up to FaultDetected
	dearest       string    // the rules that take longest, with their shares
	verdicts      int       // of all groups, where cpu is told
	cpu           float64   // of all groups in an interval; 0: told with another one
	samples       float64   // that one evaluation reads
}

// groups gives the groups after their last evaluation.
func (p *program) groups(ctx context.Context) ([]evaluatedGroup, error) {
	var all ruleList
	err := p.ask(ctx, "/api/v1/rules?exclude_alerts=true", &all)
	return all.Data.Groups, err
}

// findGroup gives a group by its name; of one that was not evaluated yet there is none.
func findGroup(all []evaluatedGroup, name string) (evaluatedGroup, bool) {
	i := slices.IndexFunc(all, func(g evaluatedGroup) bool { return g.Name == name })
	if i < 0 || all[i].LastEvaluation.Unix() <= 0 {
		return evaluatedGroup{}, false
	}
	return all[i], true
}

// watched are evaluations of some groups, by name, and the CPU that all of them took
// in an interval.
type watched struct {
	seen map[string][]evaluatedGroup
	cpu  time.Duration
}

// watchGroups waits for some evaluations of the first group, and sees those of the others
// meanwhile. CPU is that of the process, less its share while it only scrapes: from
// the end of one evaluation to the end of the last.
func (p *program) watchGroups(ctx context.Context, groups []string, alone float64) (watched, error) {
	const long = 2 * time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, long, fmt.Errorf("group %s was not evaluated %d times in %s", groups[0], ruleRounds+1, long))
	defer cancel()
	if _, err := p.evaluatedGroups(ctx, groups, 1); err != nil {
		return watched{}, err
	}
	w := watched{}
	used, took, err := p.uses(func() (err error) {
		w.seen, err = p.evaluatedGroups(ctx, groups, ruleRounds)
		return err
	})
	w.cpu = (used - time.Duration(alone*float64(took))) / ruleRounds
	return w, err
}

// evaluatedGroups looks at groups until the first one was evaluated n times more: at
// each evaluation once, soon after it has ended.
func (p *program) evaluatedGroups(ctx context.Context, groups []string, n int) (map[string][]evaluatedGroup, error) {
	seen, last := map[string][]evaluatedGroup{}, map[string]time.Time{}
	for len(seen[groups[0]]) < n {
		all, err := p.groups(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range groups {
			g, is := findGroup(all, name)
			if at, before := last[name]; is && before && g.LastEvaluation.After(at) {
				seen[name] = append(seen[name], g)
				err = errors.Join(err, g.err())
			}
			last[name] = g.LastEvaluation
		}
		if err == nil {
			err = wait(ctx, 200*time.Millisecond)
		}
		if err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// ruleCost sums up what was seen of a group.
func ruleCost(what string, seen []evaluatedGroup) ruleTime {
	last := seen[len(seen)-1]
	t := ruleTime{what: what, group: last.Name, rules: len(last.Rules)}
	dear := make([]float64, len(last.Rules))
	for _, g := range seen {
		t.whole = append(t.whole, 1000*g.EvaluationTime)
		if d, is := g.until("FaultDetected"); is {
			t.detect = append(t.detect, 1000*d)
		}
		for i, r := range g.Rules {
			dear[i] += r.EvaluationTime
		}
	}
	t.dearest = dearest(last.Rules, dear)
	return t
}

// dearest names the three rules that took longest, each with its share.
func dearest(rules []evaluatedRule, took []float64) string {
	var sum float64
	order := make([]int, len(rules))
	for i := range rules {
		order[i] = i
		sum += took[i]
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(took[b], took[a]) })
	var words []string
	for _, i := range order[:min(3, len(order))] {
		words = append(words, fmt.Sprintf("%s %.0f %%", strings.TrimPrefix(rules[i].Name, "onefiveten:"), 100*took[i]/sum))
	}
	return strings.Join(words, ", ")
}

// reads is how many samples one evaluation of a group reads, as the engine counts
// them: of a plain selector one of each series, of a range all in it.
func (p *program) reads(ctx context.Context, g evaluatedGroup) (sum float64, err error) {
	for _, r := range g.Rules {
		var answer struct {
			Data struct {
				Stats struct {
					Samples struct {
						Total float64 `json:"totalQueryableSamples"`
					} `json:"samples"`
				} `json:"stats"`
			} `json:"data"`
		}
		if err := p.ask(ctx, "/api/v1/query?"+url.Values{"query": {r.Query}, "stats": {"all"}, "limit": {"1"}}.Encode(), &answer); err != nil {
			return 0, fmt.Errorf("counting what %s reads: %w", r.Name, err)
		}
		sum += answer.Data.Stats.Samples.Total
	}
	return sum, nil
}

// counts waits until a query gives one number, which is wanted.
func (p *program) counts(ctx context.Context, query string, want int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ruleSettled, fmt.Errorf("waiting %s for %s: want %d; a machine that is too busy scrapes too late", ruleSettled, query, want))
	defer cancel()
	path := "/api/v1/query?" + url.Values{"query": {query}}.Encode()
	for {
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		if err := p.ask(ctx, path, &answer); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		r := answer.Data.Result
		if len(r) == 1 && r[0].Value[1] == fmt.Sprint(want) {
			return nil
		}
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("%w, got %v", err, r)
		}
	}
}

// crowdOf is what 4,000 nodes are: HTTP servers of this process that answer, each
// under a path of its own, and those that are bad with 500.
type crowdOf struct {
	addresses []string
	bad       func(service, node int) bool
}

// url is the address of one node.
func (c *crowdOf) url(service, node int) string {
	i := service*ruleNodes + node
	return fmt.Sprintf("http://%s/%d/%d", c.addresses[i%len(c.addresses)], service, node)
}

// ServeHTTP answers for all of them.
func (c *crowdOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var service, node int
	if _, err := fmt.Sscanf(r.URL.Path, "/%d/%d", &service, &node); err != nil {
		http.NotFound(w, r)
	} else if c.bad(service, node) {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// zone is the zone of a node: of 20 nodes 7, 7 and 6.
func zone(node int) string { return "z" + string("abc"[node%3]) }

// rulesConfig is the configuration of the exporters: services that are probed at
// 20 nodes each.
func (c *crowdOf) rulesConfig(backend string, dimensions, observers []string) string {
	var s strings.Builder
	fmt.Fprintf(&s, `modules: {http: {prober: http, timeout: 1s, http: {preferred_ip_protocol: ip4}}}
backend: %s
prometheus: {scrape: {interval: %[2]s, timeout: 4s}, evaluation: {interval: %[2]s, delay: %[3]s}}
observers: [%[4]s]
baselines: {default: {min_samples: 2, floor: 10}}
probes:
`, backend, ruleInterval, ruleDelay, strings.Join(observers, ", "))
	for i := range ruleServices {
		fmt.Fprintf(&s, "- {name: s%03[1]d, service: s%03[1]d, module: http, interval: %[2]s, targets: [", i, ruleInterval)
		for n := range ruleNodes {
			fmt.Fprintf(&s, "{url: %q, labels: {node: n%02d, zone: %s}}, ", c.url(i, n), n, zone(n))
		}
		s.WriteString("]}\n")
	}
	s.WriteString("services:\n")
	for i := range ruleServices {
		fmt.Fprintf(&s, "- {name: s%03d, owner: team, dimensions: [%s]}\n", i, strings.Join(dimensions, ", "))
	}
	return s.String()
}

// brokenHere are the nodes that are bad while faults are measured: of 20 services
// one node each, of two a whole zone, and one service as a whole.
func brokenHere(service, node int) bool {
	switch {
	case service < 20:
		return node == service%ruleNodes
	case service < 22:
		return zone(node) == "za"
	}
	return service == 22
}

// brokenServices is how many services brokenHere breaks.
const brokenServices = 23

// rulesFolder is where the rules of a turn lie.
func (b *bench) rulesFolder(turn int) string {
	return filepath.Join(b.dir, fmt.Sprintf("rules-%d", turn))
}
