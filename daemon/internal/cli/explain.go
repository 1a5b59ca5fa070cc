package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

const explainHelp = `say why a component exists, what feeds it, where its data goes, what its attributes are, and how it is

ADDRESS is as plan and status write it: source.etcd.main, or source.etcd.main["prod"] with for_each. The configuration is that of
-config; if a daemon runs, how the component is now is added: its state, its last error, samples a second, restarts of its process, and
what waits for the sinks of its pipelines`

// explained is all that is known of a component. Secrets are masked.
type explained struct {
	Address    string          `json:"address"`
	Plugin     string          `json:"plugin"`
	Place      string          `json:"place"`
	Pack       string          `json:"pack,omitempty"`     // that it is in, and where that is brought in
	ForEach    string          `json:"for_each,omitempty"` // the key
	FedBy      []string        `json:"fed_by,omitempty"`
	GoesTo     []string        `json:"goes_to,omitempty"`
	Attributes []explainedAttr `json:"attributes"`
	Live       *lived          `json:"live,omitempty"` // nil: no daemon was reached, or it does not run there
}

type explainedAttr struct {
	Path    string `json:"path"`
	Value   string `json:"value"`
	Default bool   `json:"default"`
}

func explain(ctx context.Context, o *options, args []string) int {
	if len(args) != 1 {
		return o.fail(errors.New("say the address of one component, such as source.host.this"))
	}
	built := o.valid(ctx)
	if built == nil {
		return exitErrors
	}
	e, err := explanation(built, args[0])
	if err != nil {
		return o.fail(err)
	}
	if s, err := o.daemon().status(ctx); err == nil {
		e.Live = live(s, built, e.Address)
	}
	if o.json {
		return o.writeJSON(e)
	}
	o.printExplained(e)
	return exitOK
}

func explanation(b *engine.Built, address string) (*explained, error) {
	d := b.Desired
	var addresses []string
	for _, c := range d.Components {
		addresses = append(addresses, c.Address)
	}
	i := slices.Index(addresses, address)
	if i < 0 {
		return nil, fmt.Errorf("the configuration makes no component %s.%s", address, language.DidYouMean(address, addresses))
	}
	c := d.Components[i]
	e := &explained{Address: c.Address, Plugin: c.Plugin, Place: language.Place(c.Range)}
	if p := c.Pack; p != nil {
		e.Pack = fmt.Sprintf("%s, brought in at %s", p.Address(), language.Place(p.Header))
	}
	_, own := language.SplitAddress(c.Address)
	if _, key, ok := strings.Cut(own, "["); ok {
		e.ForEach = strings.TrimSuffix(key, "]")
	}
	for _, a := range c.Attrs {
		e.Attributes = append(e.Attributes, explainedAttr{a.Path, a.Text, a.Default})
	}
	for _, x := range c.Discover {
		e.FedBy = append(e.FedBy, x+" (targets)")
	}
	for _, p := range d.Pipelines {
		way := fmt.Sprintf(" (%s)", p.Name)
		switch {
		case p.To == address:
			for _, from := range p.From {
				e.FedBy = append(e.FedBy, from+way)
			}
		case slices.Contains(p.From, address), slices.Contains(p.Through, address):
			e.GoesTo = append(e.GoesTo, p.To+way)
		}
		if slices.Contains(p.Through, address) {
			for _, from := range p.From {
				e.FedBy = append(e.FedBy, from+way)
			}
		}
	}
	for _, x := range d.Components {
		if slices.Contains(x.Discover, address) {
			e.GoesTo = append(e.GoesTo, x.Address+" (targets)")
		}
	}
	for _, g := range d.Groups {
		if g.Store == address {
			e.FedBy = append(e.FedBy, g.Address()+" (rules ask it, and write to it)")
		}
		for _, r := range g.Rules {
			if slices.Contains(r.Notify, address) {
				e.FedBy = append(e.FedBy, "alert "+r.Alert+" (by its own notify)")
			}
		}
	}
	for list, at := range routesTo(b, address) {
		e.FedBy = append(e.FedBy, fmt.Sprintf("%s (%s)", list, at))
	}
	slices.Sort(e.FedBy)
	slices.Sort(e.GoesTo)
	e.FedBy, e.GoesTo = slices.Compact(e.FedBy), slices.Compact(e.GoesTo)
	return e, nil
}

// routesTo are the routes that tell a notifier, with their places.
func routesTo(b *engine.Built, address string) map[string]string {
	found := map[string]string{}
	if b.Desired.Route == nil {
		return found
	}
	for level := append(b.Desired.Route.Routes, b.Desired.Route); len(level) > 0; level = level[1:] {
		r := level[0]
		level = append(level, r.Routes...)
		if slices.Contains(r.Notify, address) {
			found["route at "+language.Place(r.Range)] = "alerts"
		}
	}
	return found
}

func (o *options) printExplained(e *explained) {
	fmt.Fprintf(o.Out, "%s\n", paint(o.Colour, bold, e.Address))
	fmt.Fprintf(o.Out, "  written at  %s\n", e.Place)
	if e.Pack != "" {
		fmt.Fprintf(o.Out, "  pack        %s\n", e.Pack)
	}
	if e.ForEach != "" {
		fmt.Fprintf(o.Out, "  for_each    %s\n", e.ForEach)
	}
	fmt.Fprintf(o.Out, "  plugin      %s\n", e.Plugin)
	if e.Live != nil {
		e.Live.print(o.Out)
	} else {
		fmt.Fprintf(o.Out, "  state       %s\n", "unknown: no daemon that runs it was reached")
	}
	for _, list := range []struct {
		title string
		items []string
	}{{"fed by", e.FedBy}, {"goes to", e.GoesTo}} {
		for i, x := range list.items {
			title := list.title
			if i > 0 {
				title = ""
			}
			fmt.Fprintf(o.Out, "  %-11s %s\n", title, x)
		}
	}
	fmt.Fprintln(o.Out)
	wide := 0
	for _, a := range e.Attributes {
		wide = max(wide, min(len(a.Path), 40))
	}
	for _, a := range e.Attributes {
		remark := ""
		if a.Default {
			remark = "  # default"
		}
		fmt.Fprintf(o.Out, "  %-*s = %s%s\n", wide, a.Path, a.Value, remark)
	}
}
