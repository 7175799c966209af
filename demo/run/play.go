package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/demo/shop"
)

const (
	healWithin     = 3 * time.Minute
	putBackWithin  = 90 * time.Second
	observerWithin = 90 * time.Second
	watchAfter     = 10 * time.Second

	detectTarget  = time.Minute // the three promises, as in the shop's configuration
	locateTarget  = 5 * time.Minute
	recoverTarget = 10 * time.Minute
)

// playCrash kills one node. It must be located, isolated and, once a person has
// restarted it, put back.
func playCrash(ctx context.Context, h *house, out *Outcome) error {
	victim := h.files.Nodes[rand.IntN(len(h.files.Nodes))].Name
	out.Broken = victim
	s := h.begin()
	if err := s.kill(ctx, victim); err != nil {
		return err
	}
	healed, err := s.heal(ctx, out)
	if err != nil {
		return err
	}
	out.expect("scope", out.Scope, "node")
	out.expect("located members", strings.Join(out.Members, ", "), victim)
	out.expect("what was done", automatic(h.shop.Calls()), "drain "+victim)
	if !healed {
		return nil
	}
	return s.putBack(ctx, out, victim)
}

// playAllNodes kills every node. The service as a whole must be located and its
// nodes restarted, one after the other.
func playAllNodes(ctx context.Context, h *house, out *Outcome) error {
	out.Broken = "every node"
	s := h.begin()
	if err := s.kill(ctx, h.shop.Nodes()...); err != nil {
		return err
	}
	if _, err := s.heal(ctx, out); err != nil {
		return err
	}
	out.expect("scope", out.Scope, "service")
	var want []string
	for _, name := range h.shop.Nodes() {
		want = append(want, "restart "+name)
	}
	out.expect("what was done", automatic(h.shop.Calls()), strings.Join(want, ", "))
	return nil
}

// playObserver cuts the first observer off. The other one sees a healthy shop:
// nobody may be woken for the service and nothing may be touched.
func playObserver(ctx context.Context, h *house, out *Outcome) error {
	cut := h.fault.observers[0]
	out.Broken = cut
	s := h.begin()
	h.ways[cut].Cut()
	s.tell(s.began, "fault", "the network between observer "+cut+" and the shop is cut; the shop is well")
	err := s.until(ctx, observerWithin, func() bool { return s.fired("ObserverFault", cut) })
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	if err != nil {
		out.problem("ObserverFault for observer %s did not fire within %s", cut, observerWithin)
	}
	if err := s.watch(ctx, watchAfter); err != nil {
		return err
	}
	if err := h.ways[cut].Mend(); err != nil {
		return err
	}
	s.tell(time.Now(), "mended", "the network is whole again")
	if err := h.waitCalm(ctx); err != nil {
		return err
	}
	s.untouched(out)
	return nil
}

// untouched checks that an observer's fault stayed one.
func (s *story) untouched(out *Outcome) {
	out.expect("what was done", automatic(s.shop.Calls()), "")
	if n := len(s.incident.Runs); n > 0 {
		out.problem("heal-receiver made %d runs, want none", n)
	}
	for _, a := range s.ever {
		switch name := a.Labels["alertname"]; name {
		case "FaultDetected", "FaultLocated":
			out.problem("%s fired, and the shop was well", a)
		}
	}
	if _, failed, _ := s.people.seen(); failed > 0 {
		out.problem("%d requests of customers failed, want none", failed)
	}
}

// watch goes on telling for a time.
func (s *story) watch(ctx context.Context, span time.Duration) error {
	end := time.Now().Add(span)
	return s.until(ctx, 2*span, func() bool { return time.Now().After(end) })
}

// fired tells whether an alert about an observer has fired since the fault.
func (s *story) fired(name, observer string) bool {
	return slices.ContainsFunc(s.ever, func(a alert) bool {
		return a.Labels["alertname"] == name && a.Labels["observer"] == observer
	})
}

// kill asks the supervisor to kill nodes, all at once.
func (s *story) kill(ctx context.Context, names ...string) error {
	failed := make(chan error, len(names))
	s.began = time.Now()
	for _, name := range names {
		go func() {
			_, err := api{base: s.shop.SupervisorURL()}.call(ctx, http.MethodPost, "/nodes/"+name+"/kill")
			failed <- err
		}()
	}
	for range names {
		if err := <-failed; err != nil {
			return fmt.Errorf("killing %s: %w", strings.Join(names, ", "), err)
		}
	}
	s.tell(s.began, "fault", strings.Join(names, ", ")+" killed (SIGKILL)")
	return nil
}

