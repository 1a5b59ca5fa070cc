package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Plan is what it takes to get from one configuration to another. It holds no secret, and no trace of one.
type Plan struct {
	Steps     []Step `json:"steps"`               // of components, by address; those that keep running among them
	Settings  []Step `json:"settings,omitempty"`  // of daemon, http and buffer
	Pipelines []Step `json:"pipelines,omitempty"` // by key
	Groups    []Step `json:"groups,omitempty"`    // of rules
	Route     []Step `json:"route,omitempty"`     // of the route and inhibitions

	Dashboards []Step `json:"dashboards,omitempty"`
}

// Action is what happens.
type Action string

// Move: it goes on under another address, with all that it keeps; the old one closes first, and what changed beside its name changes too.
// Update: live, in place. Replace: the new one opens before the old one closes. Restart: the old one closes first, as only
// one can hold what both need. What is no component is created, updated or removed.
const (
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace"
	Restart Action = "restart"
	Remove  Action = "remove"
	Move    Action = "move"
	Keep    Action = "keep"
)

// Step is one change.
type Step struct {
	Address string       `json:"address"`        // of anything but a component, its name
	From    string       `json:"from,omitempty"` // of what is moved: what it was called
	Action  Action       `json:"action"`
	Gap     string       `json:"gap,omitempty"`        // while it is replaced, restarted or moved: what does not happen meanwhile
	Attrs   []AttrChange `json:"attributes,omitempty"` // of what was there and stays
}

// AttrChange is an attribute whose value differs; "" where it has none.
type AttrChange struct {
	Path   string     `json:"path"`
	Old    string     `json:"old,omitempty"`
	New    string     `json:"new,omitempty"`
	Change sdk.Change `json:"change,omitempty"` // what the change costs
}

// Empty reports whether nothing changes.
func (p *Plan) Empty() bool {
	return len(p.Settings)+len(p.Pipelines)+len(p.Groups)+len(p.Route)+len(p.Dashboards) == 0 && !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Action != Keep })
}

// Diff compares what runs, nil if nothing does, with what is desired.
func Diff(old, desired *Desired) *Plan {
	if old == nil {
		old = &Desired{}
	}
	p := &Plan{Steps: []Step{}}
	before := map[string]*Component{}
	for _, c := range old.Components {
		before[c.Address] = c
	}
	for _, c := range desired.Components {
		old := before[c.Address]
		for _, was := range desired.Moved.Was(c.Address) {
			old = cmp.Or(old, before[was])
		}
		p.Steps = append(p.Steps, step(old, c))
		if old != nil {
			delete(before, old.Address)
		}
	}
	for address := range before {
		p.Steps = append(p.Steps, Step{Address: address, Action: Remove})
	}
	slices.SortFunc(p.Steps, byAddress)
	p.Settings = changes(old.named(settingsBlocks...), desired.named(settingsBlocks...), nil)
	p.Groups = changes(old.named("rules", "file", language.OfRuleFile), desired.named("rules", "file", language.OfRuleFile), desired.Moved.Titles)
	p.Route = changes(old.named("route", "inhibit"), desired.named("route", "inhibit"), nil)
	p.Dashboards = changes(old.named("dashboard"), desired.named("dashboard"), nil)
	was, now, keys := old.pipelineAttrs(), desired.pipelineAttrs(), map[string][]string{}
	for _, l := range desired.Pipelines {
		keys[l.Key()] = desired.KeysBefore(l)
	}
	desired.Moved.Paths(was, "from ")
	p.Pipelines = changes(was, now, func(key string) []string { return keys[key] })
	return p
}

func byAddress(x, y Step) int { return strings.Compare(x.Address, y.Address) }

func step(old, c *Component) Step {
	s := Step{Address: c.Address, Action: Create}
	if old == nil {
		return s
	}
	s.Action, s.Attrs = Keep, attrChanges(old.Attrs, c.Attrs)
	replaced := old.Plugin != c.Plugin
	if old.Binary != c.Binary {
		s.Attrs = append(s.Attrs, AttrChange{Path: "plugin", Old: old.Binary, New: c.Binary, Change: sdk.Replace}) // no attribute is called so
	}
	for _, a := range s.Attrs {
		replaced = replaced || a.Change != sdk.Live
	}
	switch {
	case old.Address != c.Address:
		s.Action, s.From = Move, old.Address
	case replaced && (old.Offers.Config.Exclusive() || c.Offers.Config.Exclusive()):
		s.Action = Restart // whatever changed, two of them cannot hold it at once
	case replaced:
		s.Action = Replace
	case len(s.Attrs) > 0:
		s.Action = Update
	}
	s.Gap = gapOf(s.Action, c)
	return s
}

