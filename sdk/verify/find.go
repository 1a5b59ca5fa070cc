package verify

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Found is a plugin that a person named.
type Found struct {
	Dir     string // of its sources; "": only the binary is there
	Binary  string // "" until it is built
	Example *Example
	Shown   *Example
	build   func(ctx context.Context, dir, binary string) error
}

// sources is how plugins of one language are told by their sources, and made into a file that can be started.
type sources struct {
	ours  func(dir string) bool
	build func(ctx context.Context, dir, binary string) error
}

// languages are tried in this order.
var languages = []sources{
	{func(dir string) bool { return has(dir, "*.go") }, buildGo},
	{func(dir string) bool { return has(dir, "*.py") }, buildPython},
}

// Find finds the plugin that a person named: a binary, a directory of sources, or the name of one in the plugin directories.
// example is the file that was named, or "": then it is testdata/verify.hcl or example.hcl of the sources, or example.hcl beside
// the binary.
func Find(path, example string, dirs []string) (*Found, error) {
	info, err := os.Stat(path)
	if err != nil && filepath.Base(path) == path {
		for _, dir := range dirs {
			if i, e := os.Stat(filepath.Join(dir, path)); e == nil && i.Mode().IsRegular() {
				info, err, path = i, nil, filepath.Join(dir, path)
				break
			}
		}
		if err != nil {
			return nil, fmt.Errorf("there is no file or directory %s, and no plugin of that name in %s", path, strings.Join(dirs, " or "))
		}
	}
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	f := &Found{Binary: path}
	beside := filepath.Dir(path)
	if info.IsDir() {
		f.Dir, f.Binary, beside = path, "", path
		for _, l := range languages {
			if l.ours(path) {
				f.build = l.build
				break
			}
		}
		if f.build == nil {
			return nil, fmt.Errorf("%s holds no sources of a plugin: it needs Go files, with package main, or a module in Python called as the directory", path)
		}
	}
	if f.Shown, err = readExample(filepath.Join(beside, "example.hcl")); err != nil {
		return nil, err
	}
	names := []string{example}
	if example == "" {
		names = []string{filepath.Join(beside, "testdata", "verify.hcl"), filepath.Join(beside, "example.hcl")}
	}
	for _, name := range names {
		if f.Example, err = readExample(name); f.Example != nil || err != nil {
			break
		}
	}
	if err == nil && f.Example == nil && example != "" {
		err = fmt.Errorf("there is no file %s", example)
	}
	return f, err
}

// readExample reads a file; nil: it is not there.
func readExample(name string) (*Example, error) {
	b, err := os.ReadFile(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Example{name, b}, nil
}

func has(dir, pattern string) bool {
	found, _ := filepath.Glob(filepath.Join(dir, pattern))
	return len(found) > 0
}

// Build makes the binary of sources in a directory, under the name of the sources' directory, and says what the compiler says.
func (f *Found) Build(ctx context.Context, into string) error {
	if f.build == nil {
		return nil
	}
	binary := filepath.Join(into, filepath.Base(f.Dir))
	if err := f.build(ctx, f.Dir, binary); err != nil {
		return err
	}
	f.Binary = binary
	return nil
}

// buildGo builds as Magpie's own plugins are built: small, and without paths of this machine.
func buildGo(ctx context.Context, dir, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", binary, ".")
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it clears its directory away
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", dir, err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
