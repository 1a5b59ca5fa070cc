package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// translator turns what the log holds into what one sink is to see: streams that the delivery does not want are left out,
// definitions go through the processors, and what these dropped becomes NoRef in layouts. Columns of values pass as they
// are. Processors answer the same for the same series, so a replay gives the same.
type translator struct {
	route *Route
	views map[uint32]*view
}

// view is one stream as the sink sees it.
type view struct {
	wanted  bool
	dropped map[uint32]struct{} // refs that a processor dropped
	layouts map[uint32][]uint32 // of layouts with dropped refs: which entries
}

// translated is the outcome for one record.
type translated struct {
	same    bool   // the record can be sent as it is
	frames  []byte // otherwise these
	samples int    // left for the sink
	dropped int    // samples that processors dropped
}

func (t *translator) record(ctx context.Context, r buffer.Record) (out translated, err error) {
	if !r.Past && !r.Defines && t.allWanted(r.Payload) {
		out.same, out.samples = true, r.Samples
		return out, nil
	}
	for f := wire.Read(r.Payload); ; {
		if !f.Next() {
			return out, f.Err
		}
		if err := t.frame(ctx, &f.Frame, r.Past, &out); err != nil {
			return out, err
		}
	}
}

// allWanted reports whether every frame can pass: then nothing need be copied.
func (t *translator) allWanted(frames []byte) bool {
	r := wire.Read(frames)
	for r.Next() {
		v := t.views[r.Stream]
		if v == nil || !v.wanted || len(v.dropped) > 0 || r.Kind == wire.Checkpoint {
			return false
		}
	}
	return r.Err == nil
}

func (t *translator) frame(ctx context.Context, f *wire.Frame, past bool, out *translated) error {
	v := t.views[f.Stream]
	if f.Kind == wire.Stream && v == nil {
		v = &view{wanted: t.route.Wants(f.Address()), dropped: map[uint32]struct{}{}, layouts: map[uint32][]uint32{}}
		t.views[f.Stream] = v
	}
	if v == nil || !v.wanted {
		return nil // not for this sink, or its definitions are gone with a segment that had to go
	}
	pass := func() { out.frames = append(out.frames, f.Raw...) }
	switch f.Kind {
	case wire.Stream, wire.Families:
		pass()
	case wire.Defs:
		return t.defs(ctx, f, v, out)
	case wire.Layout:
		t.layout(f, v, out)
	case wire.End:
		delete(t.views, f.Stream)
		pass()
	case wire.Retire:
		for _, ref := range f.Refs() {
			delete(v.dropped, ref)
		}
		pass()
	case wire.Values:
		if past {
			return nil
		}
		gone := v.goneIn(f)
		out.samples += f.Samples() - gone
		out.dropped += gone
		pass()
	case wire.Stale, wire.Cols:
		if !past {
			t.columns(f, v, out)
		}
	}
	return nil
}

// defs passes definitions through the processors.
func (t *translator) defs(ctx context.Context, f *wire.Frame, v *view, out *translated) error {
	if len(t.route.Through) == 0 && len(t.route.External) == 0 {
		out.frames = append(out.frames, f.Raw...)
		return nil
	}
	series, err := f.Series()
	if err != nil {
		return err
	}
	labels := make([]sdk.Labels, len(series))
	for i := range series {
		labels[i] = series[i].Labels
	}
	for _, ask := range t.route.Through {
		if labels, err = askFor(ctx, ask, labels); err != nil {
			return err
		}
	}
	kept := series[:0]
	for i, s := range series {
		if s.Labels = labels[i]; s.Labels == nil || s.Labels.Get(sdk.NameLabel) == "" || !s.Labels.Valid() {
			v.dropped[uint32(s.Ref)] = struct{}{}
			continue
		}
		for _, l := range t.route.External {
			if s.Labels.Get(l.Name) == "" {
				s.Labels = slices.Clone(s.Labels).Set(l.Name, l.Value)
			}
		}
		kept = append(kept, s)
	}
	for len(kept) > 0 {
		out.frames, kept = wire.AppendDefs(out.frames, f.Stream, kept)
	}
	return nil
}

// askFor asks a processor about those series that no processor has dropped yet.
func askFor(ctx context.Context, ask MapSeries, labels []sdk.Labels) ([]sdk.Labels, error) {
	var asked []sdk.Labels
	for _, ls := range labels {
		if ls != nil {
			asked = append(asked, ls)
		}
	}
	if len(asked) == 0 {
		return labels, nil
	}
	answers, err := ask(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("asking a processor: %w", err)
	}
	mapped := make([]sdk.Labels, len(labels))
	for i, ls := range labels {
		if ls != nil {
			mapped[i], answers = answers[0], answers[1:]
		}
	}
	return mapped, nil
}

// layout replaces dropped refs by NoRef and remembers which entries they are.
func (t *translator) layout(f *wire.Frame, v *view, out *translated) {
	delete(v.layouts, f.Layout)
	refs, gone := v.without(f.Refs())
	if gone == nil {
		out.frames = append(out.frames, f.Raw...)
		return
	}
	v.layouts[f.Layout] = gone
	out.frames = wire.AppendRefs(out.frames, f.Header, refs)
}

// without replaces dropped refs; gone lists their places, nil if there are none.
func (v *view) without(refs []uint32) (kept []uint32, gone []uint32) {
	if len(v.dropped) == 0 {
		return refs, nil
	}
	for i, ref := range refs {
		if _, ok := v.dropped[ref]; ok {
			if gone == nil {
				kept = slices.Clone(refs)
			}
			kept[i] = uint32(sdk.NoRef)
			gone = append(gone, uint32(i))
		}
	}
	if gone == nil {
		return refs, nil
	}
	return kept, gone
}

// goneIn counts the samples of a VALUES frame that belong to dropped series.
func (v *view) goneIn(f *wire.Frame) (n int) {
	for _, i := range v.layouts[f.Layout] {
		if !f.Absent(int(i)) {
			n++
		}
	}
	return n
}

// columns replaces dropped refs in a frame that names its series itself.
func (t *translator) columns(f *wire.Frame, v *view, out *translated) {
	refs, gone := v.without(f.Refs())
	out.samples += len(refs) - len(gone)
	out.dropped += len(gone)
	at := len(out.frames) + wire.HeaderSize
	out.frames = append(out.frames, f.Raw...)
	if gone != nil {
		wire.PutRefs(out.frames[at:], refs)
	}
}
