package main

import (
	"context"
	"log/slog"
	"strings"
)

// quiet is the log of the database: what it tells of its routine (replays, compactions, garbage collections) are lines for
// debugging. So is its warning of a lock file that a killed process left, which is replaced and harms nobody.
type quiet struct{ slog.Handler }

func quietly(log *slog.Logger) *slog.Logger { return slog.New(quiet{log.Handler()}) }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, lowered(level))
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lowered(r.Level)
	if strings.HasPrefix(r.Message, "A lockfile from a previous execution") {
		r.Level = slog.LevelDebug
	}
	if !q.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }
func (q quiet) WithGroup(name string) slog.Handler       { return quiet{q.Handler.WithGroup(name)} }

func lowered(level slog.Level) slog.Level {
	if level == slog.LevelInfo {
		return slog.LevelDebug
	}
	return level
}
