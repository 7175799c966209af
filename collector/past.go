package collector

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// What one question about the past may ask for. Prometheus refuses more than
// 11,000 steps; an answer of so many values has 2 MiB and is found within the
// time-out of one question.
const (
	mostSteps  = 10_000
	mostValues = 50_000 // steps times series
)

// How far back is asked, and how closely. A step below the interval at which
// values change would judge one of them many times.
const (
	seasonPast  = 14 * 24 * time.Hour // ten hours of each kind of a working day, four of a weekend
	seasonStep  = 5 * time.Minute     // Prometheus looks back so far for a value
	windowSteps = 600                 // ten in each bucket of the baseline
)

// keptLive is how many live samples of a series are kept while its past is read,
// at most: as many as decide about a fault, and some more.
const keptLive = 1000

// kept are the newest live samples of such a series.
type kept struct {
	withheld bool // it is not judged until its past is there
	most     int
	samples  []sample
}

// newKept begins to keep samples of a series that is not judged yet.
func newKept(r rules) *kept {
	return &kept{withheld: true, most: min(r.fault.Slots(r.interval)+50, keptLive)}
}

// sample is one live sample, of the instant at by the clock that sigma is told.
type sample struct {
	at           time.Time
	value, start float64
}

// add keeps a sample, in the place of the oldest if there are too many.
func (k *kept) add(s sample) {
	if len(k.samples) == k.most {
		copy(k.samples, k.samples[1:])
		k.samples = k.samples[:k.most-1]
	}
	k.samples = append(k.samples, s)
}

// first is the instant from which on samples are kept; false: none is yet.
func (k *kept) first() (time.Time, bool) {
	if len(k.samples) == 0 {
		return time.Time{}, false
	}
	return k.samples[0].at, true
}

// take judges a live sample as add does, unless the series waits for its past:
// then it is kept, and there is no verdict.
func (j *judged) take(at time.Time, value, start float64, before verdict) (verdict, error) {
	if j.past == nil || math.IsNaN(value) || math.IsInf(value, 0) {
		return j.add(at, value, start, before)
	}
	j.past.add(sample{at, value, start})
	if j.past.withheld {
		return before, nil
	}
	return j.add(at, value, start, before)
}

// replay gives the samples that were kept to a series that has its past. Those
// that it knows already are refused, and do not matter.
func (k *kept) replay(j *judged, v verdict) verdict {
	for _, s := range k.samples {
		if next, err := j.add(s.at, s.value, s.start, v); err == nil {
			v = next
		}
	}
	return v
}

// release lets a series begin without its past, which it goes on waiting for.
func (j *judged) release(v verdict) verdict {
	if j.past == nil || !j.past.withheld {
		return v
	}
	j.past.withheld = false
	return j.past.replay(j, v)
}

// warm tells whether a series that began without its past has no more need of
// it: its window has filled, and a season there is none.
func (j *judged) warm(v verdict) bool {
	return !j.past.withheld && v.Ready && j.rules.baseline.Season != sigma.Daily
}

// blank is a series that is made from the past.
type blank struct {
	labels  map[string]string
	made    judged
	verdict verdict
}

// stretch is one question: the values at from and at every step after it up to to.
type stretch struct {
	from, to time.Time
	step     time.Duration
	finest   bool // it is of the last part
}

// reach says how far back a series looks, and how closely: a season coarsely, the
// window of the baseline, and at the interval itself what may be a fault under way.
type reach struct {
	season, window, finest time.Duration // before now; season 0: none
	coarse, middle, fine   time.Duration // steps
}

// reachOf works it out for samples of the rules' interval that change no more
// often than every scrape.
func reachOf(r rules, scrape time.Duration) reach {
	whole := func(d time.Duration) time.Duration { return max(d.Truncate(time.Millisecond), time.Millisecond) }
	every := max(r.interval, scrape)
	b := r.baseline
	p := reach{
		window: b.Window, finest: 2*r.fault.Window + every + r.interval,
		coarse: whole(max(seasonStep, every)), middle: whole(max(b.Window/windowSteps, every)), fine: whole(r.interval),
	}
	if b.Season == sigma.Daily {
		p.season = seasonPast
	}
	return p
}

// since makes the last part begin before a fault that began so long ago: in
// coarser steps it would be none, and be learned as normal. Nothing older than the
// hold is kept out of the baseline anyway.
func (p reach) since(ago time.Duration, r rules) reach {
	p.finest = max(p.finest, min(ago, r.baseline.Hold)+r.fault.Window)
	return p
}

