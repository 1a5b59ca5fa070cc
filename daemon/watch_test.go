package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// rotate puts a new content behind a path as Kubernetes does: the path is a link through the link ..data, which is replaced in one step.
func rotate(t *testing.T, dir, generation, content string) (path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, generation), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, generation, "password"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Symlink(generation, filepath.Join(dir, "..data_tmp"))
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "password")
	os.Symlink("..data/password", path)
	return path
}

// A secret that is rotated behind its path takes effect by itself, and no sample is lost. What cannot be read, or does not open, leaves what was.
func TestARotatedSecretTakesEffectByItself(t *testing.T) {
	t.Parallel()
	secrets := t.TempDir()
	path := rotate(t, secrets, "1", "canary-first\n")
	f := fault(t, fmt.Sprintf("rate = 100000\nnote = secret(\"file:%s\")", path), "", "")
	f.flows()
	since := func() (at string) {
		for _, c := range f.status().Components {
			if c.Address == "source.numbers.n" && c.State == "running" {
				at = c.SinceUnixMs
			}
		}
		return at
	}
	before := since()
	rotate(t, secrets, "2", "canary-second\n")
	f.recorded(`watch +changed .*/password +applied, runs`)
	if now := since(); now == before || now == "" {
		t.Errorf("the source was not opened with the new secret: %s, %s", before, now)
	}
	f.flows()

	for i, bad := range []string{"", broken} { // it cannot be read; it can, and the source does not open with it
		f.eventually("the source has told its series", func() bool { return f.metric("magpie_source_series") == slots })
		ran := f.running()
		rotate(t, secrets, fmt.Sprint("bad", i), bad)
		f.eventually("it is said that the new content is not in effect", func() bool {
			return f.metric("magpie_watched_files_stale") == 1 && strings.Contains(f.status().Config.Problem, "The files that changed were not taken")
		})
		if now := f.running(); now != ran {
			t.Errorf("a content that does not work changed what runs:\n%s\nand now:\n%s", ran, now)
		}
		rotate(t, secrets, fmt.Sprint("good", i), fmt.Sprintf("canary-good-%d\n", i))
		f.eventually("the next one is in effect", func() bool { return f.metric("magpie_watched_files_stale") == 0 && f.status().Config.Problem == "" })
	}
	os.Chtimes(filepath.Join(secrets, "good1", "password"), time.Now(), time.Now()) // touched, and no more
	f.recorded(`watch +changed .*/password +failed`)
	out, _, _ := f.say("history", "2")
	if !regexp.MustCompile(`note +\(sensitive\) -> \(sensitive\) \(changed\)`).MatchString(out) || strings.Contains(out+f.logged(), "canary") {
		t.Errorf("the history says of it:\n%s", out)
	}
	f.complete()
	f.balanced(account{})
}
