package replay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/sigma"
)

// Goal is how many false faults a probe may have in a day: 1 in 20 days.
const Goal = .05

const (
	every = 15 * time.Second // between two samples of a replay

	day  = 24 * time.Hour
	week = 7 * day
)

// Count is what the shipped defaults made of healthy services of one kind.
type Count struct {
	Kind      string
	Every     time.Duration
	Direction sigma.Direction
	Season    sigma.Season
	Days      int // that were counted
	Faults    int // in them, all of them false
	Learning  int // of the days before them, in which the season was learned
}

// PerDay is the number of false faults per probe and day.
func (c Count) PerDay() float64 { return float64(c.Faults) / float64(c.Days) }

// FalseFaults simulates about the given number of probe-days of each kind of
// healthy service at 5 and 15 s, judged with the shipped defaults: each kind above
// the mean and on both sides, those with a daily peak with a season, too. days is
// rounded up to whole probes of 14 days; with a peak the first 7 of them are for
// learning and not counted.
func FalseFaults(days int) []Count {
	return parallel(cases(), func(c Count) Count { return c.count(days) })
}

// intervals of the probes that are counted.
func intervals() []time.Duration { return []time.Duration{5 * time.Second, 15 * time.Second} }

// cases are what is counted: both directions of one case stand together.
func cases() (all []Count) {
	for _, h := range Kinds() {
		for _, p := range intervals() {
			for _, s := range []sigma.Season{sigma.NoSeason, sigma.Daily} {
				if s == sigma.Daily && !h.Daily {
					continue
				}
				c := Count{Kind: h.Name, Every: p, Season: s, Direction: sigma.Upper}
				all = append(all, c)
				c.Direction = sigma.Both
				all = append(all, c)
			}
		}
	}
	return all
}

// promised tells whether the goal is for this case: who has a peak each day has to
// say so.
func (c Count) promised() bool { return c.Season == kind(c.Kind).season() }

// count simulates probe after probe until the days are enough.
func (c Count) count(days int) Count {
	h := kind(c.Kind)
	learn := time.Duration(0)
	if h.Daily {
		learn = week
	}
	for seed := uint64(0); c.Days < days; seed++ {
		s, was := values(c.Every, c.Direction, c.Season), false
		for v := range h.Samples(seed, c.Every, 2*week) {
			j, err := s.Add(v.At, v.V)
			if err != nil {
				panic(err)
			}
			switch began := j.Fault && !was; {
			case began && v.At.Sub(begin()) < learn:
				c.Learning++
			case began:
				c.Faults++
			}
			was = j.Fault
		}
		c.Days += int((2*week - learn) / day)
	}
	return c
}

func kind(name string) Healthy {
	for _, h := range Kinds() {
		if h.Name == name {
			return h
		}
	}
	panic("no kind of healthy service " + name)
}

// LostPackets counts false faults of availability where one probe in a thousand
// is lost, each by itself, with the shipped defaults but for what change does.
func LostPackets(every time.Duration, days int, change func(*sigma.Fault)) Count {
	f, _, _ := shipped()
	f.Cap = availabilityCap
	change(&f)
	s, was := must(sigma.NewAvailability(every, f)), false
	r := rand.New(rand.NewPCG(0, 110))
	c := Count{Kind: "availability, 1 of 1000 lost", Every: every, Days: days}
	for at := time.Duration(0); at < time.Duration(days)*day; at += every {
		v := 0.
		if r.IntN(1000) == 0 {
			v = 1
		}
		j, err := s.Add(begin().Add(at), v)
		if err != nil {
			panic(err)
		}
		if j.Fault && !was {
			c.Faults++
		}
		was = j.Fault
	}
	return c
}

// lossSetting is one way to judge lost packets: a column of the table.
type lossSetting struct {
	name   string
	change func(*sigma.Fault)
}

// lossSettings are the shipped one and those that ask for more lost packets.
func lossSettings() []lossSetting {
	return []lossSetting{
		{"shipped", func(*sigma.Fault) {}},
		{"`min_anomalies: 3`", func(f *sigma.Fault) { f.MinAnomalies = 3 }},
		{"`floor: .16`", func(f *sigma.Fault) { f.Floor = .16 }},
	}
}

// lossIntervals are those at which lost packets are counted.
func lossIntervals() []time.Duration {
	return []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second}
}

// lost is the table of them.
func lost(days int) string {
	type job struct {
		every time.Duration
		lossSetting
	}
	var jobs []job
	for _, p := range lossIntervals() {
		for _, l := range lossSettings() {
			jobs = append(jobs, job{p, l})
		}
	}
	var s strings.Builder
	s.WriteString("| 1 probe of 1000 lost | interval | probe-days |")
	for _, l := range lossSettings() {
		s.WriteString(" " + l.name + " |")
	}
	s.WriteString("\n|---|--:|--:|" + strings.Repeat("--:|", len(lossSettings())))
	for i, c := range parallel(jobs, func(j job) Count { return LostPackets(j.every, days, j.change) }) {
		if i%len(lossSettings()) == 0 {
			fmt.Fprintf(&s, "\n| availability | %s | %d |", c.Every, c.Days)
		}
		fmt.Fprintf(&s, " %.3f |", c.PerDay())
	}
	return s.String() + "\n"
}

// availabilityCap is the greatest that the proof solves for availability.
const availabilityCap = .5

// Report is a table of the false faults in that many days of each kind, and one of
// those of availability where packets are lost.
func Report(days int) string {
	var s strings.Builder
	s.WriteString("| healthy service | interval | probe-days | above | both sides | goal |\n|---|--:|--:|--:|--:|--:|\n")
	all := FalseFaults(days)
	for i := 0; i < len(all); i += 2 {
		c, both := all[i], all[i+1]
		name, goal := c.Kind, "–"
		if c.Season == sigma.Daily {
			name += ", `season: daily`"
		}
		if c.promised() {
			goal = fmt.Sprintf("≤ %v", Goal)
		}
		fmt.Fprintf(&s, "| %s | %s | %d | %.3f | %.3f | %s |\n", name, c.Every, c.Days, c.PerDay(), both.PerDay(), goal)
	}
	return s.String() + "\n" + lost(days) + "\nFalse faults per probe and day.\n"
}

// parallel works on all of the list at once, as many at a time as there is room
// for, and keeps the order.
func parallel[T, R any](list []T, work func(T) R) []R {
	done := make([]R, len(list))
	room := make(chan struct{}, 2)
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() {
			room <- struct{}{}
			done[i] = work(list[i])
			<-room
		})
	}
	all.Wait()
	return done
}
