package healer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// memory is a fake Store for the tests of the engine: one process, no disk. It
// keeps the constraints of the schema that an engine can break, so that a
// change which the real journal would refuse fails here as well. That a journal
// keeps what it says is tested in its own room.
type memory struct {
	mu     sync.Mutex
	trip   error // answered by every write while set
	serial int

	Incs    map[string]*Incident
	Eps     []*Episode
	Ends    map[string]time.Time
	Inst    []instantRow
	Rns     []*Run
	Decs    []decisionRow
	Mits    []*Mitigation
	Out     []*Message
	Log     []Entry
	Bad     int
	absent  map[string]int
	held    map[string]string   // target → run
	slots   map[string][]string // scope → runs
	changes int
	behind  time.Duration
	pulses  map[string]Pulse

	reconciled func(Alert) // is told every alert of a reading
	updated    func(*Case) // is told every change of a case
}

type instantRow struct {
	Incident string
	Instant
}

type decisionRow struct {
	Incident string
	Decision
}

func newMemory() *memory {
	return &memory{Incs: map[string]*Incident{}, Ends: map[string]time.Time{}, absent: map[string]int{}, held: map[string]string{}, slots: map[string][]string{}, pulses: map[string]Pulse{}}
}

func clone[T any](x T) T {
	text, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	var y T
	if err := json.Unmarshal(text, &y); err != nil {
		panic(err)
	}
	return y
}

func (s *memory) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func (s *memory) id(kind string) string {
	s.serial++
	return fmt.Sprintf("%s-%03d", kind, s.serial)
}

func (s *memory) Accept(_ context.Context, n Notification) (a Accepted, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trip != nil {
		return a, s.trip
	}
	if n.Watchdog {
		p := s.pulses[n.Source]
		p.Source, p.SeenAt = n.Source, s.now()
		s.pulses[n.Source] = p
	}
	for _, x := range n.Alerts {
		key := n.Source + "/" + x.Fingerprint
		open := s.openEpisode(n.Source, x.Fingerprint)
		switch {
		case x.Firing && open != nil:
			open.Labels, open.Annotations, open.SeenAt = x.Labels, x.Annotations, s.now()
			a.Refreshed++
		case x.Firing && x.StartsAt.After(s.Ends[key]):
			s.Eps = append(s.Eps, &Episode{
				ID: s.id("episode"), Source: n.Source, Fingerprint: x.Fingerprint, Labels: x.Labels, Annotations: x.Annotations,
				Trigger: x.Trigger, OpenedAt: s.now(), StartsAt: x.StartsAt, SeenAt: s.now(),
			})
			a.Opened++
		case x.Firing:
			a.Stale++
		default:
			s.Ends[key] = latest(s.Ends[key], x.EndsAt)
			if open != nil {
				open.ClosedAt, open.CloseReason = s.now(), "resolved"
				a.Closed++
			}
		}
	}
	return a, nil
}

func (s *memory) openEpisode(source, fingerprint string) *Episode {
	for _, x := range s.Eps {
		if x.Source == source && x.Fingerprint == fingerprint && x.ClosedAt.IsZero() {
			return x
		}
	}
	return nil
}

func (s *memory) Refuse(context.Context, string, []byte, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Bad++
	return s.trip
}

func (s *memory) Reconcile(_ context.Context, source string, seen []Alert) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range seen {
		if s.reconciled != nil {
			s.reconciled(a)
		}
	}
	for _, x := range s.Eps {
		if x.Source != source || !x.ClosedAt.IsZero() {
			continue
		}
		i := slices.IndexFunc(seen, func(a Alert) bool { return a.Fingerprint == x.Fingerprint && a.Firing })
		if i >= 0 {
			x.MutedBy, s.absent[x.ID] = seen[i].MutedBy, 0
		} else if s.absent[x.ID]++; s.absent[x.ID] > 1 {
			x.ClosedAt, x.CloseReason = s.now(), "gone"
		}
	}
	return nil
}

func (s *memory) Orphans(context.Context) ([]Episode, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Episode
	for _, x := range s.Eps {
		if x.Incident == "" && x.ClosedAt.IsZero() {
			list = append(list, clone(*x))
		}
	}
	return list, nil
}

