package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Offer is a type that a plugin has.
type Offer struct {
	Plugin string
	Binary string // its version and its hash, as a plan says it: another one takes the place of what runs
	Type   sdk.Type
}

// Env is what building a plan may ask of the machine.
type Env struct {
	Getenv     func(name string) (string, bool)
	ReadFile   func(path string) ([]byte, error)
	Ask        func(command string) (string, error) // runs a program for a secret
	Offline    bool                                 // secrets are not read: their values are unknown
	HMACKey    []byte                               // of the sums of secrets; without one, a changed secret is not seen
	PluginDirs []string                             // where plugins are looked for, to say so
}

type builder struct {
	*language.Decoder
	cfg     *language.Config
	env     Env
	offers  map[string][]*offer // by kind.type
	desired *Desired

	ruleFile map[string]hcl.Range // by name: where each is read
}

// offer is a type with the schemas of its blocks: what the plugin has, and that together with the core attributes, so that
// what is misspelt finds its like in both.
type offer struct {
	Offer
	core  *sdk.Schema
	whole *sdk.Schema
}

// Build decodes a configuration by the schemas of the types, and resolves its references. If the diagnostics hold errors,
// the result is what could be read: good for more checks, never to be applied.
func Build(cfg *language.Config, types []Offer, env Env) (*Desired, hcl.Diagnostics) {
	scope := language.NewScope(cfg, language.Env{Getenv: env.Getenv, ReadFile: env.ReadFile, Ask: env.Ask, Offline: env.Offline})
	b := &builder{
		Decoder: language.NewDecoder(scope), cfg: cfg, env: env, offers: map[string][]*offer{}, desired: &Desired{}, ruleFile: map[string]hcl.Range{},
	}
	b.HMACKey = env.HMACKey
	for _, t := range types {
		b.offer(t)
	}
	b.Declare()
	b.settings()
	for _, block := range b.Expanded() {
		if language.IsKind(block.Type) && b.IsOn(block) {
			b.component(block)
		}
	}
	slices.SortFunc(b.desired.Components, func(x, y *Component) int { return strings.Compare(x.Address, y.Address) })
	b.pipelines()
	b.groups()
	b.tests()
	b.dashboards()
	b.route()
	b.desired.Moved = b.Moves()
	if !b.Diags.HasErrors() && !cfg.Partial && !(cfg.IsPack() && env.Offline) {
		b.unconnected()
	}
	b.Scrub()
	b.desired.Secrets, b.desired.Files = b.Secrets(), b.Watched()
	return b.desired, b.Diags
}

func (b *builder) offer(t Offer) {
	o := &offer{Offer: t, core: language.CoreOf(t.Type), whole: language.Whole(t.Type)}
	key := string(t.Type.Kind) + "." + t.Type.Name
	b.offers[key] = append(b.offers[key], o)
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
		Address: language.Address(block), Kind: o.Type.Kind, Type: o.Type.Name, Name: block.Labels[1],
		Plugin: o.Plugin, Binary: o.Binary, Offers: o.Type, Range: x.Header, Pack: x.Pack, body: x,
	}
	switch c.Kind {
	case sdk.KindSource:
		b.sourceSettings(c, o)
	case sdk.KindSink, sdk.KindStore:
		c.Queue = b.queue(x)
	case sdk.KindDiagnoser:
		c.Match = b.matchers(x.Field("match"))
	}
	var err error
	if c.Config, err = json.Marshal(x.Values(o.core)); err != nil {
		b.Error(x.Header, "Invalid configuration", "%s cannot be sent to its plugin: %s.", x.Title, err)
		return
	}
	if c.Attrs = x.Attrs(""); !o.Type.Live {
		for i := range c.Attrs {
			if a := &c.Attrs[i]; a.Change == sdk.Live && a.Path != "discover" && a.Path != "match" && !strings.HasPrefix(a.Path, "queue.") { // those are the daemon's
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

// queue reads what bounds the backlog of a sink.
func (b *builder) queue(x *language.Body) (q Queue) {
	f := x.Field("queue")
	if f == nil {
		return q
	}
	core := language.Fill[language.QueueBlock](f.Blocks[0])
	q = Queue{MaxBytes: int64(core.MaxSize), MaxAge: core.MaxAge, Block: core.WhenFull == "block"}
	if q.Block && q.MaxBytes == 0 {
		b.Error(f.Blocks[0].RangeOf(sdk.Path{{Name: "when_full"}}), "Full at no size", "Say with max_size when the queue is full.")
	}
	return q
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
