package healer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/prometheus/common/config"

	"github.com/onefiveten/onefiveten/healer/plan"
)

// webhookSink posts the body of a message to the URL of one contact. The URL is a
// secret: it stands in no error.
type webhookSink struct {
	contact plan.Contact
	http    *http.Client
}

// NewWebhook gives the sink of a contact: each message is one POST of its
// notice as JSON. 2xx is delivered, anything else is tried again. Redirects
// are not followed. The header Idempotency-Key tells a second delivery of the
// same message. A url_file is read now and at each message; one that is missing or
// holds no address is an error.
func NewWebhook(c plan.Contact) (Sink, error) {
	client, err := config.NewClientFromConfig(c.HTTPConfig, "webhook", config.WithUserAgent("onefiveten"))
	if err != nil {
		return nil, fmt.Errorf("http_config: %w", err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w := &webhookSink{contact: c, http: client}
	// People must be told when it counts: a file that is missing is a mistake now.
	if _, err := w.url(); err != nil {
		return nil, err
	}
	return w, nil
}

// Send delivers one message.
func (w *webhookSink) Send(ctx context.Context, m Message) error {
	to, err := w.url()
	if err != nil {
		return fmt.Errorf("send to %s: %w", m.Sink, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(m.Body))
	if err != nil {
		return fmt.Errorf("send to %s: its URL is not one: %w", m.Sink, withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", m.ID)
	resp, err := w.http.Do(req)
	if err != nil {
		return fmt.Errorf("send to %s: %w", m.Sink, withoutURL(err))
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 256)) // for the error alone
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("send to %s: got %s, want 2xx: %q", m.Sink, resp.Status, text)
	}
	return nil
}

func (w *webhookSink) url() (string, error) {
	if w.contact.URLFile == "" {
		return w.contact.URL, nil
	}
	text, err := os.ReadFile(w.contact.URLFile)
	if err != nil {
		return "", fmt.Errorf("reading url_file: %w", err)
	}
	to := strings.TrimSpace(string(text))
	if u, err := url.Parse(to); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", fmt.Errorf("url_file %s: want one address in it, http://host:port/path or https://…", w.contact.URLFile)
	}
	return to, nil
}

// withoutURL keeps the cause of an error of package net/http or net/url alone.
func withoutURL(err error) error {
	var with *url.Error
	if errors.As(err, &with) {
		return with.Err
	}
	return err
}
