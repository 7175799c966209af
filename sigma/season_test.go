package sigma

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// byDay is the latency row of DETECTION 2 at 15s, and a baseline with a season.
func byDay(zone *time.Location) (Fault, Baseline) {
	b := hour()
	b.Season, b.Zone, b.Direction = Daily, zone, Both
	return Fault{Window: 3 * time.Minute, Floor: .55, Cap: .6, MinAnomalies: 3, K: 3, Clear: 3}, b
}

// monday is a Monday, 00:00 UTC.
var monday = time.Date(2024, time.January, 15, 0, 0, 0, 0, time.UTC)

// office is the load of a service that is used on working days: ten times as much
// at noon as in the night, with a step when the day begins.
func office(t time.Time, r *rand.Rand) float64 {
	v := 10 + r.NormFloat64()
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		return v
	}
	h := float64(t.Hour()) + float64(t.Minute())/60
	if h >= 8 && h < 18 {
		v += 30 + 60*math.Sin(math.Pi*(h-8)/10) + 3*r.NormFloat64()
	}
	return v
}

// week feeds days of a load from Monday on and gives how many faults began on each.
func week(t *testing.T, s *Series, days int, load func(time.Time, *rand.Rand) float64) (faults []int) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	was := false
	for d := range days {
		faults = append(faults, 0)
		for when := monday.AddDate(0, 0, d); when.Before(monday.AddDate(0, 0, d+1)); when = when.Add(15 * time.Second) {
			j := add(t, s, when, load(when, r))
			if j.Fault && !was {
				faults[d]++
			}
			was = j.Fault
		}
	}
	return faults
}

// A peak that comes each working day is normal after two such days. The weekend
// between is another kind of day, and no fault either.
func TestSeason_ADailyPeakIsNoFaultAfterTwoDays(t *testing.T) {
	f, b := byDay(nil)
	with := week(t, values(t, 15*time.Second, f, b), 14, office)
	b.Season = NoSeason
	without := week(t, values(t, 15*time.Second, f, b), 14, office)
	for d := 2; d < 14; d++ {
		if with[d] != 0 {
			t.Errorf("day %d: got %d faults, want none (all days: %v)", d, with[d], with)
		}
	}
	if with[0] == 0 || without[9] == 0 {
		t.Errorf("got faults %v with a season and %v without, want some on the first day, and on each working day without", with, without)
	}
}

// A peak that is over before the hold is would never be learned, were it kept out
// each day.
func TestSeason_APeakShorterThanTheHoldIsLearnedToo(t *testing.T) {
	f, b := byDay(nil)
	lunch := func(when time.Time, r *rand.Rand) float64 {
		v := 10 + r.NormFloat64()
		if m := when.Hour()*60 + when.Minute(); m >= 12*60+5 && m < 12*60+25 {
			v += 30
		}
		return v
	}
	got := week(t, values(t, 15*time.Second, f, b), 12, lunch)
	for d, n := range got {
		if learned := d >= 2 && d < 5 || d >= 7; learned && n != 0 || d < 2 && n == 0 {
			t.Errorf("got %v faults a day, want some on the first two working days and on the weekend, then none", got)
			break
		}
	}
}

// What is usual on Monday is not what is usual on Sunday, and what is usual at
// noon is not what is usual at night.
func TestSeason_AFaultIsFoundWhateverTheHour(t *testing.T) {
	for _, c := range []struct {
		day, hour int
		value     float64
	}{
		{9, 13, 300}, {9, 13, 8}, // at the peak: far more, and an outage
		{9, 3, 100},   // the load of noon, at night
		{12, 13, 100}, // the load of a working day, on Saturday
	} {
		f, b := byDay(nil)
		s := values(t, 15*time.Second, f, b)
		begin := monday.AddDate(0, 0, c.day).Add(time.Duration(c.hour)*time.Hour + 20*time.Minute)
		r := rand.New(rand.NewPCG(7, 7))
		for when := monday; when.Before(begin); when = when.Add(15 * time.Second) {
			add(t, s, when, office(when, r))
		}
		var j Judgement
		for i := range f.Bad(15 * time.Second) {
			j = add(t, s, begin.Add(time.Duration(i)*15*time.Second), c.value)
		}
		if !j.Fault {
			t.Errorf("%v on day %d at %d:20: no fault: %+v", c.value, c.day, c.hour, j)
		}
	}
}