// next gives the question that follows the instant after, for so many series, of
// what lies before the instant end. It gives none when nothing is left.
func (p reach) next(after, end time.Time, series int) (stretch, bool) {
	most := time.Duration(max(1, min(mostSteps, mostValues/max(series, 1))))
	begin := end.Add(-max(p.season, p.window, p.finest))
	for _, part := range []struct {
		to   time.Time
		step time.Duration
	}{
		{end.Add(-max(p.window, p.finest)), p.coarse},
		{end.Add(-p.finest), p.middle},
		{end, p.fine},
	} {
		from := after.Add(part.step)
		if after.Before(begin) {
			from = begin
		}
		if !from.Before(part.to) {
			continue
		}
		steps := min(part.to.Sub(from)/part.step, most-1)
		return stretch{from, from.Add(steps * part.step), part.step, part.to.Equal(end)}, true
	}
	return stretch{}, false
}

// done is the share of the past before end that lies before the instant after.
func (p reach) done(after, end time.Time) float64 {
	all := max(p.season, p.window, p.finest)
	return min(1, max(0, 1-end.Sub(after).Seconds()/all.Seconds()))
}

// owner has the series that a job is about.
type owner interface {
	// waits drops the series that need no past any more, and tells whether there
	// are others, in force in a table.
	waits(t *table) bool
	// key names the series with those labels; false: it is none of the owner's.
	key(labels map[string]string) (string, bool)
	// first is the instant from which on live samples of a series are kept; false:
	// none is yet.
	first(key string) (time.Time, bool)
	// release lets all series begin without their past.
	release()
	// settle puts what was made in the place of the series that wait, replays what
	// they have kept, and lets all others begin without a past. It gives how many
	// have one.
	settle(made map[string]*blank) int
}

// job reads the past of the series of one probe or of one signal. It is carried
// out by one goroutine at a time; after an error it goes on where it was.
type job struct {
	owner
	about  []any // for the log: what it is
	expr   string
	starts string // gives the start of the episode of each series, where there was one
	rules  rules
	scrape time.Duration
	width  int           // series in one answer, as far as is known
	limit  time.Duration // of one question

	made    map[string]*blank
	after   time.Time // what lies before has been read
	samples int
}

// read asks for the past up to now and puts it in place. It is told what to do
// after each answer.
func (j *job) read(ctx context.Context, c *Collector, source Source, tell func(samples int, done float64)) (filled int, err error) {
	begun, err := j.begun(ctx, source)
	if err != nil {
		return 0, err
	}
	p, end := reachOf(j.rules, j.scrape), time.Now()
	for _, at := range begun {
		p = p.since(end.Sub(at), j.rules)
	}
	for {
		s, more := p.next(j.after, end, j.width)
		if !more {
			break
		}
		tracks, err := j.ask(ctx, source, s)
		if err != nil {
			return 0, err
		}
		n := j.learn(c, tracks)
		j.after, j.samples = s.to, j.samples+n
		tell(n, p.done(s.to, end))
		if !s.finest { // what is kept meanwhile may not last
			end = time.Now()
		}
	}
	j.recall(p, begun)
	return j.settle(j.made), nil
}

// ask asks one question within its time.
func (j *job) ask(ctx context.Context, source Source, s stretch) ([]promapi.Track, error) {
	ctx, cancel := context.WithTimeout(ctx, j.limit)
	defer cancel()
	return source.Range(ctx, j.expr, s.from, s.to, s.step)
}

// begun asks when the episode of each series began that was in one when it was
// last heard of.
func (j *job) begun(ctx context.Context, source Source) (map[string]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, j.limit)
	defer cancel()
	points, err := source.Query(ctx, j.starts)
	all := map[string]time.Time{}
	for _, p := range points {
		if key, ok := j.key(p.Labels); ok && p.Value > 0 && p.Value < 1e11 {
			all[key] = time.UnixMilli(int64(math.Round(p.Value * 1000)))
		}
	}
	return all, err
}

// learn gives an answer to the series that it is about, and tells how many samples
// they took. What live samples tell, and what lies after our own present, is left
// to those.
func (j *job) learn(c *Collector, tracks []promapi.Track) (samples int) {
	now := time.Now()
	shift := c.sampleTime(now).Sub(now.Round(0))
	j.width = max(j.width, len(tracks))
	for _, track := range tracks {
		b, key := j.blank(track.Labels)
		if b == nil {
			continue
		}
		until, ok := j.first(key)
		if !ok {
			until = c.sampleTime(now)
		}
		for _, s := range track.Samples {
			at := s.At.Add(shift)
			if !at.Before(until) {
				break
			}
			v, err := b.made.add(at, s.Value, seconds(s.At), b.verdict)
			if err == nil { // else there is no value
				b.verdict = v
				samples++
			}
		}
	}
	return samples
}

// blank gives the series of a track, nil where nobody waits for it.
func (j *job) blank(labels map[string]string) (*blank, string) {
	key, ok := j.key(labels)
	if !ok {
		return nil, ""
	}
	if b := j.made[key]; b != nil {
		return b, key
	}
	made, err := j.rules.fresh()
	if err != nil { // they have been tried
		return nil, ""
	}
	b := &blank{labels: labels, made: made}
	j.made[key] = b
	return b, key
}

