package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Whatever is formatted means what it meant, has as many lines, and is formatted.
func FuzzFormat(f *testing.F) {
	seeds, _ := filepath.Glob("../../../examples/*/*.hcl")
	for _, seed := range seeds {
		text, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("a {\n b = <<-X\n  ${c}  d\n X\n e=[\n1,2 ] # f\n /* g */ h=(1+\n2)\n}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o := &options{IO: IO{Out: io.Discard, Err: io.Discard}}
		out, err := o.layout(language.Source{Name: "x.hcl", Bytes: text})
		if err != nil {
			t.Fatalf("%v\n%q", err, text)
		}
		if out == nil {
			return
		}
		if bytes.Count(out, []byte("\n")) != bytes.Count(text, []byte("\n")) {
			t.Errorf("%q became %q", text, out)
		}
		again, err := o.layout(language.Source{Name: "x.hcl", Bytes: out})
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("formatted again, %q became %q: %v", out, again, err)
		}
		linesChanged("x.hcl", text, out)
	})
}
