// Package rules turns the services of probe-exporter and the timing of
// Prometheus and Alertmanager into recording and alerting rules, unit tests of
// these rules, the Alertmanager route, and the proved detection bound
// (DETECTION 5 to 9).
//
// It is given a Spec, plain data. Prove gives the worst-case seconds from fault
// to webhook of each signal of each service, and the largest cap of the fault
// probability's threshold that keeps them within the target; what cannot be
// kept is refused with the setting to turn. Generate gives the files. Nothing
// here reads a clock, a file or the network.
//
// Where what stands:
//
//	spec.go      what is given, and its mistakes; settings.go two sections of it
//	bound.go     the proof; table.go prints it; again.go repeats it with living timing
//	refusal.go   why a target cannot be kept, and what to turn; knob.go what can be turned
//	reach.go     how far back an expression reads
//	generate.go  which files there are; group.go and layout/ how they are written
//	set.go       the group of a severity and its dimensions
//	votes.go     records: which member is bad; peers.go which value is unlike the others
//	locate.go    records: where the fault lies
//	promql.go    records of backend promql: the thresholds themselves
//	alerts.go    detect, locate, recover, and what only people hear
//	watchers.go  the rules that watch the watchers; receiver.go those for heal-receiver
//	contract.go  what heal-receiver may read from an alert; raised.go every such alert
//	route.go     the way from Alertmanager to heal-receiver
//	ruletest/    unit tests of the rules
//	lint/        the check of any rule file
//	living/      what runs, compared with what was generated
//
// The rules of one set stand in one group, in the order in which they read each
// other. A group per service would cost a rule of each kind per service; a second
// group that reads the first would see the evaluation before, and in tests see it
// or not at random.
package rules
