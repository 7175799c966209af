package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	sloggokit "github.com/tjhop/slog-gokit"
)

// newLogger writes lines of the format and from the level up. Two that share a
// writer need one that can be shared (log.NewSyncWriter).
func newLogger(w io.Writer, format, least string) log.Logger {
	logger := log.NewLogfmtLogger(w)
	if format == "json" {
		logger = log.NewJSONLogger(w)
	}
	// Not by log.With: the level would stand before the time in lines of ours, and
	// behind it in those of the bridge.
	stamped := log.LoggerFunc(func(pairs ...any) error {
		return logger.Log(append([]any{"ts", log.DefaultTimestampUTC()}, pairs...)...)
	})
	return level.NewFilter(stamped, level.Allow(level.ParseDefault(least, level.InfoValue())))
}

// bridge lets libraries that want slog write to the logger.
func bridge(logger log.Logger) *slog.Logger {
	return slog.New(sparing{sloggokit.NewGoKitHandler(logger, slog.LevelDebug)})
}

// sparing leaves out what the logger adds itself, or nobody reads: the time, and
// the line of code.
type sparing struct{ slog.Handler }

// Handle is part of slog.Handler.
func (s sparing) Handle(ctx context.Context, r slog.Record) error {
	r.Time, r.PC = time.Time{}, 0
	return s.Handler.Handle(ctx, r)
}

// WithAttrs is part of slog.Handler.
func (s sparing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sparing{s.Handler.WithAttrs(attrs)}
}

// WithGroup is part of slog.Handler.
func (s sparing) WithGroup(name string) slog.Handler { return sparing{s.Handler.WithGroup(name)} }
