package sigma

import "math"

const (
	remembered = 60 // windows of e that are kept
	enough     = 10 // windows of e before a threshold is made from them
	most       = math.MaxUint16
)

// tally counts the samples of one disjoint window.
type tally struct{ anomalies, samples uint16 }

// history keeps e of the last whole windows that were free of faults, and the
// threshold that follows from them. Windows are disjoint: overlapping ones
// would count a bad minute many times.
type history struct {
	begun   bool
	tainted bool // the series was in fault during the present window
	count   uint8
	next    uint8
	now     tally
	end     int64 // of the present window, ns
	theta   float64
	e       [remembered]tally
}

// at closes the present window when t lies behind it.
func (h *history) at(t int64, f *Fault, slots int) {
	size := int64(f.Window)
	if !h.begun {
		h.begun, h.end, h.theta = true, t+size, f.Floor
	}
	if t < h.end {
		return
	}
	// Less than half of the expected samples are not a whole window.
	if whole := 2*int(h.now.samples) >= slots; whole && !h.tainted {
		h.keep(h.now, f)
	}
	h.now, h.tainted = tally{}, false
	h.end += size * (1 + (t-h.end)/size)
}

func (h *history) keep(w tally, f *Fault) {
	h.e[h.next] = w
	h.next = (h.next + 1) % remembered
	h.count = min(h.count+1, remembered)
	if h.count < enough {
		return
	}
	var m Moments
	for _, w := range h.e[:h.count] {
		m.Add(float64(w.anomalies) / float64(w.samples))
	}
	h.theta = min(max(m.Mean+f.K*m.StdDev(), f.Floor), f.Cap)
}

// add counts one sample of the present window.
func (h *history) add(bad, fault bool) {
	h.tainted = h.tainted || fault
	if h.now.samples == most {
		return
	}
	h.now.samples++
	if bad {
		h.now.anomalies++
	}
}
