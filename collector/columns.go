package collector

import (
	"math"
	"slices"

	"github.com/onefiveten/onefiveten/probe"
	"github.com/onefiveten/onefiveten/sigma"
)

// column is one family of the exporter's own and how it is filled from a target
// and from a signal of a query. Where a function is nil, there is nothing.
type column struct {
	family
	emit   func(s sink, t *target, p *snapshot)
	answer func(s sink, x *answers)
}

// place is where a verdict stands on the page: the labels beside those of its
// target or series. One of a query names the signal itself.
type place struct {
	signal, lower, upper *labels
	features             map[sigma.Feature]*labels
}

var (
	none        = &labels{}
	runDuration = family{"probe_run_duration_seconds", "Duration of the runs of a probe.", histogram}

	reasonLabels = byReason()
	ofSignal     = [signals]place{newPlace(label{"signal", availability}), newPlace(label{"signal", latency})}
	ofQuery      = newPlace(label{})
)

// newPlace makes the labels that stand with that of the signal.
func newPlace(signal label) place {
	p := place{
		signal: newLabels(signal), lower: newLabels(signal, label{"bound", "lower"}), upper: newLabels(signal, label{"bound", "upper"}),
		features: map[sigma.Feature]*labels{},
	}
	for _, f := range sigma.Features() {
		p.features[f] = newLabels(signal, label{"feature", string(f)})
	}
	return p
}

// byReason makes the labels of the closed set of reasons, in its order.
func byReason() []*labels {
	var list []*labels
	for _, r := range probe.Reasons() {
		list = append(list, newLabels(label{"reason", string(r)}))
	}
	return list
}

// columns gives the families that every target and every query fills, in the
// order of the page.
func columns() []column {
	return slices.Concat(resultColumns(), verdictColumns(), baselineColumns(), seasonColumns(), scoreColumns(), queryColumns())
}

// resultColumns are what the runs themselves say (DETECTION 3.4).
func resultColumns() []column {
	return []column{
		ofRun("probe_success", "1 if the last run was a success, else 0.", func(p *snapshot) float64 { return flag(p.success) }),
		ofRun("probe_duration_seconds", "Duration of the last run.", func(p *snapshot) float64 { return p.duration }),
		ofRun(LastRun, "End of the last run that was completed.", func(p *snapshot) float64 { return p.lastRun }),
		ofRun("probe_last_success_timestamp_seconds", "End of the last run that was a success, 0: none was.", func(p *snapshot) float64 { return p.lastSuccess }),
		{family{"probe_first_failure_timestamp_seconds", "Start of the first failed run of the fault episode, 0: there is none.", gauge}, firstFailure, nil},
		{family{"probe_attempts_total", "Runs that were completed.", counter}, func(s sink, t *target, p *snapshot) {
			s.sample(t.labels, nil, float64(p.attempts))
		}, nil},
		{family{"probe_failures_total", "Runs that failed, by reason.", counter}, func(s sink, t *target, p *snapshot) {
			for i, n := range p.failures {
				s.sample(t.labels, reasonLabels[i], float64(n))
			}
		}, nil},
		{family{"probe_failure_reason", "1 for the reason of the last run, while that is a failure.", gauge}, func(s sink, t *target, p *snapshot) {
			if p.ran && !p.success {
				s.sample(t.labels, reasonLabels[p.reason], 1)
			}
		}, nil},
		{runDuration, func(s sink, t *target, p *snapshot) { s.histogram(t.labels, t, p) }, nil},
	}
}

// firstFailure is the start of the fault episode. Of no service an episode is what
// lies between two successes; where rules in Prometheus judge, it ends with so many of
// them as a fault of the exporter would (DETECTION 4.6).
func firstFailure(s sink, t *target, p *snapshot) {
	v := p.verdicts[ofAvailability].start
	if !t.judged {
		v = p.failing
	}
	if p.ran {
		s.sample(t.labels, nil, v)
	}
}

// ofRun is a gauge that exists once a run has been completed.
func ofRun(name, help string, get func(p *snapshot) float64) column {
	return column{family{name, help, gauge}, func(s sink, t *target, p *snapshot) {
		if p.ran {
			s.sample(t.labels, nil, get(p))
		}
	}, nil}
}

