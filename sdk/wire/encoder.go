package wire

import (
	"math"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	maxRun      = 16384 // samples in one frame
	maxFamilies = 32768 // of one component; series beyond have none
)

// Encoder turns the batches of one source component into frames. It remembers which families, and with each batch which
// layouts, the other side knows. Memory: 4 B for each series of each batch, and each family once.
type Encoder struct {
	stream   uint32
	families map[sdk.Family]uint32
	layouts  uint32
	defs     []SeriesDef
	buf      []byte
	body     []byte // of a frame of histograms, exemplars or records
	entry    []byte
}

// NewEncoder makes the encoder of a component.
func NewEncoder(stream uint32) *Encoder {
	return &Encoder{stream: stream, families: map[sdk.Family]uint32{}}
}

// Encode packs one batch's columns.
func (e *Encoder) Encode(p *Packer, c *sdk.Columns) {
	e.define(p, c.Define)
	run := c.Run
	for i := 0; len(run.Refs) > 0; i++ {
		part := run
		if n := splitAt(&run); n < len(run.Refs) {
			part.Refs, part.Values = run.Refs[:n], run.Values[:n]
			run.Refs, run.Values = run.Refs[n:], run.Values[n:]
			if run.Times != nil {
				part.Times, run.Times = run.Times[:n], run.Times[n:]
			}
		} else {
			run.Refs = nil
		}
		if i == len(c.Layouts) {
			e.layouts++
			c.Layouts = append(c.Layouts, sdk.Layout{ID: e.layouts})
		}
		e.values(p, &c.Layouts[i], &part)
	}
	if c.Signals != nil {
		e.signals(p, c.Signals)
	}
	e.refs(p, Header{Kind: Stale, Stream: e.stream, Base: c.Run.Base}, c.Stale)
	e.refs(p, Header{Kind: Retire, Stream: e.stream}, c.Retire)
	if c.Checkpoint != nil {
		for r := Read(AppendCheckpoint(nil, e.stream, SourceKey, c.Checkpoint)); r.Next(); {
			p.addBehind(r.Raw)
		}
	}
}

// splitAt is how many samples of a run one frame takes: not too many, and times within 2³² ms of each other.
func splitAt(run *sdk.Run) int {
	n := min(len(run.Refs), maxRun)
	if run.Times == nil {
		return n
	}
	lo, hi := run.Times[0], run.Times[0]
	for i, t := range run.Times[:n] {
		lo, hi = min(lo, t), max(hi, t)
		if hi-lo > math.MaxUint32 || hi-lo < 0 {
			return i
		}
	}
	return n
}

func (e *Encoder) define(p *Packer, definitions []sdk.Definition) {
	if len(definitions) == 0 {
		return
	}
	var families []FamilyDef
	e.defs = e.defs[:0]
	for _, d := range definitions {
		s := SeriesDef{Ref: d.Ref, Labels: d.Series.Labels}
		if f := d.Series.Family; f != nil {
			id, ok := e.families[*f]
			if !ok && len(e.families) < maxFamilies {
				id = uint32(len(e.families) + 1)
				e.families[*f] = id
				families = append(families, FamilyDef{id, sdk.Family{Name: clip(f.Name), Type: f.Type, Unit: clip(f.Unit), Help: clip(f.Help)}})
			}
			s.Family = id
		}
		e.defs = append(e.defs, s)
	}
	for part := range slices.Chunk(families, 64) {
		e.buf = AppendFamilies(e.buf[:0], e.stream, part)
		p.add(e.buf, 0)
	}
	for rest := e.defs; len(rest) > 0; {
		e.buf, rest = AppendDefs(e.buf[:0], e.stream, rest)
		p.add(e.buf, 0)
	}
	clear(e.defs)
}

// clip cuts a text of a family to what the wire takes.
func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxName)], "")
}

// values writes a run as VALUES for its layout, which it sends first unless the run has the same series, or most of them
// in the same order, as last time.
func (e *Encoder) values(p *Packer, l *sdk.Layout, run *sdk.Run) {
	h := Header{Kind: Values, Stream: e.stream, Layout: l.ID, Base: run.Base}
	n := len(run.Refs)
	if !slices.Equal(l.Refs, run.Refs) {
		if fitsInto(run.Refs, l.Refs) {
			h.Flags |= FlagAbsent
			n = len(l.Refs)
		} else {
			l.Refs = append(l.Refs[:0], run.Refs...)
			e.refs(p, Header{Kind: Layout, Stream: e.stream, Layout: l.ID}, run.Refs)
		}
	}
	if run.Times != nil {
		h.Flags |= FlagTimes
		h.Base = slices.Min(run.Times)
		h.Span, _ = spanOf(h.Base, slices.Max(run.Times))
	}
	h.N = uint32(n)
	body := p.frame(&h, int(bodySize(Values, h.Flags, h.N)), len(run.Refs))
	if h.Flags&FlagAbsent != 0 {
		spread(&Frame{Header: h, Body: body}, l.Refs, run)
		return
	}
	copy(f64s(body[:8*n]), run.Values)
	if run.Times != nil {
		for i, t := range run.Times {
			le.PutUint32(body[8*n+4*i:], uint32(t-h.Base))
		}
	}
}

// spread writes a run that lacks some series of its layout, with the bitmap that says which.
func spread(f *Frame, layout []sdk.Ref, run *sdk.Run) {
	clear(f.Body)
	values, times, absent := f.parts()
	k := 0
	for i, ref := range layout {
		if k == len(run.Refs) || run.Refs[k] != ref {
			absent[i/64] |= 1 << (i % 64)
			continue
		}
		values[i] = run.Values[k]
		if times != nil {
			times[i] = uint32(run.Times[k] - f.Base)
		}
		k++
	}
}

// fitsInto reports whether refs are those of the layout, in order, but for at most a quarter.
func fitsInto(refs, layout []sdk.Ref) bool {
	if len(refs) > len(layout) || len(refs) < len(layout)-len(layout)/4 {
		return false
	}
	k := 0
	for _, ref := range layout {
		if k < len(refs) && refs[k] == ref {
			k++
		}
	}
	return k == len(refs)
}

func (e *Encoder) refs(p *Packer, h Header, refs []sdk.Ref) {
	for part := range slices.Chunk(refs, maxRun) {
		e.buf = AppendRefs(e.buf[:0], h, part)
		samples := 0
		if h.Kind == Stale {
			samples = len(part)
		}
		p.add(e.buf, samples)
	}
}
