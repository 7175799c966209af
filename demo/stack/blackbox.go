package stack

import (
	"context"
	"fmt"
)

// Blackbox gives the released blackbox_exporter that ours is compared with:
// built from its module and kept in the cache, never taken from PATH, so that it
// is the same one everywhere.
func Blackbox(ctx context.Context, o Options) (Program, error) {
	f, err := newFinder(o)
	if err != nil {
		return Program{}, err
	}
	const module = "github.com/prometheus/blackbox_exporter"
	found, err := f.made(ctx, recipe{
		module: module, folder: "blackbox", names: []string{"blackbox_exporter"}, packages: []string{module},
		env:     []string{"CGO_ENABLED=0"}, // as its releases are
		usually: "a minute or so",
	}, "not in the cache")
	if err != nil {
		return Program{}, fmt.Errorf("finding blackbox_exporter: %w", err)
	}
	return found[0], nil
}
