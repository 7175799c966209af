package promapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Alertmanager asks one Alertmanager. As of a Client, the answer is whole or an
// error, and it is safe for concurrent use.
type Alertmanager struct{ client *Client }

// NewAlertmanager gives a reader with the same settings as a Client. Nothing is
// asked yet.
func NewAlertmanager(s Settings) (*Alertmanager, error) {
	c, err := newClient("alertmanager", s)
	if err != nil {
		return nil, err
	}
	return &Alertmanager{c}, nil
}

// Close lets go of the connections.
func (a *Alertmanager) Close() { a.client.Close() }

// Status is what an Alertmanager tells of itself.
type Status struct {
	Version string
	Config  string // the configuration in force: YAML, secrets and in newer versions URLs masked
	Cluster string // ready, settling or disabled
	Peers   int    // members of the cluster, itself among them; 0 where it tells of none
	Started time.Time
}

// Status asks for it.
func (a *Alertmanager) Status(ctx context.Context) (Status, error) {
	c := a.client
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s: %w", c.timeout, context.DeadlineExceeded))
	defer cancel()
	status, body, err := c.ask(ctx, c.base.JoinPath("api/v2/status"), url.Values{})
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil && status == http.StatusUnauthorized:
		err = fmt.Errorf("got %d %s, want 200; want its user or token under http_config", status, http.StatusText(status))
	case err == nil && status != http.StatusOK:
		err = fmt.Errorf("got %d %s, want 200; is this the URL of an Alertmanager?", status, http.StatusText(status))
	}
	var s Status
	if err == nil {
		s, err = parseStatus(body)
	}
	if err != nil {
		return Status{}, fmt.Errorf("asking %s for its status: %w", c.name, kindOf(err))
	}
	return s, nil
}

// parseStatus reads the answer. Without a configuration it is none.
func parseStatus(body []byte) (Status, error) {
	var s struct {
		Uptime  time.Time `json:"uptime"` // the instant of its start
		Cluster struct {
			Status string            `json:"status"`
			Peers  []json.RawMessage `json:"peers"`
		} `json:"cluster"`
		Version struct {
			Version string `json:"version"`
		} `json:"versionInfo"`
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return Status{}, fmt.Errorf("reading the answer: %w; is this the URL of an Alertmanager?", err)
	}
	if s.Config.Original == "" {
		return Status{}, errors.New("reading the answer: it holds no configuration; is this the URL of an Alertmanager?")
	}
	return Status{Version: cut(s.Version.Version), Config: s.Config.Original, Cluster: cut(s.Cluster.Status), Peers: len(s.Cluster.Peers), Started: s.Uptime}, nil
}
