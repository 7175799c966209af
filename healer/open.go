package healer

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errNothing stops a join that would open an incident without a trigger.
var errNothing = errors.New("no open trigger: nothing to open")

// startReading is a fault's start as something else than our own annotation tells it.
type startReading struct {
	At     time.Time
	Source string
}

// startProof is the source of a fault's start that the proof has told: the alerts
// are older than the fault.
const startProof = "proof"

// startLimit is how far before its alert a fault may have begun.
const startLimit = 24 * time.Hour

// plausible reports whether an instant may be the start of what an alert says
// began to fire at startsAt.
func plausible(at, startsAt time.Time) bool {
	return !at.IsZero() && !at.After(startsAt) && startsAt.Sub(at) <= startLimit
}

// annotated reads a fault's start from the annotation of our rules (unix
// seconds), zero if there is none that can be true.
func annotated(e Episode) time.Time {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(e.Annotations["fault_start"]), 64)
	if err != nil || !(seconds > 0 && seconds < 1e11) {
		return time.Time{}
	}
	at := time.UnixMilli(int64(seconds * 1000))
	if !plausible(at, e.StartsAt) {
		return time.Time{}
	}
	return at
}

// faultStart finds the start of the fault that triggers tell of: the earliest
// annotation, else the first reading that can be true, else the earliest
// startsAt, which may come as late as detection may take.
func faultStart(triggers []*Episode, readings []startReading, detect time.Duration) (at time.Time, source string, uncertain time.Duration) {
	if len(readings) > 0 && readings[0].Source == startProof {
		return readings[0].At, startProof, watchEvery
	}
	first := slices.MinFunc(triggers, func(a, b *Episode) int { return a.StartsAt.Compare(b.StartsAt) }).StartsAt
	for _, e := range triggers {
		if said := annotated(*e); !said.IsZero() && (at.IsZero() || said.Before(at)) {
			at, source = said, "annotation"
		}
	}
	if !at.IsZero() {
		return at, source, 0
	}
	for _, r := range readings {
		if plausible(r.At, first) {
			return r.At, r.Source, 0
		}
	}
	return first, "startsAt", detect
}

// join takes episodes into the incident: it opens a fresh one, or wakes the one
// that is there. readings are asked only for an incident that is to be opened.
func (d desk) join(c *Case, readings []startReading) error {
	triggers := c.triggers(c.Now)
	if len(c.Instants) > 0 {
		d.heard(c)
		c.wake()
		return nil
	}
	if len(triggers) == 0 {
		return errNothing
	}
	in := &c.Incident
	in.State, in.OpenedAt, in.NextAt = stateLocating, c.Now, c.Now
	s, _ := d.scenario(c, c.Now)
	if s != nil {
		in.Scenario = s.Name
	}
	in.Severity = d.severity(c)
	in.FaultStart, in.FaultStartSource, in.FaultStartError = faultStart(triggers, readings, d.targets(c).Detect)
	// No fault begins after it was heard of. Taken at its word, a source whose clock is
	// ahead would put every deadline off, and nobody would be told meanwhile.
	if ahead := in.FaultStart.Sub(c.Now); ahead > 0 {
		in.FaultStart, in.FaultStartSource, in.FaultStartError = c.Now, "journal", in.FaultStartError+ahead
	}
	c.mark("fault_start", in.FaultStart, in.FaultStartSource)
	d.heard(c)
	c.note("", "incident_opened", "", time.Time{}, map[string]any{
		"service": in.Service, "cluster": in.Cluster, "fault_start": stamp(in.FaultStart), "source": in.FaultStartSource,
		"severity": in.Severity, "scenario": in.Scenario, "previous": in.Previous, "alerts": names(triggers),
	})
	return nil
}

// heard keeps the instants that triggers of this round tell: fired by the
// source's clock, received and located by ours.
func (d desk) heard(c *Case) {
	if c.Incident.State == stateRecovered || c.Incident.State == stateClosed {
		return
	}
	triggers := c.triggers(c.Now)
	if len(triggers) > 0 {
		first := slices.MinFunc(triggers, func(a, b *Episode) int { return a.StartsAt.Compare(b.StartsAt) })
		c.mark("fired", latest(first.StartsAt, c.roundStart()), "startsAt")
		c.mark("received", latest(triggers[0].OpenedAt, c.roundStart()), "journal")
	}
	s, _ := d.scenario(c, c.Now)
	if claims := d.claims(c, s, c.Now); s != nil && len(claims) > 0 {
		at := claims[0].OpenedAt
		if at.Before(c.roundStart()) {
			at = c.Now // a claim of the round before locates this one from now on, and others may follow
		}
		c.mark("located", at, claims[0].Labels["alertname"])
		if c.Incident.State == stateLocating {
			c.Incident.Verdict, _ = d.verdict(c, s)
		}
	}
	c.Incident.Severity = min(c.Incident.Severity, d.severity(c))
}

// roundStart is the start of the present round's fault, where alerts may be older
// than it; zero in a first round whose alerts are all its own.
func (c *Case) roundStart() time.Time {
	if c.Incident.Round == 0 && c.Incident.FaultStartSource != startProof {
		return time.Time{}
	}
	return c.instant("fault_start")
}

// latest gives the later of two instants.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earliest gives the earlier of two instants.
func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// wake lets a worker look at once, wherever it looks by itself.
func (c *Case) wake() {
	if !c.Incident.NextAt.IsZero() && c.Incident.NextAt.After(c.Now) {
		c.Incident.NextAt = c.Now
	}
}

// severity is the scenario's, else the worst that an open trigger's label says.
func (d desk) severity(c *Case) int {
	s, _ := d.scenario(c, c.Now)
	if s != nil && s.Severity > 0 {
		return s.Severity
	}
	worst := 0
	for _, e := range c.triggers(c.Now) {
		if n := d.book.Map(e.Labels).Severity; n > 0 && (worst == 0 || n < worst) {
			worst = n
		}
	}
	if worst == 0 {
		return max(c.Incident.Severity, 3)
	}
	return worst
}
