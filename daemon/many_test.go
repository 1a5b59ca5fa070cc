package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
)

// idler is what each of many plugins offers.
type idler struct{}

type idlerConfig struct {
	Greeting string `hcl:"greeting,optional" default:"Hello" doc:"What it would say."`
}

func openIdler(context.Context, *idlerConfig, sdk.Host) (*idler, error) { return &idler{}, nil }

func (*idler) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// TestWhatIsKnownOfThirtyPluginsStartsNone: each of them notes when it is started.
func TestWhatIsKnownOfThirtyPluginsStartsNone(t *testing.T) {
	t.Parallel()
	const many = 30
	dir := t.TempDir()
	plugins, starts := filepath.Join(dir, "plugins"), filepath.Join(dir, "starts")
	self, err := os.Executable()
	if err == nil {
		err = os.Mkdir(plugins, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	for i := range many {
		name := fmt.Sprintf("many%02d", i)
		real := filepath.Join(dir, "one-of-many-"+name) // the name says what the test's program is
		script := fmt.Sprintf("#!/bin/sh\necho %s >> %s\nexec %s\n", name, starts, real)
		if err := os.Symlink(self, real); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(plugins, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "service %q \"main\" {\n  greeting = \"Good morning\"\n}\n", name)
	}
	file := filepath.Join(dir, "config.hcl")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		b, _ := os.ReadFile(starts)
		return strings.Count(string(b), "\n")
	}
	for i, args := range [][]string{
		{"check", "-plugin-dir", plugins, file}, // nothing is known yet
		{"check", "-plugin-dir", plugins, file}, {"plugin", "-plugin-dir", plugins, "list"}, {"plugin", "-plugin-dir", plugins, "describe", "many07"},
		{"docs", "-plugin-dir", plugins}, {"docs", "-plugin-dir", plugins, "service.many29"}, {"graph", "-plugin-dir", plugins, file},
	} {
		stdout, stderr, code := command(t, dir, args...)
		if code != 0 {
			t.Errorf("%q: %d\n%s%s", args, code, stdout, stderr)
		}
		if i > 0 && i < 4 && !strings.Contains(stdout, "many") && args[0] != "check" {
			t.Errorf("%q:\n%s", args, stdout)
		}
		if n := count(); n != many {
			t.Fatalf("after %q processes were started %d times, for %d plugins", args, n, many)
		}
	}
	if err := os.WriteFile(file, []byte("service \"many03\" \"main\" { greting = \"x\" }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := command(t, dir, "check", "-plugin-dir", plugins, file); code != 1 || !strings.Contains(stderr, `Did you mean "greeting"?`) || count() != many {
		t.Errorf("a mistake: %d, %d starts\n%s", code, count(), stderr)
	}
}
