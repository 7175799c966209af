package replay

import (
	"math"
	"time"
)

// alerting is a way to tell a fault. It is given every sample in rising order of
// time, one an interval, also those that are Gone, and tells whether its alert
// fires after it.
type alerting interface {
	alert(s Sample) bool
}

// pending is "for:" of an alerting rule: true has to last.
type pending struct {
	wait  int64
	since int64
	on    bool
}

func (p *pending) after(at int64, is bool) bool {
	if is && !p.on {
		p.since = at
	}
	p.on = is
	return is && at-p.since >= p.wait
}

// plain is the rule that everybody writes first, without "for":
//
//	abs(x - avg_over_time(x[1h])) > 3 * stddev_over_time(x[1h])
//
// The sample that is judged is in its own range.
type plain struct{ past *track }

func newPlain() *plain { return &plain{past: newTrack(time.Hour)} }

func (p *plain) alert(s Sample) bool {
	if s.Gone {
		return false
	}
	at := s.At.Unix()
	p.past.add(at, s.V)
	mean, stddev := moments(p.past.over(at, time.Hour))
	return math.Abs(s.V-mean) > 3*stddev
}

func (p *plain) fork() alerting { return &plain{p.past.fork()} }

// adaptive is the strategy of that name of grafana/promql-anomaly-detection,
// rules/adaptive.yml, from its formulas: at each evaluation, which is at each
// sample, and for what is above 0 alone,
//
//	m = average over 1h, f = deviation over 1h where that is > m/2, s = average of f over 26h
//	upper = max(m + 2s, m + m/2, long), lower = max(0, min(m - 2s, m - m/2, long))
//
// where long is, every 5 min, the greatest average + 2 deviations (least average
// - 2 deviations) of the hours that ended 23h30m and 167h30m ago. It alerts when
// the last value of 2 min has been outside for 5 min.
type adaptive struct {
	level, average, filtered, smoothed *track
	long                               long
	lower, upper                       *track
	outside                            pending
}

func newAdaptive() *adaptive {
	return &adaptive{
		level: newTrack(169 * time.Hour), average: newTrack(time.Hour), filtered: newTrack(26 * time.Hour), smoothed: newTrack(time.Hour),
		long: newLong(), lower: newTrack(time.Hour), upper: newTrack(time.Hour), outside: pending{wait: 300},
	}
}

func (a *adaptive) alert(s Sample) bool {
	at := s.At.Unix()
	if !s.Gone && s.V > 0 {
		a.level.add(at, s.V)
	}
	a.record(at)
	a.band(at)
	if at%300 == 0 {
		a.longTerm(at)
	}
	return a.outside.after(at, beyond(a.level, a.lower, a.upper, at))
}

func (a *adaptive) fork() alerting {
	return &adaptive{
		a.level.fork(), a.average.fork(), a.filtered.fork(), a.smoothed.fork(),
		a.long.fork(), a.lower.fork(), a.upper.fork(), a.outside,
	}
}

// record evaluates average, filtered and smoothed deviation.
func (a *adaptive) record(at int64) {
	if values := a.level.over(at, time.Hour); len(values) > 0 {
		m, f := moments(values)
		a.average.add(at, m)
		if f > m/2 {
			a.filtered.add(at, f)
		}
	}
	if values := a.filtered.over(at, 26*time.Hour); len(values) > 0 {
		s, _ := moments(values)
		a.smoothed.add(at, s)
	}
}

// band evaluates the two ends.
func (a *adaptive) band(at int64) {
	var u union
	if m, ok := a.average.last(at, 2*time.Minute); ok {
		u.take(m, m/2)
		if s, ok := a.smoothed.last(at, 2*time.Minute); ok {
			u.take(m, 2*s)
		}
	}
	a.long.into(&u, at)
	u.record(a.lower, a.upper, at)
}

func (a *adaptive) longTerm(at int64) {
	var u union
	for _, offset := range []time.Duration{167*time.Hour + 30*time.Minute, 23*time.Hour + 30*time.Minute} {
		if values := a.level.over(at-seconds(offset), time.Hour); len(values) > 0 {
			m, f := moments(values)
			u.take(m, 2*f)
		}
	}
	a.long.record(u, at)
}

