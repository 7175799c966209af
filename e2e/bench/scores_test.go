package main

import (
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/e2e/replay"
)

func TestStrong_CountsFewerAboveAHigherLimit(t *testing.T) {
	perDay, days := strong(replay.LogNormal(), 5*time.Minute)
	if days != scoredAtOnce*scoredDays || len(perDay) != len(limits()) {
		t.Fatalf("got %v of %d days", perDay, days)
	}
	for i := range perDay[1:] {
		if perDay[i] < perDay[i+1] || perDay[0] == 0 {
			t.Errorf("above %v: got %v", limits(), perDay)
		}
	}
}
