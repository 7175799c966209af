package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// kept is what a run keeps of its plan.
type kept struct {
	Name    string          `json:"name"`
	Plan    planSettings    `json:"plan"`
	Service serviceSettings `json:"service"`
	Limits  limitSettings   `json:"limits"`
}

// Text gives the plan, its service's part and the limits as canonical JSON
// (keys sorted, secrets of http_config hidden), and the SHA-256 of it in hex.
func (b *Book) Text(p *Plan, s *Service) (text, hash string) {
	text = canonical(kept{p.Name, p.source, s.source, b.limits})
	sum := sha256.Sum256([]byte(text))
	return text, hex.EncodeToString(sum[:])
}

// canonical sorts the keys by going through a tree. Settings that were read can
// always be written: they are texts, numbers, durations and trees of these.
func canonical(k kept) string {
	var tree any
	text, err := json.Marshal(k)
	if err == nil {
		err = unmarshal(text, &tree)
	}
	if err == nil {
		text, err = json.Marshal(tree)
	}
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// unmarshal reads JSON and keeps the digits of its numbers.
func unmarshal(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// FromText makes plan and service again from what Text gave, so that a run
// under way ends as it began. Programs, hosts and the clients of HTTP steps are
// those of the book in force.
func FromText(text string) (*Plan, *Service, error) {
	var k kept
	if err := unmarshal([]byte(text), &k); err != nil {
		return nil, nil, fmt.Errorf("reading the kept plan: %w", err)
	}
	c, mistakes := collecting(&Settings{Services: []serviceSettings{k.Service}})
	c.alone, c.book.Clients = true, clients{}
	s := c.service("service", k.Service)
	p := c.plan("plan", k.Name, k.Plan, nil)
	if err := joined(*mistakes); err != nil {
		return nil, nil, fmt.Errorf("reading the kept plan %q: %w", k.Name, err)
	}
	return p, s, nil
}
