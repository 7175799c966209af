package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/onefiveten/onefiveten/healer"
)

// Incident is one incident as the API shows it. Instants are RFC 3339, UTC,
// to the millisecond; empty ones are left out. Rungs, rounds and steps count from
// 0 in the API; in texts for people rungs and steps count from 1.
type Incident struct {
	ID         string          `json:"id"`
	Service    string          `json:"service"`
	Cluster    string          `json:"cluster"`
	State      string          `json:"state"`
	Reason     string          `json:"reason,omitempty"`
	Scenario   string          `json:"scenario,omitempty"`
	Severity   int             `json:"severity"`
	Scope      string          `json:"scope,omitempty"`
	Verdict    *healer.Verdict `json:"verdict,omitempty"`
	Rung       int             `json:"rung"`
	Round      int             `json:"round"`
	OpenedAt   time.Time       `json:"opened_at"`
	FaultStart time.Time       `json:"fault_start"`
	NextAt     time.Time       `json:"next_at,omitzero"`
	AckedBy    string          `json:"acked_by,omitempty"`
	ClosedAt   time.Time       `json:"closed_at,omitzero"`

	// With one incident alone.
	Instants    []Instant    `json:"instants,omitempty"`
	Decisions   []Decision   `json:"decisions,omitempty"`
	Runs        []Run        `json:"runs,omitempty"`
	Mitigations []Mitigation `json:"mitigations,omitempty"`
}

// Instant is one named moment of one round.
type Instant struct {
	Round  int       `json:"round"`
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
	Source string    `json:"source"`
}

// Decision is one judgement over one rung.
type Decision struct {
	At      time.Time      `json:"at"`
	LastAt  time.Time      `json:"last_at"`
	Repeats int            `json:"repeats"`
	Round   int            `json:"round"`
	Rung    int            `json:"rung"`
	Plan    string         `json:"plan,omitempty"`
	Target  string         `json:"target,omitempty"`
	Verb    string         `json:"decision"`
	Code    string         `json:"code"`
	Numbers map[string]any `json:"numbers,omitempty"`
	Run     string         `json:"run,omitempty"`
}

// Run is one execution of a plan. A step's output is not shown: it may hold
// what its program should not have printed.
type Run struct {
	ID        string    `json:"id"`
	Purpose   string    `json:"purpose"`
	Plan      string    `json:"plan"`
	Kind      string    `json:"kind"`
	Target    string    `json:"target"`
	Attempt   int       `json:"attempt"`
	Mode      string    `json:"mode"`
	State     string    `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	FenceAt   time.Time `json:"fence_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Steps     []Step    `json:"steps,omitempty"`
	Samples   []Sample  `json:"samples,omitempty"`
}