func (s *memory) Join(_ context.Context, fresh Incident, episodes []string, change func(*Case) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, made := "", false
	for _, in := range s.Incs {
		if in.Key == fresh.Key && in.State != stateClosed {
			id = in.ID
		}
	}
	if id == "" {
		id, made = fresh.ID, true
		s.Incs[id] = &fresh
	}
	var given []*Episode
	for _, x := range s.Eps {
		if slices.Contains(episodes, x.ID) && x.Incident == "" {
			x.Incident = id
			given = append(given, x)
		}
	}
	err := s.change(id, change)
	if err != nil {
		for _, x := range given {
			x.Incident = ""
		}
		if made {
			delete(s.Incs, id)
		}
	}
	return err
}

func (s *memory) ClaimIncident(_ context.Context, owner string, lease time.Duration) (string, Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.behind > time.Second {
		return "", Claim{}, nil
	}
	var best *Incident
	for _, in := range s.Incs {
		if in.NextAt.IsZero() || in.NextAt.After(now) || in.State == stateClosed || (in.Claim.Owner != "" && in.Claim.LeaseUntil.After(now)) {
			continue
		}
		if best == nil || in.Severity < best.Severity || in.Severity == best.Severity && in.ID < best.ID {
			best = in
		}
	}
	if best == nil {
		return "", Claim{}, nil
	}
	best.Claim = Claim{Owner: owner, Fence: best.Claim.Fence + 1, LeaseUntil: now.Add(lease)}
	return best.ID, best.Claim, nil
}

func (s *memory) ClaimRun(_ context.Context, owner string, lease time.Duration) (string, string, Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.behind > time.Second {
		return "", "", Claim{}, nil
	}
	for _, r := range s.Rns {
		free := r.Claim.Owner == "" || !r.Claim.LeaseUntil.After(now)
		working := r.State == runRunning || r.State == runVerifying || r.State == runUndoing
		due := !r.DueAt.IsZero() && !r.DueAt.After(now) && !r.State.ended()
		if free && (due || working || r.State == runReady && !r.NotBefore.After(now)) {
			r.Claim = Claim{Owner: owner, Fence: r.Claim.Fence + 1, LeaseUntil: now.Add(lease)}
			return r.Incident, r.ID, r.Claim, nil
		}
	}
	return "", "", Claim{}, nil
}

func (s *memory) Renew(_ context.Context, incident, run string, by Claim, lease time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trip != nil {
		return s.trip
	}
	claim, err := s.claim(incident, run)
	if err != nil {
		return err
	}
	if claim.Owner != by.Owner || claim.Fence != by.Fence {
		return ErrLost
	}
	claim.LeaseUntil = s.now().Add(lease)
	return nil
}

func (s *memory) claim(incident, run string) (*Claim, error) {
	if run == "" {
		if s.Incs[incident] == nil {
			return nil, ErrNotFound
		}
		return &s.Incs[incident].Claim, nil
	}
	for _, r := range s.Rns {
		if r.ID == run {
			return &r.Claim, nil
		}
	}
	return nil, ErrNotFound
}

func (s *memory) Update(_ context.Context, incident, run string, by Claim, change func(*Case) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Incs[incident] == nil {
		return ErrNotFound
	}
	if s.updated != nil {
		defer func() { // between the change and its return to who made it
			c := s.load(incident)
			s.mu.Unlock()
			s.updated(c)
			s.mu.Lock()
		}()
	}
	if by != (Claim{}) {
		claim, err := s.claim(incident, run)
		if err != nil {
			return err
		}
		if claim.Owner != by.Owner || claim.Fence != by.Fence {
			return ErrLost
		}
	}
	return s.change(incident, change)
}

// load makes a case of copies.
func (s *memory) load(incident string) *Case {
	c := &Case{Now: s.now(), Incident: clone(*s.Incs[incident])}
	for _, x := range s.Eps {
		if x.Incident == incident {
			c.Episodes = append(c.Episodes, clone(*x))
		}
	}
	for _, x := range s.Inst {
		if x.Incident == incident {
			c.Instants = append(c.Instants, x.Instant)
		}
	}
	for _, r := range s.Rns {
		if r.Incident == incident {
			c.Runs = append(c.Runs, clone(*r))
		}
	}
	for _, x := range s.Decs {
		if x.Incident == incident {
			c.Decisions = append(c.Decisions, clone(x.Decision))
		}
	}
	for _, m := range s.Mits {
		if m.Incident == incident || m.Service == c.Incident.Service && m.State != mitReleased {
			c.Mitigations = append(c.Mitigations, clone(*m))
		}
	}
	return c
}

