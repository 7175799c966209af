package collector

import (
	"cmp"
	"fmt"

	"github.com/go-kit/log/level"

	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// amount is how much traffic a member of a signal carries.
type amount struct {
	labels *labels
	value  float64
}

// carried takes in how much traffic the members carry, unless the entry is gone.
func (q *query) carried(c *Collector, points []promapi.Point, err error) {
	if c.asks(q.state) {
		q.state.carry(c, points, err)
	}
}

// carry shows the traffic of the newest answer. One that is of no use takes the
// traffic away and nothing else: the members are judged all the same.
func (s *queryState) carry(c *Collector, points []promapi.Point, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.shown.Load()
	next.traffic = nil
	if err == nil {
		next.traffic, err = s.query.amounts(points)
	}
	s.shown.Store(&next)
	who := []any{"service", s.query.service, "signal", s.query.name}
	switch {
	case err != nil:
		c.own.lostTraffic(s.query.key(), s)
		if !s.lost {
			_ = level.Warn(c.logger).Log(append([]any{"msg", "the traffic of a signal is not known: faults are located without it", "err", cut(err.Error())}, who...)...)
		}
	case s.lost:
		_ = level.Info(c.logger).Log(append([]any{"msg", "the traffic of a signal is known again"}, who...)...)
	}
	s.lost = err != nil
}

// amounts gives each member its traffic. They are shares of one sum: where one of them
// is wrong, all are.
func (q *query) amounts(points []promapi.Point) ([]amount, error) {
	if len(points) == 0 || len(points) > q.most {
		return nil, fmt.Errorf("got %d series, want 1 to max_series of %d", len(points), q.most)
	}
	list, seen := make([]amount, 0, len(points)), make(map[string]bool, len(points))
	for _, p := range points {
		pairs, key, err := q.dimensionsOf(p.Labels)
		switch {
		case err != nil:
			return nil, err
		case seen[key]:
			return nil, fmt.Errorf("got two series of {%s}", key)
		case !(p.Value >= 0 && p.Value <= mostValue):
			return nil, fmt.Errorf("got the value %v for {%s}, want 0 or more", p.Value, key)
		}
		seen[key] = true
		list = append(list, amount{q.labelsOf(pairs), p.Value})
	}
	return list, nil
}

// checkTraffic looks at the second question of an entry. An excess is what is worse
// than usual, which where both sides are bad is not one quantity.
func (q Query) checkTraffic(r reporter, v Service, baselines map[string]Baseline) {
	if q.Traffic == "" {
		return
	}
	checkLabels(r, "traffic", q.Traffic, v)
	name := cmp.Or(v.Signals[q.Name].Baseline, q.Baseline, baselineName)
	r.unless(baselines[name].Direction != sigma.Both, "traffic",
		"baseline %q has the direction both, want upper or lower: what fails more than usual has one bad side; leave traffic out, or give the signal another baseline", name)
}

// CheckTraffic looks at what the second question of entry i of the signals gives at
// the moment, and reports as CheckAnswer does.
func (s Settings) CheckTraffic(i int, points []promapi.Point, wrong, unwise func(path, text string)) {
	for _, v := range s.Services {
		if v.Name != s.Signals[i].Service {
			continue
		}
		q := query{service: v.Name, most: s.Signals[i].MaxSeries, dimensions: v.Dimensions}
		for _, p := range points {
			if _, _, err := q.dimensionsOf(p.Labels); err != nil {
				wrong("traffic", err.Error())
				return
			}
		}
		if _, err := q.amounts(points); err != nil {
			unwise("traffic", err.Error()+" now: faults are located without it")
		}
	}
}
