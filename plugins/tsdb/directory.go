package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/tsdb/wlog"

	"github.com/magpie-monitoring/magpie/sdk"
)

// claimed are the directories in use in this process: the TSDB's lock file keeps out other processes only (fcntl), and all
// stores of a plugin live in one.
var claimed struct {
	sync.Mutex
	dirs map[string]bool
}

// lock takes a directory for one database, with the lock file that Prometheus uses.
func lock(dir string, cfg *Config, log *slog.Logger) (release func(), err error) {
	claimed.Lock()
	defer claimed.Unlock()
	if claimed.dirs[dir] {
		return nil, inUse(cfg, dir, "another store of this daemon")
	}
	locker, err := tsdbutil.NewDirLocker(dir, "tsdb", quietly(log), nil)
	if err != nil {
		return nil, sdk.At(&cfg.Path, err)
	}
	if err := locker.Lock(); err != nil {
		if errors.Is(err, syscall.EAGAIN) {
			return nil, inUse(cfg, dir, "another process, such as a Prometheus")
		}
		return nil, sdk.At(&cfg.Path, err)
	}
	if claimed.dirs == nil {
		claimed.dirs = map[string]bool{}
	}
	claimed.dirs[dir] = true
	return func() {
		claimed.Lock()
		defer claimed.Unlock()
		delete(claimed.dirs, dir)
		if err := locker.Release(); err != nil {
			log.Warn("release the directory", "dir", dir, "error", err)
		}
	}, nil
}

func inUse(cfg *Config, dir, by string) error {
	err := fmt.Errorf("the directory %s is in use by %s", dir, by)
	return sdk.At(&cfg.Path, sdk.Fix(err, "give each store a path of its own, or stop the other one first"))
}

// repairing is what the TSDB calls a segment of a log while it writes the part before a damage anew.
const repairing = ".repair"

// undoRepairs puts back segments of logs whose repair did not end, because the disk was full or the process was killed:
// the TSDB would read the part that was written so far, and forget the rest. Nothing else is written during a repair, so
// the old segment is the newest truth; it is repaired again.
func undoRepairs(dir string, log *slog.Logger) error {
	for _, part := range []string{"wal", wlog.WblDirName} {
		files, err := os.ReadDir(filepath.Join(dir, part))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("look for unfinished repairs: %w", err)
		}
		for _, f := range files {
			segment, unfinished := strings.CutSuffix(f.Name(), repairing)
			if !unfinished {
				continue
			}
			log.Warn("the repair of a log did not end: it starts again", "segment", filepath.Join(part, segment))
			if err := os.Rename(filepath.Join(dir, part, f.Name()), filepath.Join(dir, part, segment)); err != nil {
				return fmt.Errorf("undo an unfinished repair: %w", err)
			}
		}
	}
	return nil
}