// robust is the strategy of that name, rules/robust.yml, from its formulas: every
// minute, and for what is above 0 alone,
//
//	level = median over 1h, md = median over 1d
//	mad = median over 1d of |x - md|, md being that of its minute
//	upper = max(md + 2 mad, md + md/2, long), lower = max(0, min(md - 2 mad, md - md/2, long))
//
// where long is, every 5 min, the greatest (least) median of the hours that ended
// 23h45m and 167h45m ago + (-) twice the median over 1h of |x - that median|, x
// being that of the offset. It alerts when the level has been outside for 5 min.
type robust struct {
	x                    *track
	hour, day, deviation *ranked
	away                 [2]*track // of the two offsets
	long                 long
	level, lower, upper  *track
	outside              pending
	fires                bool
}

func newRobust() *robust {
	return &robust{
		x: newTrack(169 * time.Hour), hour: newRanked(time.Hour), day: newRanked(day), deviation: newRanked(day),
		away: [2]*track{newTrack(time.Hour), newTrack(time.Hour)}, long: newLong(),
		level: newTrack(time.Hour), lower: newTrack(time.Hour), upper: newTrack(time.Hour), outside: pending{wait: 300},
	}
}

func (r *robust) alert(s Sample) bool {
	at := s.At.Unix()
	if at%60 == 0 {
		r.evaluate(at, s)
		if at%300 == 0 {
			r.longTerm(at)
		}
		r.fires = r.outside.after(at, beyond(r.level, r.lower, r.upper, at))
	}
	return r.fires
}

func (r *robust) fork() alerting {
	return &robust{
		r.x.fork(), r.hour.fork(), r.day.fork(), r.deviation.fork(), [2]*track{r.away[0].fork(), r.away[1].fork()},
		r.long.fork(), r.level.fork(), r.lower.fork(), r.upper.fork(), r.outside, r.fires,
	}
}

func (r *robust) evaluate(at int64, s Sample) {
	seen := !s.Gone && s.V > 0
	if seen {
		r.x.add(at, s.V)
		r.hour.add(at, s.V)
		r.day.add(at, s.V)
	}
	var u union
	if md, ok := r.day.median(at); ok {
		if seen {
			r.deviation.add(at, math.Abs(s.V-md))
		}
		u.take(md, md/2)
		if mad, ok := r.deviation.median(at); ok {
			u.take(md, 2*mad)
		}
	}
	if level, ok := r.hour.median(at); ok {
		r.level.add(at, level)
	}
	r.long.into(&u, at)
	u.record(r.lower, r.upper, at)
}

func (r *robust) longTerm(at int64) {
	var u union
	for i, offset := range []time.Duration{167*time.Hour + 45*time.Minute, 23*time.Hour + 45*time.Minute} {
		values := r.x.over(at-seconds(offset), time.Hour)
		if len(values) == 0 {
			continue
		}
		md := medianOf(values)
		if x, ok := r.x.last(at-seconds(offset), lookback); ok {
			r.away[i].add(at, math.Abs(x-md))
		}
		if away := r.away[i].over(at, time.Hour); len(away) > 0 {
			u.take(md, 2*medianOf(away))
		}
	}
	r.long.record(u, at)
}

// beyond is the expression of both alerts: the last level of 2 min is outside of
// the last band of 2 min.
func beyond(level, lower, upper *track, at int64) bool {
	x, ok := level.last(at, 2*time.Minute)
	low, has := lower.last(at, 2*time.Minute)
	high, _ := upper.last(at, 2*time.Minute)
	return ok && has && (x < low || x > high)
}

// union is the widest of several bands.
type union struct {
	lower, upper float64
	some         bool
}

// take makes room for middle -+ width.
func (u *union) take(middle, width float64) { u.hold(middle-width, middle+width) }

func (u *union) hold(lower, upper float64) {
	if !u.some {
		u.lower, u.upper, u.some = lower, upper, true
	}
	u.lower, u.upper = min(u.lower, lower), max(u.upper, upper)
}

// record writes a band down. Its lower end is at least 0: clamp_min.
func (u *union) record(lower, upper *track, at int64) {
	if u.some {
		lower.add(at, max(0, u.lower))
		upper.add(at, u.upper)
	}
}

// long is a band of a group of its own: others read the last one of 10 min.
type long struct{ lower, upper *track }

func newLong() long { return long{newTrack(time.Hour), newTrack(time.Hour)} }

func (l long) fork() long { return long{l.lower.fork(), l.upper.fork()} }

func (l long) record(u union, at int64) {
	if u.some {
		l.lower.add(at, u.lower)
		l.upper.add(at, u.upper)
	}
}

func (l long) into(u *union, at int64) {
	if lower, ok := l.lower.last(at, 10*time.Minute); ok {
		upper, _ := l.upper.last(at, 10*time.Minute)
		u.hold(lower, upper)
	}
}
