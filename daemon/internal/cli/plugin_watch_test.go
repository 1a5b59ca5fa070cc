package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// A build's output and a daemon's data lie among the sources, as they do where an author starts the daemon in the plugin's directory:
// they begin no build, and keep none from beginning.
func TestOnlyWhatAPluginIsBuiltOfIsAChange(t *testing.T) {
	t.Parallel()
	real := t.TempDir()
	dir := filepath.Join(t.TempDir(), "link") // an author's way there
	if err := os.Symlink(real, dir); err != nil {
		t.Fatal(err)
	}
	source := map[string]string{
		"go.mod":  "module demo\n\ngo 1.25\n",
		"main.go": "package main\n\nimport (\n\t\"embed\"\n\n\t_ \"demo/part\"\n)\n\n//go:embed page all:dist\n//go:embed one.txt\nvar files embed.FS\n\nfunc main() {}\n",
		"part.go": "package part\n",
	}
	content := ""
	write := func(path string) {
		t.Helper()
		content += "x" // another size each time
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("// "+content+"\n"+source[filepath.Base(path)]), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"go.mod", "main.go", "part/part.go", "example.hcl", "page/index.html", "dist/app.js", "tools/__init__.py", "tools/words.json", "one.txt"} {
		write(path)
	}
	w := newWatched(t.Context(), dir, filepath.Join(dir, "page", "demo")) // embedded, if it were not the binary
	if w.changed(t.Context()) {
		t.Error("there is a change at once")
	}
	for _, path := range []string{"demo", "page/demo", "bin/demo", "out/demo.verify.json", "data/buffer/00000001", "data/lock", "crowd.log", ".magpie-dev-demo/demo", "main.go~", "tools.txt"} {
		write(path)
		if w.changed(t.Context()) {
			t.Errorf("%s begins a build", path)
		}
	}
	for _, path := range []string{"main.go", "new.go", "part/part.go", "go.mod", "example.hcl", "testdata/verify.hcl", "page/index.html", "page/more/new.css", "dist/app.js", "tools/words.json", "tools/new.json", "one.txt"} {
		write(path)
		if !w.changed(t.Context()) {
			t.Errorf("a change of %s is not seen", path)
		}
		if w.changed(t.Context()) {
			t.Errorf("a change of %s is seen twice", path)
		}
	}
	write("later.txt")
	source["main.go"] = "package main\n\nimport _ \"embed\"\n\n//go:embed later.txt\nvar later string\n\nfunc main() {}\n"
	write("main.go")
	if !w.changed(t.Context()) {
		t.Error("a change is not seen")
	}
	w.follow(t.Context())
	if w.changed(t.Context()) {
		t.Error("that something is embedded from now on is a change of it")
	}
	write("later.txt")
	if !w.changed(t.Context()) {
		t.Error("what is embedded by now is not looked at")
	}
	write("one.txt")
	if w.changed(t.Context()) {
		t.Error("what is embedded no more is looked at")
	}
}
