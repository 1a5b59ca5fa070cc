package wire

import (
	"context"
	"fmt"
	"slices"

	"github.com/magpie-monitoring/magpie/sdk"
)

// MapSeries asks a processor; a nil entry in the answer drops the series.
type MapSeries func(ctx context.Context, series []sdk.Labels) ([]sdk.Labels, error)

// Translator turns the frames of all sources into what one sink is to see: streams that are not wanted are left out,
// definitions go through the processors, and what these dropped becomes NoRef in layouts. Columns of values pass as they
// are. Processors answer the same for the same series, so a replay gives the same.
type Translator struct {
	Wants    func(address string) bool
	Through  []MapSeries
	External sdk.Labels // added where a series has none of the name

	views map[uint32]*view
}

// view is one stream as the sink sees it.
type view struct {
	wanted  bool
	dropped map[uint32]struct{} // refs that a processor dropped
	layouts map[uint32][]uint32 // of layouts with dropped refs: which entries
}

// Translated is the outcome for some frames.
type Translated struct {
	Same    bool   // they can be sent as they are
	Frames  []byte // otherwise these
	Samples int    // left for the sink
	Dropped int    // samples that processors dropped
	Skipped int    // samples of wanted streams that were past
}

// Translate takes the next frames, of which samples are told and defines says whether any defines something. past: the sink
// has their samples already, and needs the definitions only.
func (t *Translator) Translate(ctx context.Context, frames []byte, samples int, defines, past bool) (out Translated, err error) {
	if !past && !defines && t.allWanted(frames) {
		out.Same, out.Samples = true, samples
		return out, nil
	}
	for f := Read(frames); ; {
		if !f.Next() {
			return out, f.Err
		}
		if err := t.frame(ctx, &f.Frame, past, &out); err != nil {
			return out, err
		}
	}
}

// allWanted reports whether every frame can pass: then nothing need be copied.
func (t *Translator) allWanted(frames []byte) bool {
	r := Read(frames)
	for r.Next() {
		v := t.views[r.Stream]
		if v == nil || !v.wanted || len(v.dropped) > 0 || r.Kind == Checkpoint {
			return false
		}
	}
	return r.Err == nil
}

func (t *Translator) frame(ctx context.Context, f *Frame, past bool, out *Translated) error {
	v := t.views[f.Stream]
	if f.Kind == Stream && v == nil {
		v = &view{wanted: t.Wants(f.Address()), dropped: map[uint32]struct{}{}, layouts: map[uint32][]uint32{}}
		if t.views == nil {
			t.views = map[uint32]*view{}
		}
		t.views[f.Stream] = v
	}
	if v == nil || !v.wanted {
		return nil // not for this sink, or its definitions are gone with a segment that had to go
	}
	pass := func() { out.Frames = append(out.Frames, f.Raw...) }
	switch f.Kind {
	case Stream, Families:
		pass()
	case Defs:
		return t.defs(ctx, f, v, out)
	case Layout:
		t.layout(f, v, out)
	case End:
		delete(t.views, f.Stream)
		pass()
	case Retire:
		for _, ref := range f.Refs() {
			delete(v.dropped, ref)
		}
		pass()
	case Values:
		if past {
			out.Skipped += f.Samples()
			return nil
		}
		gone := v.goneIn(f)
		out.Samples += f.Samples() - gone
		out.Dropped += gone
		pass()
	case Stale, Cols, Histograms, Exemplars, Records:
		if past {
			out.Skipped += f.Samples()
			return nil
		}
		t.columns(f, v, out)
	}
	return nil
}

// defs passes definitions through the processors.
func (t *Translator) defs(ctx context.Context, f *Frame, v *view, out *Translated) error {
	if len(t.Through) == 0 && len(t.External) == 0 {
		out.Frames = append(out.Frames, f.Raw...)
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
	for _, ask := range t.Through {
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
		for _, l := range t.External {
			if s.Labels.Get(l.Name) == "" {
				s.Labels = slices.Clone(s.Labels).Set(l.Name, l.Value)
			}
		}
		kept = append(kept, s)
	}
	for len(kept) > 0 {
		out.Frames, kept = AppendDefs(out.Frames, f.Stream, kept)
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
func (t *Translator) layout(f *Frame, v *view, out *Translated) {
	delete(v.layouts, f.Layout)
	refs, gone := v.without(f.Refs())
	if gone == nil {
		out.Frames = append(out.Frames, f.Raw...)
		return
	}
	v.layouts[f.Layout] = gone
	out.Frames = AppendRefs(out.Frames, f.Header, refs)
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
func (v *view) goneIn(f *Frame) (n int) {
	for _, i := range v.layouts[f.Layout] {
		if !f.Absent(int(i)) {
			n++
		}
	}
	return n
}

// columns replaces dropped refs in a frame that names its series itself.
func (t *Translator) columns(f *Frame, v *view, out *Translated) {
	refs, gone := v.without(f.Refs())
	if f.Kind != Exemplars {
		out.Samples += len(refs) - len(gone)
		out.Dropped += len(gone)
	}
	at := len(out.Frames) + HeaderSize
	out.Frames = append(out.Frames, f.Raw...)
	if gone != nil {
		PutRefs(out.Frames[at:], refs)
	}
}
