// Package lint reads rule files of Prometheus, whoever wrote them, and tells what
// in them is wrong or does not do what it seems to (DETECTION 5.7).
//
// It is given names and bytes of the files and two intervals that no rule file
// tells; it gives findings, each with file, line, group and rule. An error is what
// Prometheus refuses, or what can never work; a warning is what may be meant.
// Files are judged together: a series that one records is known where another
// reads it. Nothing here reads a clock, a file or the network.
//
// Where what stands:
//
//	lint.go        what is given and what is found
//	read.go        YAML into groups and rules, strictly; yaml.go its nodes
//	place.go       which line of the file a part of an expression stands on
//	template.go    labels and annotations
//	dependency.go  who reads what others record
//	division.go    denominators that may be 0; fact.go what is known of a value,
//	               share.go when numerator and denominator are 0 together
//	comparison.go  alerts that no value can end
//	window.go      ranges that end on a sample
//	bound.go       k that no sample can be off
package lint