// The farther of two thresholds is taken, and told.
func TestSeason_TheFartherThresholdCounts(t *testing.T) {
	f, b := byDay(nil)
	b.MinSamples, b.K, b.Floor = 5, 2, .5
	s := values(t, time.Minute, f, b)
	for i := range 40 {
		add(t, s, monday.Add(time.Duration(i)*time.Minute), []float64{18, 22}[i%2]) // midnight of Monday: 20
	}
	for i := range 60 {
		add(t, s, monday.Add(23*time.Hour+time.Duration(i)*time.Minute), 10) // the hour before the next midnight
	}
	j := add(t, s, monday.Add(24*time.Hour), 10)
	sigma := math.Sqrt(4 * 40. / 39)
	if j.SeasonSamples != 40 || !alike(j.SeasonMean, 20) || !alike(j.SeasonStdDev, sigma) || j.Mean != 10 || j.StdDev != 0 {
		t.Errorf("got %+v, want 40 samples of 20 in the season, and a window of 10", j)
	}
	if !alike(j.Upper, 20+2*sigma) || j.UpperBand != OfSeason || j.Lower != 9 || j.LowerBand != OfWindow || j.Anomaly {
		t.Errorf("got %v to %v by %v and %v, want 9 by the window to %v by the season", j.Lower, j.Upper, j.LowerBand, j.UpperBand, 20+2*sigma)
	}
	if j := add(t, s, monday.Add(24*time.Hour+time.Minute), 22); j.Anomaly {
		t.Errorf("what is usual at this hour is an anomaly: %+v", j)
	}
	if j := add(t, s, monday.Add(24*time.Hour+2*time.Minute), 24.5); !j.Anomaly {
		t.Errorf("what neither explains is no anomaly: %+v", j)
	}
}

// Range, floor and direction hold for both bands.
func TestSeason_RangeAndDirectionHoldForBothBands(t *testing.T) {
	for _, side := range []Direction{Upper, Lower, Both} {
		f, b := byDay(nil)
		b.MinSamples, b.Direction, b.Low, b.High = 5, side, 0, 100
		s := values(t, time.Minute, f, b)
		for i := range 50 {
			add(t, s, monday.Add(time.Duration(i)*time.Minute), []float64{10, 90}[i%2])
		}
		for i := range 60 {
			add(t, s, monday.Add(23*time.Hour+time.Duration(i)*time.Minute), 50)
		}
		j := add(t, s, monday.Add(24*time.Hour), 100)
		if up := side != Lower; j.HasUpper != up || up && (j.Upper != math.Nextafter(100, 0) || j.UpperBand != OfSeason) || !up && j.UpperBand != OfWindow {
			t.Errorf("%s: got upper %v by %v, want the range's end by the season where there is one", side, j.Upper, j.UpperBand)
		}
		if low := side != Upper; j.HasLower != low || low && (j.Lower != math.Nextafter(0, 1) || j.LowerBand != OfSeason) || !low && j.LowerBand != OfWindow {
			t.Errorf("%s: got lower %v by %v, want the range's end by the season where there is one", side, j.Lower, j.LowerBand)
		}
	}
}

// Every hour of a kind weighs 7/8 of the one after it.
func TestSeason_OlderDaysWeighLess(t *testing.T) {
	s := newSeason()
	var n, mean float64
	for day := range 30 {
		when := monday.AddDate(0, 0, 7*day) // Mondays
		for i := range 10 {
			at := when.Add(time.Duration(i) * time.Minute).UnixNano()
			s.at(at, time.UTC)
			if got, m, _ := s.usual(); day > 0 && (math.Abs(got-n) > 1e-6*n || math.Abs(m-mean) > 1e-6*mean) {
				t.Fatalf("Monday %d: got %v samples of mean %v, want %v of %v", day, got, m, n, mean)
			}
			s.learn(at, float64(day), false, 0)
		}
		mean = (n*7/8*mean + 10*float64(day)) / (n*7/8 + 10)
		n = n*7/8 + 10
	}
	if n > 80 {
		t.Errorf("got a weight of %v samples, want less than 8 hours", n)
	}
}

