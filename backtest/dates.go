package backtest

import (
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
)

// dates marks an axis of seconds since origin with times of a zone.
type dates struct {
	origin time.Time
	zone   *time.Location
}

// mostTicks is how many dates stand on an axis at most.
const mostTicks = 12

// Ticks is part of plot.Ticker.
func (d dates) Ticks(from, to float64) (ticks []plot.Tick) {
	step, days, months := stepOf(to - from)
	at := d.begin(from, step, days, months)
	named := time.Time{}
	for range 2 * mostTicks {
		v := seconds(at, d.origin)
		if v > to {
			break
		}
		if v >= from {
			ticks = append(ticks, plot.Tick{Value: v, Label: label(at, named, step)})
			named = at
		}
		if step > 0 {
			at = at.Add(step)
		} else {
			at = at.AddDate(0, months, days)
		}
	}
	return ticks
}

// begin is the last mark at or before from.
func (d dates) begin(from float64, step time.Duration, days, months int) time.Time {
	whole := time.Duration(from) * time.Second
	at := d.origin.Add(whole).In(d.zone)
	midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, d.zone)
	switch {
	case step > 0:
		return midnight.Add(at.Sub(midnight).Truncate(step))
	case months > 0:
		month := int(at.Month()) - 1
		return time.Date(at.Year(), time.Month(month-month%min(months, 12)+1), 1, 0, 0, 0, 0, d.zone)
	}
	return midnight
}

// stepOf chooses the distance of the marks for so many seconds.
func stepOf(span float64) (step time.Duration, days, months int) {
	for _, step := range []time.Duration{
		time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	} {
		if span/step.Seconds() <= mostTicks {
			return step, 0, 0
		}
	}
	const day = 24 * 3600
	for _, days := range []int{1, 2, 7, 14} {
		if span/day/float64(days) <= mostTicks {
			return 0, days, 0
		}
	}
	for _, months := range []int{1, 2, 3, 6, 12, 24, 60, 120} {
		if span/day/30.4/float64(months) <= mostTicks {
			return 0, 0, months
		}
	}
	return 0, 0, 240
}

// label tells of a mark what the one before, named, has not told.
func label(at, named time.Time, step time.Duration) string {
	newDay := named.IsZero() || at.YearDay() != named.YearDay() || at.Year() != named.Year()
	newYear := named.IsZero() || at.Year() != named.Year()
	below := " " // so that all marks stand at one height
	switch {
	case newYear:
		below = "2006-01-02"
	case newDay:
		below = "Jan 2"
	}
	switch {
	case step >= time.Minute:
		return at.Format("15:04\n" + below)
	case step >= time.Second:
		return at.Format("15:04:05\n" + below)
	case step > 0:
		return at.Format("15:04:05.000\n" + below)
	case newYear:
		return at.Format("Jan 2\n2006")
	}
	return at.Format("Jan 2\n ")
}

// figures marks an axis of values at round numbers, five to ten of them.
type figures struct{}

// Ticks is part of plot.Ticker.
func (figures) Ticks(from, to float64) (ticks []plot.Tick) {
	span := to - from
	step := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, n := range []float64{2, 2.5, 2} { // 1, 2, 5, 10 times a power of ten
		if span/step <= 10 {
			break
		}
		step *= n
	}
	for i := math.Ceil(from / step); i*step <= to && len(ticks) < 20; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: round(i*step, step)})
	}
	return ticks
}

// round writes a multiple of step without the digits that rounding has added.
func round(v, step float64) string {
	a := math.Abs(v)
	if a < step/2 {
		return "0"
	}
	if a >= 1e7 || step < 1e-5 {
		return strconv.FormatFloat(v, 'g', 2+max(0, int(math.Ceil(math.Log10(a/step)))), 64)
	}
	return strconv.FormatFloat(v, 'f', max(0, int(math.Ceil(-math.Log10(step)))), 64)
}
