package collector

import (
	"context"
	"math"
	"time"

	"github.com/onefiveten/onefiveten/promapi"
)

// What one question about the past may ask for. Prometheus refuses more than
// 11,000 steps; an answer of so many values has 2 MiB and is found within the
// time-out of one question.
const (
	mostSteps  = 10_000
	mostValues = 50_000 // steps times series
	fewValues  = 1_000  // to which a Prometheus that is too slow brings it down
)

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
	limit  time.Duration // of one question
	most   int           // series that may be made
	width  int           // series in one answer
	unsure bool          // the width is not known until there was an answer

	made   map[string]*blank
	ahead  time.Duration // of Prometheus' clock before ours
	after  time.Time     // by that clock: what lies before has been read
	values int           // that one question may ask for
}

// newJob has read nothing yet.
func newJob(o owner, r rules, series int) *job {
	return &job{owner: o, rules: r, most: series, width: series, values: mostValues, made: map[string]*blank{}}
}

// read asks for the past up to now and puts it in place. It is told what to do
// after each answer.
func (j *job) read(ctx context.Context, c *Collector, source Source, tell func(samples int, done float64)) (filled int, err error) {
	p := reachOf(j.rules, j.scrape)
	if j.ahead, err = j.skew(ctx, source); err != nil {
		return 0, err
	}
	c.filler.skewed(j.ahead)
	end := j.theirs()
	begun, err := j.begun(ctx, source, end)
	if err != nil {
		return 0, err
	}
	for _, at := range begun {
		p = p.since(end.Sub(at.Add(j.ahead)), j.rules)
	}
	for {
		s, more := p.next(j.after, end, min(mostSteps, j.values/max(j.width, 1)))
		if !more {
			break
		}
		tracks, err := j.ask(ctx, source, j.expr, s)
		if err != nil {
			j.values = max(j.values/2, fewValues) // it may have been too much
			return 0, err
		}
		j.after = s.to
		tell(j.learn(c, tracks, s.step), p.done(s.to, end))
		if !s.finest { // what is kept meanwhile may not last
			end = j.theirs()
		}
	}
	for _, b := range j.made {
		b.end()
	}
	j.recall(p, begun)
	return j.settle(j.made), nil
}

// theirs is the present by the clock of Prometheus. By the wall: what was asked before
// the machine slept is as old as that.
func (j *job) theirs() time.Time { return time.Now().Round(0).Add(j.ahead) }

// instantQuery tells the clock of whoever answers it.
const instantQuery = "time()"

// skew is Skew within the time of a question. Asked by our clock alone, one that is
// ahead would keep the newest part of the past to itself, and one that is behind
// would be asked for its future, where it repeats its last values.
func (j *job) skew(ctx context.Context, source Source) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, j.limit)
	defer cancel()
	return Skew(ctx, source)
}

// Skew is how far the clock of Prometheus is before ours, as far as the time of an
// answer tells it: what the time that it took explains is none. It is 0 where the
// server does not tell its time.
func Skew(ctx context.Context, source Source) (ahead time.Duration, err error) {
	before := time.Now().Round(0)
	points, err := source.Query(ctx, instantQuery)
	after := time.Now().Round(0)
	if err != nil || len(points) != 1 || points[0].At.IsZero() {
		return 0, err
	}
	switch at := points[0].At; {
	case at.After(after):
		return at.Sub(after), nil
	case at.Before(before.Truncate(time.Millisecond)):
		return at.Sub(before), nil
	}
	return 0, nil
}

// ask asks one question within its time.
func (j *job) ask(ctx context.Context, source Source, expr string, s stretch) ([]promapi.Track, error) {
	ctx, cancel := context.WithTimeout(ctx, j.limit)
	defer cancel()
	return source.Range(ctx, expr, s.from, s.to, s.step)
}

// begun asks when the episode of each series began that was in one when it was
// last heard of, before the instant now.
func (j *job) begun(ctx context.Context, source Source, now time.Time) (map[string]time.Time, error) {
	tracks, err := j.ask(ctx, source, j.starts, stretch{from: now, to: now, step: time.Second})
	all := map[string]time.Time{}
	for _, t := range tracks {
		key, ok := j.key(t.Labels)
		for _, s := range t.Samples {
			if ok && s.Value > 0 && s.Value < 1e11 {
				all[key] = time.UnixMilli(int64(math.Round(s.Value * 1000)))
			}
		}
	}
	return all, err
}

// learn gives an answer to the series that it is about, and tells how many values
// they took. What live samples tell, and what lies after our own present, is left
// to those.
func (j *job) learn(c *Collector, tracks []promapi.Track, step time.Duration) (values int) {
	now := time.Now()
	shift := c.sampleTime(now).Sub(now.Round(0))
	if j.unsure && len(tracks) > 0 { // an empty one does not tell how many there are later
		j.width = max(10, 2*len(tracks))
	}
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
			s.At = s.At.Add(-j.ahead)
			at := s.At.Add(shift)
			if !at.Before(until) {
				break
			}
			if b.take(told{at, s, step}) {
				values++
			}
		}
	}
	return values
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
	if err != nil || len(j.made) >= j.most { // the rules have been tried
		return nil, ""
	}
	b := &blank{labels: labels, made: made, every: max(j.rules.interval, j.scrape)}
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
