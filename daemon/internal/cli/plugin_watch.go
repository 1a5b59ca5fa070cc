package cli

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	watchEvery = 300 * time.Millisecond
	watchFiles = 20_000 // what is beyond is not looked at: nobody's plugin is so large
)

// watched are the files that a plugin is built of. They are looked at, rather than the kernel asked: that is the same on every
// system and file system, and costs some milliseconds of CPU a second. Whatever else lies among them is passed over: binaries, the
// report of a verification, the data of a daemon that was started there. Else a build, or the daemon that takes it, would begin the
// next one.
type watched struct {
	dirs     []string // each with all below it; the first is the plugin's own
	made     string   // the binary: never a source, even in a directory that is embedded
	patterns []string // what sources embed
	last     map[string]string
}

// builtOf are the endings of files that Go, C or Python is built of, and of examples, with which a plugin is checked.
var builtOf = []string{".go", ".mod", ".sum", ".work", ".s", ".S", ".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".syso", ".py", ".toml", ".hcl"}

// notBuiltOf are directories of builds, and of what others made.
var notBuiltOf = []string{"bin", "__pycache__", "node_modules", "build", "dist"}

// newWatched looks at the plugin of a directory, whose binary is put at made.
func newWatched(ctx context.Context, dir, made string) *watched {
	w := &watched{dirs: []string{real(dir)}, made: filepath.Join(real(filepath.Dir(made)), filepath.Base(made))}
	w.last = w.look()
	w.follow(ctx)
	return w
}

// real is a path without symbolic links, which nobody walks through.
func real(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return path
}

// look notes every file's size and time.
func (w *watched) look() map[string]string {
	seen := map[string]string{}
	looked := 0
	whole := "" // the package of Python that it is in: all that is in one goes along
	for _, root := range w.dirs {
		filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil // it is gone by now
			}
			if looked++; looked > watchFiles {
				return fs.SkipAll
			}
			name := e.Name()
			if !strings.HasPrefix(path, whole+"/") {
				whole = ""
			}
			embedded := w.embedded(path)
			if e.IsDir() {
				if path != root && (strings.HasPrefix(name, ".") || slices.Contains(notBuiltOf, name)) && !embedded {
					return fs.SkipDir
				}
				if _, err := os.Stat(filepath.Join(path, "__init__.py")); err == nil && whole == "" {
					whole = path
				}
				return nil
			}
			source := slices.Contains(builtOf, filepath.Ext(name)) || name == "requirements.txt" || whole != ""
			if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || path == w.made || !source && !embedded {
				return nil
			}
			if info, err := e.Info(); err == nil {
				seen[path] = fmt.Sprintf("%d %d %v", info.Size(), info.ModTime().UnixNano(), info.Mode())
			}
			return nil
		})
	}
	return seen
}

// embedded reports whether a path, or a directory that it is in, is what a source embeds.
func (w *watched) embedded(path string) bool {
	for ; len(w.patterns) > 0 && len(path) > 1; path = filepath.Dir(path) {
		for _, p := range w.patterns {
			if ok, _ := filepath.Match(p, path); ok {
				return true
			}
		}
	}
	return false
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
// plugin is built of, and at what they embed. What changed since the last look still counts.
func (w *watched) follow(ctx context.Context) {
	const each = "{{with .Module}}{{if or .Main .Replace}}dir {{$.Dir}}\n{{range $.EmbedPatterns}}embed {{$.Dir}}/{{.}}\n{{end}}{{end}}{{end}}"
	cmd := exec.CommandContext(ctx, "go", "list", "-e", "-deps", "-f", each, ".")
	cmd.Dir = w.dirs[0]
	out, err := cmd.Output()
	if err != nil {
		return // it is Python, or does not build
	}
	before := w.look()
	w.patterns = nil
	for line := range strings.Lines(string(out)) {
		what, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		inside := func(d string) bool { return path == d || strings.HasPrefix(path, d+"/") }
		switch {
		case what == "embed":
			dir, file, _ := strings.Cut(path, "/all:")
			w.patterns = append(w.patterns, filepath.Join(dir, file))
		case what == "dir" && !slices.ContainsFunc(w.dirs, inside):
			w.dirs = append(w.dirs, path)
		}
	}
	now := w.look()
	for path := range before {
		if _, still := now[path]; !still {
			delete(w.last, path)
		}
	}
	for path, at := range now {
		if _, known := before[path]; !known {
			w.last[path] = at
		}
	}
}
