package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// tellCommands tells a story of commands that need no daemon, in order: a section "COMMAND ARGS => exit N" is what that prints,
// "cat FILE" what the file holds then; all others are files.
func tellCommands(t *testing.T, path string) (dir string) {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	magpieBinary(t) // built before the clock of the first command runs
	for i, f := range a.Files {
		line, code, isCommand := strings.Cut(f.Name, " => ")
		if !isCommand {
			os.MkdirAll(filepath.Dir(filepath.Join(dir, f.Name)), 0o755)
			if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o640); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, exit := "", 0
		if name, ok := strings.CutPrefix(line, "cat "); ok {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got = string(text)
		} else {
			var stdout, stderr string
			stdout, stderr, exit = command(t, dir, strings.Fields(line)...)
			got = stdout + stderr
		}
		if fmt.Sprint("exit ", exit) != code {
			t.Errorf("%s: exit %d\n%s", line, exit, got)
		}
		if got != "" && !strings.HasSuffix(got, "\n") {
			t.Errorf("%s: what it prints ends within a line: %q", line, got)
		}
		expect(t, path, a, i, got)
	}
	return dir
}

func TestFilesAreFormattedAndThoseWithMistakesLeftAlone(t *testing.T) {
	t.Parallel()
	dir := tellCommands(t, "testdata/cli/fmt.txtar")
	loose := filepath.Join(dir, "loose.hcl")
	if info, err := os.Stat(loose); err != nil || info.Mode().Perm() != 0o640 {
		t.Error("the mode is not what it was: ", info.Mode(), err)
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Error("left behind: ", e.Name())
		}
	}
	// A link stays a link, to a file that is formatted.
	os.WriteFile(loose, []byte("locals {\n a=1\n}\n"), 0o600)
	link := filepath.Join(dir, "link.hcl")
	if err := os.Symlink("loose.hcl", link); err != nil {
		t.Fatal(err)
	}
	if out, stderr, code := command(t, dir, "fmt", "link.hcl"); code != 0 || out != "link.hcl\n" {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
	text, _ := os.ReadFile(loose)
	if to, err := os.Readlink(link); err != nil || to != "loose.hcl" || string(text) != "locals {\n  a = 1\n}\n" {
		t.Errorf("%s, %v:\n%s", to, err, text)
	}
}

func TestStandardInputIsFormattedToStandardOutput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, args, out, stderr string
		code                  int
	}{
		{"locals {\n a=1\n}\n", "", "locals {\n  a = 1\n}\n", "", 0},
		{"locals {\n a=1\n}\n", "-check", "<stdin>\n", "", 1},
		{"locals {\r\n a=1\r\n}\r\n", "", "locals {\r\n  a = 1\r\n}\r\n", "", 0},
		{"", "", "", "", 0},
		{"locals {\n", "", "", "<stdin>:1:8: error: Unclosed block", 1},
		{strings.Repeat("#\n", 1<<19+1), "", "", "File too large", 1},
	} {
		cmd := exec.Command(magpieBinary(t), strings.Fields("fmt "+c.args+" -")...)
		var out, stderr bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.in), &out, &stderr
		cmd.Run()
		if out.String() != c.out || !strings.Contains(stderr.String(), c.stderr) || cmd.ProcessState.ExitCode() != c.code {
			t.Errorf("%.40q %s: exit %d\n%.400s%.400s", c.in, c.args, cmd.ProcessState.ExitCode(), out.String(), stderr.String())
		}
	}
}

func TestTheGraphShowsWhatFeedsWhatAndNoSecret(t *testing.T) {
	t.Parallel()
	tellCommands(t, "testdata/cli/graph.txtar")
	text, err := os.ReadFile("testdata/cli/graph.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("canary")); n != 1 { // in the configuration
		t.Errorf("the secret is written %d times", n)
	}
}

func TestWhatIsNotThereIsToldAtItsAttribute(t *testing.T) {
	t.Parallel()
	tellCommands(t, "testdata/cli/online.txtar")
	text, err := os.ReadFile("testdata/cli/online.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("canary")); n != 2 { // in the configuration
		t.Errorf("the secret is written %d times", n)
	}
}

// What people copy from is in the usual layout.
func TestEveryConfigurationOfTheRepositoryIsFormatted(t *testing.T) {
	t.Parallel()
	out, stderr, code := command(t, "..", "fmt", "-check", "config.hcl", "examples", "plugins")
	if code != 0 || out+stderr != "" {
		t.Errorf("exit %d; bin/magpie fmt formats them:\n%s%s", code, out, stderr)
	}
}
