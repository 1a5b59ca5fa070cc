package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
	"github.com/magpie-monitoring/magpie/sdk"
)

// maxBuckets of a native histogram on a page: spans and counts each. The SDK takes no more either.
const maxBuckets = 10_000

// nativeFields are the fields of a Histogram message but for its classic buckets.
type nativeFields struct {
	count, zeroCount           uint64
	countFloat, zeroCountFloat float64
	sum, zeroThreshold         float64
	schema                     int32
	positive, negative         sideFields
	exemplars                  bool
}

// sideFields are the buckets on one side of zero.
type sideFields struct {
	spans  []sdk.Span
	deltas []int64
	counts []float64
}

// histogram writes a histogram: classic buckets, or a native one, or both.
func (r *rewriter) histogram() {
	all := r.values
	r.readNative()
	if r.failed != nil || r.values.Err != nil {
		return
	}
	n := &r.native
	native := r.whole && (len(n.positive.spans) > 0 || len(n.negative.spans) > 0 || n.zeroThreshold > 0 || n.zeroCount > 0)
	if native {
		r.writeNative(all)
		if !r.classic || !hasBuckets(all) {
			return
		}
	}
	count := orFloat(n.countFloat, n.count)
	if !r.line("_count", "", 0) {
		return
	}
	r.value(count)
	if r.line("_sum", "", 0) {
		r.value(n.sum)
	}
	for all.Next() && r.failed == nil {
		if all.Tag != 3<<3|asBytes {
			continue
		}
		cumulative, bound, example, err := bucketOf(all.Bytes)
		if r.failed = err; err == nil && r.line("_bucket", "le", bound) {
			r.value(cumulative, example)
		}
		if math.IsInf(bound, 1) {
			return
		}
	}
	if r.line("_bucket", "le", math.Inf(1)) {
		r.value(count)
	}
}

func hasBuckets(m protobuf.Message) bool {
	for m.Next() {
		if m.Tag == 3<<3|asBytes {
			return true
		}
	}
	return false
}

// orFloat is a count that may be written in two ways.
func orFloat(f float64, n uint64) float64 {
	if f != 0 {
		return f
	}
	return float64(n)
}

// bucketOf reads a Bucket; example.Bytes is its exemplar, nil if it has none.
func bucketOf(b []byte) (cumulative, bound float64, example protobuf.Message, err error) {
	whole, float := uint64(0), 0.0
	m := protobuf.Read(b)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asVarint:
			whole = m.Bits
		case 2<<3 | asFixed64:
			bound = m.Float()
		case 3<<3 | asBytes:
			example = m
		case 4<<3 | asFixed64:
			float = m.Float()
		}
	}
	return orFloat(float, whole), bound, example, m.Err
}

// readNative reads all fields but classic buckets, into memory that is used again.
func (r *rewriter) readNative() {
	n, m := &r.native, &r.values
	positive, negative := n.positive.empty(), n.negative.empty()
	*n = nativeFields{positive: positive, negative: negative}
	for m.Next() && r.failed == nil {
		switch m.Tag >> 3 {
		case 1:
			n.count = m.Bits
		case 2:
			n.sum = m.Float()
		case 4:
			n.countFloat = m.Float()
		case 5:
			n.schema = int32(protowire.DecodeZigZag(m.Bits & math.MaxUint32))
		case 6:
			n.zeroThreshold = m.Float()
		case 7:
			n.zeroCount = m.Bits
		case 8:
			n.zeroCountFloat = m.Float()
		case 9, 10, 11:
			r.failed = n.negative.field(m, m.Tag>>3-9)
		case 12, 13, 14:
			r.failed = n.positive.field(m, m.Tag>>3-12)
		case 16:
			n.exemplars = true
		}
	}
	if r.failed != nil {
		r.failed = fmt.Errorf("histogram %.50q: %w", r.name, r.failed)
	}
}

func (s *sideFields) empty() sideFields {
	return sideFields{s.spans[:0], s.deltas[:0], s.counts[:0]}
}

var errBuckets = fmt.Errorf("more than %d spans or buckets", maxBuckets)

