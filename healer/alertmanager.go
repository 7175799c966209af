package healer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/config"
)

const (
	peerTimeout = 3 * time.Second // of one peer; the guards have 5s for all their questions
	peerLimit   = 64 << 20        // bytes of one answer: about 30,000 alerts
	// peerSettles is how long an Alertmanager that was started does not know all
	// that fires: Prometheus sends an alert again each minute, or less often.
	peerSettles = 3 * time.Minute
)

// peers reads every Alertmanager of one source.
type peers struct {
	http  *http.Client
	bases []*url.URL
	limit int64
}

// NewAlertmanagers gives the reader of one source: the base URLs of all its
// peers and how to speak to them. Redirects are never followed, whatever
// settings say. Nothing is asked yet.
func NewAlertmanagers(bases []string, settings config.HTTPClientConfig) (Alertmanagers, error) {
	if len(bases) == 0 {
		return nil, errors.New("no peer is given, want at least one URL")
	}
	p := &peers{limit: peerLimit}
	for _, base := range bases {
		u, err := url.Parse(base)
		if err != nil {
			return nil, fmt.Errorf("peer: %w", err)
		}
		if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("peer: got %q, want http://host:port or https://host:port", base)
		}
		p.bases = append(p.bases, u)
	}
	client, err := config.NewClientFromConfig(settings, "alertmanager", config.WithUserAgent("onefiveten"))
	if err != nil {
		return nil, fmt.Errorf("http_config: %w", err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p.http = client
	return p, nil
}

// Alerts asks all peers at once and merges what the reachable ones show, sorted
// by fingerprint: an alert is muted by whatever any peer names, and starts at
// the earliest start. A peer that is away, or whose answer cannot be read
// whole, is left out; it is an error if that is all of them.
func (p *peers) Alerts(ctx context.Context) (alerts []Alert, settled bool, err error) {
	answers := make([][]Alert, len(p.bases))
	causes := make([]error, len(p.bases))
	old := make([]bool, len(p.bases))
	var all sync.WaitGroup
	for i, base := range p.bases {
		all.Go(func() { answers[i], causes[i] = p.read(ctx, base) })
		all.Go(func() { old[i] = p.settled(ctx, base) })
	}
	all.Wait()
	for i := range p.bases {
		settled = settled || causes[i] == nil && old[i]
	}
	if !slices.Contains(causes, nil) {
		return nil, false, fmt.Errorf("reading the alerts: none of %d peers answered: %w", len(p.bases), errors.Join(causes...))
	}
	return mergePeers(answers), settled, nil
}

// settled reports whether a peer surely runs for longer than peerSettles. Its
// start and the present are both read from its own answer: no two clocks are
// compared.
func (p *peers) settled(ctx context.Context, base *url.URL) bool {
	body, header, err := p.get(ctx, base.JoinPath("api/v2/status").String())
	if err != nil {
		return false
	}
	var status struct {
		Uptime time.Time `json:"uptime"` // the instant of its start
	}
	now, wrong := http.ParseTime(header.Get("Date"))
	if wrong != nil || json.Unmarshal(body, &status) != nil || status.Uptime.IsZero() {
		return false
	}
	return now.Sub(status.Uptime) >= peerSettles
}

// mergePeers joins the readings of several peers.
func mergePeers(answers [][]Alert) []Alert {
	merged := map[string]Alert{}
	for _, alerts := range answers {
		for _, a := range alerts {
			known, twice := merged[a.Fingerprint]
			if twice {
				a.MutedBy = joinMutes(known.MutedBy, a.MutedBy)
				if len(known.Receivers) == 0 {
					a.Receivers = nil
				}
				if known.StartsAt.Before(a.StartsAt) {
					a.StartsAt = known.StartsAt
				}
			}
			merged[a.Fingerprint] = a
		}
	}
	return slices.SortedFunc(maps.Values(merged), func(a, b Alert) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
}

// joinMutes unites two comma-joined lists, sorted. A peer that has not judged
// an alert says nothing beside one that has.
func joinMutes(a, b string) string {
	switch unprocessed {
	case a:
		return b
	case b:
		return a
	}
	both := slices.DeleteFunc(append(strings.Split(a, ","), strings.Split(b, ",")...), func(s string) bool { return s == "" })
	slices.Sort(both)
	return strings.Join(slices.Compact(both), ",")
}

// get gives one whole answer and its header.
func (p *peers) get(ctx context.Context, target string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := p.http.Do(request)
	if err != nil {
		return nil, nil, err // *url.Error names method and URL
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("get %s: got %s, want 200", target, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, p.limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("get %s: reading the answer: %w", target, err)
	}
	if int64(len(body)) > p.limit {
		return nil, nil, fmt.Errorf("get %s: the answer has more than %d bytes", target, p.limit)
	}
	return body, response.Header, nil
}

// read asks one peer for its alerts.
func (p *peers) read(ctx context.Context, base *url.URL) ([]Alert, error) {
	target := base.JoinPath("api/v2/alerts").String()
	body, _, err := p.get(ctx, target)
	if err != nil {
		return nil, err
	}
	alerts, err := parseAlerts(body)
	if err != nil {
		return nil, fmt.Errorf("get %s: reading the answer: %w", target, err)
	}
	return alerts, nil
}

// listed is one alert as /api/v2/alerts shows it. endsAt is left out: of a
// firing alert it is only the end of its patience, and resolved ones are not
// listed. mutedBy names the time intervals of some route, often that of people,
// and not ours: it mutes nothing, but nobody can tell whom the alert is sent to.
type listed struct {
	Fingerprint string            `json:"fingerprint"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	Receivers   []struct {
		Name string `json:"name"`
	} `json:"receivers"`
	Status struct {
		State       string   `json:"state"`
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
		MutedBy     []string `json:"mutedBy"`
	} `json:"status"`
}

// parseAlerts reads one peer's list. An entry that cannot be read spoils the
// whole list: an alert that were merely left out would seem to be gone.
func parseAlerts(body []byte) ([]Alert, error) {
	var list []listed
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, errors.New("got null, want a list of alerts")
	}
	alerts := make([]Alert, 0, len(list))
	for i, x := range list {
		if x.Fingerprint == "" || len(x.Labels) == 0 || x.StartsAt.IsZero() {
			return nil, fmt.Errorf("alert %d of %d has no fingerprint, labels or startsAt", i+1, len(list))
		}
		muted, err := x.mutedBy()
		if err != nil {
			return nil, fmt.Errorf("alert %s: %w", x.Fingerprint, err)
		}
		alerts = append(alerts, Alert{
			Fingerprint: x.Fingerprint, Labels: x.Labels, Annotations: x.Annotations,
			StartsAt: x.StartsAt, Firing: true, MutedBy: muted, Receivers: x.sentTo(),
		})
	}
	return alerts, nil
}

// unprocessed is what mutes an alert that no peer has judged yet, and unexplained
// one that is suppressed by nothing we know: neither may be taken for active.
const (
	unprocessed = "unprocessed"
	unexplained = "suppressed"
)

// sentTo names the receivers of an alert, none if it cannot be told.
func (x listed) sentTo() []string {
	var names []string
	for _, r := range x.Receivers {
		if len(x.Status.MutedBy) == 0 {
			names = append(names, r.Name)
		}
	}
	return names
}

// mutedBy writes who mutes an alert: "" only if the peer says active.
func (x listed) mutedBy() (string, error) {
	var by []string
	for _, id := range x.Status.SilencedBy {
		by = append(by, "silence:"+id)
	}
	for _, fingerprint := range x.Status.InhibitedBy {
		by = append(by, "inhibited:"+fingerprint)
	}
	switch x.Status.State {
	case "active":
	case "unprocessed":
		if len(by) == 0 {
			return unprocessed, nil
		}
	case "suppressed":
		if len(by) == 0 {
			return unexplained, nil
		}
	default:
		return "", fmt.Errorf("got the state %q, want active, suppressed or unprocessed", x.Status.State)
	}
	slices.Sort(by)
	return strings.Join(slices.Compact(by), ","), nil
}
