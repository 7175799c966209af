// Package promapi asks a Prometheus-compatible API. It is given a URL with an
// http_config and a time-out; it gives instant vectors, values over a stretch of
// time, the rule groups with every rule, what is scraped how, and to whom alerts are
// sent; of an Alertmanager, its status. Whatever is not the whole answer is an error:
// warnings, partial data, a body beyond the limit, a type other than the one that was
// asked for. Nothing is repeated beyond the one
// change from GET to POST.
package promapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Settings is one entry of the configuration key prometheus.
type Settings struct {
	Name       string                   `yaml:"name"`
	URL        string                   `yaml:"url"`
	HTTPConfig *config.HTTPClientConfig `yaml:"http_config"`
	Timeout    model.Duration           `yaml:"timeout"` // of one question, all of it; default 2s
}

// SetDirectory makes the *_file and other file names of http_config relative to dir.
func (s *Settings) SetDirectory(dir string) { s.HTTPConfig.SetDirectory(dir) }

// Check reports every mistake with its path below the entry.
func (s *Settings) Check(report func(path, text string)) {
	if s.Name == "" {
		report("name", "missing; services name their Prometheus by it")
	}
	if _, err := baseURL(s.URL); err != nil {
		report("url", err.Error())
	}
	if s.Timeout < 0 {
		report("timeout", fmt.Sprintf("got %s, want more than 0s", s.Timeout))
	}
}

// The limits of one question. Sixteen MiB hold about 100,000 series of one value,
// or 400,000 values of a few series; a question of ours answers with the members
// of one service, or with one stretch of the past of one probe.
const (
	defaultTimeout = 2 * time.Second
	bodyLimit      = 16 << 20 // bytes of one answer
	errorLimit     = 1 << 10  // bytes of a foreign error text that are shown
	queryLimit     = 200      // bytes of a query in an error: a log that shortens must not lose the reason behind it
)

// ErrTimeout is the kind of an error of a question that was not answered in time:
// by the own time-out or the deadline of the caller, which are also
// context.DeadlineExceeded, or since the server, or a proxy before it, says that it
// has given up. Of a question that is wrong it is not.
var ErrTimeout = errors.New("no answer in time")

// ErrQuestion is the kind of an error of a question that the server takes for wrong:
// it cannot read it, or carry it out. Asked again it fails again.
var ErrQuestion = errors.New("the question is wrong")

// Client asks one API. It is safe for concurrent use: connections are kept and
// shared, answers are not.
type Client struct {
	name    string
	base    *url.URL
	http    *http.Client
	timeout time.Duration
	limit   int64
	closed  atomic.Bool
}

// New gives a client. Nothing is asked yet; a file of http_config that cannot
// be read is an error.
func New(s Settings) (*Client, error) { return newClient("prometheus", s) }

// newClient is New for a server of some kind, which errors name.
func newClient(kind string, s Settings) (*Client, error) {
	base, err := baseURL(s.URL)
	if err != nil {
		return nil, fmt.Errorf("%s %q: url: %w", kind, s.Name, err)
	}
	client, err := config.NewClientFromConfig(*cmp.Or(s.HTTPConfig, &config.DefaultHTTPClientConfig), "promapi", config.WithUserAgent("onefiveten"))
	if err != nil {
		return nil, fmt.Errorf("%s %q: http_config: %w", kind, s.Name, err)
	}
	if client.CheckRedirect == nil { // else http_config asks for none
		client.CheckRedirect = sameHost
	}
	timeout := cmp.Or(time.Duration(s.Timeout), defaultTimeout)
	return &Client{name: s.Name, base: base, http: client, timeout: timeout, limit: bodyLimit}, nil
}

// Close lets go of the connections that no question uses; those in use follow when
// their answers have been read. A client that is asked again opens others, and
// keeps none of them.
func (c *Client) Close() {
	c.closed.Store(true)
	c.http.CloseIdleConnections()
}

// rest lets go of the connection of a question that came after Close.
func (c *Client) rest() {
	if c.closed.Load() {
		c.http.CloseIdleConnections()
	}
}

// baseURL reads the URL under which the API lies, with or without a path. What
// follows ? would be lost when the API's own path is joined, and so is refused.
func baseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil && strings.Contains(text, "://") {
		return nil, err
	}
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("got %q, want http://host:port or https://host:port", masked(text))
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("got %q, want it without ? and #", text)
	}
	return u, nil
}

// masked hides the name and password of an address without a scheme, which nobody
// else would take for one.
func masked(text string) string {
	if at := strings.LastIndexByte(text, '@'); at >= 0 && !strings.Contains(text, "://") {
		return "<secret>" + text[at:]
	}
	return text
}

// maxRedirects is how many redirects are followed.
const maxRedirects = 10

// sameHost follows redirects within the host that was asked. Another one would
// be sent the secrets in http_headers, and its answer is not that of the
// Prometheus which was named.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case next.URL.Hostname() != first.Hostname() || first.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("redirected to %s://%s, want it to stay at %s://%s", next.URL.Scheme, next.URL.Host, first.Scheme, first.Host)
	case len(via) >= maxRedirects:
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	return nil
}

// Point is one element of an instant vector. Labels come without the metric
// name; a scalar is one point without labels.
type Point struct {
	Labels map[string]string
	At     time.Time // of the evaluation, Prometheus' clock
	Value  float64
}

