package language_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadTakesADirectoryInNameOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"b.hcl": "b", "a.hcl.json": "a", "c.hcl": "c", "notes.txt": "", ".hidden.hcl": "", "x.json": ""})
	if err := os.Mkdir(filepath.Join(dir, "d.hcl"), 0o700); err != nil {
		t.Fatal(err)
	}
	sources, err := language.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range sources {
		names = append(names, filepath.Base(s.Name)+"="+string(s.Bytes))
	}
	if got, want := strings.Join(names, " "), "a.hcl.json=a b.hcl=b c.hcl=c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	sources, err = language.Read(filepath.Join(dir, "b.hcl"))
	if err != nil || len(sources) != 1 || string(sources[0].Bytes) != "b" {
		t.Errorf("one file: %v, %v", sources, err)
	}
}

func TestValuesOfFilesAndFlagsGoWithTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.hcl": "a", "b.vars.hcl": "b"})
	other := filepath.Join(t.TempDir(), "c.vars.hcl.json")
	if err := os.WriteFile(other, []byte("c"), 0o600); err != nil {
		t.Fatal(err)
	}
	sources, err := language.ReadAll(dir, []string{other, filepath.Join(dir, "b.vars.hcl")}, []string{"x=1=2", "y="})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range sources {
		names = append(names, filepath.Base(s.Name)+"="+string(s.Bytes))
	}
	if got, want := strings.Join(names, " "), "a.hcl=a c.vars.hcl.json=c b.vars.hcl=b -var x=1=2 -var y="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, wrong := range []struct{ file, flag, want string }{{"x.hcl", "x=1", "ends in .vars.hcl"}, {other, "x", "takes a name and a value"}, {other, "a b=1", "takes a name and a value"}} {
		if _, err := language.ReadAll(dir, []string{wrong.file}, []string{wrong.flag}); err == nil || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

func TestReadSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none.hcl"): "does not exist: give the path",
		dir:                            "is a directory without *.hcl files",
	} {
		if _, err := language.Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func parse(sources ...language.Source) (*language.Config, string) {
	c, diags := language.Parse(sources)
	var b strings.Builder
	if err := language.WriteDiagnostics(&b, c, diags, false); err != nil {
		panic(err)
	}
	return c, b.String()
}

// What would overflow the stack of HCL's parser, which ends the process, is refused with its place.
func TestLimitsAreErrorsWithAPlace(t *testing.T) {
	t.Parallel()
	again := strings.Repeat
	for name, test := range map[string]struct{ file, text, want string }{
		"parentheses":       {"a.hcl", "locals {\n  a = " + again("(", 100<<10), "a.hcl:2:70: error: Nested too deep"},
		"brackets":          {"a.hcl", "locals {\n  a = " + again("[", 100<<10), "a.hcl:2:70: error: Nested too deep"},
		"braces":            {"a.hcl", again("a {\n", 10<<10), "a.hcl:65:3: error: Nested too deep"},
		"templates":         {"a.hcl", "locals {\n  a = " + again(`"${`, 100<<10), "a.hcl:2:197: error: Nested too deep"},
		"directives":        {"a.hcl", "locals {\n  a = \"" + again(`%{if a}`, 10<<10), "error: Nested too deep"},
		"directives spread": {"a.hcl", "locals {\n  a = \"" + again(`%{if a}${""}`, 10<<10), "error: Nested too deep"},
		"negations":         {"a.hcl", "locals {\n  a = " + again("!", 100<<10), "a.hcl:2:507: error: Expression too long"},
		"minus":             {"a.hcl", "locals {\n  a = " + again("-", 10<<10), "error: Expression too long"},
		"sums":              {"a.hcl", "locals {\n  a = 1" + again(" + 1", 10<<10) + "\n}\n", "error: Expression too long"},
		"sums on lines":     {"a.hcl", "locals {\n  a = (1" + again(" +\n1", 10<<10) + ")\n}\n", "error: Expression too long"},
		"conditions":        {"a.hcl", "locals {\n  a = " + again("true ? 1 : ", 10<<10) + "1\n}\n", "error: Expression too long"},
		"indexes":           {"a.hcl", "locals {\n  a = b" + again("[c]", 10<<10) + "\n}\n", "error: Expression too long"},
		"lines":             {"a.hcl", "locals {\n  a = <<X\n" + again("a = <<X\n", 20<<10), "a.hcl:5003:1: error: Text too long"},
		"number":            {"a.hcl", "locals {\n  a = \"${1e999999999}\"\n}\n", "a.hcl:2:10: error: Number too large"},
		"large":             {"a.hcl", again("# comment\n", 210<<10), "a.hcl:1:1: error: File too large"},
		"binary":            {"a.hcl", "locals {\n\x7fELF\x02\x00", "a.hcl:2:6: error: Not a text file"},
		"not UTF-8":         {"a.hcl", "locals {\n  a = \"\xff\"", "a.hcl:2:8: error: Not a text file"},
		"JSON brackets":     {"a.json", again("[", 100<<10), "a.json:1:65: error: Nested too deep"},
		"JSON objects":      {"a.json", again(`{"a":`, 10<<10), "a.json:1:321: error: Nested too deep"},
		"JSON template":     {"a.json", `{"locals": {"a": "${` + again("(", 100<<10) + `"}}`, "a.json:1:18: error: Nested too deep"},
		"JSON escapes":      {"a.json", `{"locals": {"a": "\u0024{` + again(`\u0028`, 1000) + `"}}`, "error: Nested too deep"},
		"JSON number":       {"a.json", `{"locals": {"a": 1e999999999}}`, "a.json:1:18: error: Number too large"},
		"JSON loop":         {"a.json", `{"locals": {"a": "${[for x in [1] : x]}"}}`, "error: No for in JSON"},
		"JSON end":          {"a.json", `{"locals": `, "the file ends before its last brace"},
		"JSON rest":         {"a.json", `{}]` + again("[", 1000), "error: Invalid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, got := parse(language.Source{Name: test.file, Bytes: []byte(test.text)})
			if !strings.Contains(got, test.want) || !c.Partial {
				t.Errorf("got %.300s\nwant %s", got, test.want)
			}
		})
	}
}

