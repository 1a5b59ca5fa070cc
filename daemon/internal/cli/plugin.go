package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

const pluginHelp = `show the plugins that there are and what they offer, and try one's own

  list             the plugins in the plugin directories: what they offer, and how they were verified
  describe NAME    what the blocks of a plugin take
  verify PATH      try whether a plugin keeps the contract: PATH is a binary, a directory of sources,
                   or the name of a plugin. Components are opened with the blocks of -example, else of
                   testdata/verify.hcl or example.hcl beside the sources: name servers of tests there`

// pluginFlags are the flags of magpie plugin.
type pluginFlags struct {
	example, junit string
	all            bool
}

func pluginFlagsOf(f *flag.FlagSet, o *options) {
	f.StringVar(&o.plugin.example, "example", "", "verify: file of blocks to open the plugin's components with")
	f.StringVar(&o.plugin.junit, "junit", "", "verify: file to write the report to as JUnit has it")
	f.BoolVar(&o.plugin.all, "all", false, "verify: list the checks that do not apply, too")
}

// authoring are the words behind magpie plugin that work on one plugin; arg is what they take.
var authoring = []struct {
	name, arg string
	run       func(ctx context.Context, o *options, arg string) int
}{
	{"describe", "NAME", describePlugin},
	{"verify", "PATH", verifyPlugin},
}

func plugin(ctx context.Context, o *options, args []string) int {
	if len(args) == 1 && args[0] == "list" {
		return listPlugins(ctx, o)
	}
	words := []string{"list"}
	for _, c := range authoring {
		if len(args) > 0 && args[0] == c.name {
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

func listPlugins(ctx context.Context, o *options) int {
	plugins, err := o.plugins(ctx)
	if err != nil {
		return o.fail(err)
	}
	if len(plugins) == 0 && !o.json {
		return o.fail(fmt.Errorf("there are no plugins in %s: give their directory with -plugin-dir", strings.Join(o.pluginDirs, " or ")))
	}
	type entry struct {
		client.Plugin
		Error    string    `json:"error,omitempty"`
		Verified *verified `json:"verified,omitempty"`
	}
	list, code := []entry{}, exitOK
	t := table{w: o.Out, colour: o.Colour}
	t.head("PLUGIN", "VERSION", "VERIFIED", "OFFERS", "NOTE")
	for _, p := range plugins {
		e := entry{Plugin: p, Verified: verifiedOf(p.SHA256)}
		if p.Err != nil {
			e.Error, code = p.Err.Error(), exitErrors
		}
		var offers []string
		for _, x := range p.Types {
			offers = append(offers, fmt.Sprintf("%s %q", x.Kind, x.Name))
		}
		t.row("", p.Name, p.Version, e.Verified.String(), strings.Join(offers, ", "), firstLine(e.Error))
		list = append(list, e)
	}
	if o.json {
		o.writeJSON(list)
	} else {
		t.flush()
	}
	return code
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
