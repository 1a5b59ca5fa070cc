package language

import (
	"slices"
	"strings"
	"testing"
)

func TestTheManualHasEveryBlockWithAnExampleThatIsRight(t *testing.T) {
	all := Manuals()
	for _, b := range grammar.Blocks {
		if !IsKind(b.Type) && !slices.ContainsFunc(all, func(m Manual) bool { return m.Name == b.Type }) {
			t.Errorf("the block %s has no manual: write one in manual.go", b.Type)
		}
	}
	for _, m := range all {
		if m.Doc == "" || m.Example == "" {
			t.Errorf("%s: %+v", m.Name, m)
		}
		c, diags := Parse([]Source{{Name: m.Name, Bytes: []byte(m.Example)}})
		d := NewDecoder(NewScope(c, Env{Getenv: func(string) (string, bool) { return "", false }}))
		d.Declare()
		for _, b := range d.Expanded() {
			if Core[b.Type] != nil && !IsKind(b.Type) && b.Type != "pack" { // whose variables its files say
				d.CoreBlock(b)
			}
		}
		d.Moves()
		for _, x := range append(diags, d.Diags...) {
			if x.Summary != "Undeclared reference" && !strings.Contains(x.Detail, "There is no") {
				t.Errorf("%s: %v", m.Name, x)
			}
		}
	}
}