// heal waits until heal-receiver says recovered or gives it to people, and reads
// the clocks.
func (s *story) heal(ctx context.Context, out *Outcome) (healed bool, err error) {
	if s.bound, err = s.provedBound(ctx); err != nil {
		return false, err
	}
	err = s.until(ctx, healWithin, func() bool {
		return slices.Contains([]string{"recovered", "with_human", "closed"}, s.incident.State)
	})
	if err != nil && !errors.Is(err, errLate) {
		return false, err
	}
	i := s.incident
	healed = i.State == "recovered" || i.State == "closed"
	if !healed {
		out.problem("after %s the incident is %q (%s), want recovered", time.Since(s.began).Round(time.Second), i.State, i.Reason)
	}
	out.Scope, out.Members = i.Verdict.Scope, i.Verdict.Members
	out.clock("detect", s.since(i.at("received")), s.bound, detectTarget)
	out.clock("locate", s.since(i.at("located")), 0, locateTarget)
	out.clock("recover", s.since(lastOf(i, "recovered", "verified")), 0, recoverTarget)
	s.tellCustomers()
	return healed, nil
}

// since counts from the fault; 0 when the instant has not come.
func (s *story) since(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return at.Sub(s.began)
}

// provedBound is what the generator has proved for the shop's availability.
func (h *house) provedBound(ctx context.Context) (time.Duration, error) {
	points, err := h.prometheus.query(ctx, `max(onefiveten_detect_bound_seconds{service="shop", signal="availability"})`)
	if err != nil {
		return 0, err
	}
	if len(points) != 1 {
		return 0, fmt.Errorf("reading onefiveten_detect_bound_seconds: got %d values, want one", len(points))
	}
	return time.Duration(points[0].value * float64(time.Second)).Round(time.Millisecond), nil
}

// tellCustomers is the view from outside: how many were hurt, and how long.
func (s *story) tellCustomers() {
	asked, failed, last := s.people.seen()
	if failed > 0 {
		s.tell(time.Now(), "customers", fmt.Sprintf("%d of %d requests failed, the last %.1f s after the fault", failed, asked, last.Sub(s.began).Seconds()))
	}
}

// putBack does what the person on duty does: restart the node, see that it is
// well, release the mitigation. The receiver puts it back and verifies.
func (s *story) putBack(ctx context.Context, out *Outcome, node string) error {
	if len(s.incident.Mitigations) != 1 {
		out.problem("%d mitigations are held, want one", len(s.incident.Mitigations))
		return nil
	}
	m := s.incident.Mitigations[0]
	s.tell(time.Now(), "person", "restarts "+node+" by the supervisor")
	if _, err := (api{base: s.shop.SupervisorURL()}).call(ctx, http.MethodPost, "/nodes/"+node+"/restart"); err != nil {
		return err
	}
	if err := s.waitWell(ctx, node); err != nil {
		return err
	}
	s.tell(time.Now(), "person", "sees "+node+" well, and releases the mitigation of "+m.Target)
	if _, err := s.receiver.call(ctx, http.MethodPost, "/api/v1/mitigations/"+m.ID+":release"); err != nil {
		return err
	}
	err := s.until(ctx, putBackWithin, func() bool { return s.stateOf(m.ID) == "released" || s.incident.State == "with_human" })
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	out.expect("the mitigation", s.stateOf(m.ID), "released")
	for _, n := range s.shop.Rotation() {
		out.expect("the balancer's "+n.Name, n.State, "ready")
	}
	out.expect("what was done in all", automatic(s.shop.Calls()), "drain "+node+", ready "+node)
	if len(out.Problems) == 0 {
		s.tell(time.Now(), "released", node+" is in rotation again and the service's proof holds")
	}
	s.tellCustomers()
	return nil
}

// waitWell waits for good probes of the node, and the end of its fault.
func (s *story) waitWell(ctx context.Context, node string) error {
	for _, expr := range []string{
		fmt.Sprintf(`min(probe_success{service="shop", node=%q}) == 1`, node),
		fmt.Sprintf(`max(ksigma_fault{service="shop", signal="availability", node=%q}) == 0`, node),
	} {
		err := within(ctx, 30*time.Second, func(ctx context.Context) (bool, error) {
			points, err := s.prometheus.query(ctx, expr)
			return len(points) == 1, err
		})
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", expr, err)
		}
	}
	return nil
}

// stateOf is a mitigation's state in the last reading; empty when it is not there.
func (s *story) stateOf(mitigation string) string {
	for _, m := range s.incident.Mitigations {
		if m.ID == mitigation {
			return m.State
		}
	}
	return ""
}

// automatic lists the changes that runs of heal-receiver asked for.
func automatic(calls []shop.Call) string {
	var all []string
	for _, c := range calls {
		if c.Run != "" {
			all = append(all, c.Change)
		}
	}
	return strings.Join(all, ", ")
}

// problem notes what was missed or wrong; the demo then ends with 1.
func (o *Outcome) problem(format string, args ...any) {
	o.Problems = append(o.Problems, fmt.Sprintf(format, args...))
}

// expect notes a problem when something is not as it must be.
func (o *Outcome) expect(what, got, want string) {
	if got != want {
		o.problem("%s: got %q, want %q", what, got, want)
	}
}

// clock notes one of the three; a missed one is a problem.
func (o *Outcome) clock(stage string, took, bound, target time.Duration) {
	c := Clock{stage, took, bound, target}
	o.Clocks = append(o.Clocks, c)
	if c.Missed() {
		o.problem("the clock %q was missed: %s, bound %s, target %s", stage, tookOf(c), bound, target)
	}
}
