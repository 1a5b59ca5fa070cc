package cli

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	watchEvery = 300 * time.Millisecond
	watchFiles = 5000 // what is beyond is not looked at: nobody's plugin is so large
)

// watched are the files that a plugin is built of. They are looked at, rather than the kernel asked: that is the same on every
// system and file system, and costs some milliseconds of CPU a second.
type watched struct {
	dirs []string // each with all below it; the first is the plugin's own
	last map[string]string
}

func newWatched(dir string) *watched {
	w := &watched{dirs: []string{dir}}
	w.last = w.look()
	return w
}

// look notes every file's size and time. Hidden files and directories, and those of builds, are left out.
func (w *watched) look() map[string]string {
	seen := map[string]string{}
	for _, root := range w.dirs {
		filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || len(seen) >= watchFiles {
				return nil // it is gone by now
			}
			name := e.Name()
			skipped := strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || slices.Contains([]string{"bin", "__pycache__", "node_modules", "build", "dist"}, name)
			if e.IsDir() {
				if skipped && path != root {
					return fs.SkipDir
				}
				return nil
			}
			if info, err := e.Info(); err == nil && !skipped {
				seen[path] = fmt.Sprintf("%d %d %v", info.Size(), info.ModTime().UnixNano(), info.Mode())
			}
			return nil
		})
	}
	return seen
}

// changed waits for one look, and reports whether there was a change that is complete: an editor writes several files, or one in
// several steps.
func (w *watched) changed(ctx context.Context) bool {
	any := false
	for {
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return false
		}
		now := w.look()
		if maps.Equal(now, w.last) {
			return any
		}
		w.last, any = now, true
	}
}

// follow looks from now on also at the packages of the same Go module, and of modules that are replaced by a directory, that the
// plugin is built of. What changed since the last look still counts.
func (w *watched) follow(ctx context.Context, dir string) {
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-deps", "-f", "{{with .Module}}{{if or .Main .Replace}}{{$.Dir}}{{end}}{{end}}", ".")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return // it is Python, or does not build
	}
	for line := range strings.Lines(string(out)) {
		other := strings.TrimSpace(line)
		if inside := slices.ContainsFunc(w.dirs, func(d string) bool { return other == d || strings.HasPrefix(other, d+"/") }); other == "" || inside {
			continue
		}
		w.dirs = append(w.dirs, other)
		maps.Copy(w.last, (&watched{dirs: []string{other}}).look())
	}
}
