package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Offer is a type that a plugin has.
type Offer struct {
	Plugin string
	Type   sdk.Type
}

// Env is what building a plan may ask of the machine.
type Env struct {
	Getenv     func(name string) (string, bool)
	ReadFile   func(path string) ([]byte, error)
	Offline    bool     // secrets are not read: their values are unknown
	HMACKey    []byte   // of the sums of secrets; without one, a changed secret is not seen
	PluginDirs []string // where plugins are looked for, to say so
}

type builder struct {
	*language.Decoder
	cfg      *language.Config
	env      Env
	offers   map[string][]*offer // by kind.type
	declared map[string]*declared
	byPrefix map[string][]string // kind, or kind.type → addresses
	used     map[string]bool     // addresses that something refers to
	edges    int                 // what all references mean
	desired  *Desired
}

// offer is a type with the schemas of its blocks: what the plugin has, and that together with the core attributes, so that
// what is misspelt finds its like in both.
type offer struct {
	Offer
	core  *sdk.Schema
	whole *sdk.Schema
}

// declared is a block that has an address.
type declared struct {
	block   *hcl.Block
	enabled bool
}

// Build decodes a configuration by the schemas of the types, and resolves its references. If the diagnostics hold errors,
// the result is what could be read: good for more checks, never to be applied.
func Build(cfg *language.Config, types []Offer, env Env) (*Desired, hcl.Diagnostics) {
	scope := language.NewScope(cfg, language.Env{Getenv: env.Getenv, ReadFile: env.ReadFile, Offline: env.Offline})
	b := &builder{
		Decoder: language.NewDecoder(scope), cfg: cfg, env: env, offers: map[string][]*offer{}, declared: map[string]*declared{},
		byPrefix: map[string][]string{}, used: map[string]bool{}, desired: &Desired{},
	}
	b.References, b.HMACKey = b.references, env.HMACKey
	for _, t := range types {
		b.offer(t)
	}
	for _, block := range cfg.Blocks {
		b.declare(block)
	}
	b.settings()
	for _, block := range cfg.Blocks {
		if language.IsKind(block.Type) && b.isOn(block) {
			b.component(block)
		}
	}
	slices.SortFunc(b.desired.Components, func(x, y *Component) int { return strings.Compare(x.Address, y.Address) })
	b.pipelines()
	b.groups()
	b.route()
	if !b.Diags.HasErrors() && !cfg.Partial {
		b.unconnected()
	}
	b.Scrub()
	return b.desired, b.Diags
}

func (b *builder) offer(t Offer) {
	o := &offer{Offer: t, core: language.Core["component"]}
	core := *o.core
	if t.Type.Kind == sdk.KindSource {
		core = *language.Core["source"]
		if !t.Type.Discovers {
			core.Attributes = slices.DeleteFunc(slices.Clone(core.Attributes), func(a sdk.Attribute) bool { return a.Name == "discover" })
		}
		o.core = &core
	}
	o.whole = &sdk.Schema{Attributes: slices.Concat(core.Attributes, t.Type.Config.Attributes), Blocks: t.Type.Config.Blocks}
	key := string(t.Type.Kind) + "." + t.Type.Name
	b.offers[key] = append(b.offers[key], o)
}

// identifier is what a name in a reference may be.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,127}$`)

// declare gives a block its address, before anything refers to it.
func (b *builder) declare(block *hcl.Block) {
	address := address(block)
	for i, l := range block.Labels {
		if !identifier.MatchString(l) && block.Type != "rules" && block.Type != "alert" && block.Type != "record" {
			b.Error(block.LabelRanges[i], "Invalid name", "%q is not a name of letters, digits, _ and -, which references need.", l)
		}
	}
	if block.Type == "alert" || block.Type == "record" {
		return // their names are their group's matter
	}
	if other := b.declared[address]; other != nil {
		b.Error(language.Header(block), "Duplicate block", "%s is declared at %s already.", language.Title(block), language.Place(language.Header(other.block)))
		return
	}
	d := &declared{block: block, enabled: b.enabled(block)}
	b.declared[address] = d
	if language.IsKind(block.Type) {
		for _, prefix := range []string{block.Type, block.Type + "." + block.Labels[0]} {
			b.byPrefix[prefix] = append(b.byPrefix[prefix], address)
		}
	}
}

// enabled reads the attribute that every block with a name has. A block that is not enabled is not looked at further: what
// it needs may be missing on this machine.
func (b *builder) enabled(block *hcl.Block) bool {
	content, _, _ := block.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "enabled"}}})
	a := content.Attributes["enabled"]
	if a == nil || block.Type == "daemon" || block.Type == "http" || block.Type == "route" {
		return true
	}
	saved := len(b.Diags)
	f := b.Attribute(&language.Body{}, &language.Core["component"].Attributes[0], a)
	b.Diags = b.Diags[:saved] // reported when the block is decoded
	return f == nil || f.Value == true
}

