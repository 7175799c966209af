package sigma

import (
	"math"
	"time"
)

const (
	hours = 48      // kinds of hours: 24 of working days, 24 of Saturdays and Sundays
	fade  = 7. / 8. // what an hour of the past weighs after one more hour of its kind
	none  = math.MinInt64
)

// season keeps, for each kind of hour, the moments of the hours of that kind that
// are over, newer ones with more weight, and the moments of the hour that is open.
// An hour ends when a sample has another date or hour in its zone: one that a
// change of the clock repeats is one long hour, one that it leaves out is none.
//
// It takes 1,024 bytes, which is why counts have single precision. They are
// weights and need not have more.
type season struct {
	mean, m2 [hours]float64
	n        [hours]float32
	returned uint64 // bit k: a fault was in the last hour of kind k

	open   Moments // of the open hour, less first
	first  float64 // sample of the open hour: differences to it are small, and exact
	number int64   // of the open hour, in local hours since 1970
	began  int64   // instant at which the present fault began, ns; none: there is none
	kind   uint8   // of the open hour
	fault  bool    // one was in the open hour
}

func newSeason() *season { return &season{number: none, began: none} }

// hourOf numbers the hours of a zone and gives their kind. The first of January
// 1970 was a Thursday.
func hourOf(t int64, zone *time.Location) (number int64, kind uint8) {
	_, offset := time.Unix(0, t).In(zone).Zone()
	number = floorDiv(t+int64(offset)*int64(time.Second), int64(time.Hour))
	day := floorDiv(number, 24)
	kind = uint8(number - 24*day)
	weekday := time.Weekday(day + 4 - 7*floorDiv(day+4, 7))
	if weekday == time.Saturday || weekday == time.Sunday {
		kind += 24
	}
	return number, kind
}

// at moves the season to the instant t. An hour that is over is learned.
func (s *season) at(t int64, zone *time.Location) {
	number, kind := hourOf(t, zone)
	if number == s.number {
		return
	}
	if s.number != none {
		s.close()
	}
	s.number, s.kind = number, kind
	s.open, s.fault = Moments{}, false
}

// close fades the hours of the kind of the open one and merges that one. Fading
// takes as much of m2 as of n, which leaves the variance as it was; the rounding
// of n is part of the fading.
func (s *season) close() {
	k := s.kind
	s.returned &^= 1 << k
	if s.fault {
		s.returned |= 1 << k
	}
	if s.open.N == 0 {
		return
	}
	mean, new, before := s.first+s.open.Mean, float64(s.open.N), float64(s.n[k])
	s.n[k] = float32(before*fade + new)
	if before == 0 {
		s.mean[k], s.m2[k] = mean, s.open.M2
		return
	}
	n := float64(s.n[k])
	old, d := max(n-new, 0), mean-s.mean[k]
	s.mean[k] += d * new / n
	s.m2[k] = s.m2[k]*(old/before) + s.open.M2 + d*d*old*new/n
}

// learn takes v into the open hour. A fault is left out until the hold since its
// begin is over, unless the last hour of this kind had one, too: what returns at
// the same hour is the season, however short it is.
func (s *season) learn(t int64, v float64, fault bool, hold time.Duration) {
	switch {
	case !fault:
		s.began = none
	case s.began == none:
		s.began = t
	}
	s.fault = s.fault || fault
	if fault && t-s.began < int64(hold) && s.returned>>s.kind&1 == 0 {
		return
	}
	if s.open.N == 0 {
		s.first = v
	}
	s.open.Add(v - s.first)
}

// usual gives count, mean and sample standard deviation of the hours that are
// over, of the kind of the open one. The count is one of weights.
func (s *season) usual() (n, mean, stddev float64) {
	n, mean = float64(s.n[s.kind]), s.mean[s.kind]
	if n > 1 {
		stddev = math.Sqrt(max(0, s.m2[s.kind]) / (n - 1))
	}
	return n, mean, stddev
}
