package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/console"
	"github.com/onefiveten/onefiveten/healer/journal"
	"github.com/onefiveten/onefiveten/healer/plan"
)

// reader is where the commands that only look get their facts: the API of a
// running receiver, or the journal file of one that is down.
type reader interface {
	incidents(ctx context.Context, open bool, limit int) ([]console.Incident, error)
	incident(ctx context.Context, id string) (console.Incident, error)
	mitigations(ctx context.Context, service string) ([]console.Mitigation, error)
	review(ctx context.Context, id string) (string, error)
}

// client speaks to the API of a running receiver.
type client struct {
	base, token, user, password string
	http                        *http.Client
}

// remote are the flags that name a receiver and a credential.
type remote struct {
	url, tokenFile, user, passwordFile, storage string
}

func (r *remote) client() (*client, error) {
	if err := checkURL(r.url); err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &client{base: strings.TrimSuffix(r.url, "/"), user: r.user, http: &http.Client{Timeout: 30 * time.Second, CheckRedirect: stay}}
	var err error
	if c.token, err = credential(r.tokenFile); err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	if c.password, err = credential(r.passwordFile); err != nil {
		return nil, fmt.Errorf("--password-file: %w", err)
	}
	return c, nil
}

// checkURL refuses what would be asked otherwise than it was meant. A URL with a
// user is not repeated: it may hold the password.
func checkURL(text string) error {
	const example = "want one such as http://127.0.0.1:9099"
	u, err := url.Parse(text)
	switch {
	case err != nil && strings.Contains(text, "@"):
		return errors.New(example)
	case err == nil && u.User != nil:
		return errors.New("holds a user; name it with --user and --password-file")
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("got %q, %s", text, example)
	}
	return nil
}

// reader is the journal file where --storage names one, else the API.
func (r *remote) reader() (reader, func(), error) {
	if r.storage == "" {
		c, err := r.client()
		return c, func() {}, err
	}
	s, err := journal.OpenReadOnly(r.storage)
	if err != nil {
		return nil, nil, err
	}
	return file{s}, func() { _ = s.Close() }, nil
}

func credential(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := os.ReadFile(name)
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		err = fmt.Errorf("%s is empty, want one credential", name)
	}
	return strings.TrimSpace(string(text)), err
}

// call makes one request; a body is a form. An answer that is not 2xx is an
// error with the receiver's own words.
func (c *client) call(ctx context.Context, method, path string, form url.Values) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", c.base, err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	switch {
	case c.token != "":
		req.Header.Set("Authorization", "Bearer "+c.token)
	case c.user != "":
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s (is it up? --storage FILE reads the journal of one that is down): %w", c.base, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", req.URL, err)
	}
	if to := resp.Header.Get("Location"); resp.StatusCode/100 == 3 {
		return nil, fmt.Errorf("%s %s: got %s to %q: redirects are not followed; give --url the address of heal-receiver itself", method, c.base+path, resp.Status, to)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s%s", method, c.base+path, resp.Status, reason(body), hint(resp))
	}
	return body, nil
}

// hint says what to do about an answer. One that is no JSON is not of our API.
func hint(resp *http.Response) string {
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return "; give --token-file, or --user with --password-file"
	case !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json"):
		return "; is --url the address of heal-receiver?"
	}
	return ""
}

// reason is the error text of an answer of the API, or the answer itself.
func reason(body []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) == nil && e.Error != "" {
		return e.Error
	}
	return strings.TrimSpace(string(body))
}

func (c *client) get(ctx context.Context, path string, into any) error {
	body, err := c.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.base+path, err)
	}
	return nil
}

func (c *client) incidents(ctx context.Context, open bool, limit int) ([]console.Incident, error) {
	var out struct {
		Incidents []console.Incident `json:"incidents"`
	}
	state := "all"
	if open {
		state = "open"
	}
	err := c.get(ctx, fmt.Sprintf("/api/v1/incidents?state=%s&limit=%d", state, limit), &out)
	return out.Incidents, err
}

func (c *client) incident(ctx context.Context, id string) (console.Incident, error) {
	var out console.Incident
	err := c.get(ctx, "/api/v1/incidents/"+url.PathEscape(id), &out)
	return out, err
}

func (c *client) mitigations(ctx context.Context, service string) ([]console.Mitigation, error) {
	var out struct {
		Mitigations []console.Mitigation `json:"mitigations"`
	}
	err := c.get(ctx, "/api/v1/mitigations?service="+url.QueryEscape(service), &out)
	return out.Mitigations, err
}

func (c *client) review(ctx context.Context, id string) (string, error) {
	body, err := c.call(ctx, http.MethodGet, "/api/v1/reviews/"+url.PathEscape(id), nil)
	return string(body), err
}

// operate asks for one operation on one id: POST /api/v1/KIND/ID:VERB. Only an
// answer that repeats both makes it done.
func (c *client) operate(ctx context.Context, kind, id, verb string, form url.Values) error {
	path := "/api/v1/" + kind + "/" + url.PathEscape(id) + ":" + verb
	body, err := c.call(ctx, http.MethodPost, path, form)
	if err != nil {
		return err
	}
	var got struct{ ID, Done string }
	if err := json.Unmarshal(body, &got); err != nil || got.ID != id || got.Done != verb {
		return fmt.Errorf("POST %s: got the answer %.100q, want one that %s of %s is done: is heal-receiver there?", c.base+path, body, verb, id)
	}
	return nil
}

// file reads the journal of a receiver that is down.
type file struct{ store healer.Store }

// review of a journal alone: no configuration is read, and the journal does not
// keep targets, so the defaults of 1-5-10 stand in it.
func (f file) review(ctx context.Context, id string) (string, error) {
	book := &plan.Book{Targets: plan.Targets{Detect: time.Minute, Locate: 5 * time.Minute, Recover: 10 * time.Minute}}
	return healer.Review(ctx, f.store, book, id)
}

func (f file) incidents(ctx context.Context, open bool, limit int) ([]console.Incident, error) {
	all, err := f.store.Incidents(ctx, !open, limit)
	out := make([]console.Incident, 0, len(all))
	for _, i := range all {
		out = append(out, console.View(&healer.Case{Incident: i}))
	}
	return out, err
}

func (f file) incident(ctx context.Context, id string) (console.Incident, error) {
	c, err := f.store.Read(ctx, id)
	if err != nil {
		return console.Incident{}, err
	}
	return console.View(c), nil
}

func (f file) mitigations(ctx context.Context, service string) ([]console.Mitigation, error) {
	held, err := f.store.Mitigations(ctx, service)
	return console.View(&healer.Case{Mitigations: held}).Mitigations, err
}