// verdictColumns exist for every signal that can be judged.
func verdictColumns() []column {
	return []column{
		ofVerdict(KsigmaFault, "1 if the signal is in fault, else 0.", func(v *verdict) float64 { return flag(v.Fault) }),
		ofVerdict("ksigma_fault_probability", "Anomalies among the samples of the fault window, a ratio from 0 to 1.", func(v *verdict) float64 { return v.E }),
		ofVerdict("ksigma_fault_probability_threshold", "The ratio above which the signal is in fault.", func(v *verdict) float64 { return v.ThetaE }),
		ofVerdict(KsigmaStart, "Start of the run that gave the first anomaly of the fault episode, 0: there is none.", func(v *verdict) float64 { return v.start }),
	}
}

// ofVerdict is a gauge per signal, absent until the signal can be judged: a 0
// would be a vote for its health.
func ofVerdict(name, help string, get func(v *verdict) float64) column {
	return column{
		family{name, help, gauge},
		func(s sink, t *target, p *snapshot) {
			for i := range p.verdicts {
				if v := &p.verdicts[i]; v.known && v.Ready {
					s.sample(t.labels, ofSignal[i].signal, get(v))
				}
			}
		},
		func(s sink, x *answers) {
			for i := range x.fresh {
				if v := &x.fresh[i].verdict; v.known && v.Ready {
					s.sample(x.fresh[i].labels, nil, get(v))
				}
			}
		},
	}
}

// emitter writes what one verdict gives to a family.
type emitter func(s sink, common *labels, at *place, v *verdict)

// baselineColumns exist for signals with a baseline that are exposed in full. By
// the first of them rules locate what may page.
func baselineColumns() []column {
	return []column{
		ofExposed(toLocate, KsigmaValue, "The last sample.", func(s sink, common *labels, at *place, v *verdict) { s.sample(common, at.signal, v.value) }),
		ofBaseline("ksigma_baseline_samples", "Samples in the baseline.", func(s sink, common *labels, at *place, v *verdict) {
			s.sample(common, at.signal, float64(v.Samples))
		}),
		ofExposed(toLocate, KsigmaMean, "Mean of the baseline before the last sample.", func(s sink, common *labels, at *place, v *verdict) {
			if v.Samples > 0 {
				s.sample(common, at.signal, v.Mean)
			}
		}),
		ofBaseline("ksigma_stddev", "Sample standard deviation of the baseline before the last sample.", func(s sink, common *labels, at *place, v *verdict) {
			if v.Samples > 1 {
				s.sample(common, at.signal, v.StdDev)
			}
		}),
		ofExposed(toLocate, KsigmaThreshold, "Beyond this value a sample is an anomaly.", func(s sink, common *labels, at *place, v *verdict) {
			if v.HasLower {
				s.sample(common, at.lower, v.Lower)
			}
			if v.HasUpper {
				s.sample(common, at.upper, v.Upper)
			}
		}),
		ofBaseline("ksigma_anomaly", "1 if the last sample was beyond its threshold, else 0.", func(s sink, common *labels, at *place, v *verdict) {
			if v.Ready {
				s.sample(common, at.signal, flag(v.Anomaly))
			}
		}),
	}
}

// seasonColumns exist for signals that are exposed in full and whose baseline has
// a season, once there was a day like this one.
func seasonColumns() []column {
	ofSeason := func(least float64, get func(v *verdict) float64) emitter {
		return func(s sink, common *labels, at *place, v *verdict) {
			if v.SeasonSamples >= least {
				s.sample(common, at.signal, get(v))
			}
		}
	}
	const some = math.SmallestNonzeroFloat64
	return []column{
		ofBaseline("ksigma_season_samples", "Samples that weigh in the same hour of other days.", ofSeason(some, func(v *verdict) float64 { return v.SeasonSamples })),
		ofBaseline("ksigma_season_mean", "Mean of the same hour of other days.", ofSeason(some, func(v *verdict) float64 { return v.SeasonMean })),
		ofBaseline("ksigma_season_stddev", "Sample standard deviation of the same hour of other days.", ofSeason(2, func(v *verdict) float64 { return v.SeasonStdDev })),
	}
}

// ofBaseline is a family of the signals that have a baseline and are exposed in full.
func ofBaseline(name, help string, emit emitter) column { return ofExposed(inFull, name, help, emit) }

