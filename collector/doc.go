// Package collector probes targets on its own schedule and exposes what it
// found.
//
// It is given settings, modules (a probe function and its timeout each) and the
// proofs of the bounds, and gives the page /metrics/probes: for each target the
// newest result, counters, a duration histogram and, where its probe is of a
// service, the verdicts of sigma on two signals, availability and latency. Metrics
// of the schedule itself are a prometheus.Collector, for the exporter's own
// /metrics.
//
// A probe runs at a phase that is a hash of observer, instance and probe, so
// that it is stable over restarts and differs between observers. The page is
// written from immutable snapshots, one per target and run, without a lock on
// the probing path: a scrape sees each target before or after a run, never in
// between.
//
// Where what stands:
//
//	settings.go   the configuration and its defaults; check.go its mistakes,
//	              checkquery.go those of signals
//	windows.go    what holds where a service says nothing: targets, windows, severities
//	backend.go    what backend promql refuses, and the figures that its rules read
//	collector.go  Apply: from settings to targets, keeping what may be kept
//	discovery.go  targets from files and servers, read again and again
//	lists.go      what those say: from a text to targets
//	schedule.go   Run: when each target is probed; crew.go the goroutines for it
//	target.go     one run: from the prober's result to the next snapshot
//	failures.go   the last failed runs of each target
//	fill.go       when the past of which series is read from Prometheus; past.go how
//	              far back and how closely, job.go by which questions, owners.go for whom
//	samples.go    the series that probers give, made fit for the page
//	signals.go    signals of queries: their entries and series; asking.go when
//	              each is asked
//	answers.go    one answer: from elements to verdicts, and what is of no use;
//	              traffic.go the answer that tells how much traffic members carry
//	judge.go      what judges a series; peaks.go the greatest score of a while
//	page.go       the page; columns.go its families, info.go those that change on
//	              reload only
//	text.go       the page as text; proto.go as protobuf
//	own.go        metrics of the schedule; names.go names that rules read
//
// The page is written by hand, not by client_golang: with 5,000 targets that is
// about eighty times cheaper, and a short interval is what detection lives on.
// Only the native histograms need the library, for those who ask for protobuf.
//
// Timestamps on the page come from the wall clock, since Prometheus compares
// them with its own. What sigma is told comes from the monotonic clock, since a
// step back would make it refuse every sample until the time is reached again
// (clock.go).
//
// Semantics: DETECTION 2 to 4.
package collector
