package replay

import (
	"time"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/sigma"
)

// solved is the cap that stands in DETECTION 2 for latency and signals: what the
// proof gives where the target leaves room. It is not in the settings.
const solved = .6

// shipped are the settings of a configuration that names a service and nothing
// else.
func shipped() (availability, value sigma.Fault, b sigma.Baseline) {
	s := collector.Settings{Services: []collector.Service{{Name: "shop", Owner: "team"}}}.Complete("a")
	signals, d := s.Services[0].Signals, s.BaselineOf(s.Services[0], "latency")
	availability, value = signals["availability"].Fault.Sigma(), signals["latency"].Fault.Sigma()
	value.Cap = solved
	return availability, value, sigma.Baseline{
		Window: time.Duration(d.Window), K: d.K, MinSamples: d.MinSamples, Floor: d.Floor,
		Direction: d.Direction, Hold: time.Duration(d.Hold), Season: d.Season,
	}
}

// values makes a series with the shipped defaults but for direction and season.
func values(every time.Duration, d sigma.Direction, s sigma.Season) *sigma.Series {
	_, f, b := shipped()
	b.Direction, b.Season = d, s
	return must(sigma.NewValue(every, f, b))
}

// must is for settings that this package itself makes: an error is a mistake here.
func must(s *sigma.Series, err error) *sigma.Series {
	if err != nil {
		panic(err)
	}
	return s
}