// change runs a change on copies and keeps what it made of them.
func (s *memory) change(incident string, change func(*Case) error) error {
	c := s.load(incident)
	c.World = s
	if err := change(c); err != nil {
		return err
	}
	if s.trip != nil {
		return s.trip
	}
	if err := s.allowed(c); err != nil {
		return err
	}
	c.World = nil
	s.changes++
	in := c.Incident
	s.Incs[incident] = &in
	for _, x := range c.Episodes {
		if x.Incident == incident {
			continue // as it was
		}
		for i := range s.Eps {
			if s.Eps[i].ID == x.ID {
				s.Eps[i].Incident = x.Incident
			}
		}
	}
	s.Inst = slices.DeleteFunc(s.Inst, func(x instantRow) bool { return x.Incident == incident })
	for _, x := range c.Instants {
		s.Inst = append(s.Inst, instantRow{incident, x})
	}
	s.Decs = slices.DeleteFunc(s.Decs, func(x decisionRow) bool { return x.Incident == incident })
	for _, x := range c.Decisions {
		s.Decs = append(s.Decs, decisionRow{incident, clone(x)})
	}
	for _, r := range c.Runs {
		s.keepRun(clone(r))
	}
	for _, m := range c.Mitigations {
		m := clone(m)
		if i := slices.IndexFunc(s.Mits, func(x *Mitigation) bool { return x.ID == m.ID }); i >= 0 {
			s.Mits[i] = &m
		} else {
			s.Mits = append(s.Mits, &m)
		}
	}
	for _, m := range c.Messages {
		if !slices.ContainsFunc(s.Out, func(x *Message) bool { return x.Sink == m.Sink && x.Dedup == m.Dedup }) {
			s.Out = append(s.Out, &m)
		}
	}
	for _, x := range c.Entries {
		x.Seq = int64(len(s.Log) + 1)
		s.Log = append(s.Log, x)
	}
	return nil
}

func (s *memory) keepRun(r Run) {
	if r.State.ended() || r.State == runUnresolved {
		for scope, runs := range s.slots {
			s.slots[scope] = slices.DeleteFunc(runs, func(x string) bool { return x == r.ID })
		}
		r.Slots = nil
	}
	if r.State.ended() {
		for target, run := range s.held {
			if run == r.ID {
				delete(s.held, target)
			}
		}
		r.Locks = nil
	}
	for _, target := range r.Locks {
		s.held[target] = r.ID
	}
	for _, slot := range r.Slots {
		if !slices.Contains(s.slots[slot.Scope], r.ID) {
			s.slots[slot.Scope] = append(s.slots[slot.Scope], r.ID)
		}
	}
	if i := slices.IndexFunc(s.Rns, func(x *Run) bool { return x.ID == r.ID }); i >= 0 {
		s.Rns[i] = &r
		return
	}
	s.Rns = append(s.Rns, &r)
}

// allowed keeps the schema's constraints.
func (s *memory) allowed(c *Case) error {
	in := c.Incident
	no := func(format string, args ...any) error { return fmt.Errorf("constraint: "+format, args...) }
	switch {
	case in.State != stateClosed && in.State != stateActing && in.NextAt.IsZero():
		return no("incident in %s without next_at", in.State)
	case (in.State == stateClosed) != !in.ClosedAt.IsZero():
		return no("closed without instant, or instant without closed")
	case (in.AckedBy == "") != in.AckedAt.IsZero(), (in.Claim.Owner == "") != in.Claim.LeaseUntil.IsZero():
		return no("half an ack or half a claim")
	case in.FaultStart.IsZero() || in.Severity < 1 || in.Severity > 5:
		return no("incident without fault start or severity")
	}
	live := 0
	for _, r := range c.Runs {
		if !r.State.ended() {
			live++
		}
		working := r.State == runRunning || r.State == runVerifying || r.State == runUndoing
		switch {
		case live > 1:
			return ErrTaken
		case working && r.Claim.Owner == "", (r.Claim.Owner == "") != r.Claim.LeaseUntil.IsZero():
			return no("run %s in %s with half a claim", r.ID, r.State)
		case r.State == runSucceeded && r.FenceAt.IsZero():
			return no("success without a time fence")
		case r.State.ended() != !r.EndedAt.IsZero():
			return no("run %s in %s, ended %v", r.ID, r.State, r.EndedAt)
		case !r.State.ended() && r.State != runUnresolved && r.DueAt.IsZero():
			return no("run %s in %s without timer", r.ID, r.State)
		case r.Target == "" || r.Attempt < 1 || r.PlanText == "":
			return no("run %s without target, attempt or plan", r.ID)
		}
		for _, target := range r.Locks {
			if holder := s.held[target]; holder != "" && holder != r.ID {
				return ErrTaken
			}
		}
	}
	for _, x := range c.Decisions {
		if x.Verb == verbWait && x.NextAt.IsZero() || (x.Verb == verbAct || x.Verb == verbAsk) && x.Run == "" || x.Code == "" {
			return no("decision %s %s without next look, run or code", x.Verb, x.Code)
		}
	}
	for _, m := range c.Mitigations {
		if (m.State == mitReleased) != !m.ReleasedAt.IsZero() || (m.ReleasedBy == "") != m.ReleasedAt.IsZero() {
			return no("mitigation %s half released", m.ID)
		}
	}
	for _, x := range c.Entries {
		if x.Actor == "" || !json.Valid([]byte(x.Body)) {
			return no("audit entry %s without actor or body", x.Event)
		}
	}
	return nil
}