// Query asks an instant query, evaluated at the moment of the server. An empty
// vector is no error. An error names this Prometheus and the query, a long one by its
// beginning.
func (c *Client) Query(ctx context.Context, query string) ([]Point, error) {
	points, err := read(ctx, c, "api/v1/query", url.Values{"query": {query}, "timeout": {c.patience()}}, parseVector)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", c.name, cutTo(query, queryLimit), err)
	}
	return points, nil
}

// Sample is one value of a series at an instant of Prometheus' clock.
type Sample struct {
	At    time.Time
	Value float64
}

// Track is one series of a range query, its samples in rising order of time.
// Labels come without the metric name.
type Track struct {
	Labels  map[string]string
	Samples []Sample
}

// MaxSteps is how many steps Prometheus takes in one range query, and how many
// Range asks for at most.
const MaxSteps = 11000

// Range asks a range query: the value at from and at every step after it up to to,
// all in whole milliseconds of Prometheus' clock. A series has no sample where it
// has no value; NaN and Inf are values. No series is no error. An error names this
// Prometheus and the query, as that of Query does; more than MaxSteps are one before anything is asked.
func (c *Client) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]Track, error) {
	tracks, err := c.tracks(ctx, query, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s from %s to %s: %w", c.name, cutTo(query, queryLimit),
			from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339), err)
	}
	return tracks, nil
}

// tracks is Range without the names in its errors.
func (c *Client) tracks(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]Track, error) {
	switch {
	case step < time.Millisecond || step%time.Millisecond != 0:
		return nil, fmt.Errorf("got a step of %s, want whole milliseconds", step)
	case to.Before(from):
		return nil, errors.New("it ends before it begins")
	case to.Sub(from)/step > MaxSteps:
		return nil, fmt.Errorf("it has %d steps of %s, want %d at most: lengthen the step, or ask for a shorter time", to.Sub(from)/step, step, MaxSteps)
	}
	form := url.Values{
		"query": {query}, "start": {unix(from)}, "end": {unix(to)},
		"step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)}, "timeout": {c.patience()},
	}
	return read(ctx, c, "api/v1/query_range", form, parseMatrix)
}

// unix writes an instant as the API takes it.
func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// patience is the time-out in words of the API, so that the server gives up, too.
func (c *Client) patience() string { return strconv.FormatFloat(c.timeout.Seconds(), 'f', -1, 64) }

// RuleGroup is one evaluated group and the names of its alerting rules. An alert
// cannot come sooner than Interval after its cause.
type RuleGroup struct {
	File, Name string
	Interval   time.Duration
	Alerts     []string
}

// RuleGroups lists the groups that hold alerting rules, in the server's order.
func (c *Client) RuleGroups(ctx context.Context) ([]RuleGroup, error) {
	groups, err := read(ctx, c, "api/v1/rules", url.Values{"type": {"alert"}}, parseRules)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its rules: %w", c.name, err)
	}
	return groups, nil
}

// Target is one target that Prometheus scrapes. Interval and Timeout are 0 where
// the server does not tell them.
type Target struct {
	Job      string // the name of the scrape configuration
	URL      string // what is scraped
	Labels   map[string]string
	Interval time.Duration
	Timeout  time.Duration
	Health   string // up, down or unknown
	Error    string // of the last scrape
}

// Targets lists what is scraped at present; targets that relabelling has dropped
// are left out.
func (c *Client) Targets(ctx context.Context) ([]Target, error) {
	targets, err := read(ctx, c, "api/v1/targets", url.Values{"state": {"active"}}, parseTargets)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its targets: %w", c.name, err)
	}
	return targets, nil
}

// Scrape is one scrape configuration in force.
type Scrape struct {
	Job         string
	HonorLabels bool
}

// read asks and lets parse read the data of the answer. The time-out spans all.
func read[T any](ctx context.Context, c *Client, path string, form url.Values, parse func([]byte) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s: %w", c.timeout, context.DeadlineExceeded))
	defer cancel()
	status, body, err := c.ask(ctx, c.base.JoinPath(path), form)
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil && status != http.StatusOK:
		err = refusal(status, body)
	}
	if err != nil {
		var none T
		return none, kindOf(err)
	}
	return parse(body)
}

// ask sends GET, and POST where the server does not take that: a method that is
// not allowed, or a query too long for a URL. Nothing else is asked twice.
func (c *Client) ask(ctx context.Context, target *url.URL, form url.Values) (int, []byte, error) {
	get := *target
	get.RawQuery = form.Encode()
	status, body, err := c.send(ctx, http.MethodGet, get.String(), nil)
	if err == nil && (status == http.StatusMethodNotAllowed || status == http.StatusRequestURITooLong) {
		return c.send(ctx, http.MethodPost, target.String(), strings.NewReader(form.Encode()))
	}
	return status, body, err
}

// send makes one request and reads its answer. What net/http says of the URL is
// left out: it holds the query once more.
func (c *Client) send(ctx context.Context, method, target string, form io.Reader) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, form)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Accept", "application/json")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := c.http.Do(request)
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err
		}
		return 0, nil, err
	}
	defer c.rest()
	defer response.Body.Close()
	body, err := c.readAll(response.Body)
	return response.StatusCode, body, err
}

// readAll reads an answer whole, up to the limit: half of one is an error.
func (c *Client) readAll(from io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, c.limit+1))
	if err == nil && int64(len(body)) > c.limit {
		err = fmt.Errorf("more than %d bytes; narrow the query", c.limit)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return body, nil
}
