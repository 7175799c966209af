package collector

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// point is one series whose value changes with the settings only.
type point struct {
	labels *labels
	value  float64
}

// info is a family of such series.
type info struct {
	family
	points []point
}

// add keeps one series; labels without a value are left out.
func (f *info) add(v float64, pairs ...label) {
	f.points = append(f.points, point{newLabels(pairs...), v})
}

// Places of the families of infoFamilies.
const (
	infoInterval = iota
	infoTimeout
	infoStale
	infoSignalStale
	infoKsigma
	infoService
	infoSignal
	infoTarget
	infoBound
	infoExpected
	infoObserver
	infoCap
	infoLeast
	infoMinSamples
	infoFloor
	infoK
)

// infoFamilies are what rules join to results (DETECTION 3.4).
func infoFamilies() []family {
	return []family{
		infoInterval:    {"probe_interval_seconds", "Time between two runs of the probe.", gauge},
		infoTimeout:     {"probe_timeout_seconds", "Deadline of one run of the probe.", gauge},
		infoStale:       {StaleAfter, "Age of its last run at which a result has no vote: two intervals and the timeout.", gauge},
		infoSignalStale: {SignalStaleAfter, "Age of its last usable answer at which a signal has no vote: two intervals and the timeout of the query.", gauge},
		infoKsigma:      {KsigmaInfo, "1, with unit, direction and k of the signal.", gauge},
		infoService:     {ServiceInfo, "1, with owner, severity and dimensions of the service.", gauge},
		infoSignal:      {SignalInfo, "1, with the mode of the signal.", gauge},
		infoTarget:      {TargetSeconds, "Target of the stage, from the beginning of a fault.", gauge},
		infoBound:       {DetectBound, "Proved longest time from a fault to the webhook.", gauge},
		infoExpected:    {"onefiveten_expected_observers", "Observers that should watch the service.", gauge},
		infoObserver:    {ObserverInfo, "1, with the name of the running observer.", gauge},
		infoCap:         {FaultCap, "Share of anomalies among the samples of the fault window above which the rules of backend promql see a fault.", gauge},
		infoLeast:       {FaultLeast, "Anomalies in the fault window below which the rules of backend promql see no fault.", gauge},
		infoMinSamples:  {BaselineLeast, "Samples in the baseline below which the rules of backend promql judge nothing.", gauge},
		infoFloor:       {BaselineFloor, "Least standard deviation by which the rules of backend promql judge.", gauge},
		infoK:           {BaselineK, "Standard deviations between the mean and this bound, by which the rules of backend promql judge.", gauge},
	}
}

// newInfo renders everything that does not change until the next reload.
func newInfo(s Settings, observer string, modules map[string]Module, proofs []Proof) []info {
	families := infoFamilies()
	list := make([]info, len(families))
	for i, f := range families {
		list[i].family = f
	}
	list[infoObserver].add(1, label{"observer", observer})
	for _, p := range s.Probes {
		if !s.mine(p, observer) {
			continue
		}
		interval, timeout := time.Duration(p.Interval), p.Timeout(modules[p.Module].Timeout)
		who := []label{{"observer", observer}, {"probe", p.Name}}
		list[infoInterval].add(interval.Seconds(), who...)
		list[infoTimeout].add(timeout.Seconds(), who...)
		list[infoStale].add((2*interval + timeout).Seconds(), who...)
	}
	for _, v := range s.Services {
		service := label{"service", v.Name}
		dimensions := slices.Compact(slices.Sorted(slices.Values(v.Dimensions)))
		list[infoService].add(1, service, label{"owner", v.Owner}, label{"severity", v.Severity}, label{"dimensions", strings.Join(dimensions, ",")})
		list[infoTarget].add(time.Duration(v.Targets.Detect).Seconds(), service, label{"stage", "detect"})
		list[infoTarget].add(time.Duration(v.Targets.Locate).Seconds(), service, label{"stage", "locate"})
		list[infoTarget].add(time.Duration(v.Targets.Recover).Seconds(), service, label{"stage", "recover"})
		list[infoExpected].add(float64(len(v.Observers)), service)
		for _, name := range signalNames {
			if _, has := v.Signals[name]; has { // a service without a probe has neither
				s.signalInfo(list, v, name, proofOf(proofs, v.Name, name))
			}
		}
	}
	s.queryInfo(list, observer, proofs)
	return list
}

// signalInfo adds what is known of one signal. Availability has no baseline, and
// so no k; a signal that nobody has proved has no bound.
func (s Settings) signalInfo(list []info, v Service, name string, proof Proof) {
	id := []label{{"service", v.Name}, {"signal", name}}
	list[infoSignal].add(1, append(id, label{"mode", v.Signals[name].Mode})...)
	if proof.Bound > 0 {
		list[infoBound].add(proof.Bound.Seconds(), id...)
	}
	if s.scraped() {
		s.settingInfo(list, v, name, proof)
	} else if b, ok := s.Baselines[v.Signals[name].Baseline]; ok {
		unit := "seconds"
		if q, ok := s.queryOf(v.Name, name); ok {
			unit = q.Unit
		}
		k := strconv.FormatFloat(b.K, 'g', -1, 64)
		list[infoKsigma].add(1, append(id, label{"unit", unit}, label{"direction", string(b.Direction)}, label{"k", k})...)
	} else {
		list[infoKsigma].add(1, append(id, label{"unit", "failures"}, label{"direction", "upper"})...)
	}
}

// queryInfo adds what is known of the signals of queries: all of them have a
// baseline, and those that this observer evaluates an age.
func (s Settings) queryInfo(list []info, observer string, proofs []Proof) {
	for _, q := range s.Signals {
		at := slices.IndexFunc(s.Services, func(v Service) bool { return v.Name == q.Service })
		if at < 0 {
			continue
		}
		v := s.Services[at]
		s.signalInfo(list, v, q.Name, proofOf(proofs, v.Name, q.Name))
		if slices.Contains(v.Observers, observer) {
			stale := 2*time.Duration(q.Interval) + s.Asking.Timeout
			list[infoSignalStale].add(stale.Seconds(), label{"observer", observer}, label{"service", v.Name}, label{"signal", q.Name})
		}
	}
}

// mine tells whether observer is to run the probe: its service expects it. A
// probe of no service is everybody's.
func (s Settings) mine(p Probe, observer string) bool {
	for _, v := range s.Services {
		if v.Name == p.Service {
			return slices.Contains(v.Observers, observer)
		}
	}
	return true
}