// field reads a span (0), a difference (1) or a count (2). Numbers come one by one or packed.
func (s *sideFields) field(m *protobuf.Message, which uint64) error {
	if len(s.spans) > maxBuckets || len(s.deltas) > maxBuckets || len(s.counts) > maxBuckets {
		return errBuckets
	}
	var err error
	switch inOne := m.Tag&7 == asBytes; {
	case which == 0 && inOne:
		span := sdk.Span{}
		f := protobuf.Read(m.Bytes)
		for f.Next() {
			switch f.Tag {
			case 1<<3 | asVarint:
				span.Offset = int32(protowire.DecodeZigZag(f.Bits & math.MaxUint32))
			case 2<<3 | asVarint:
				span.Length = uint32(f.Bits)
			}
		}
		s.spans, err = append(s.spans, span), f.Err
	case which == 1 && inOne:
		s.deltas, err = packed(s.deltas, m.Bytes, protowire.ConsumeVarint, protowire.DecodeZigZag)
	case which == 1:
		s.deltas = append(s.deltas, protowire.DecodeZigZag(m.Bits))
	case which == 2 && inOne:
		s.counts, err = packed(s.counts, m.Bytes, protowire.ConsumeFixed64, math.Float64frombits)
	case which == 2:
		s.counts = append(s.counts, m.Float())
	}
	return err
}

// packed adds the numbers of a field that holds many.
func packed[T any](list []T, b []byte, read func([]byte) (uint64, int), meant func(uint64) T) ([]T, error) {
	for len(b) > 0 {
		v, n := read(b)
		if n < 0 {
			return list, errProtobuf
		}
		if len(list) > maxBuckets {
			return list, errBuckets
		}
		list, b = append(list, meant(v)), b[n:]
	}
	return list, nil
}

// writeNative puts the native histogram beside the text, and a line with its index into it.
func (r *rewriter) writeNative(all protobuf.Message) {
	n := &r.native
	h := &sdk.Histogram{
		Schema: n.schema, ZeroThreshold: n.zeroThreshold, ZeroCount: float64(n.zeroCount), Count: float64(n.count), Sum: n.sum,
		Float: n.countFloat > 0 || n.zeroCountFloat > 0,
	}
	if h.Float {
		h.Count, h.ZeroCount = n.countFloat, n.zeroCountFloat
	}
	if r.kind == protoGaugeHistogram {
		h.Reset = sdk.NotCounter
	}
	var err, err2 error
	h.PositiveSpans, h.Positive, err = n.positive.buckets(h.Float)
	h.NegativeSpans, h.Negative, err2 = n.negative.buckets(h.Float)
	if err = errors.Join(err, err2); err != nil {
		r.failed = fmt.Errorf("histogram %.50q: %w", r.name, err)
	}
	if !r.line("", "", 0) {
		return
	}
	r.out = strconv.AppendInt(append(r.out, 'H'), int64(len(r.histograms)), 10)
	r.histograms = append(r.histograms, h)
	r.ending(r.nativeExemplars(all))
}

// buckets are those that are not empty, and the spans that say which they are.
func (s *sideFields) buckets(float bool) (spans []sdk.Span, counts []float64, err error) {
	n, total := len(s.deltas), 0
	if float {
		n = len(s.counts)
	}
	for _, span := range s.spans {
		if total += int(span.Length); total > n {
			break
		}
	}
	if total != n {
		return nil, nil, fmt.Errorf("its spans have %d buckets, and it has %d", total, n)
	}
	index, next, last, k := int64(0), int64(math.MinInt64), int64(0), 0 // next: behind the last bucket that was taken
	for _, span := range s.spans {
		if index += int64(span.Offset); index > math.MaxInt32-int64(span.Length) || index < math.MinInt32 || index-next > math.MaxInt32 && next != math.MinInt64 {
			return nil, nil, fmt.Errorf("a span begins at bucket %d", index)
		}
		for range span.Length {
			c := 0.0
			if float {
				c = s.counts[k]
			} else {
				last += s.deltas[k]
				c = float64(last)
			}
			if c != 0 {
				switch {
				case len(spans) == 0:
					spans = append(spans, sdk.Span{Offset: int32(index)})
				case index != next:
					spans = append(spans, sdk.Span{Offset: int32(index - next)})
				}
				spans[len(spans)-1].Length++
				counts, next = append(counts, c), index+1
			}
			index++
			k++
		}
	}
	return spans, counts, nil
}

// nativeExemplars are those of a native histogram, or else those of its classic buckets, as far as they have a time: it
// tells them apart in one series.
func (r *rewriter) nativeExemplars(all protobuf.Message) (found []protobuf.Message) {
	own := r.native.exemplars
	for all.Next() {
		example := protobuf.Message{}
		switch {
		case own && all.Tag == 16<<3|asBytes:
			example = all
		case !own && all.Tag == 3<<3|asBytes:
			_, _, example, _ = bucketOf(all.Bytes)
		}
		if example.Bytes != nil && hasTime(example.Bytes) {
			found = append(found, example)
		}
	}
	return found
}

func hasTime(exemplar []byte) bool {
	m := protobuf.Read(exemplar)
	for m.Next() {
		if m.Tag == 3<<3|asBytes {
			return true
		}
	}
	return false
}