// ofExposed is one of those of which at least so much is exposed.
func ofExposed(least exposure, name, help string, emit emitter) column {
	return column{
		family{name, help, gauge},
		func(s sink, t *target, p *snapshot) {
			if v := &p.verdicts[ofLatency]; t.exposed[ofLatency] >= least && v.known {
				emit(s, t.labels, &ofSignal[ofLatency], v)
			}
		},
		func(s sink, x *answers) {
			if x.q.exposed >= least {
				x.each(s, emit)
			}
		},
	}
}

// each writes what every series gives.
func (x *answers) each(s sink, emit emitter) {
	for i := range x.fresh {
		if m := &x.fresh[i]; m.verdict.known {
			emit(s, m.labels, &ofQuery, &m.verdict)
		}
	}
}

// scoreColumns exist for signals with a score, whatever is exposed of them. They
// show the most unusual sample of the last fault window.
func scoreColumns() []column {
	plain := func(get func(f *sigma.Finding) float64) emitter {
		return func(s sink, common *labels, at *place, v *verdict) { s.sample(common, at.signal, get(&v.finding)) }
	}
	feature := func(get func(f *sigma.Finding) float64) emitter {
		return func(s sink, common *labels, at *place, v *verdict) {
			s.sample(common, at.features[v.finding.Feature], get(&v.finding))
		}
	}
	return []column{
		ofScore("ksigma_score", "How unusual the most unusual sample of the last fault window was, 0 to below 1.", plain(func(f *sigma.Finding) float64 { return f.Score })),
		ofScore("ksigma_score_rarity", "Share of the samples before that one which were as far off, a ratio from 0 to 1.", plain(func(f *sigma.Finding) float64 { return f.Rarity })),
		ofScore("ksigma_score_value", "Value of the feature that was farthest off at that sample.", feature(func(f *sigma.Finding) float64 { return f.Value })),
		ofScore("ksigma_score_mean", "Mean of that feature before that sample.", feature(func(f *sigma.Finding) float64 { return f.Mean })),
		ofScore("ksigma_score_stddev", "Sample standard deviation of that feature before that sample.", feature(func(f *sigma.Finding) float64 { return f.StdDev })),
		ofScore("ksigma_score_distance", "Standard deviations between value and mean of that feature.", feature(func(f *sigma.Finding) float64 { return f.Distance })),
	}
}

// ofScore is a family of the signals that have a score: from the sample on at which
// one of their features could be compared with its past.
func ofScore(name, help string, emit emitter) column {
	known := func(v *verdict) bool { return v.known && ofQuery.features[v.finding.Feature] != nil }
	return column{
		family{name, help, gauge},
		func(s sink, t *target, p *snapshot) {
			if t.rules[ofLatency].score && known(&p.verdicts[ofLatency]) {
				emit(s, t.labels, &ofSignal[ofLatency], &p.verdicts[ofLatency])
			}
		},
		func(s sink, x *answers) {
			if x.q.rules.score {
				x.each(s, func(s sink, common *labels, at *place, v *verdict) {
					if known(v) {
						emit(s, common, at, v)
					}
				})
			}
		},
	}
}

// queryColumns are about each signal of a query as a whole.
func queryColumns() []column {
	return []column{
		{family{SignalLastRun, "Last time that the query of the signal gave a usable answer.", gauge}, nil, func(s sink, x *answers) {
			if x.a.lastRun > 0 {
				s.sample(x.q.labels, nil, x.a.lastRun)
			}
		}},
		{family{"signal_up", "1 if the last query of the signal gave a usable answer, else 0.", gauge}, nil, func(s sink, x *answers) {
			if x.a.ended {
				s.sample(x.q.labels, nil, flag(x.a.up))
			}
		}},
		{family{SignalTraffic, "How much traffic the member carries, in the unit of the query that says so.", gauge}, nil, func(s sink, x *answers) {
			if len(x.fresh) > 0 { // else the verdicts are too old, and so is this
				for _, t := range x.a.traffic {
					s.sample(t.labels, nil, t.value)
				}
			}
		}},
	}
}

// ownFamilies are the names that no prober may use.
func ownFamilies() []family {
	list := infoFamilies()
	for _, c := range columns() {
		list = append(list, c.family)
	}
	return list
}
