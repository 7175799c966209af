package probe

import (
	"math"
	"time"
)

// rtts are the round-trip times of the packets of one probe, in the order in
// which they were sent; 0 stands for a packet without a reply.
type rtts []time.Duration

// received counts the replies.
func (r rtts) received() int {
	n := 0
	for _, rtt := range r {
		if rtt > 0 {
			n++
		}
	}
	return n
}

// longest is the longest round-trip time, 0 without a reply.
func (r rtts) longest() time.Duration {
	var longest time.Duration
	for _, rtt := range r {
		longest = max(longest, rtt)
	}
	return longest
}

// shortest is the shortest round-trip time, 0 without a reply.
func (r rtts) shortest() time.Duration {
	var shortest time.Duration
	for _, rtt := range r {
		if rtt > 0 && (shortest == 0 || rtt < shortest) {
			shortest = rtt
		}
	}
	return shortest
}

// mean is the mean round-trip time in seconds, 0 without a reply.
func (r rtts) mean() float64 {
	var sum time.Duration
	for _, rtt := range r {
		sum += rtt
	}
	return sum.Seconds() / float64(max(1, r.received()))
}

// stddev is the sample standard deviation (divisor n − 1) in seconds, of at
// least two replies.
func (r rtts) stddev() float64 {
	var squares float64
	mean := r.mean()
	for _, rtt := range r {
		if rtt > 0 {
			squares += (rtt.Seconds() - mean) * (rtt.Seconds() - mean)
		}
	}
	return math.Sqrt(squares / float64(r.received()-1))
}

// jitter is the mean absolute difference in seconds between the round-trip
// times of consecutive packets: the variation of RFC 3393, section 2, over
// pairs of neighbours that were both answered. It is not ok without such a pair.
// (The jitter of RFC 3550, section 6.4.1, is a running mean with gain 1/16,
// which the first packets alone would not move from 0.)
func (r rtts) jitter() (seconds float64, ok bool) {
	var sum time.Duration
	pairs := 0
	for i := 1; i < len(r); i++ {
		if r[i] > 0 && r[i-1] > 0 {
			sum += (r[i] - r[i-1]).Abs()
			pairs++
		}
	}
	return sum.Seconds() / float64(max(1, pairs)), pairs > 0
}
