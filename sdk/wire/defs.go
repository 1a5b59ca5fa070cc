package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Limits of definitions, as FORMAT.md has them.
const (
	maxLabels = 256
	maxName   = 1 << 10
	maxValue  = 64 << 10
	maxFrame  = 256 << 10 // what the encoder aims at
)

// FamilyDef is a family under its number.
type FamilyDef struct {
	ID     uint32
	Family sdk.Family
}

// SeriesDef is a series under its ref, its family by number.
type SeriesDef struct {
	Ref    sdk.Ref
	Family uint32
	Labels sdk.Labels
}

// AppendDefs appends a DEFS frame for as many of the definitions as fit, and returns the rest.
func AppendDefs(dst []byte, stream uint32, defs []SeriesDef) (frames []byte, rest []SeriesDef) {
	symbols := map[string]uint64{}
	var text, entries []byte
	n := 0
	symbol := func(s string) uint64 {
		id, ok := symbols[s]
		if !ok {
			id = uint64(len(symbols))
			symbols[s] = id
			text = append(binary.AppendUvarint(text, uint64(len(s))), s...)
		}
		return id
	}
	for ; n < len(defs) && (n == 0 || len(text)+len(entries) < maxFrame); n++ {
		d := &defs[n]
		entries = binary.AppendUvarint(entries, uint64(d.Ref))
		entries = binary.AppendUvarint(entries, uint64(d.Family))
		entries = binary.AppendUvarint(entries, uint64(len(d.Labels)))
		for _, l := range d.Labels {
			entries = binary.AppendUvarint(entries, symbol(l.Name))
			entries = binary.AppendUvarint(entries, symbol(l.Value))
		}
	}
	count := binary.AppendUvarint(nil, uint64(len(symbols)))
	h := Header{Kind: Defs, Stream: stream, N: uint32(n)}
	return appendFrame(dst, h, count, text, entries), defs[n:]
}

// AppendFamilies appends a FAMILIES frame.
func AppendFamilies(dst []byte, stream uint32, families []FamilyDef) []byte {
	var body []byte
	for _, f := range families {
		body = append(binary.AppendUvarint(body, uint64(f.ID)), byte(f.Family.Type))
		body = appendText(appendText(appendText(body, f.Family.Name), f.Family.Unit), f.Family.Help)
	}
	return appendFrame(dst, Header{Kind: Families, Stream: stream, N: uint32(len(families))}, body)
}

const flagsAt = 5 // in a frame

// Concealed gives the frames that stand in the place of a DEFS or FAMILIES frame whose texts must be cleaned first.
func (f *Frame) Concealed(clean func(string) string) (frames []byte, err error) {
	last := 0 // where the last of them begins
	if f.Kind == Families {
		families, err := f.Families()
		for i := range families {
			x := &families[i].Family
			x.Name, x.Unit, x.Help = clean(x.Name), clean(x.Unit), clean(x.Help)
		}
		frames = AppendFamilies(nil, f.Stream, families)
		frames[flagsAt] = f.Flags
		return frames, err
	}
	defs, err := f.Series()
	for i := range defs {
		var labels sdk.Labels
		for _, l := range defs[i].Labels {
			labels = labels.Set(clean(l.Name), clean(l.Value))
		}
		defs[i].Labels = labels
	}
	for len(defs) > 0 {
		last = len(frames)
		frames, defs = AppendDefs(frames, f.Stream, defs)
	}
	if len(frames) > 0 {
		frames[last+flagsAt] = f.Flags
	}
	return frames, err
}

// AppendRefs appends a LAYOUT, STALE or RETIRE frame.
func AppendRefs[R ~uint32](dst []byte, h Header, refs []R) []byte {
	h.N = uint32(len(refs))
	body := make([]byte, 0, 4*len(refs))
	for _, r := range refs {
		body = le.AppendUint32(body, uint32(r))
	}
	return appendFrame(dst, h, body)
}

// AppendStream appends the STREAM frame of a component.
func AppendStream(dst []byte, stream uint32, address string) []byte {
	return appendFrame(dst, Header{Kind: Stream, Stream: stream}, appendText(nil, address))
}

// AppendEnd appends an END frame.
func AppendEnd(dst []byte, stream uint32) []byte {
	return appendFrame(dst, Header{Kind: End, Stream: stream})
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendFrame(dst []byte, h Header, body ...[]byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	for _, b := range body {
		dst = append(dst, b...)
	}
	for len(dst)%8 != start%8 {
		dst = append(dst, 0)
	}
	h.put(dst[start:], len(dst)-start)
	return dst
}

// cursor reads uvarints and texts; the first thing wrong makes it fail for good.
type cursor struct {
	b   []byte
	pos int
	err error
}

var errBody = errors.New("malformed definitions")

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{errBody}, args...)...)
	}
	c.pos = len(c.b)
}

