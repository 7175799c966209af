package contract_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/journal"
	"github.com/onefiveten/onefiveten/healer/plan"
	"github.com/onefiveten/onefiveten/rules"
)

// halfRead is a journal of which what is held cannot be read.
type halfRead struct{ healer.Store }

func (halfRead) Mitigations(context.Context, string) ([]healer.Mitigation, error) {
	return nil, errors.New("the disk is gone")
}

// The rules take a receiver that tells of its incidents at its word: a node that
// it does not name is in rotation. So it must not tell of them when it could not
// read what is isolated.
func TestContract_WhoTellsOfIncidentsHasReadWhatIsIsolated(t *testing.T) {
	const heard, isolated = "heal_incidents", "heal_isolated"
	files, _, err := rules.Generate(shop())
	if err != nil {
		t.Fatal(err)
	}
	if text := string(files["rules/onefiveten-watchers.yml"]); !strings.Contains(text, heard) || !strings.Contains(text, isolated) {
		t.Fatalf("the rules do not read %s and %s:\n%s", heard, isolated, text)
	}
	store, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := book(t)
	for name, c := range map[string]struct {
		store healer.Store
		told  bool
	}{"whole": {store, true}, "half": {halfRead{store}, false}} {
		engine, err := healer.NewEngine(healer.Options{Store: c.store, Book: func() *plan.Book { return b }, Outside: func() healer.Outside { return healer.Outside{} },
			Logger: log.NewNopLogger(), Owner: "contract"})
		if err != nil {
			t.Fatal(err)
		}
		if got := exposes(t, engine, heard); got != c.told {
			t.Errorf("%s journal: %s is exposed: %v, want %v", name, heard, got, c.told)
		}
	}
}

// exposes tells whether a scrape of the engine holds a metric.
func exposes(t *testing.T, engine *healer.Engine, metric string) bool {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(engine)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == metric {
			return true
		}
	}
	return false
}
