package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
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
	promtool := plugintest.Program(t, "promtool")
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

// The test files of a pack run with the rule files that they name, whether they are in a directory or in an archive, and what is wrong in them is
// said at their own lines.
func TestTestFilesOfAPackRunFromWhereverItComes(t *testing.T) {
	t.Parallel()
	const rules = "groups:\n- name: g\n  rules:\n  - alert: Down\n    expr: up == 0\n    for: 1m\n"
	const good = "rule_files: [../rules/*.yml]\ntests:\n- name: down\n  input_series:\n  - series: up{instance=\"a\"}\n    values: 0x10\n  alert_rule_test:\n" +
		"  - eval_time: 5m\n    alertname: Down\n    exp_alerts:\n    - exp_labels: { instance: a }\n"
	const fails = good + "  - eval_time: 30s\n    alertname: Down\n    exp_alerts:\n    - exp_labels: { instance: a }\n"
	for name, c := range map[string]struct {
		tests string
		code  int
		want  []string // PACK is where the pack is
	}{
		"good":             {good, 0, []string{"ok   PACK/tests/t.yml:3:3: down\n1 test, 0 failed.\n"}},
		"failing":          {fails, 1, []string{"FAIL PACK/tests/t.yml:3:3: down\n     PACK/tests/t.yml:12:5: at 30s these alerts are firing:\n"}},
		"unknown field":    {strings.Replace(good, "values", "vales", 1), 1, []string{"PACK/tests/t.yml:6: \"vales\" is not a field here. Did you mean \"values\"?"}},
		"wrong types":      {strings.Replace(strings.Replace(good, "5m", "soon", 1), "0x10", "[1]", 1), 1, []string{"PACK/tests/t.yml:6: cannot unmarshal", "PACK/tests/t.yml:8: not a valid duration"}},
		"no YAML":          {"rule_files: [a\n", 1, []string{"PACK/tests/t.yml:1: did not find expected"}},
		"a small bomb":     {"x: &x [1,2,3,4,5,6,7,8,9,0]\ny: &y [*x,*x,*x,*x,*x,*x,*x,*x,*x,*x]\nz: &z [*y,*y,*y,*y,*y,*y,*y,*y,*y,*y]\nu: &u [*z,*z,*z,*z,*z,*z,*z,*z,*z,*z]\nv: &v [*u,*u,*u,*u,*u,*u,*u,*u,*u,*u]\nw: [*v,*v,*v,*v,*v,*v,*v,*v,*v,*v]\n", 1, []string{"PACK/tests/t.yml: a test file has at most 1000000 values"}},
		"no such rules":    {strings.Replace(good, "*.yml", "x.yml", 1), 1, []string{"PACK/tests/t.yml:1:14: no file matches ../rules/x.yml"}},
		"wrong rules":      {strings.Replace(good, "*.yml", "*.rules", 1), 1, []string{"PACK/rules/wrong.rules:1:", "up ==="}},
		"outside the pack": {strings.Replace(good, "../rules/*.yml", "../../config.yml", 1), 1, []string{"PACK/tests/t.yml:1:14: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := [][2]string{
				{"p/main.hcl", "rules \"r\" { files = [\"rules/*.yml\"] }\ntest \"promtool\" { files = [\"tests/*.yml\"] }\nalert \"x\" { expr = \"up\" }\n"},
				{"p/rules/r.yml", rules}, {"p/rules/wrong.rules", "groups: [{name: w, rules: [{alert: W, expr: up ===}]}]"}, {"p/tests/t.yml", c.tests},
			}
			dir := t.TempDir()
			var archive bytes.Buffer
			zipped := gzip.NewWriter(&archive)
			out := tar.NewWriter(zipped)
			write := func(name, text string) {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range files {
				write(f[0], f[1])
				if err := out.WriteHeader(&tar.Header{Name: f[0], Mode: 0o600, Size: int64(len(f[1]))}); err != nil {
					t.Fatal(err)
				}
				out.Write([]byte(f[1]))
			}
			out.Close()
			zipped.Close()
			write("p.tgz", archive.String())
			for place, source := range map[string]string{"p": `source = "./p"`, "p.tgz": fmt.Sprintf("source = \"./p.tgz\"\n  sha256 = \"%x\"", sha256.Sum256(archive.Bytes()))} {
				config := place + ".hcl"
				write(config, "store \"tsdb\" \"main\" {}\npack \"p\" {\n  for_each = toset([\"a\", \"b\"])\n  "+source+"\n}\n")
				stdout, stderr, code := command(t, dir, "test", config)
				for _, want := range c.want {
					if want = strings.ReplaceAll(want, "PACK", place); !strings.Contains(stdout+stderr, want) || code != c.code {
						t.Errorf("%s: exit %d, and %q is not in\n%s%s", config, code, want, stdout, stderr)
					}
				}
			}
		})
	}
}