func TestWhatIsLargeAndFineIsFine(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("locals {\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "  a%d = [1 + 2, !true, -3, { b = [4 * 5] }, \"%%{if true}a%%{endif} ${1 + 1} (((\"] # ((([[[\n", i)
	}
	b.WriteString("}\n")
	if _, got := parse(language.Source{Name: "a.hcl", Bytes: []byte(b.String())}); got != "" {
		t.Errorf("got %.300s", got)
	}
}

// Ten thousand mistakes are found in a time that grows with them, not with their square.
func TestManyMistakesAreReported(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("a = 1\n", 20<<10), strings.Repeat("x \"y\" {}\n", 3<<10)} {
		if _, got := parse(language.Source{Name: "a.hcl", Bytes: []byte(text)}); !strings.Contains(got, "There is more") {
			t.Errorf("got %.300s", got)
		}
	}
}

func TestTooManyFilesAreRefused(t *testing.T) {
	t.Parallel()
	if _, got := parse(make([]language.Source, 1001)...); !strings.Contains(got, "Too much configuration") {
		t.Errorf("got %s", got)
	}
}

func TestDiagnosticsAsDataSayTheSame(t *testing.T) {
	t.Parallel()
	c, diags := language.Parse([]language.Source{{Name: "a.hcl", Bytes: []byte("daemn {}\n")}, {Name: "b.hcl", Bytes: []byte("x = \x1b\n")}})
	data, err := json.MarshalIndent(c.Diagnostics(diags), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `[
  {
    "severity": "error",
    "summary": "Unknown block",
    "detail": "There is no block \"daemn\". Did you mean \"daemon\"?",
    "file": "a.hcl",
    "line": 1,
    "column": 1,
    "end_line": 1,
    "end_column": 6,
    "snippet": "daemn {}",
    "carets": "^^^^^"
  },
  {
    "severity": "error",
    "summary": "Invalid character",
    "detail": "This character is not used within the language.",
    "file": "b.hcl",
    "line": 1,
    "column": 5,
    "end_line": 1,
    "end_column": 6,
    "snippet": "x = ·",
    "carets": "    ^"
  }
]`
	if string(data) != want {
		t.Errorf("got %s", data)
	}
}

func TestDiagnosticsAreSortedEachOnceAndNotTooMany(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	for range 300 {
		text.WriteString("pack {}\n")
	}
	c, diags := language.Parse([]language.Source{{Name: "z.hcl", Bytes: []byte("x = 1\n")}, {Name: "a.hcl", Bytes: text.Bytes()}})
	list := c.Diagnostics(append(diags, diags...))
	if list[0].File != "z.hcl" || list[1].Line != 1 || list[2].Line != 2 {
		t.Errorf("not in the order of files and lines: %v", list[:3])
	}
	if last := list[len(list)-1]; len(list) != 201 || !strings.Contains(last.Summary, "There is more") {
		t.Errorf("%d diagnostics, the last is %v", len(list), last)
	}
}

func TestColourPaintsTheSeverity(t *testing.T) {
	t.Parallel()
	c, _ := language.Parse([]language.Source{{Name: "a.hcl", Bytes: []byte("daemon {}\n")}})
	var r language.Report
	r.Warn(hcl.Range{Filename: "a.hcl", Start: hcl.InitialPos, End: hcl.InitialPos}, "Odd", "Why?")
	var b strings.Builder
	if err := language.WriteDiagnostics(&b, c, r.Diags, true); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1ma.hcl:1:1:\x1b[0m \x1b[1;33mwarning:\x1b[0m \x1b[1mOdd\x1b[0m\n    1 | daemon {}\n      | \x1b[1;33m^\x1b[0m\n  Why?\n"
	if b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

func TestClosestFindsWhatWasMeant(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"endpiont": "endpoints", "endpionts": "endpoints", "usrename": "username", "pasword": "password", "int": "interval",
		"xyz": "", "": "", "to": "", "toe": "to", "Interval": "interval", strings.Repeat("a", 1<<20): "",
	} {
		if got := language.Closest(given, []string{"username", "password", "interval", "endpoints", "to", "end"}); got != want {
			t.Errorf("%.20q: got %q, want %q", given, got, want)
		}
	}
}