func (c *cursor) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(c.b[c.pos:])
	if n <= 0 || v > limit {
		c.fail("a number at byte %d is broken or above %d", c.pos, limit)
		return 0
	}
	c.pos += n
	return v
}

func (c *cursor) byte() byte {
	if c.pos >= len(c.b) {
		c.fail("it ends early")
		return 0
	}
	c.pos++
	return c.b[c.pos-1]
}

func (c *cursor) bytes(limit uint64) []byte {
	n := int(c.uvarint(limit))
	if c.err != nil || n > len(c.b)-c.pos {
		c.fail("a text of %d bytes does not fit", n)
		return nil
	}
	c.pos += n
	return c.b[c.pos-n : c.pos]
}

func (c *cursor) text(limit uint64) string {
	b := c.bytes(limit)
	if !utf8.Valid(b) {
		c.fail("a text is not UTF-8: %.40q", b)
		return ""
	}
	return string(b)
}

// Families decodes a FAMILIES frame.
func (f *Frame) Families() ([]FamilyDef, error) {
	c := cursor{b: f.Body}
	var out []FamilyDef
	for range f.N {
		var d FamilyDef
		d.ID = uint32(c.uvarint(1<<32 - 1))
		d.Family.Type = sdk.MetricType(c.byte())
		d.Family.Name, d.Family.Unit, d.Family.Help = c.text(maxName), c.text(maxName), c.text(maxValue)
		if d.ID == 0 {
			c.fail("a family has number 0")
		}
		if c.err != nil {
			return nil, c.err
		}
		out = append(out, d)
	}
	return out, nil
}

// Series decodes a DEFS frame. The labels' texts are shared among its series.
func (f *Frame) Series() ([]SeriesDef, error) {
	d, err := readDefs(f)
	if err != nil {
		return nil, err
	}
	symbols := make([]string, len(d.symbols))
	for i := range symbols {
		symbols[i] = string(d.symbol(i))
	}
	out := make([]SeriesDef, 0, f.N)
	labels := make(sdk.Labels, 0, 8*f.N)
	c := cursor{b: d.body}
	for _, at := range d.entries {
		c.pos = int(at.offset)
		s := SeriesDef{Ref: at.ref}
		c.uvarint(1<<32 - 1)
		s.Family = uint32(c.uvarint(1<<32 - 1))
		start := len(labels)
		for k := c.uvarint(maxLabels); k > 0; k-- {
			labels = append(labels, sdk.Label{Name: symbols[c.uvarint(1<<32-1)], Value: symbols[c.uvarint(1<<32-1)]})
		}
		s.Labels = labels[start:len(labels):len(labels)]
		out = append(out, s)
	}
	return out, nil
}

// defs is a DEFS frame that was checked: every later read of it succeeds.
type defs struct {
	body    []byte
	symbols []uint32 // where each symbol's text ends
	starts  []uint32
	entries []defAt
}

type defAt struct {
	ref    sdk.Ref
	offset uint32
}

func (d *defs) symbol(i int) []byte { return d.body[d.starts[i]:d.symbols[i]] }

func readDefs(f *Frame) (*defs, error) {
	c := cursor{b: f.Body}
	n := c.uvarint(uint64(len(f.Body)))
	if c.err != nil {
		return nil, c.err
	}
	d := &defs{body: f.Body, symbols: make([]uint32, 0, n), starts: make([]uint32, 0, n), entries: make([]defAt, 0, f.N)}
	for range n {
		b := c.bytes(maxValue)
		if !utf8.Valid(b) {
			c.fail("a label is not UTF-8: %.40q", b)
		}
		if c.err != nil {
			return nil, c.err
		}
		d.starts = append(d.starts, uint32(c.pos-len(b)))
		d.symbols = append(d.symbols, uint32(c.pos))
	}
	for range f.N {
		at := defAt{offset: uint32(c.pos)}
		at.ref = sdk.Ref(c.uvarint(1<<32 - 2))
		c.uvarint(1<<32 - 1) // family
		last := ""
		for k := c.uvarint(maxLabels); k > 0 && c.err == nil; k-- {
			name, value := c.uvarint(n), c.uvarint(n)
			if c.err != nil {
				break
			}
			if name >= n || value >= n {
				c.fail("a label uses symbol %d of %d", max(name, value), n)
				break
			}
			text := string(d.symbol(int(name)))
			if text <= last || len(text) > maxName || d.starts[value] == d.symbols[value] {
				c.fail("labels of ref %d are not sorted, or one is empty or too long (%.40q)", at.ref, text)
			}
			last = text
		}
		if c.err != nil {
			return nil, c.err
		}
		d.entries = append(d.entries, at)
	}
	return d, nil
}
