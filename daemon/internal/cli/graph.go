package cli

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

const graphHelp = `show what feeds what: discoveries, sources, processors, sinks and stores, rules, routes and notifiers

No daemon is asked and no component is started: it is what the configuration says. -dot writes it for Graphviz
(magpie graph -dot | dot -Tsvg), -json as nodes and edges`

type graphFlags struct{ dot bool }

func graphFlagsOf(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.graph.dot, "dot", false, "write it for Graphviz")
}

// drawing is who feeds whom. Addresses and names only: no attribute is in it, and so no secret.
type drawing struct {
	Nodes []node `json:"nodes"`
	Edges []edge `json:"edges"`
}

type node struct {
	Name string `json:"name"` // of a component, its address
	Kind string `json:"kind"` // source, …, rules, route
	Pack string `json:"pack,omitempty"`
}

type edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	What string `json:"what"`          // targets, samples, queries, alerts
	Way  string `json:"way,omitempty"` // the pipeline, or what a route matches
}

func graph(ctx context.Context, o *options, _ []string) int {
	built := o.valid(ctx)
	if built == nil {
		return exitErrors
	}
	g := draw(built)
	switch {
	case o.json:
		return o.writeJSON(g)
	case o.graph.dot:
		fmt.Fprint(o.Out, g.dot())
	default:
		fmt.Fprint(o.Out, g.tree())
	}
	return exitOK
}

func draw(built *engine.Built) *drawing {
	d := built.Desired
	g := &drawing{Nodes: []node{}, Edges: []edge{}}
	for _, c := range d.Components {
		g.Nodes = append(g.Nodes, node{c.Address, string(c.Kind), packOf(c.Address)})
		for _, x := range c.Discover {
			g.edge(x, c.Address, "targets", "")
		}
	}
	for _, p := range d.Pipelines {
		first := p.To
		if len(p.Through) > 0 {
			first = p.Through[0]
		}
		for _, from := range p.From {
			g.edge(from, first, "samples", p.Name)
		}
		for i, through := range p.Through {
			next := p.To
			if i+1 < len(p.Through) {
				next = p.Through[i+1]
			}
			g.edge(through, next, "samples", p.Name)
		}
	}
	for _, x := range d.Groups {
		name := x.Address()
		g.Nodes = append(g.Nodes, node{name, "rules", packOf(name)})
		if x.Store != "" {
			g.edge(name, x.Store, "queries", "")
		}
		routed := false
		for _, r := range x.Rules {
			for _, n := range r.Notify {
				g.edge(name, n, "alerts", r.Alert)
			}
			routed = routed || r.Alert != "" && len(r.Notify) == 0
		}
		if routed && d.Route != nil {
			g.edge(name, "route", "alerts", "")
		}
	}
	if d.Route != nil {
		g.routes(built)
	}
	slices.SortStableFunc(g.Edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Way, b.Way))
	})
	g.Edges = slices.Compact(g.Edges)
	return g
}

// packOf is the pack that an address is in, "" if none.
func packOf(address string) string {
	packs, _ := language.SplitAddress(address)
	return strings.TrimSuffix(packs, ".")
}

func (g *drawing) edge(from, to, what, way string) {
	g.Edges = append(g.Edges, edge{from, to, what, way})
}

// routes draws the first route and those in it: route, route.1, route.1.2.
func (g *drawing) routes(built *engine.Built) {
	names, routes := []string{"route"}, append(slices.Clip(built.Desired.Route.Routes[:0]), built.Desired.Route)
	for i := 0; i < len(routes); i++ {
		g.Nodes = append(g.Nodes, node{names[i], "route", ""})
		for _, n := range routes[i].Notify {
			g.edge(names[i], n, "alerts", "")
		}
		for j, child := range routes[i].Routes {
			inner := fmt.Sprintf("%s.%d", names[i], j+1)
			var match []string
			for _, m := range child.Match {
				match = append(match, fmt.Sprintf("%s%s%q", m.Label, m.Op, m.Value))
			}
			g.edge(names[i], inner, "alerts", strings.Join(match, ", "))
			names, routes = append(names, inner), append(routes, child)
		}
	}
}

// kinds is the order in which the trees are written: the way of the data.
var kinds = []string{"discovery", "source", "processor", "sink", "store", "rules", "route", "notifier"}

// tree writes a tree for each node that nothing feeds. What was written already is named only.
func (g *drawing) tree() string {
	fed := map[string]bool{}
	out := map[string][]edge{}
	for _, e := range g.Edges {
		fed[e.To] = true
		out[e.From] = append(out[e.From], e)
	}
	roots := slices.DeleteFunc(slices.Clone(g.Nodes), func(n node) bool { return fed[n.Name] })
	place := func(n node) int {
		if i := slices.Index(kinds, n.Kind); i >= 0 {
			return i
		}
		return len(kinds)
	}
	slices.SortStableFunc(roots, func(a, b node) int { return cmp.Compare(place(a), place(b)) })
	var text strings.Builder
	written := map[string]bool{}
	var below func(name, way, indent string)
	below = func(name, way, indent string) {
		edges := out[name]
		if way != "" { // a processor in two pipelines sends on, in each, what came by it
			edges = slices.DeleteFunc(slices.Clone(edges), func(e edge) bool { return e.Way != way })
		}
		for i, e := range edges {
			branch, deeper := "├─ ", "│  "
			if i == len(edges)-1 {
				branch, deeper = "└─ ", "   "
			}
			next, note := "", e.What
			if e.Way != "" && e.Way != way {
				note += ", " + e.Way
			}
			if e.What == "samples" {
				next = e.Way
			}
			line := indent + branch + e.To
			if note = "  (" + note + ")"; way != "" {
				note = ""
			}
			key := e.To + "\x00" + next
			again := written[key] && slices.ContainsFunc(out[e.To], func(x edge) bool { return next == "" || x.Way == next })
			if again {
				note += "  …"
			}
			fmt.Fprintf(&text, "%s%s\n", line, note)
			if written[key] = true; !again {
				below(e.To, next, indent+deeper)
			}
		}
	}
	for _, n := range roots {
		written[n.Name+"\x00"] = true
		fmt.Fprintln(&text, n.Name)
		below(n.Name, "", "")
	}
	return text.String()
}

// dot writes the drawing in Graphviz' language.
func (g *drawing) dot() string {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
	}
	shapes := map[string]string{"store": "cylinder", "sink": "cylinder", "rules": "note", "route": "diamond", "notifier": "house", "discovery": "ellipse"}
	var b strings.Builder
	b.WriteString("digraph magpie {\n  rankdir = LR\n  node [shape = box, fontname = \"sans-serif\"]\n  edge [fontname = \"sans-serif\", fontsize = 10]\n")
	packs := map[string][]string{}
	for _, n := range g.Nodes {
		line := fmt.Sprintf("%s [shape = %s]\n", quote(n.Name), cmp.Or(shapes[n.Kind], "box"))
		if n.Pack == "" {
			b.WriteString("  " + line)
		}
		packs[n.Pack] = append(packs[n.Pack], line)
	}
	for _, pack := range slices.Sorted(maps.Keys(packs)) { // a frame around each
		if pack != "" {
			fmt.Fprintf(&b, "  subgraph %s {\n    label = %s\n    %s  }\n", quote("cluster "+pack), quote(pack), strings.Join(packs[pack], "    "))
		}
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "  %s -> %s [label = %s]\n", quote(e.From), quote(e.To), quote(cmp.Or(e.Way, e.What)))
	}
	b.WriteString("}\n")
	return b.String()
}
