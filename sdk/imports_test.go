package sdk

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestAuthorsInheritNoDependencies follows the imports of this package: all end in the standard library. It reads the files
// itself, so that the test cache knows them.
func TestAuthorsInheritNoDependencies(t *testing.T) {
	const module = "github.com/magpie-monitoring/magpie/sdk"
	seen := map[string]bool{}
	var follow func(dir string)
	follow = func(dir string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no Go files: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				path, _ := strconv.Unquote(i.Path.Value)
				first, _, _ := strings.Cut(path, "/")
				if inside, ours := strings.CutPrefix(path, module+"/"); ours {
					follow(inside)
				} else if strings.Contains(first, ".") || path == "C" {
					t.Errorf("%s imports %s, which is not in the standard library", file, path)
				}
			}
		}
	}
	follow(".")
}
