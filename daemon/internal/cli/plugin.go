package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

const pluginHelp = `show the plugins that there are and what they offer, and try one's own

  list             the plugins in the plugin directories: what they offer, how this binary was verified and when, and, of those that
                   a running daemon has, the process, its components, restarts, last error, memory and CPU
  describe NAME    what the blocks of a plugin take
  docs PATH        the manual of a plugin in Markdown, as its README; with -json-schema what its blocks take when they are
                   written in JSON, as JSON Schema 2020-12; with -metrics its metrics. PATH as of verify
  verify PATH      try whether a plugin keeps the contract: PATH is a binary, a directory of sources,
                   or the name of a plugin. Components are opened with the blocks of -example, else of
                   testdata/verify.hcl or example.hcl beside the sources: name servers of tests there. The report goes beside the
                   binary, to be installed with it: plugin list and the console show it
  new NAME         write a plugin of -kind in -lang, which passes verify as it is, into a new directory
  dev [DIR]        build the plugin of DIR, default here, at every change of its sources, check it, and have the daemon take it;
                   what does not build, pass or open is told, and what ran before goes on, until Ctrl-C
  run PATH [FILE]  open the component of a block in FILE, - or the example, without a daemon: what a source collects
                   and what a discovery finds is shown until Ctrl-C; processors are asked about the series on
                   standard input, and those of samples work on them, batch by batch, as an empty line ends one;
                   sinks are sent a few samples, and notifiers a notification`

// pluginFlags are the flags of magpie plugin.
type pluginFlags struct {
	example, junit string
	out            string // verify: of the report
	all            bool
	schema         bool          // docs
	metrics        bool          // docs
	snippet        string        // run: what to open
	every          time.Duration // run

	kind, lang, dir, module, replace string
}

func pluginFlagsOf(f *flag.FlagSet, o *options) {
	f.StringVar(&o.plugin.example, "example", "", "verify: file of blocks to open the plugin's components with")
	f.StringVar(&o.plugin.junit, "junit", "", "verify: file to write the report to as JUnit has it")
	f.StringVar(&o.plugin.out, "o", "", "verify: file to write the report to; default: NAME.verify.json beside the binary NAME, where a daemon finds it")
	f.StringVar(&o.plugin.kind, "kind", "source", "new: "+strings.Join(newKinds(), ", "))
	f.StringVar(&o.plugin.lang, "lang", "go", "new: "+strings.Join(newLanguages(), ", "))
	f.StringVar(&o.plugin.dir, "dir", "", "new: directory to write into; default: NAME")
	f.StringVar(&o.plugin.module, "module", "", "new: path of the Go module; default: NAME")
	f.StringVar(&o.plugin.replace, "replace", "", "new: directory of the SDK, instead of the published one; default: that of the checkout that magpie was built in")
	f.DurationVar(&o.plugin.every, "every", 5*time.Second, "run: how often a source collects whose block does not say it")
	f.BoolVar(&o.plugin.schema, "json-schema", false, "docs: what the blocks take, as JSON Schema")
	f.BoolVar(&o.plugin.metrics, "metrics", false, "docs: the metrics; with -json for programs")
	f.BoolVar(&o.plugin.all, "all", false, "verify: list the checks that do not apply, too")
}

// authoring are the words behind magpie plugin that work on one plugin; arg is what they take.
var authoring = []struct {
	name, arg string
	run       func(ctx context.Context, o *options, arg string) int
}{
	{"describe", "NAME", describePlugin},
	{"docs", "PATH", docsPlugin},
	{"verify", "PATH", verifyPlugin},
	{"new", "NAME", newPlugin},
	{"dev", "[DIR]", devPlugin},
	{"run", "PATH [SNIPPET.hcl | -]", runPlugin},
}

func plugin(ctx context.Context, o *options, args []string) int {
	if len(args) == 1 && args[0] == "list" {
		return listPlugins(ctx, o)
	}
	words := []string{"list"}
	for _, c := range authoring {
		if len(args) > 0 && args[0] == c.name {
			o.plugin.snippet = ""
			if c.name == "run" && len(args) == 3 {
				o.plugin.snippet, args = args[2], args[:2]
			}
			if c.name == "dev" && len(args) == 1 {
				args = append(args, ".")
			}
			if len(args) != 2 {
				return o.fail(fmt.Errorf("say magpie plugin %s %s", c.name, c.arg))
			}
			return c.run(ctx, o, args[1])
		}
		words = append(words, c.name)
	}
	return o.fail(fmt.Errorf("say magpie plugin %s; magpie help plugin says more", strings.Join(words, ", ")))
}

// plugins lists what is in the plugin directories.
func (o *options) plugins(ctx context.Context) ([]client.Plugin, error) {
	catalogue, err := o.catalogue()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(catalogue.Run)
	return catalogue.Plugins(ctx)
}

func (o *options) writeJSON(v any) int {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return o.fail(err)
	}
	fmt.Fprintf(o.Out, "%s\n", b)
	return exitOK
}

func describePlugin(ctx context.Context, o *options, name string) int {
	plugins, err := o.plugins(ctx)
	if err != nil {
		return o.fail(err)
	}
	var names []string
	for _, p := range plugins {
		if p.Name != name {
			names = append(names, p.Name)
			continue
		}
		if p.Err != nil {
			return o.fail(p.Err)
		}
		if o.json {
			return o.writeJSON(p)
		}
		fmt.Fprintf(o.Out, "%s %s (%s)\n", p.Name, p.Version, p.Path)
		w := o.wide()
		for _, t := range p.Types {
			fmt.Fprintln(o.Out)
			w.page(typePage(p, t))
		}
		return exitOK
	}
	return o.fail(fmt.Errorf("there is no plugin %q in %s.%s", name, strings.Join(o.pluginDirs, " or "), language.DidYouMean(name, names)))
}

func version(_ context.Context, o *options, _ []string) int {
	if o.json {
		return o.writeJSON(map[string]string{"version": Version})
	}
	fmt.Fprintln(o.Out, "magpie", Version)
	return exitOK
}
