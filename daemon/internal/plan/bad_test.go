package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// TestBadConfigurations reads the archives of testdata/bad: each file NN.hcl is a configuration by itself, and what is said of it stands in
// NN.diagnostics. What is in a directory is there for all of them. Something is said of each, nothing twice, and in the order of the file.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("../../testdata/bad/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, path := range archives {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var beside []language.Source
		first := 0
		for ; strings.Contains(a.Files[first].Name, "/"); first++ {
			beside = append(beside, language.Source{Name: a.Files[first].Name, Bytes: a.Files[first].Data})
		}
		for i := first; i+1 < len(a.Files); i += 2 {
			count++
			_, _, got := build(t, append([]language.Source{{Name: "config.hcl", Bytes: a.Files[i].Data}}, beside...))
			name := filepath.Base(path) + ", " + a.Files[i].Name
			if !strings.Contains(got, "error:") && !strings.Contains(got, "warning:") {
				t.Errorf("%s: nothing is said", name)
			}
			seen := map[string]bool{}
			for remark := range strings.SplitSeq(got, "\n\n") {
				if seen[strings.TrimSpace(remark)] {
					t.Errorf("%s: said twice: %s", name, remark)
				}
				seen[strings.TrimSpace(remark)] = true
			}
			if *update {
				a.Files[i+1].Data = []byte(got)
			} else if got != string(a.Files[i+1].Data) {
				t.Errorf("%s: got:\n%s", name, got)
			}
		}
		if *update {
			if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if count < 120 {
		t.Errorf("%d bad configurations, and there are to be 120", count)
	}
}