// At a change of the clock an hour is left out or lasts twice as long; each sample
// goes to the hour that the clock showed, and to no other.
func TestSeason_ChangesOfTheClockMixNoHours(t *testing.T) {
	for _, c := range []struct {
		zone  string
		begin time.Time
	}{
		{"Europe/Berlin", time.Date(2024, time.March, 29, 0, 0, 0, 0, time.UTC)},
		{"Europe/Berlin", time.Date(2024, time.October, 25, 0, 0, 0, 0, time.UTC)},
		{"America/New_York", time.Date(2024, time.November, 1, 0, 0, 0, 0, time.UTC)},
		{"Australia/Lord_Howe", time.Date(2024, time.April, 5, 0, 0, 0, 0, time.UTC)}, // by half an hour
		{"Australia/Lord_Howe", time.Date(2024, time.October, 4, 0, 0, 0, 0, time.UTC)},
		{"Asia/Kathmandu", time.Date(2024, time.March, 29, 0, 0, 0, 0, time.UTC)},  // 5:45 ahead
		{"Pacific/Apia", time.Date(2011, time.December, 28, 0, 0, 0, 0, time.UTC)}, // leaves out a Friday
	} {
		z := zone(t, c.zone)
		f, b := byDay(z)
		b.MinSamples = 2
		s := values(t, time.Minute, f, b)
		for i := range 10 * 24 * 60 {
			when := c.begin.Add(time.Duration(i) * time.Minute)
			local := when.In(z)
			v := float64(local.Hour())
			if d := local.Weekday(); d == time.Saturday || d == time.Sunday {
				v += 100
			}
			if j := add(t, s, when, v); j.SeasonSamples > 0 && (j.SeasonMean != v || j.SeasonStdDev != 0) {
				t.Fatalf("%s, %s: got mean %v, sigma %v, want %v and none", c.zone, local, j.SeasonMean, j.SeasonStdDev, v)
			}
		}
	}
}

// hourOf agrees with the calendar, before 1970 too.
func TestSeason_HoursAreThoseOfTheCalendar(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	zones := []*time.Location{time.UTC, zone(t, "Europe/Berlin"), zone(t, "Australia/Lord_Howe"), zone(t, "Asia/Kathmandu"), time.FixedZone("odd", -4567)}
	for range 100_000 {
		at := time.Unix(r.Int64N(1<<33)-1<<32, r.Int64N(1e9))
		z := zones[r.IntN(len(zones))]
		local := at.In(z)
		want := uint8(local.Hour())
		if d := local.Weekday(); d == time.Saturday || d == time.Sunday {
			want += 24
		}
		if _, got := hourOf(at.UnixNano(), z); got != want {
			t.Fatalf("%s: got hour kind %d, want %d", local, got, want)
		}
	}
}

// The first samples of a fault are kept out of the season for the hold, and no
// longer.
func TestSeason_AFaultIsKeptOutForTheHold(t *testing.T) {
	f, b := byDay(nil)
	s := values(t, 15*time.Second, f, b)
	next := monday.Add(9*time.Hour + 10*time.Minute)
	for when := monday; when.Before(next); when = when.Add(15 * time.Second) {
		add(t, s, when, steady(int(when.Unix()/15)))
	}
	var began time.Time
	for when := next; when.Before(monday.Add(10 * time.Hour)); when = when.Add(15 * time.Second) {
		if j := add(t, s, when, 50); j.Fault && began.IsZero() {
			began = when
		}
	}
	// 10 minutes and the bad samples before the fault, then what came after the hold.
	want := uint64(began.Sub(monday.Add(9*time.Hour))/(15*time.Second)) + uint64(monday.Add(10*time.Hour).Sub(began.Add(b.Hold))/(15*time.Second))
	if got := s.baseline.season.open.N; began.IsZero() || got != want {
		t.Errorf("a fault from %v on: the hour has learned %d samples, want %d", began, got, want)
	}
}

// A window that was lost in a gap withholds thresholds, whatever the season knows.
func TestSeason_DoesNotStandInForAWindow(t *testing.T) {
	f, b := byDay(nil)
	s := values(t, 15*time.Second, f, b)
	week(t, s, 3, office)
	noon := monday.Add(3*24*time.Hour + 12*time.Hour)
	for i := range b.MinSamples {
		if j := add(t, s, noon.Add(time.Duration(i)*15*time.Second), 1e6); j.Ready || j.HasUpper || j.Anomaly || j.SeasonSamples < 30 {
			t.Fatalf("sample %d after a gap: got %+v, want no threshold", i, j)
		}
	}
}

func TestSeason_SmallAndWithoutAllocations(t *testing.T) {
	if got := unsafe.Sizeof(season{}); got != 1024 {
		t.Errorf("a season takes %d bytes, want 1024", got)
	}
	f, b := byDay(zone(t, "Europe/Berlin"))
	s := values(t, 5*time.Second, f, b)
	i := 0
	// Steps of 7 minutes: hours end all the time.
	if n := testing.AllocsPerRun(1000, func() { add(t, s, at(float64(420*i)), steady(i)); i++ }); n != 0 {
		t.Errorf("Add allocates %v times, want 0", n)
	}
}
