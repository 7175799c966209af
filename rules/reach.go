package rules

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// farthest is a reach beyond which no bound could be kept anyway; sums with it do
// not overflow.
const farthest = 50 * 365 * 24 * time.Hour

// Reach is R of DETECTION 6.2: so long after the last good sample of what it reads
// an expression may still be told something good. It is the longest way back
// from the instant of the evaluation, over ranges, offsets and subqueries, of the
// selectors that move with it. The error says what is wrong with the expression.
func Reach(expr string) (time.Duration, error) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return 0, fmt.Errorf("reading the expression: %w", err)
	}
	longest, moves := time.Duration(0), false
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			back, moving := wayBack(v, path)
			longest, moves = max(longest, back), moves || moving
		}
		return nil
	})
	if !moves {
		return 0, errors.New("it reads no series as it is now, and so shows no fault; want one that reads a series, such as queue_length, without @")
	}
	return longest, nil
}

// wayBack is the reach of one selector inside of what surrounds it. One that is
// fixed to an instant with @ does not move: what it reads is always the same.
func wayBack(v *parser.VectorSelector, around []parser.Node) (back time.Duration, moves bool) {
	back, moves = further(v.OriginalOffset, 0), v.Timestamp == nil
	for _, n := range around {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			back = further(back, n.Range)
		case *parser.SubqueryExpr:
			back = further(further(back, n.Range), n.OriginalOffset)
			moves = moves && n.Timestamp == nil
		}
	}
	if !moves {
		return 0, false
	}
	return back, true
}

// further adds two ways back, up to the farthest one.
func further(a, b time.Duration) time.Duration {
	limited := func(d time.Duration) time.Duration { return min(max(d, -farthest), farthest) }
	return limited(limited(a) + limited(b))
}
