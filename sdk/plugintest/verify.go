package plugintest

import (
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/verify"
)

// Verify builds the plugin whose sources are in a directory ("." in a test beside them), makes the checks of the conformance
// kit as magpie plugin verify does, and fails the test with each that the plugin does not pass. Components are opened with
// testdata/verify.hcl of the directory, or example.hcl. path can be a binary, too.
func Verify(t testing.TB, path string) *verify.Report {
	t.Helper()
	f, err := verify.Find(path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Build(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	r, err := verify.Run(t.Context(), verify.Options{Binary: f.Binary, Example: f.Example, Shown: f.Shown, Patience: testPatience})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Results {
		if x.State == verify.Failed {
			t.Errorf("%s: %s: %s\n%s\n%s", x.Of, x.Check, x.About, x.Text, x.Fix)
		}
	}
	for _, n := range r.Notes {
		t.Log(n)
	}
	t.Logf("%s in %s", r.Summary(), r.Took)
	return r
}

// testPatience allows for machines that test many things at once.
const testPatience = 10
