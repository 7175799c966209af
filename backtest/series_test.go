package backtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onefiveten/onefiveten/promapi"
)

// answer is a Ranger made of a function.
type answer func(from, to time.Time, step time.Duration) ([]promapi.Track, error)

func (a answer) Range(_ context.Context, _ string, from, to time.Time, step time.Duration) ([]promapi.Track, error) {
	return a(from, to, step)
}

// steps answers with one track that has a value at every step.
func steps(labels map[string]string, from, to time.Time, step time.Duration) promapi.Track {
	t := promapi.Track{Labels: labels}
	for at := from; !at.After(to); at = at.Add(step) {
		t.Samples = append(t.Samples, promapi.Sample{At: at, Value: float64(at.Unix())})
	}
	return t
}

func TestSeries_AsksInPiecesAndGivesEveryStepOnce(t *testing.T) {
	for _, points := range []int{1, 2, 9999, 10000, 10001, 25000} {
		asked := 0
		api := answer(func(from, to time.Time, step time.Duration) ([]promapi.Track, error) {
			track := steps(map[string]string{"node": "a"}, from, to, step)
			if asked++; len(track.Samples) > 10000 {
				t.Errorf("asked for %d points at once, want 10000 at most", len(track.Samples))
			}
			return []promapi.Track{track}, nil
		})
		q := Question{Query: "x", From: begin, To: begin.Add(time.Duration(points-1) * 15 * time.Second), Step: 15 * time.Second}
		s, err := NewSeries(t.Context(), api, q)
		if err != nil {
			t.Fatal(err)
		}
		got := all(t, s)
		if len(got) != points || q.Points() != int64(points) || asked != (points+9999)/10000 {
			t.Errorf("%d points: got %d by %d questions, %d were foreseen", points, len(got), asked, q.Points())
		}
		for i, s := range got {
			if want := begin.Add(time.Duration(i) * 15 * time.Second); !s.At.Equal(want) || s.Label != Unlabelled {
				t.Fatalf("%d points: sample %d is %v, want one of %s", points, i, s, want)
			}
		}
	}
}

func TestSeries_WantsOneSeries(t *testing.T) {
	var many []promapi.Track
	for i := range 7 {
		many = append(many, promapi.Track{Labels: map[string]string{"node": fmt.Sprint("n", 7-i), "zone": "z"}})
	}
	q := Question{Query: "queue", From: begin, To: begin.Add(20000 * time.Second), Step: time.Second}
	for what, c := range map[string]struct {
		api  answer
		want string
	}{
		"many":    {func(time.Time, time.Time, time.Duration) ([]promapi.Track, error) { return many, nil }, `queue gives several series: {node="n1", zone="z"}, {node="n2", zone="z"}, {node="n3", zone="z"}, {node="n4", zone="z"}, {node="n5", zone="z"} and 2 more; want one: name the labels of one in the selector, or aggregate, such as max(…)`},
		"none":    {func(time.Time, time.Time, time.Duration) ([]promapi.Track, error) { return nil, nil }, "queue gives nothing from 2026-03-02T00:00:00Z to 2026-03-02T05:33:20Z"},
		"refused": {func(time.Time, time.Time, time.Duration) ([]promapi.Track, error) { return nil, errors.New("got 400") }, "got 400"},
		"another": {func(from, to time.Time, step time.Duration) ([]promapi.Track, error) {
			return []promapi.Track{steps(map[string]string{"pod": fmt.Sprint(from.Sub(begin))}, from, to, step)}, nil
		}, `queue gives several series: {pod="0s"}, {pod="2h46m40s"}; want one`},
	} {
		s, err := NewSeries(t.Context(), c.api, q)
		for err == nil {
			_, err = s.Read()
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant %s", what, err, c.want)
		}
	}
	// A piece in which the series has nothing is a gap.
	s, err := NewSeries(t.Context(), answer(func(from, to time.Time, step time.Duration) ([]promapi.Track, error) {
		if from.Equal(begin) {
			return nil, nil
		}
		return []promapi.Track{steps(nil, from, to, step)}, nil
	}), q)
	if err != nil {
		t.Fatal(err)
	}
	if got := all(t, s); len(got) != 10001 {
		t.Errorf("got %d samples, want the 10001 of the other pieces", len(got))
	}
	for _, bad := range []Question{{From: begin, To: begin.Add(-1), Step: time.Second}, {From: begin, To: begin}, {From: begin, To: begin, Step: 1}} {
		if _, err := NewSeries(t.Context(), nil, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