// gapOf says what does not happen while a component changes.
func gapOf(a Action, c *Component) string {
	switch {
	case a == Replace && c.Kind == sdk.KindSource && c.Offers.Streams:
		return "none: the new one is open, its addresses bound if it has any, before the old one closes"
	case a == Replace && (c.Kind == sdk.KindSink || c.Kind == sdk.KindStore || c.Kind == sdk.KindProcessor):
		return "none: what arrives between the two waits in the log"
	case a == Replace:
		return "none: the new one is open before the old one closes"
	case a != Restart && a != Move:
		return ""
	case c.Kind == sdk.KindStore:
		return "no queries and no rules until it is open again; samples wait in the log"
	case c.Kind == sdk.KindSink || c.Kind == sdk.KindProcessor:
		return "nothing goes through it until it is open again; samples wait in the log"
	case c.Kind == sdk.KindSource:
		return "it collects and receives nothing until it is open again"
	}
	return "it does nothing until it is open again"
}

func attrChanges(old, now []language.Attr) (list []AttrChange) {
	before := map[string]language.Attr{}
	for _, a := range old {
		before[a.Path] = a
	}
	for _, a := range now {
		o, had := before[a.Path]
		delete(before, a.Path)
		if !had || o.Text != a.Text || o.Sum != a.Sum {
			list = append(list, AttrChange{Path: a.Path, Old: o.Text, New: a.Text, Change: a.Change})
		}
	}
	for _, o := range before {
		list = append(list, AttrChange{Path: o.Path, Old: o.Text, Change: o.Change})
	}
	slices.SortFunc(list, func(x, y AttrChange) int { return strings.Compare(x.Path, y.Path) })
	return list
}

func changes(old, now map[string][]language.Attr, was func(name string) []string) (list []Step) {
	from := map[string]string{}
	if was != nil {
		from = language.Rename(old, now, was)
	}
	for name, attrs := range now {
		if before, had := old[name]; !had {
			list = append(list, Step{Address: name, Action: Create})
		} else if from[name] != "" {
			list = append(list, Step{Address: name, Action: Move, From: from[name], Attrs: attrChanges(before, attrs)})
		} else if changed := attrChanges(before, attrs); changed != nil {
			list = append(list, Step{Address: name, Action: Update, Attrs: changed})
		}
	}
	for name := range old {
		if _, still := now[name]; !still {
			list = append(list, Step{Address: name, Action: Remove})
		}
	}
	slices.SortFunc(list, byAddress)
	return list
}

// named gives the attributes of the blocks of some types, by name. The order of a group's rules is an attribute too.
func (d *Desired) named(types ...string) map[string][]language.Attr {
	m := map[string][]language.Attr{}
	for _, x := range d.blocks {
		if !slices.Contains(types, x.Kind) {
			continue
		}
		title := x.Address()
		m[title] = x.Attrs("")
		for _, g := range d.Groups {
			if g.body == x {
				m[title] = append(m[title], language.Attr{Path: "rules", Text: "[" + strings.Join(g.ruleNames(), ", ") + "]"})
			}
		}
	}
	return m
}

func (g *Group) ruleNames() (names []string) {
	for _, r := range g.Rules {
		names = append(names, r.Alert+r.Record)
	}
	return names
}

// pipelineAttrs has an attribute for each source: there may be thousands, and one comes or goes.
func (d *Desired) pipelineAttrs() map[string][]language.Attr {
	m := map[string][]language.Attr{}
	for _, p := range d.Pipelines {
		attrs := []language.Attr{{Path: "through", Text: "[" + strings.Join(p.Through, ", ") + "]"}}
		for _, source := range p.From {
			attrs = append(attrs, language.Attr{Path: "from " + source, Text: "yes"})
		}
		m[p.Key()] = attrs
	}
	return m
}
