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

func TestOldNamesBecomeNewOnesAndAllElseStays(t *testing.T) {
	plugins := doorsPlugin(t)
	dir := t.TempDir()
	t.Chdir(dir)
	run := func(args ...string) (string, int) {
		var out bytes.Buffer
		code := Main(append(args, "-plugin-dir", plugins), IO{Out: &out, Err: &out})
		return out.String(), code
	}
	write := func(files map[string]string) {
		for name, text := range files {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	holds := func(name, want string) {
		t.Helper()
		if got, _ := os.ReadFile(name); string(got) != want {
			t.Errorf("%s is\n%s", name, got)
		}
	}
	old := map[string]string{
		"a.hcl": `source "doors" "a" {
  enabled = false # not looked at otherwise
  gates   = ["gates"] # gates, gates
  lock    = "x"
  dynamic "keys" {
    for_each = { keys = 1 }
    labels   = [keys.key]
    content { teeth = keys.value }
  }
}
source "windows" "w" { gates = 1 }
pack "p" {
  source = "./p"
  override "source" "doors" "z" { gates = [] }
}
`,
		"b.hcl.json": `{"//": "gates", "source": {"doors": {"b": {
  "gates":  ["gates"],   "keys": {"me": {"teeth": 3}}}}}}`,
		"c.hcl": "source \"doors\" \"c\" {\n  doors = []\n  key \"x\" {}\n}\n",
	}
	write(old)
	const said = `a.hcl
  3:3: gates is doors now
  5:11: keys is key now
  7:17: keys is key now
  8:23: keys is key now
  14:35: gates is doors now
b.hcl.json
  2:3: gates is doors now
  2:26: keys is key now
`
	const left = "magpie: a.hcl: no plugin offers source \"windows\": the names in their blocks stay as they are\n"
	if got, code := run("fmt", "-check", "-migrate", "."); code != exitErrors || got != left+said {
		t.Errorf("exit %d\n%s", code, got)
	}
	for name, text := range old {
		holds(name, text)
	}
	if got, _ := run("check", "b.hcl.json"); !bytes.Contains([]byte(got), []byte(`"gates" is called "doors" now: magpie fmt -migrate writes it so.`)) || bytes.Contains([]byte(got), []byte("error:")) {
		t.Errorf("check:\n%s", got)
	}
	if got, code := run("fmt", "-migrate", "."); code != exitOK || got != left+said {
		t.Errorf("exit %d\n%s", code, got)
	}
	holds("a.hcl", `source "doors" "a" {
  enabled = false     # not looked at otherwise
  doors   = ["gates"] # gates, gates
  lock    = "x"
  dynamic "key" {
    for_each = { keys = 1 }
    labels   = [key.key]
    content { teeth = key.value }
  }
}
source "windows" "w" { gates = 1 }
pack "p" {
  source = "./p"
  override "source" "doors" "z" { doors = [] }
}
`)
	holds("b.hcl.json", `{"//": "gates", "source": {"doors": {"b": {
  "doors":  ["gates"],   "key": {"me": {"teeth": 3}}}}}}`)
	holds("c.hcl", old["c.hcl"])
	if got, code := run("fmt", "-check", "-migrate", "."); code != exitOK || got != left {
		t.Errorf("again: exit %d\n%s", code, got)
	}

	// What cannot be told by itself is left to a person.
	both := "source \"doors\" \"a\" {\n  doors = []\n  gates = []\n  key \"a\" {}\n}\n"
	made := `{"source": {"doors": {"b": {"doors": [], "dynamic": {"keys": {"for_each": [1], "labels": ["${keys.value}"], "content": {}}}}}}}`
	write(map[string]string{"both.hcl": both, "made.hcl.json": made})
	for _, name := range []string{"both.hcl", "made.hcl.json"} {
		if got, code := run("fmt", "-migrate", name); code != exitErrors || !bytes.Contains([]byte(got), []byte(name+":")) {
			t.Errorf("exit %d\n%s", code, got)
		}
	}
	holds("both.hcl", both)
	holds("made.hcl.json", made)
	if got, code := run("fmt", "b.hcl.json"); code != exitErrors {
		t.Errorf("exit %d\n%s", code, got)
	}
}
