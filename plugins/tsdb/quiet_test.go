package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
)

// loggingHost keeps what a store logs.
type loggingHost struct {
	bareHost
	log *slog.Logger
}

func (h loggingHost) Log() *slog.Logger { return h.log }

func TestTheDatabasesRoutineIsNotLoggedUnlessOneDebugs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var out bytes.Buffer
		for range 2 { // the second one replays the first one's log, and finds the lock file that a killed process leaves
			s, err := open(t.Context(), &Config{Path: dir, WALCompression: "none"}, loggingHost{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))})
			if err != nil {
				t.Fatal(err)
			}
			f := newFleet(1, 10)
			f.next()
			if err := s.Write(t.Context(), sdk.ReadBatch(1, f.runs)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range []string{"WAL segment loaded", "A lockfile from a previous execution"} {
			if said := strings.Contains(out.String(), `level=DEBUG msg="`+line); said != (level == slog.LevelDebug) {
				t.Errorf("at level %s:\n%s", level, &out)
			}
		}
		if level == slog.LevelInfo && out.Len() > 0 {
			t.Errorf("the log is not empty:\n%s", &out)
		}
	}
}

func TestWarningsOfTheDatabaseStayWarnings(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := quietly(slog.New(slog.NewTextHandler(&out, nil))).With("a", 1).WithGroup("g")
	log.Info("not this")
	log.Warn("this", "b", 2)
	log.Error("and this")
	if got := out.String(); strings.Contains(got, "not this") || !strings.Contains(got, "level=WARN msg=this a=1 g.b=2") || !strings.Contains(got, `level=ERROR msg="and this"`) {
		t.Error(got)
	}
}
