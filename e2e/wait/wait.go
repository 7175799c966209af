// Package wait lets tests of this module wait for what other programs do. It is
// given what is still wrong, asks again and again, and ends the test with the last
// answer and the log of whoever it was when that takes too long.
package wait

import (
	"testing"
	"time"
)

// every is how long a test rests between two questions.
const every = 100 * time.Millisecond

// Until asks until wrong gives nothing, for upTo at most. Then the test fails with
// what it was waiting for, the last answer, and what log gives.
func Until(t testing.TB, what string, upTo time.Duration, wrong, log func() string) {
	t.Helper()
	Each(t, every, what, upTo, wrong, log)
}

// Each is Until for a question that costs much, such as one that starts a program: it
// rests for longer between two of them.
func Each(t testing.TB, rest time.Duration, what string, upTo time.Duration, wrong, log func() string) {
	t.Helper()
	tick := time.NewTicker(rest)
	defer tick.Stop()
	deadline := time.After(upTo)
	for {
		text := wrong()
		if text == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s: %s\n%s", upTo, what, text, log())
		}
	}
}
