package wire

import (
	"encoding/binary"
	"math"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Limits of a histogram, as FORMAT.md has them.
const (
	maxBuckets = 10_000 // and as many spans, and as many bounds
	maxCount   = 1 << 53
	leastEntry = 22 // bytes of a histogram without buckets, its length included
)

const histogramFloat = 0x01 // the form of an entry; the two bits above are the reset hint

// appendHistogram writes the bytes of an entry of HISTOGRAMS.
func appendHistogram(b []byte, h *sdk.Histogram) []byte {
	form := byte(h.Reset) << 1
	if h.Float {
		form |= histogramFloat
	}
	b = binary.AppendVarint(append(b, form), int64(h.Schema))
	b = le.AppendUint64(le.AppendUint64(b, math.Float64bits(h.Sum)), math.Float64bits(h.ZeroThreshold))
	if h.Float {
		b = appendF64s(b, []float64{h.Count, h.ZeroCount})
	} else {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(h.Count)), uint64(h.ZeroCount))
	}
	b = appendSpans(appendSpans(b, h.PositiveSpans), h.NegativeSpans)
	b = appendF64s(binary.AppendUvarint(b, uint64(len(h.Custom))), h.Custom)
	for _, side := range [2][]float64{h.Positive, h.Negative} {
		if h.Float {
			b = appendF64s(b, side)
			continue
		}
		last := int64(0)
		for _, c := range side {
			b = binary.AppendVarint(b, int64(c)-last)
			last = int64(c)
		}
	}
	return b
}

func appendSpans(b []byte, spans []sdk.Span) []byte {
	b = binary.AppendUvarint(b, uint64(len(spans)))
	for _, s := range spans {
		b = binary.AppendUvarint(binary.AppendVarint(b, int64(s.Offset)), uint64(s.Length))
	}
	return b
}

func appendF64s(b []byte, values []float64) []byte {
	for _, v := range values {
		b = le.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// readHistogram reads an entry into h, whose memory it uses again, and checks everything: what it takes is valid.
func readHistogram(entry []byte, h *sdk.Histogram) error {
	c := cursor{b: entry}
	form := c.byte()
	if form>>3 != 0 {
		c.fail("a histogram has the form %#x", form)
	}
	h.Float, h.Reset = form&histogramFloat != 0, sdk.ResetHint(form>>1)
	h.Schema = int32(c.varint(math.MaxInt32))
	h.Sum, h.ZeroThreshold = c.f64(), c.f64()
	if h.Float {
		h.Count, h.ZeroCount = c.f64(), c.f64()
	} else {
		h.Count, h.ZeroCount = float64(c.uvarint(maxCount)), float64(c.uvarint(maxCount))
	}
	var positive, negative uint64
	h.PositiveSpans, positive = c.spans(h.PositiveSpans[:0])
	h.NegativeSpans, negative = c.spans(h.NegativeSpans[:0])
	h.Custom = c.f64s(h.Custom[:0], c.uvarint(maxBuckets))
	if h.Float {
		h.Positive, h.Negative = c.f64s(h.Positive[:0], positive), c.f64s(h.Negative[:0], negative)
	} else {
		h.Positive, h.Negative = c.counts(h.Positive[:0], positive), c.counts(h.Negative[:0], negative)
	}
	if c.err == nil && c.pos != len(entry) {
		c.fail("a histogram has %d bytes too many", len(entry)-c.pos)
	}
	if c.err != nil {
		return c.err
	}
	if err := h.Validate(); err != nil {
		c.fail("a histogram is not valid: %v", err)
	}
	return c.err
}

func (c *cursor) varint(limit int64) int64 {
	v, n := binary.Varint(c.b[c.pos:])
	if n <= 0 || v > limit || v < -limit-1 {
		c.fail("a number at byte %d is broken or beyond %d", c.pos, limit)
		return 0
	}
	c.pos += n
	return v
}

func (c *cursor) f64() float64 {
	if len(c.b)-c.pos < 8 {
		c.fail("it ends early")
		return 0
	}
	c.pos += 8
	return math.Float64frombits(le.Uint64(c.b[c.pos-8:]))
}

func (c *cursor) f64s(dst []float64, n uint64) []float64 {
	if n > uint64(len(c.b)-c.pos)/8 {
		c.fail("%d numbers do not fit", n)
		return dst
	}
	for range n {
		dst = append(dst, c.f64())
	}
	return dst
}

// spans reads spans and how many buckets they have.
func (c *cursor) spans(dst []sdk.Span) (spans []sdk.Span, buckets uint64) {
	for n := c.uvarint(maxBuckets); n > 0 && c.err == nil; n-- {
		s := sdk.Span{Offset: int32(c.varint(math.MaxInt32)), Length: uint32(c.uvarint(maxBuckets))}
		buckets += uint64(s.Length)
		dst = append(dst, s)
	}
	return dst, buckets
}

// counts reads whole counts, each as its difference to the one before.
func (c *cursor) counts(dst []float64, n uint64) []float64 {
	if n > uint64(len(c.b)-c.pos) {
		c.fail("%d buckets do not fit", n)
		return dst
	}
	last := int64(0)
	for range n {
		last += c.varint(maxCount)
		if last < 0 || last > maxCount {
			c.fail("a bucket has %d observations", last)
		}
		if c.err != nil {
			return dst
		}
		dst = append(dst, float64(last))
	}
	return dst
}

// eachEntry walks a HISTOGRAMS, EXEMPLARS or RECORDS frame: use is told the ref, the time in Unix ms, and the bytes of each entry.
func (f *Frame) eachEntry(use func(ref sdk.Ref, at int64, entry []byte) error) error {
	n := int(f.N)
	b := f.Body[pad8(4*n):]
	var times []uint32 // nil: all at the base
	if f.Flags&FlagTimes != 0 {
		times, b = u32s(b[:4*n]), b[pad8(4*n):]
	}
	c := cursor{b: b}
	for i, ref := range f.Refs() {
		entry := c.bytes(MaxFrame)
		if c.err != nil {
			return c.err
		}
		at := f.Base
		if times != nil {
			at += int64(times[i])
		}
		if err := use(sdk.Ref(ref), at, entry); err != nil {
			return err
		}
	}
	return nil
}

// Check reads every entry of a HISTOGRAMS, EXEMPLARS or RECORDS frame, for a door: what it accepts can be decoded.
func (f *Frame) Check() error {
	var h sdk.Histogram
	var r sdk.Record
	return f.eachEntry(func(_ sdk.Ref, _ int64, entry []byte) (err error) {
		switch f.Kind {
		case Histograms:
			err = readHistogram(entry, &h)
		case Records:
			err = readRecord(entry, &r)
		default:
			_, err = readExemplar(entry)
		}
		return err
	})
}

// histograms reads the samples of a HISTOGRAMS frame whose series are defined.
func (o *origin) histograms(f *Frame) (sdk.Run, error) {
	run := sdk.Run{Origin: o.Origin, Base: f.Base}
	all := make([]sdk.Histogram, 0, f.N)
	err := f.eachEntry(func(ref sdk.Ref, at int64, entry []byte) error {
		all = all[:len(all)+1]
		h := &all[len(all)-1]
		if err := readHistogram(entry, h); err != nil || o.series.Get(ref) == nil {
			return err
		}
		run.Refs, run.Histograms = append(run.Refs, ref), append(run.Histograms, h)
		if f.Flags&FlagTimes != 0 {
			run.Times = append(run.Times, at)
		}
		return nil
	})
	return run, err
}
