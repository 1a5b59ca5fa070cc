package wire

import (
	"fmt"
	"slices"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Decoder reads the packets that one sink gets and keeps what they define. Memory: about 16 B and the compressed
// definition (some 20 to 60 B) per live series, and 4 B per series of a layout.
type Decoder struct {
	origins map[uint32]*origin
}

// origin is a stream's definitions.
type origin struct {
	*sdk.Origin
	families map[uint32]*sdk.Family
	series   sdk.Table[seriesAt]
	layouts  map[uint32]*layout
}

// seriesAt is where a series is defined.
type seriesAt struct {
	defs   *defs
	offset uint32
}

// layout is the refs of a LAYOUT without those that nothing defines, the dropped ones among them; keep says which entries they are, nil: all.
type layout struct {
	refs []sdk.Ref
	keep []uint32
	n    uint32
}

// Forgotten are series that will not come again; Refs nil: none of the origin's.
type Forgotten struct {
	Origin *sdk.Origin
	Refs   []sdk.Ref
	from   *origin
}

// NewDecoder makes a decoder that knows nothing yet.
func NewDecoder() *Decoder { return &Decoder{origins: map[uint32]*origin{}} }

// Decode reads a packet's frames. The runs use the packet's memory. What is forgotten is to be told after the runs are
// used.
func (d *Decoder) Decode(frames []byte) (runs []sdk.Run, forgotten []Forgotten, err error) {
	r := Read(frames)
	for r.Next() {
		f := &r.Frame
		o := d.origins[f.Stream]
		if o == nil && f.Kind != Stream {
			return nil, nil, fmt.Errorf("%w: kind %d for stream %d, which is not open", errFrame, f.Kind, f.Stream)
		}
		switch f.Kind {
		case Stream:
			d.open(f)
		case Families, Defs, Layout:
			err = o.define(f)
		case Values, Cols, Stale:
			var run sdk.Run
			if run, err = o.run(f); len(run.Refs) > 0 {
				runs = append(runs, run)
			}
		case Histograms:
			var run sdk.Run
			if run, err = o.histograms(f); len(run.Refs) > 0 {
				runs = append(runs, run)
			}
		case Records:
			var run sdk.Run
			if run, err = o.records(f); len(run.Refs) > 0 {
				runs = append(runs, run)
			}
		case Exemplars:
			var run sdk.Run
			if run, err = o.exemplars(f); len(run.Exemplars) > 0 {
				runs = append(runs, run)
			}
		case Retire:
			refs := make([]sdk.Ref, f.N)
			for i, ref := range f.Refs() {
				refs[i] = sdk.Ref(ref)
			}
			forgotten = append(forgotten, Forgotten{o.Origin, refs, o})
		case End:
			forgotten = append(forgotten, Forgotten{o.Origin, nil, o})
			delete(d.origins, f.Stream)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return runs, forgotten, r.Err
}

// Forget frees what was forgotten; call it when the runs of the packet are used.
func Forget(list []Forgotten) {
	for _, f := range list {
		f.Origin.Forget(f.Refs)
		for _, ref := range f.Refs {
			f.from.series.Delete(ref)
		}
	}
}

// open starts a stream. A second STREAM of the same number, after a reconnection, keeps what is there.
func (d *Decoder) open(f *Frame) {
	if d.origins[f.Stream] != nil {
		return
	}
	o := &origin{families: map[uint32]*sdk.Family{}, layouts: map[uint32]*layout{}}
	o.Origin = sdk.NewOrigin(f.Address(), o.lookup)
	d.origins[f.Stream] = o
}

func (o *origin) define(f *Frame) error {
	switch f.Kind {
	case Families:
		families, err := f.Families()
		if err != nil {
			return err
		}
		for _, fam := range families {
			o.families[fam.ID] = &fam.Family
		}
	case Defs:
		kept := *f
		kept.Body = slices.Clone(f.Body) // the packet's memory is not ours to keep
		ds, err := readDefs(&kept)
		if err != nil {
			return err
		}
		for _, at := range ds.entries {
			o.series.Set(at.ref, seriesAt{ds, at.offset})
		}
		ds.entries = nil
	case Layout:
		l := &layout{n: f.N}
		for i, ref := range f.Refs() {
			if o.series.Get(sdk.Ref(ref)) != nil {
				l.refs = append(l.refs, sdk.Ref(ref))
				l.keep = append(l.keep, uint32(i))
			}
		}
		if len(l.refs) == int(f.N) {
			l.keep = nil
		}
		o.layouts[f.Layout] = l
	}
	return nil
}

func (o *origin) lookup(ref sdk.Ref) (s sdk.Series, ok bool) {
	at := o.series.Get(ref)
	if at == nil {
		return s, false
	}
	c := cursor{b: at.defs.body, pos: int(at.offset)}
	c.uvarint(1<<32 - 1)
	s.Family = o.families[uint32(c.uvarint(1<<32-1))]
	n := c.uvarint(maxLabels)
	s.Labels = make(sdk.Labels, 0, n+2) // room for external labels
	for range n {
		name, value := c.uvarint(1<<32-1), c.uvarint(1<<32-1)
		s.Labels = append(s.Labels, sdk.Label{Name: string(at.defs.symbol(int(name))), Value: string(at.defs.symbol(int(value)))})
	}
	return s, true
}

// run reads the samples of a VALUES, COLUMNS or STALE frame.
func (o *origin) run(f *Frame) (sdk.Run, error) {
	run := sdk.Run{Origin: o.Origin, Base: f.Base}
	if f.Kind == Stale {
		for _, ref := range f.Refs() {
			if o.series.Get(sdk.Ref(ref)) != nil {
				run.Refs = append(run.Refs, sdk.Ref(ref))
				run.Values = append(run.Values, sdk.StaleNaN)
			}
		}
		return run, nil
	}
	values, times, absent := f.parts()
	var keep []uint32
	if f.Kind == Values {
		l := o.layouts[f.Layout]
		if l == nil || l.n != f.N {
			return run, fmt.Errorf("%w: %d values for layout %d of stream %d, which has %d", errFrame, f.N, f.Layout, f.Stream, l.size())
		}
		run.Refs, keep = l.refs, l.keep
	} else {
		for i, ref := range f.Refs() {
			if o.series.Get(sdk.Ref(ref)) != nil {
				run.Refs, keep = append(run.Refs, sdk.Ref(ref)), append(keep, uint32(i))
			}
		}
	}
	if absent == nil && times == nil && len(run.Refs) == len(values) {
		run.Values = values
		return run, nil
	}
	return pick(run, keep, values, times, absent), nil
}

func (l *layout) size() uint32 {
	if l == nil {
		return 0
	}
	return l.n
}

// pick copies the samples that are present: entry keep[i] (nil: i) belongs to run.Refs[i].
func pick(run sdk.Run, keep []uint32, values []float64, times []uint32, absent []uint64) sdk.Run {
	refs := run.Refs
	run.Refs, run.Values = nil, make([]float64, 0, len(refs))
	if absent != nil {
		run.Refs = make([]sdk.Ref, 0, len(refs))
	} else {
		run.Refs = refs
	}
	for i, ref := range refs {
		k := i
		if keep != nil {
			k = int(keep[i])
		}
		if absent != nil {
			if absent[k/64]>>(k%64)&1 != 0 {
				continue
			}
			run.Refs = append(run.Refs, ref)
		}
		run.Values = append(run.Values, values[k])
		if times != nil {
			run.Times = append(run.Times, run.Base+int64(times[k]))
		}
	}
	return run
}
