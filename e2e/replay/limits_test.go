package replay

import (
	"strings"
	"testing"
)

// Whoever changes the score sees here what becomes of the limits that the
// documentation advises.
func TestDocument_HasTheLimitsOfThisScore(t *testing.T) {
	if table := strings.TrimSpace(Limits()); !strings.Contains(read(t, Document), table) {
		t.Errorf("%s has other limits of the score than these, write them with make bench:\n%s", Document, table)
	}
}
