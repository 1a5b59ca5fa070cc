package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/magpie-monitoring/magpie/"

// doors says which of our own packages a package may import. A name ending in /... stands for everything below it. What is
// not listed may import nothing of ours.
var doors = map[string][]string{
	"sdk":            {"sdk/internal/dial"},
	"sdk/internal":   {},
	"sdk/wire":       {"sdk"},
	"sdk/serve":      {"sdk", "sdk/wire"},
	"sdk/client":     {"sdk", "sdk/wire"},
	"sdk/language":   {"sdk"},
	"sdk/template":   {"sdk"},
	"sdk/clock":      {},
	"sdk/report":     {"sdk"},
	"sdk/manual":     {"sdk"},
	"sdk/verify":     {"sdk", "sdk/wire", "sdk/client", "sdk/language"},
	"sdk/plugintest": {"sdk", "sdk/wire", "sdk/serve", "sdk/client", "sdk/language", "sdk/verify", "sdk/internal/dial"},

	"plugins/*":             {"sdk", "sdk/serve", "plugins/internal/..."},
	"plugins/internal":      {"sdk"},
	"plugins/internal/peer": {"sdk", "sdk/plugintest"}, // of tests only

	"daemon":                                     {"daemon/internal/cli"},
	"daemon/internal/cli":                        {"daemon/internal/api", "daemon/internal/api/...", "daemon/internal/engine", "daemon/internal/buffer", "daemon/internal/rule", "daemon/internal/notify", "sdk/clock", "sdk/language", "sdk/report", "sdk/client", "sdk/manual", "sdk/verify", "sdk/wire", "sdk"},
	"daemon/internal/api":                        {"daemon/internal/api/...", "daemon/internal/engine", "daemon/internal/supervisor", "daemon/internal/telemetry", "daemon/internal/rule", "sdk", "sdk/language", "sdk/report"},
	"daemon/internal/api/control":                {},
	"daemon/internal/api/control/controlconnect": {"daemon/internal/api/control"},
	"daemon/internal/engine": {"daemon/internal/plan", "daemon/internal/supervisor", "daemon/internal/buffer", "daemon/internal/pipeline",
		"daemon/internal/rule", "daemon/internal/notify", "daemon/internal/state", "daemon/internal/telemetry", "sdk", "sdk/wire", "sdk/client", "sdk/language", "sdk/report"},
	"daemon/internal/plan":       {"sdk", "sdk/language", "sdk/template"},
	"daemon/internal/supervisor": {"sdk", "sdk/wire", "sdk/client"},
	"daemon/internal/buffer":     {},
	"daemon/internal/pipeline":   {"daemon/internal/buffer", "sdk", "sdk/wire"},
	"daemon/internal/rule":       {"sdk", "sdk/template"},
	"daemon/internal/notify":     {"sdk", "sdk/clock"},
	"daemon/internal/state":      {},
	"daemon/internal/telemetry":  {},
	"daemon/internal/gen":        {"sdk", "sdk/client", "sdk/manual"},
}

// forbidden lists what must not be imported even though it is not ours.
var forbidden = map[string]*regexp.Regexp{
	"sdk":              regexp.MustCompile(`\.`), // the standard library only
	"sdk/":             regexp.MustCompile(`prometheus/prometheus`),
	"sdk/wire":         regexp.MustCompile(`hashicorp/|zclconf/go-cty|/template$`), // each plugin would have it in its memory
	"sdk/serve":        regexp.MustCompile(`hashicorp/|zclconf/go-cty|/template$`),
	"daemon":           regexp.MustCompile(`prometheus/prometheus/(tsdb|promql$|web|scrape|rules|storage)`),
	"daemon/internal/": regexp.MustCompile(`prometheus/prometheus/(tsdb|promql$|web|scrape|rules|storage)`),
}

type source struct {
	path    string // of the file
	pkg     string // folder, relative to the module
	doc     string // package comment
	imports []string
	lines   int
	code    int // lines that are neither blank nor comment
}

// sources parses every Go file of the house but tests and generated code. It reads the files itself: the test cache then
// knows them.
func sources(t *testing.T) (all []source) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != ".." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "bin" || name == "data" || name == "examples") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(text[:min(len(text), 2000)]), "Code generated") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		s := source{path: path, pkg: strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../"), doc: f.Doc.Text(), lines: strings.Count(string(text), "\n")}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				s.code++
			}
		}
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files were found", len(all))
	}
	return all
}

func roomOf(pkg string) string {
	switch {
	case pkg == "plugins/internal/peer":
		return pkg
	case strings.HasPrefix(pkg, "plugins/internal"):
		return "plugins/internal"
	case strings.HasPrefix(pkg, "plugins/"):
		return "plugins/*"
	case strings.HasPrefix(pkg, "sdk/internal/"):
		return "sdk/internal"
	}
	return pkg
}

func TestTheDoorsBetweenRoomsAreKept(t *testing.T) {
	for _, s := range sources(t) {
		open, known := doors[roomOf(s.pkg)]
		if !known {
			t.Errorf("%s: the room %s is not in the house's plan: say in doors what it may import", s.path, s.pkg)
			continue
		}
		for _, path := range s.imports {
			ours, isOurs := strings.CutPrefix(path, module)
			allowed := slices.ContainsFunc(open, func(door string) bool {
				if under, ok := strings.CutSuffix(door, "/..."); ok {
					return strings.HasPrefix(ours, under+"/")
				}
				return ours == door
			})
			if isOurs && !allowed && ours != s.pkg {
				t.Errorf("%s imports %s: there is no such door", s.path, ours)
			}
			for room, pattern := range forbidden {
				if (s.pkg == room || strings.HasSuffix(room, "/") && strings.HasPrefix(s.pkg, room)) && pattern.MatchString(path) && !isOurs {
					t.Errorf("%s imports %s, which does not belong there", s.path, path)
				}
			}
		}
	}
}

func TestEveryPackageOpensWithItsManual(t *testing.T) {
	manuals := map[string]int{}
	for _, s := range sources(t) {
		manuals[s.pkg] += 0
		if s.doc != "" {
			manuals[s.pkg]++
		}
	}
	for pkg, n := range manuals {
		if n != 1 {
			t.Errorf("package %s has %d package comments, and should have one", pkg, n)
		}
	}
}

// Decision 7 says what is counted.
func TestTheKernelStaysSmall(t *testing.T) {
	lines, code := 0, 0
	for _, s := range sources(t) {
		if strings.HasPrefix(s.pkg, "daemon") && s.pkg != "daemon/internal/gen" && s.pkg != "daemon/internal/cli" {
			lines += s.lines
			code += s.code
		}
	}
	if code > 10500 {
		t.Errorf("what runs as the daemon has %d lines of code, and decision 7 allows 10,500", code)
	}
	t.Logf("%d lines of code, %d with comments and blank lines", code, lines)
}

func TestEveryPluginFolderHasTheSameShape(t *testing.T) {
	entries, err := os.ReadDir("../plugins")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "internal" {
			continue
		}
		files := []string{"main.go", e.Name() + ".go", e.Name() + "_test.go", "README.md"}
		if !strings.HasPrefix(e.Name(), "magpie-") { // a command takes flags
			files = append(files, "example.hcl")
		}
		for _, file := range files {
			if _, err := os.Stat(filepath.Join("../plugins", e.Name(), file)); err != nil {
				t.Errorf("plugins/%s has no %s", e.Name(), file)
			}
		}
	}
}
