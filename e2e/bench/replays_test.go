package main

import "testing"

func TestAligned_HasColumnsAsWideAsTheirCellsAndKeepsWhatIsNoTable(t *testing.T) {
	got := aligned("| fault | ours |\n|---|---|\n| step of 20 % | 4m |\n\n20 seeds each, and a line that is wider than all.\n")
	want := "  fault         ours\n  step of 20 %  4m\n\n  20 seeds each, and a line that is wider than all."
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
