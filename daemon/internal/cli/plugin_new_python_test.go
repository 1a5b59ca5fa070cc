package cli

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestWhatNewWritesInPythonPassesItsOwnTestsAndIsPacked(t *testing.T) {
	t.Parallel()
	python := cmp.Or(os.Getenv("MAGPIE_PYTHON"), "/usr/bin/python3")
	sdk, err := filepath.Abs("../../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	if kinds := kindsIn("python"); !slices.Equal(kinds, []string{"discovery", "notifier", "processor", "sink", "source"}) {
		t.Errorf("%v", kinds)
	}
	for _, kind := range kindsIn("python") {
		dir := filepath.Join(t.TempDir(), "my_demo")
		if _, err := writeNew("python", dir, &newPluginFacts{Name: "my_demo", Kind: kind, Replace: sdk}); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-W", "error::ResourceWarning", "-m", "unittest"}, {"-m", "magpie", "pack"}} {
			cmd := exec.CommandContext(t.Context(), python, args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PYTHONPATH="+sdk+"/python", "PYTHONDONTWRITEBYTECODE=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v (make deps installs what it needs): %v\n%s", kind, args, err, out)
			}
		}
		if text, err := os.ReadFile(filepath.Join(dir, "requirements.txt")); err != nil || string(text) != sdk+"/python\n" {
			t.Errorf("%q, %v", text, err)
		}
	}
}