// isOn reports whether a block is the one that has its address, and enabled.
func (b *builder) isOn(block *hcl.Block) bool {
	d := b.declared[address(block)]
	return d != nil && d.block == block && d.enabled
}

// blocks lists the blocks of a type that are on, in file order.
func (b *builder) blocks(of string) (list []*hcl.Block) {
	for _, block := range b.cfg.Blocks {
		if block.Type == of && b.isOn(block) {
			list = append(list, block)
		}
	}
	return list
}

func address(block *hcl.Block) string {
	return strings.Join(append([]string{block.Type}, block.Labels...), ".")
}

// component decodes a block of a plugin's type.
func (b *builder) component(block *hcl.Block) {
	offers := b.offers[block.Type+"."+block.Labels[0]]
	if len(offers) != 1 {
		b.cfg.HideBehind(language.Header(block))
		b.noOffer(block, offers)
		return
	}
	o := offers[0]
	x := b.Block(block, o.whole, nil)
	c := &Component{
		Address: address(block), Kind: o.Type.Kind, Type: o.Type.Name, Name: block.Labels[1],
		Plugin: o.Plugin, Offers: o.Type, Range: x.Header, body: x,
	}
	if c.Kind == sdk.KindSource {
		b.sourceSettings(c, o)
	}
	var err error
	if c.Config, err = json.Marshal(x.Values(o.core)); err != nil {
		b.Error(x.Header, "Invalid configuration", "%s cannot be sent to its plugin: %s.", x.Title, err)
		return
	}
	if c.Attrs = x.Attrs(""); !o.Type.Live {
		for i := range c.Attrs {
			if a := &c.Attrs[i]; a.Change == sdk.Live && a.Path != "discover" {
				a.Change = sdk.Replace
			}
		}
	}
	slices.SortStableFunc(c.Attrs, func(x, y language.Attr) int { return strings.Compare(x.Path, y.Path) })
	if !x.Broken {
		b.desired.Components = append(b.desired.Components, c)
	}
}

func (b *builder) noOffer(block *hcl.Block, offers []*offer) {
	kind, name, at := block.Type, block.Labels[0], block.LabelRanges[0]
	if len(offers) > 1 {
		b.Error(at, "Ambiguous type", "The plugins %s and %s both offer %s %q: remove one of them from the plugin directories.", offers[0].Plugin, offers[1].Plugin, kind, name)
		return
	}
	var names []string
	for key := range b.offers {
		if rest, ok := strings.CutPrefix(key, kind+"."); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	hint := language.DidYouMean(name, names)
	if hint == "" {
		hint = fmt.Sprintf(" A plugin is a program magpie finds in %s.", cmp.Or(strings.Join(b.env.PluginDirs, " or "), "its plugin directories"))
		if len(names) > 0 {
			hint = " There are " + strings.Join(names, ", ") + "." + hint
		}
	}
	b.Error(at, "Unknown type", "No installed plugin offers %s %q.%s", kind, name, hint)
}

// sourceSettings fills the core attributes of a source.
func (b *builder) sourceSettings(c *Component, o *offer) {
	x, s := c.body, b.desired.Settings
	core := language.Fill[language.SourceCore](x)
	if x.Field("interval") == nil {
		core.Interval = s.Interval
	}
	if x.Field("timeout") == nil {
		core.Timeout = min(s.Timeout, core.Interval)
	} else if core.Timeout > core.Interval {
		b.Error(x.Field("timeout").At, "Timeout longer than the interval", "The timeout is at most the interval, %s.", language.Duration(core.Interval))
	}
	core.Job = cmp.Or(core.Job, o.Type.Job, c.Name)
	b.SetDefault(x, o.core, "interval", core.Interval)
	b.SetDefault(x, o.core, "timeout", core.Timeout)
	b.SetDefault(x, o.core, "job", core.Job)
	b.checkLabels(x, "labels", core.Labels)
	c.Source = sdk.SourceSettings{Job: core.Job, Labels: core.Labels, Interval: core.Interval, Timeout: core.Timeout, LimitSeries: core.LimitSeries}
	c.Discover = core.Discover
}

// checkLabels checks label names as Prometheus 3 does: any text but for those with a meaning of their own.
func (b *builder) checkLabels(x *language.Body, attribute string, labels map[string]string) {
	for _, name := range language.Sorted(labels) {
		if name == "" || strings.HasPrefix(name, "__") {
			at := x.RangeOf(sdk.Path{{Name: attribute}, {Key: name}})
			b.Error(at, "Invalid label name", "%q cannot be a label: names that begin with __ are reserved, and none is empty.", name)
		}
	}
}