// Step is one try of one step.
type Step struct {
	Phase      string    `json:"phase"`
	N          int       `json:"n"`
	Try        int       `json:"try"`
	What       string    `json:"what"`
	IntentAt   time.Time `json:"intent_at"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	Outcome    string    `json:"outcome,omitempty"`
}

// Sample is one evaluation of a proof.
type Sample struct {
	At      time.Time       `json:"at"`
	Answer  string          `json:"answer"`
	Numbers json.RawMessage `json:"numbers,omitempty"`
}

// Mitigation is what is held in place until it is released.
type Mitigation struct {
	ID            string    `json:"id"`
	Incident      string    `json:"incident"`
	Run           string    `json:"run"`
	Service       string    `json:"service"`
	Target        string    `json:"target"`
	Kind          string    `json:"kind"`
	State         string    `json:"state"`
	Since         time.Time `json:"since"`
	ReleaseManual bool      `json:"release_manual"`
	ReleasedAt    time.Time `json:"released_at,omitzero"`
	ReleasedBy    string    `json:"released_by,omitempty"`
}

// MaxIncidents is the longest list of incidents that is given at once.
const MaxIncidents = 1000

func (s *server) incidents(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(cmp.Or(r.FormValue("limit"), "100"))
	if err != nil || limit < 1 || limit > MaxIncidents {
		fail(w, http.StatusBadRequest, fmt.Sprintf("limit: got %q, want a number from 1 to %d", r.FormValue("limit"), MaxIncidents))
		return
	}
	all, err := s.Store.Incidents(r.Context(), r.FormValue("state") != "open", limit)
	if err != nil {
		fail(w, statusOf(err), err.Error())
		return
	}
	out := make([]Incident, 0, len(all))
	for _, i := range all {
		out = append(out, viewIncident(i))
	}
	write(w, http.StatusOK, map[string]any{"incidents": out})
}

func (s *server) incident(w http.ResponseWriter, r *http.Request) {
	c, err := s.Store.Read(r.Context(), r.PathValue("id"))
	if err != nil {
		fail(w, statusOf(err), err.Error())
		return
	}
	write(w, http.StatusOK, View(c))
}

func (s *server) mitigations(w http.ResponseWriter, r *http.Request) {
	held, err := s.Store.Mitigations(r.Context(), r.FormValue("service"))
	if err != nil {
		fail(w, statusOf(err), err.Error())
		return
	}
	write(w, http.StatusOK, map[string]any{"mitigations": viewAll(held, viewMitigation)})
}

func (s *server) review(w http.ResponseWriter, r *http.Request) {
	text, err := s.Healer.Review(r.Context(), r.PathValue("incident"))
	if err != nil {
		fail(w, statusOf(err), err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(text))
}

func (s *server) audit(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseInt(r.FormValue("after"), 10, 64)
	entries, err := s.Store.Audit(r.Context(), r.FormValue("incident"), after, 1000)
	if err != nil {
		fail(w, statusOf(err), err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	enc := json.NewEncoder(w)
	for _, e := range entries {
		_ = enc.Encode(e)
	}
}

// View shows one incident whole.
func View(c *healer.Case) Incident {
	v := viewIncident(c.Incident)
	v.Instants = viewAll(c.Instants, func(i healer.Instant) Instant { return Instant{i.Round, i.Name, utc(i.At), i.Source} })
	v.Decisions = viewAll(c.Decisions, viewDecision)
	v.Runs = viewAll(c.Runs, viewRun)
	v.Mitigations = viewAll(c.Mitigations, viewMitigation)
	return v
}

func viewIncident(i healer.Incident) Incident {
	v := Incident{
		ID: i.ID, Service: i.Service, Cluster: i.Cluster, State: string(i.State), Reason: string(i.Reason),
		Scenario: i.Scenario, Severity: i.Severity, Scope: string(i.Scope), Rung: i.Rung, Round: i.Round,
		OpenedAt: utc(i.OpenedAt), FaultStart: utc(i.FaultStart), NextAt: utc(i.NextAt), AckedBy: i.AckedBy, ClosedAt: utc(i.ClosedAt),
	}
	if i.Verdict.Scope != "" {
		v.Verdict = &i.Verdict
	}
	return v
}

func viewDecision(d healer.Decision) Decision {
	return Decision{
		At: utc(d.At), LastAt: utc(d.LastAt), Repeats: d.Repeats, Round: d.Round, Rung: d.Rung, Plan: d.Plan,
		Target: d.Target, Verb: string(d.Verb), Code: string(d.Code), Numbers: d.Numbers, Run: d.Run,
	}
}

func viewRun(r healer.Run) Run {
	return Run{
		ID: r.ID, Purpose: r.Purpose, Plan: r.Plan, Kind: r.Kind, Target: r.Target, Attempt: r.Attempt, Mode: r.Mode,
		State: string(r.State), Reason: string(r.Reason), CreatedAt: utc(r.CreatedAt), FenceAt: utc(r.FenceAt), EndedAt: utc(r.EndedAt),
		Steps: viewAll(r.Steps, viewStep), Samples: viewAll(r.Samples, viewSample),
	}
}

func viewStep(s healer.Step) Step {
	return Step{Phase: s.Phase, N: s.N, Try: s.Try, What: s.What, IntentAt: utc(s.IntentAt), FinishedAt: utc(s.FinishedAt), Outcome: string(s.Outcome)}
}

func viewSample(s healer.Sample) Sample {
	v := Sample{At: utc(s.At), Answer: string(s.Answer)}
	if json.Valid([]byte(s.Numbers)) {
		v.Numbers = json.RawMessage(s.Numbers)
	}
	return v
}

func viewMitigation(m healer.Mitigation) Mitigation {
	return Mitigation{
		ID: m.ID, Incident: m.Incident, Run: m.Run, Service: m.Service, Target: m.Target, Kind: m.Kind, State: m.State,
		Since: utc(m.Since), ReleaseManual: m.ReleaseManual, ReleasedAt: utc(m.ReleasedAt), ReleasedBy: m.ReleasedBy,
	}
}

func viewAll[A, B any](in []A, view func(A) B) []B {
	out := make([]B, 0, len(in))
	for _, a := range in {
		out = append(out, view(a))
	}
	return out
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

func verbs(known map[string]operation) []string { return slices.Sorted(maps.Keys(known)) }
