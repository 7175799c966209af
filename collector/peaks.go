package collector

import (
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// peaks gives the greatest finding of a sliding window. A score is 0 but at an
// onset: what shows the newest one alone would hide it from most scrapes.
type peaks struct{ kept []peak } // each greater than all after it

// peak is a finding that no later one has surpassed.
type peak struct {
	at      time.Time
	finding sigma.Finding
}

// add takes the finding of an instant after all before and gives the greatest of
// the window that ends there, the newest one of equals.
func (p *peaks) add(at time.Time, window time.Duration, f sigma.Finding) sigma.Finding {
	n := len(p.kept)
	for n > 0 && p.kept[n-1].finding.Score <= f.Score {
		n--
	}
	p.kept = append(p.kept[:n], peak{at, f})
	first := 0
	for at.Sub(p.kept[first].at) > window {
		first++
	}
	p.kept = append(p.kept[:0], p.kept[first:]...)
	return p.kept[0].finding
}
