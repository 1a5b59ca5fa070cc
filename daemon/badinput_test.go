package main

import (
	"bytes"
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// updating tells whether the golden files are to be written anew: go test -update, a flag of plugintest's.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// expect compares what came with what stands in a file of an archive. With -update the archive takes it.
func expect(t *testing.T, path string, a *txtar.Archive, file int, got string) {
	t.Helper()
	f := &a.Files[file]
	if got == string(f.Data) {
		return
	}
	if !updating() {
		t.Errorf("%s:\n%s", f.Name, got)
		return
	}
	f.Data = []byte(got)
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What people give to the command line that is no configuration: check and run say what it is, where, and what to do, and
// soon.
func TestWhatIsNoConfigurationIsSaidAndHarmsNothing(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{7})
	noise := make([]byte, 64<<10)
	random.Read(noise)
	tests := []struct {
		name    string
		content []byte // of the file; nil: there is none
		dir     string // to make; the path is a directory then
		says    string // a regular expression
	}{
		{"parens.hcl", bytes.Repeat([]byte("("), 100<<10), "", `parens.hcl:1:\d+: error: Nested too deep\n[^\n]*\n[^\n]*\^\n.*at most 64 deep\. Is one not closed\?`},
		{"brackets.hcl", append([]byte("a = "), bytes.Repeat([]byte("["), 100<<10)...), "", `brackets.hcl:1:\d+: error: Nested too deep`},
		{"templates.hcl", append([]byte(`a = "`), bytes.Repeat([]byte(`${"`), 30<<10)...), "", `templates.hcl:1:\d+: error: Nested too deep`},
		{"nots.hcl", append([]byte("a = "), bytes.Repeat([]byte("!"), 100<<10)...), "", `nots.hcl:1:\d+: error: Expression too long`},
		{"large.hcl", bytes.Repeat([]byte("# a line\n"), 2<<20/9), "", `large.hcl:1:1: error: File too large\n.*\n.*\n.*at most 1 MiB: split it into files of one directory`},
		{"noise.hcl", append(noise, 0, 0, 0), "", `noise.hcl:1:\d+: error: Not a text file\n.*\n.*\n.*Is this a configuration file\?`},
		{"zeros.hcl", make([]byte, 4096), "", `zeros.hcl:1:1: error: Not a text file`},
		{"nul.hcl", []byte("store \"tsdb\" \"main\" {}\x00\n"), "", `nul.hcl:1:23: error: Not a text file`},
		{"latin1.hcl", []byte("source \"host\" \"th\xe9s\" {}\n"), "", `latin1.hcl:1:18: error: Not a text file\n.*\n.*\^\n.*The byte 0xe9 here is not text in UTF-8`},
		{"empty", nil, "empty", `empty is a directory without \*\.hcl files: write one, or give another path`},
		{"directory.hcl", nil, "directory.hcl", `directory.hcl is a directory without \*\.hcl files`},
		{"nested", nil, "nested/sub.hcl", `nested is a directory without \*\.hcl files`},
		{"missing.hcl", nil, "", `missing.hcl does not exist: give the path of a \.hcl file, or of a directory that holds some`},
		{"file.hcl/below.hcl", nil, "", `file.hcl/below.hcl`},
	}
	for _, test := range tests {
		for _, cmd := range []string{"check", "run"} {
			t.Run(cmd+" "+test.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				os.WriteFile(filepath.Join(dir, "file.hcl"), nil, 0o600)
				if test.dir != "" {
					os.MkdirAll(filepath.Join(dir, test.dir), 0o700)
				}
				if test.content != nil {
					os.WriteFile(filepath.Join(dir, test.name), test.content, 0o600)
				}
				magpieBinary(t)
				began := time.Now()
				stdout, stderr, code := command(t, dir, cmd, test.name)
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("it took %s", took)
				}
				if code != 1 || stdout != "" || len(stderr) > 64<<10 || !regexp.MustCompile(test.says).MatchString(stderr) {
					t.Errorf("exit %d, %d bytes of stderr, which do not say %s\n%s%.4000s", code, len(stderr), test.says, stdout, stderr)
				}
				if regexp.MustCompile(`(?i)panic|goroutine|stack overflow|\.go:\d`).MatchString(stderr) {
					t.Errorf("a crash:\n%.4000s", stderr)
				}
			})
		}
	}
}

// tell runs the binary in a directory that holds the files of a story.
func tell(t *testing.T, a *txtar.Archive, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range a.Files {
		if strings.HasSuffix(f.Name, ".hcl") || strings.HasSuffix(f.Name, ".json") {
			if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	binary := magpieBinary(t) // built before the clock runs
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir(), "SITE=fra1", "PORT=8", "TOKEN=env-canary")
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	cmd.Run()
	return out.String(), errors.String(), cmd.ProcessState.ExitCode()
}

// The ten typical mistakes as a person and as a program see them: a section "check ARGS" of the story is what that command
// prints.
func TestTheTypicalMistakesAreAnsweredWithTheirLine(t *testing.T) {
	t.Parallel()
	const path = "testdata/cli/mistakes.txtar"
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range a.Files {
		if !strings.HasPrefix(f.Name, "check ") {
			continue
		}
		files := &txtar.Archive{}
		for _, f := range a.Files {
			if !strings.Contains(f.Name, " ") {
				files.Files = append(files.Files, f)
			}
		}
		stdout, stderr, code := tell(t, files, strings.Fields(f.Name)...)
		got := stderr
		if strings.Contains(f.Name, "-json") {
			got = stdout
		}
		if code != 1 || stdout != "" && stderr != "" {
			t.Errorf("%s: exit %d\n%s\n%s", f.Name, code, stdout, stderr)
		}
		expect(t, path, a, i, got)
	}
}

// The stories of room plan are told with made-up plugins. Those that need nothing of them read the same through the binary
// with the real ones.
func TestTheBinarySaysWhatTheStoriesOfThePlanSay(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"json", "nobody", "places", "promql", "references", "routes", "unclosed", "warnings"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile("testdata/config/" + name + ".txtar")
			if err != nil {
				t.Fatal(err)
			}
			var want string
			for _, f := range a.Files {
				if f.Name == "diagnostics" {
					want = string(f.Data)
				}
			}
			_, stderr, code := tell(t, a, "check", ".")
			if wantCode := map[bool]int{true: 1, false: 0}[strings.Contains(want, "error:")]; stderr != want || code != wantCode {
				t.Errorf("exit %d\n%s", code, stderr)
			}
		})
	}
}
