package healer_test

import (
	"path/filepath"
	"testing"

	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/journal"
)

func TestTheEngineWorksOnTheRealJournal(t *testing.T) {
	healer.OnARealJournal(t, func(t *testing.T) (healer.Store, func()) {
		s, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s, func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
