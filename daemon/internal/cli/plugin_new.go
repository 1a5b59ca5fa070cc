package cli

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"text/template"

	"github.com/magpie-monitoring/magpie/sdk/language"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// What a new plugin is made of: templates/LANGUAGE/common and templates/LANGUAGE/KIND, each file a template between « and ».
// A file called name is called as the plugin is; dot. stands for the dot that go:embed leaves out.
//
//go:embed templates
var templates embed.FS

// newPluginFacts are what the templates say.
type newPluginFacts struct {
	Name, Kind, Maker, About string
	Module, Go, SDK, Replace string
	Indirect                 []string // modules that the SDK requires
}

// newKind is how a kind is offered, and what the plugin that is written does.
var newKind = map[string]struct{ maker, about string }{
	"source":           {"Source", "Measures how long an address takes to answer."},
	"processor":        {"Processor", "Adds a label to every series."},
	"sample_processor": {"SampleProcessor", "Makes rates of counters, in their place."},
	"sink":             {"Sink", "Posts samples to an address, as lines of JSON."},
	"store":            {"Store", "Keeps the newest sample of each series, to be asked for by selectors."},
	"notifier":         {"Notifier", "Posts the text of notifications to an address."},
	"discovery":        {"Discovery", "Reads targets from a file, a line for each."},
	"service":          {"Service", "Serves a page that greets."},
	"coordinator":      {"Coordinator", "Gives leases to daemons that share a directory."},
}

// Block is the kind of the plugin's blocks.
func (f *newPluginFacts) Block() string { return strings.TrimPrefix(f.Kind, "sample_") }

func newKinds() []string { return slices.Sorted(maps.Keys(newKind)) }

// newLanguages are the directories of templates.
func newLanguages() (names []string) {
	entries, _ := templates.ReadDir("templates")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// prepare has a language add what its templates need to know, and says what to do next; made finishes what was written.
var prepare = map[string]func(o *options, facts *newPluginFacts) error{"go": prepareGo, "python": preparePython}

var (
	made = map[string]func(ctx context.Context, dir string, facts *newPluginFacts) error{"go": madeGo}

	pluginName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
)

func newPlugin(ctx context.Context, o *options, name string) int {
	flags := &o.plugin
	kind, known := newKind[flags.kind]
	switch {
	case !pluginName.MatchString(name):
		return o.fail(fmt.Errorf("%q cannot be the name of a plugin: it is the second word of its blocks, of lower-case letters, digits and underscores", name))
	case !known:
		return o.fail(fmt.Errorf("there is no kind %q.%s It can be %s", flags.kind, language.DidYouMean(flags.kind, newKinds()), strings.Join(newKinds(), ", ")))
	case !slices.Contains(newLanguages(), flags.lang):
		return o.fail(fmt.Errorf("there are no templates in %q: -lang can be %s", flags.lang, strings.Join(newLanguages(), ", ")))
	case !slices.Contains(kindsIn(flags.lang), flags.kind):
		return o.fail(fmt.Errorf("there is no template of a %s in %s, but of a %s", flags.kind, flags.lang, strings.Join(kindsIn(flags.lang), ", ")))
	}
	dir := cmp.Or(flags.dir, name)
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return o.fail(fmt.Errorf("%s is there already, and not empty: nothing is written over. Name another directory with -dir", dir))
	}
	facts := &newPluginFacts{Name: name, Kind: flags.kind, Maker: kind.maker, About: kind.about, Module: cmp.Or(flags.module, name)}
	if f := prepare[flags.lang]; f != nil {
		if err := f(o, facts); err != nil {
			return o.fail(err)
		}
	}
	files, err := writeNew(flags.lang, dir, facts)
	if err != nil {
		return o.fail(err)
	}
	if f := made[flags.lang]; f != nil {
		if err := f(ctx, dir, facts); err != nil {
			return o.fail(err)
		}
	}
	fmt.Fprintf(o.Out, "%s holds a %s in %s: %s\n\nNext:\n  cd %s\n  magpie plugin verify .                 # it keeps the contract\n", dir, flags.kind, flags.lang, strings.Join(files, ", "), dir)
	if flags.lang == "go" {
		fmt.Fprint(o.Out, "  make test build\n  magpie run -plugin-dir bin config.hcl  # example.hcl is a block for it\n")
	}
	fmt.Fprint(o.Out, "  magpie plugin dev                      # beside a daemon: every change is built, checked and taken\n")
	return exitOK
}

// writeNew writes the files of a language and a kind, and names them.
func writeNew(lang, dir string, facts *newPluginFacts) (written []string, err error) {
	for _, part := range []string{"common", facts.Kind} {
		root := path.Join("templates", lang, part)
		err := fs.WalkDir(templates, root, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := templates.ReadFile(file)
			if err != nil {
				return err
			}
			t, err := template.New(file).Delims("«", "»").Parse(string(text))
			if err != nil {
				return err
			}
			var out bytes.Buffer
			if err := t.Execute(&out, facts); err != nil {
				return err
			}
			name := strings.TrimSuffix(strings.TrimPrefix(file, root+"/"), ".tmpl")
			base := strings.NewReplacer("dot.", ".", "test_name.", "test_"+facts.Name+".").Replace(path.Base(name))
			if rest, ok := strings.CutPrefix(base, "name"); ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "_")) {
				base = facts.Name + rest
			}
			name = path.Join(path.Dir(name), base)
			written = append(written, name)
			to := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return err
			}
			return os.WriteFile(to, out.Bytes(), 0o644)
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(written)
	return written, nil
}

// prepareGo finds the SDK, and what it requires: with that in go.mod nothing else need be resolved.
func prepareGo(o *options, facts *newPluginFacts) error {
	facts.SDK = "v" + wire.Version
	facts.Go = strings.TrimPrefix(runtime.Version(), "go")
	if major, minor, ok := strings.Cut(facts.Go, "."); ok {
		minor, _, _ = strings.Cut(minor, ".")
		facts.Go = major + "." + minor + ".0"
	}
	sdk := o.plugin.replace
	if sdk == "" {
		if sdk = checkout(); sdk == "" {
			return nil // the published one
		}
	}
	sdk, err := filepath.Abs(sdk)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(sdk, "go.mod"))
	if err != nil {
		return fmt.Errorf("%s is not the directory of the SDK: %w", sdk, err)
	}
	facts.Replace, facts.SDK = sdk, "v0.0.0"
	inside := false
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " //")
		switch {
		case strings.HasPrefix(line, "require ("):
			inside = true
		case line == ")":
			inside = false
		case strings.HasPrefix(line, "go "):
			facts.Go = strings.TrimPrefix(line, "go ")
		case inside && line != "":
			facts.Indirect = append(facts.Indirect, line)
		}
	}
	slices.Sort(facts.Indirect)
	return nil
}

// checkout is the SDK of the sources that this binary was built of, if it lies in their bin.
func checkout() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	sdk := filepath.Join(filepath.Dir(filepath.Dir(self)), "sdk")
	if _, err := os.Stat(filepath.Join(sdk, "serve", "main.go")); err != nil {
		return ""
	}
	return sdk
}

// madeGo gives the module the sums of what the SDK requires, or has them looked up where the SDK is the published one.
func madeGo(ctx context.Context, dir string, facts *newPluginFacts) error {
	if facts.Replace != "" {
		sums, err := os.ReadFile(filepath.Join(facts.Replace, "go.sum"))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644)
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "tidy")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the plugin is written, and go mod tidy does not find the SDK %s: name a checkout's with -replace and another -dir\n%s", facts.SDK, bytes.TrimSpace(out))
	}
	return nil
}