// recall gives episodes the start that they had before: the past tells it to a
// step alone. One that began later than any delay explains is another one.
func (j *job) recall(p reach, begun map[string]time.Time) {
	late := p.middle + j.scrape + 2*j.rules.interval
	for key, b := range j.made {
		b.verdict.known = false // until a live sample is there
		at, ok := begun[key]
		if ok && !b.verdict.FirstBad.IsZero() && b.verdict.FirstBad.Sub(at) <= late {
			b.verdict.start = seconds(at)
		}
	}
}

// fewNamed is how many targets are named in a question. Of more, all of the probe
// are asked for.
const fewNamed = 50

// pastOf is the job for the targets of a probe whose latency waits for its past.
func (f force) pastOf(observer string, p Probe, plan plan, waiting map[string]*slotOfTarget, targets int) *job {
	who := "observer=" + strconv.Quote(observer) + ",probe=" + strconv.Quote(p.Name)
	width := targets
	if n := len(waiting); n <= fewNamed && n < targets {
		var names []string
		for name := range waiting {
			names = append(names, regexp.QuoteMeta(name))
		}
		slices.Sort(names)
		who += ",instance=~" + strconv.Quote(strings.Join(names, "|"))
		width = n
	}
	value := "probe_duration_seconds{" + who + "}"
	if l := plan.module.Latency; l.Name != "" {
		value = l.Name + "{" + who + ",phase=" + strconv.Quote(l.Phase) + "}"
	}
	r := plan.rules[ofLatency]
	return &job{
		owner: &pastOfProbe{p.Name, waiting}, about: []any{"probe", p.Name},
		expr:   fmt.Sprintf("max by (instance) (%s and on (observer, probe, instance) probe_success{%s} == 1)", value, who),
		starts: startsOf(who+`,signal="latency"`, "instance", r),
		rules:  r, scrape: f.settings.Asking.Scrape, width: width, limit: f.settings.Asking.Timeout, made: map[string]*blank{},
	}
}

// startsOf asks for the last word on the start of an episode, however long ago it
// was said: no longer than it can matter.
func startsOf(who, by string, r rules) string {
	ago := max(r.baseline.Hold, 2*r.fault.Window) + r.fault.Window
	return fmt.Sprintf("max by (%s) (last_over_time(%s{%s}[%dms]))", by, KsigmaStart, who, ago.Milliseconds())
}

// pastOfProbe are the targets of a probe that wait.
type pastOfProbe struct {
	probe   string
	waiting map[string]*slotOfTarget // by instance; never changed
}

// slotOfTarget is the latency of one target, and what it keeps until its past is
// there: the sign of the one that waits.
type slotOfTarget struct {
	state *state
	past  *kept
}

func (o *pastOfProbe) waits(t *table) bool {
	any := false
	for url, slot := range o.waiting {
		if target := t.byKey[key{o.probe, url}]; target != nil && target.state == slot.state && slot.waits() {
			any = true
		}
	}
	return any
}

func (o *pastOfProbe) key(labels map[string]string) (string, bool) {
	_, ok := o.waiting[labels["instance"]]
	return labels["instance"], ok
}

func (o *pastOfProbe) first(key string) (time.Time, bool) {
	s := o.waiting[key].state
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.waiting[key].past.first()
}

func (o *pastOfProbe) release() {
	for _, slot := range o.waiting {
		slot.change(func(of *judged, v verdict) verdict { return of.release(v) })
	}
}

func (o *pastOfProbe) settle(made map[string]*blank) (filled int) {
	for url, slot := range o.waiting {
		b := made[url]
		slot.change(func(of *judged, v verdict) verdict {
			if b == nil || of.warm(v) {
				v = of.release(v)
				of.past = nil
				return v
			}
			filled++
			v = of.past.replay(&b.made, b.verdict)
			*of = b.made
			return v
		})
	}
	return filled
}

// waits tells whether the past is still wanted, and ends it where the series has
// become ready by itself.
func (w *slotOfTarget) waits() bool {
	waits := false
	w.change(func(of *judged, v verdict) verdict {
		if waits = !of.warm(v); !waits {
			of.past = nil
		}
		return v
	})
	return waits
}

// change changes the series and its verdict, if it is still the one that waits.
func (w *slotOfTarget) change(f func(of *judged, v verdict) verdict) {
	s := w.state
	s.mu.Lock()
	defer s.mu.Unlock()
	of := &s.signals[ofLatency]
	if of.past != w.past {
		return
	}
	p := *s.shown.Load()
	p.verdicts[ofLatency] = f(of, p.verdicts[ofLatency])
	s.shown.Store(&p)
}
