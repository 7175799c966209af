//go:build race

package sigma

// raced tells that the race detector slows everything down about ten times.
const raced = true
