package plan

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// settings reads the blocks daemon, http and buffer, or their defaults.
func (b *builder) settings() {
	x, y, z := b.only("daemon"), b.only("http"), b.only("buffer")
	b.desired.blocks = append(b.desired.blocks, x, y, z)
	b.buffer(z)
	d := language.Fill[language.DaemonBlock](x)
	s := &b.desired.Settings
	s.DataDir, s.Interval, s.Timeout, s.ExternalLabels, s.ExternalURL = d.DataDir, d.Interval, d.Timeout, d.ExternalLabels, d.ExternalURL
	if f := x.Field("timeout"); f != nil && s.Timeout > s.Interval {
		if f.Expr != nil {
			b.Error(f.At, "Timeout longer than the interval", "The timeout is at most the interval, %s.", language.Duration(s.Interval))
		}
		s.Timeout = s.Interval
		*f = *b.NewField(f.Attr, nil, f.At, s.Interval)
	}
	b.checkLabels(x, "external_labels", s.ExternalLabels)

	h := language.Fill[language.HTTPBlock](y)
	s.Listen = h.Listen
	if f := y.Field("listen"); f != nil && !h.Insecure && !isLoopback(h.Listen) {
		b.Error(f.At, "Open to the network", "%q can be reached by other machines, and this version has neither TLS nor passwords. Use 127.0.0.1, behind a proxy that has, or say insecure = true.", h.Listen)
	}
}

func (b *builder) buffer(x *language.Body) {
	block := language.Fill[language.BufferBlock](x)
	s := &b.desired.Settings.Buffer
	*s = Buffer{SegmentSize: int64(block.SegmentSize), MaxSize: int64(block.MaxSize), Reserve: int64(block.Reserve)}
	f := x.Field("fsync")
	switch d, err := sdk.ParseDuration(block.Fsync); {
	case block.Fsync == "always":
	case block.Fsync == "off":
		s.Fsync = -1
	case err == nil && d >= time.Millisecond && d <= 10*time.Second:
		s.Fsync = d
	case f != nil:
		b.Error(f.At, "Invalid value", "fsync takes a duration from 1ms to 10s, \"always\" or \"off\", and %q is none.", block.Fsync)
	}
	if f := x.Field("max_size"); f != nil && s.MaxSize < 4*s.SegmentSize {
		b.Error(f.At, "Too small for its segments", "max_size is at least four times segment_size, %s.", sdk.Bytes(s.SegmentSize))
	}
}

// only decodes the one block of a type, an empty one if there is none.
func (b *builder) only(name string) *language.Body {
	if blocks := b.Blocks(name); len(blocks) > 0 {
		return b.CoreBlock(blocks[0])
	}
	return b.CoreBlock(&hcl.Block{Type: name, Body: hcl.EmptyBody()})
}

func isLoopback(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// pipelines expands each pipeline block to one pipeline for each place that it goes to, and makes the default ones.
func (b *builder) pipelines() {
	seen := map[string]*Pipeline{} // source and destination
	named := map[string]bool{}     // sources in a pipeline
	for _, block := range b.Blocks("pipeline") {
		x := b.CoreBlock(block)
		b.desired.blocks = append(b.desired.blocks, x)
		p := language.Fill[language.PipelineBlock](x)
		slices.Sort(p.From)
		for _, source := range p.From {
			named[source] = true
		}
		for _, to := range p.To {
			line := &Pipeline{Name: x.Pack.Prefix() + "pipeline." + p.Name + x.Key, From: p.From, Through: p.Through, To: to, Range: x.Header}
			for _, source := range p.From {
				if slices.ContainsFunc(p.Through, b.derives) {
					break // it brings other series than those of its sources
				}
				if other := seen[source+" "+to]; other != nil {
					b.Error(x.RangeOf(sdk.Path{{Name: "to"}}), "Two ways to one place", "%s brings %s to %s already: it would be there twice. Name the source, or the place, in one of them only.", other.Name, source, to)
					break
				}
				seen[source+" "+to] = line
			}
			if len(p.From) > 0 {
				b.desired.Pipelines = append(b.desired.Pipelines, line)
			}
		}
	}
	b.defaultPipelines(named)
	slices.SortStableFunc(b.desired.Pipelines, func(p, q *Pipeline) int { return strings.Compare(p.Key(), q.Key()) })
}

// derives reports whether a processor makes series of its own.
func (b *builder) derives(address string) bool {
	return slices.ContainsFunc(b.desired.Components, func(c *Component) bool { return c.Address == address && c.Offers.Derives })
}

// defaultPipelines brings the sources that no pipeline names to every store and sink.
func (b *builder) defaultPipelines(named map[string]bool) {
	var from []string
	for _, c := range b.desired.Components {
		if c.Kind == "source" && !named[c.Address] {
			from = append(from, c.Address)
		}
	}
	if from == nil {
		return
	}
	for _, c := range b.desired.Components {
		if c.Kind == "store" || c.Kind == "sink" {
			b.Use(c.Address)
			b.desired.Pipelines = append(b.desired.Pipelines, &Pipeline{Name: "default", From: from, To: c.Address})
		}
	}
}

// unconnected warns of what is configured and does nothing.
func (b *builder) unconnected() {
	reached := map[string]bool{}
	for _, p := range b.desired.Pipelines {
		for _, source := range p.From {
			reached[source] = true
		}
	}
	for _, g := range b.desired.Groups {
		reached[g.Store] = true
	}
	for _, c := range b.desired.Components {
		switch {
		case c.Kind == "source" && !reached[c.Address]:
			b.Warn(c.Range, "Source without a destination", "What %s collects goes nowhere: there is no store or sink for it.", c.Address)
		case (c.Kind == "processor" || c.Kind == "notifier" || c.Kind == "discovery" || c.Kind == "sink" || c.Kind == "store") && !b.Used(c.Address) && !reached[c.Address]:
			b.Warn(c.Range, "Unused component", "Nothing refers to %s.", c.Address)
		case c.Kind == sdk.KindCoordinator:
			b.Warn(c.Range, "Nothing is coordinated yet", "This version opens %s and watches it, and shares no work through it: each daemon still works alone.", c.Address)
		}
	}
	for _, g := range b.desired.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" && len(r.Notify) == 0 && !notifies(b.desired.Route) {
				b.Warn(r.Range, "Nobody is told", "The alert %s, and others perhaps, reaches no notifier: write route { notify = [notifier.TYPE.NAME] }.", r.Alert)
				return
			}
		}
	}
}

func notifies(r *Route) bool {
	return r != nil && (len(r.Notify) > 0 || slices.ContainsFunc(r.Routes, notifies))
}
