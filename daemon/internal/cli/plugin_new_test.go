package cli

import (
	"bytes"
	gofmt "go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatNewWritesIsFormattedGoForEachKind(t *testing.T) {
	for _, kind := range newKinds() {
		dir := t.TempDir()
		facts := &newPluginFacts{Name: "my_" + kind, Kind: kind, Maker: newKind[kind].maker, About: newKind[kind].about, Module: "example.org/x", Go: "1.26.0", SDK: "v0.1.0"}
		files, err := writeNew("go", dir, facts)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{".gitignore", "Makefile", "README.md", "example.hcl", "go.mod", "main.go", "my_" + kind + ".go", "my_" + kind + "_test.go"} {
			if !strings.Contains(" "+strings.Join(files, " ")+" ", " "+want+" ") {
				t.Errorf("a %s has no %s: %q", kind, want, files)
			}
		}
		for _, name := range files {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(string(b), "«»") {
				t.Errorf("%s of a %s has what is no template any more", name, kind)
			}
			if !strings.HasSuffix(name, ".go") {
				continue
			}
			pretty, err := gofmt.Source(b)
			if err != nil || !bytes.Equal(pretty, b) {
				t.Errorf("%s of a %s is not as gofmt has it: %v", name, kind, err)
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, b, parser.ParseComments)
			if err == nil && name == "my_"+kind+".go" && f.Doc.Text() == "" {
				t.Errorf("%s of a %s has no package comment", name, kind)
			}
		}
	}
}

func TestSeriesAreReadAsPrometheusWritesThem(t *testing.T) {
	for _, c := range []struct{ line, want, value string }{
		{`up 1`, `up`, "1"},
		{`up{job="a", instance="h:1"} 0.5 1700000000000`, `up{instance="h:1", job="a"}`, "0.5 1700000000000"},
		{`x{a="} {",}`, `x{a="} {"}`, ""},
	} {
		labels, value, err := seriesOf(c.line)
		if err != nil || labels.String() != c.want || value != c.value {
			t.Errorf("%s: %s, %q, %v", c.line, labels, value, err)
		}
	}
	for _, line := range []string{`up{job="a"`, `up{job=}`} {
		if _, _, err := seriesOf(line); err == nil {
			t.Errorf("%s is read", line)
		}
	}
}