func (s *memory) Lock(target string) (string, error) { return s.held[target], nil }
func (s *memory) Slots(scope string) (int, error)    { return len(s.slots[scope]), nil }
func (s *memory) PlanRuns(plan, target string, since time.Time) ([]Run, error) {
	var list []Run
	for _, r := range slices.Backward(s.Rns) {
		if r.Plan == plan && r.Target == target && !r.CreatedAt.Before(since) {
			list = append(list, *r)
		}
	}
	return list, nil
}

func (s *memory) Read(_ context.Context, incident string) (*Case, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Incs[incident] == nil {
		return nil, ErrNotFound
	}
	return s.load(incident), nil
}

func (s *memory) Incidents(_ context.Context, closed bool, limit int) ([]Incident, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Incident
	for _, in := range s.Incs {
		if closed || in.State != stateClosed {
			list = append(list, clone(*in))
		}
	}
	slices.SortFunc(list, func(a, b Incident) int { return strings.Compare(b.ID, a.ID) })
	return list[:min(limit, len(list))], nil
}

func (s *memory) Mitigations(_ context.Context, service string) ([]Mitigation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Mitigation
	for _, m := range s.Mits {
		if m.State != mitReleased && (service == "" || m.Service == service) {
			list = append(list, *m)
		}
	}
	return list, nil
}

func (s *memory) Audit(_ context.Context, incident string, after int64, limit int) ([]Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Entry
	for _, x := range s.Log {
		if x.Seq > after && (incident == "" || x.Incident == incident) && len(list) < limit {
			list = append(list, x)
		}
	}
	return list, nil
}

func (s *memory) DueMessages(_ context.Context, limit int) ([]Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Message
	for _, m := range s.Out {
		if m.SentAt.IsZero() && !m.NextAt.After(s.now()) && len(list) < limit {
			list = append(list, *m)
		}
	}
	return list, nil
}

func (s *memory) Delivered(_ context.Context, id string, cause error, next time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.Out {
		if m.ID == id {
			m.Tries++
			if m.NextAt = next; cause == nil {
				m.SentAt = s.now()
			} else {
				m.LastError = cause.Error()
			}
			return nil
		}
	}
	return errors.New("no such message")
}

func (s *memory) Pulses(context.Context) ([]Pulse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.pulses)), s.trip
}

func (s *memory) Pulse(_ context.Context, source string, step func(*Vigil)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trip != nil {
		return s.trip
	}
	v := Vigil{Now: s.now(), Pulse: s.pulses[source]}
	v.Pulse.Source = source
	step(&v)
	s.pulses[source] = v.Pulse
	for _, m := range v.Messages {
		s.Out = append(s.Out, &m)
	}
	s.Log = append(s.Log, v.Entries...)
	return nil
}

func (s *memory) Behind() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind
}

func (s *memory) Counts(context.Context) (Counts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Counts{Incidents: map[State]int{}, EpisodesOpen: map[string]int{}, AuditSeq: int64(len(s.Log)), AuditHash: "h"}
	for _, in := range s.Incs {
		c.Incidents[in.State]++
	}
	for _, x := range s.Eps {
		if x.ClosedAt.IsZero() {
			c.EpisodesOpen[x.Source]++
		}
	}
	for _, m := range s.Out {
		if m.SentAt.IsZero() {
			c.Outbox++
		}
	}
	return c, nil
}
