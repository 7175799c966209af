package ruletest

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNotation_IsWhatPromtoolReads(t *testing.T) {
	for _, c := range []struct {
		values []int64
		want   string
	}{
		{[]int64{0}, "0"},
		{[]int64{0, 0, 0, 1000, 1000}, "0x2 1x1"},
		{[]int64{0, 1000}, "0 1"},
		{[]int64{-499, 501, 1501, 1501}, "-0.499+1x2 1.501"},
		{[]int64{3000, 2000, 1000, 0, 5}, "3-1x3 0.005"},
		{[]int64{missing, missing, 1000, missing, missing, missing, 1000, missing}, "_x2 1 stale _x2 1 stale"},
		{[]int64{1000, 1000, missing, missing}, "1x1 stale _x1"},
		{[]int64{1250, -1, -10, 100}, "1.25 -0.001 -0.01 0.1"},
	} {
		if got := notation(c.values); got != c.want {
			t.Errorf("%v: got %q, want %q", c.values, got, c.want)
		}
	}
}

func TestThousandths_AreWrittenAsPeopleDo(t *testing.T) {
	for v, want := range map[int64]string{
		0: "0", 1: "0.001", 10: "0.01", 100: "0.1", 1000: "1", 1500: "1.5", 61_666: "61.666", 600_000: "600",
		-1: "-0.001", -1000: "-1", -1674: "-1.674",
	} {
		if got := thousandths(v); got != want {
			t.Errorf("%d: got %q, want %q", v, got, want)
		}
	}
	if got := seconds(10_200 * time.Millisecond); got != "10.2" {
		t.Errorf("got %q, want 10.2", got)
	}
}

// expand reads the notation as promtool does, in thousandths.
func expand(t *testing.T, text string) []int64 {
	t.Helper()
	number := func(s string) int64 {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return int64(math.Round(f * 1000))
	}
	var values []int64
	for item := range strings.FieldsSeq(text) {
		base, repeat, many := strings.Cut(item, "x")
		n, step := 0, int64(0)
		if many {
			var err error
			if n, err = strconv.Atoi(repeat); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		if i := strings.LastIndexAny(base, "+-"); i > 0 {
			base, step = base[:i], number(base[i:])
		}
		switch base {
		case "_":
			for range max(n, 1) {
				values = append(values, missing)
			}
		case "stale":
			values = append(values, missing)
		default:
			for i := range n + 1 {
				values = append(values, number(base)+int64(i)*step)
			}
		}
	}
	return values
}

// FuzzNotation expands what was written: nothing may be lost or moved.
func FuzzNotation(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 1})
	f.Add([]byte{255, 255, 1, 255, 2, 3, 4, 5})
	f.Add([]byte{9, 8, 7, 7, 7, 255})
	f.Add([]byte{255})
	f.Fuzz(func(t *testing.T, data []byte) {
		var values []int64
		for _, b := range data {
			v := int64(b)*333 - 20_000
			if b == 255 {
				v = missing
			}
			values = append(values, v)
		}
		if diff := cmp.Diff(values, expand(t, notation(values))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", notation(values), diff)
		}
	})
}
