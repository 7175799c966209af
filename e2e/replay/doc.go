// Package replay shows what thresholds make of services that are healthy and of
// services that are not, ours beside those of others, on the same samples.
//
// It is given seeds and gives simulated samples (healthy services, and faults on
// top of one), the false faults of the shipped defaults on the healthy ones, and
// for each fault how long every way of alerting takes to tell it. The others are
// made again from their published formulas, and tested against what their own
// rule files did. Write puts the tables and the pictures into the documentation.
//
// It is pure but for Write: no clock, no randomness that a seed does not give.
package replay
