package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// A story of testdata/ruletest: its files, and what magpie test and explain say of them.
func TestTestsOfRulesSayWhatHolds(t *testing.T) {
	t.Parallel()
	magpieBinary(t) // built before a command's time begins
	archives, err := filepath.Glob("testdata/ruletest/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no stories: ", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := unpack(t, a)
			want := string(txtar.Format(a))
			for i, f := range a.Files {
				if !strings.HasPrefix(f.Name, "test ") && !strings.HasPrefix(f.Name, "explain ") {
					continue
				}
				stdout, stderr, code := command(t, dir, strings.Fields(f.Name)...)
				a.Files[i].Data = []byte(stdout + stderr)
				if failed := regexp.MustCompile(`(?m)^FAIL|^magpie:|error:`).MatchString(stdout + stderr); failed != (code == 1) {
					t.Errorf("%s: exit %d", f.Name, code)
				}
			}
			if filepath.Base(path) == "notifications.txtar" { // what was sent is in what programs read, too
				stdout, _, _ := command(t, dir, "test", "-json", "-junit", "junit.xml", "good.hcl")
				junit, _ := os.ReadFile(filepath.Join(dir, "junit.xml"))
				if !strings.Contains(stdout, `"at": "3m30s"`) || !bytes.Contains(junit, []byte("<system-out>")) || !bytes.Contains(junit, []byte("notifier.log.db at 30s: firing")) {
					t.Errorf("%s\n%s", stdout, junit)
				}
			}
			got := txtar.Format(a)
			if updating() {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if string(got) != want {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

func unpack(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		if !strings.Contains(f.Name, " ") {
			if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// The same test files with the same outcome as promtool has, those that fail too.
func TestPromtoolAndMagpieAgreeOnTestFiles(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: there is no promtool on this machine; make deps installs it")
	}
	a, err := txtar.ParseFile("testdata/ruletest/promtool.txtar")
	if err != nil {
		t.Fatal(err)
	}
	magpieBinary(t)
	dir := unpack(t, a)
	files := 0
	for _, f := range a.Files {
		if !strings.HasSuffix(f.Name, "_test.yml") || strings.Contains(f.Name, " ") {
			continue
		}
		files++
		cmd := exec.Command(promtool, "test", "rules", f.Name)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		stdout, stderr, code := command(t, dir, "test", f.Name)
		if (err == nil) != (code == 0) {
			t.Errorf("%s: promtool: %v\n%s\nmagpie: exit %d\n%s%s", f.Name, err, out, code, stdout, stderr)
		}
	}
	if files < 2 {
		t.Error("there are too few files")
	}
	stdout, _, _ := command(t, dir, "test", "-json", "-junit", "junit.xml", "good_test.yml")
	junit, _ := os.ReadFile(filepath.Join(dir, "junit.xml"))
	if !json.Valid([]byte(stdout)) || !bytes.Contains(junit, []byte("<testcase ")) || !bytes.Contains(junit, []byte(`failures="0"`)) {
		t.Errorf("%s\n%s", stdout, junit)
	}
}
