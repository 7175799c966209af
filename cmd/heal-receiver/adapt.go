package main

import (
	"context"
	"time"

	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/promapi"
)

// queries lets the healer ask through promapi, which does not know it.
type queries struct{ *promapi.Client }

func (q queries) Query(ctx context.Context, query string) ([]healer.Point, error) {
	points, err := q.Client.Query(ctx, query)
	out := make([]healer.Point, 0, len(points))
	for _, p := range points {
		out = append(out, healer.Point(p))
	}
	return out, err
}

func durationOf(d time.Duration) model.Duration { return model.Duration(d) }
