// Package sigma decides from the samples of one series whether it is in fault.
//
// It is given (time, value) in rising order of time and gives, for every
// sample, a Judgement: mean and standard deviation of what came before the
// sample, the thresholds that follow, whether the sample is an anomaly, the
// fault probability e of the sliding fault window against its own threshold,
// and whether the series is in fault, since when, and when it was last good.
//
// It is mathematics alone: it asks for no time, reads nothing, writes nothing
// and keeps a fixed amount of memory per series. Nothing is ever subtracted
// from a sum, so one monstrous sample leaves no trace once its bucket is gone.
//
// A Series is not safe for concurrent use. The meaning of every figure is
// DETECTION 4.
package sigma
