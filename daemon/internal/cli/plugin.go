package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

func plugin(ctx context.Context, o *options, args []string) int {
	catalogue, err := o.catalogue()
	if err != nil {
		return o.fail(err)
	}
	defer os.RemoveAll(catalogue.Run)
	plugins, err := catalogue.Plugins(ctx)
	if err != nil {
		return o.fail(err)
	}
	switch {
	case len(args) == 1 && args[0] == "list":
		return o.listPlugins(plugins)
	case len(args) == 2 && args[0] == "describe":
		return o.describePlugin(plugins, args[1])
	}
	return o.fail(fmt.Errorf("say magpie plugin list, or magpie plugin describe NAME"))
}

func (o *options) listPlugins(plugins []client.Plugin) int {
	if len(plugins) == 0 && !o.json {
		return o.fail(fmt.Errorf("there are no plugins in %s: give their directory with -plugin-dir", strings.Join(o.pluginDirs, " or ")))
	}
	type entry struct {
		client.Plugin
		Error string `json:"error,omitempty"`
	}
	list, code := []entry{}, exitOK
	t := table{w: o.Out, colour: o.Colour}
	t.head("PLUGIN", "VERSION", "OFFERS", "NOTE")
	for _, p := range plugins {
		e := entry{Plugin: p}
		if p.Err != nil {
			e.Error, code = p.Err.Error(), exitErrors
		}
		var offers []string
		for _, x := range p.Types {
			offers = append(offers, fmt.Sprintf("%s %q", x.Kind, x.Name))
		}
		t.row("", p.Name, p.Version, strings.Join(offers, ", "), firstLine(e.Error))
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

func (o *options) describePlugin(plugins []client.Plugin, name string) int {
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
