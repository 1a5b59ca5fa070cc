package main

import (
	"encoding/binary"
	"math"

	"github.com/magpie-monitoring/magpie/sdk"
)

// signals writes a histogram and exemplars as fields of a TimeSeries into e.extra.
func (e *encoder) signals(t int64, h *sdk.Histogram, exemplars []sdk.Exemplar) {
	histograms, examples := byte(4), byte(3) // 1.0 and 2.0 number them the other way round
	if e.protocol == 2 {
		histograms, examples = 3, 4
	}
	if h != nil {
		e.extra = appendInner(e.extra, histograms, appendHistogram(nil, h, t))
	}
	for i := range exemplars {
		e.extra = appendInner(e.extra, examples, e.exemplar(&exemplars[i]))
	}
}

func appendInner(b []byte, field byte, inner []byte) []byte {
	b = append(b, field<<3|bytesType)
	return append(binary.AppendUvarint(b, uint64(len(inner))), inner...)
}

func (e *encoder) exemplar(x *sdk.Exemplar) []byte {
	var b []byte
	if e.protocol == 1 {
		b = appendLabels(nil, x.Labels)
	} else {
		var refs []byte
		for _, l := range x.Labels { // they hardly ever come again: not worth a number of their own
			for _, text := range [2]string{l.Name, l.Value} {
				e.table = appendText(e.table, 4, text)
				refs = binary.AppendUvarint(refs, uint64(e.used))
				e.used++
			}
		}
		b = appendInner(nil, 1, refs)
	}
	b = appendDouble(b, 2, x.Value)
	b = append(b, 3<<3|varintType)
	return binary.AppendUvarint(b, uint64(x.Time.UnixMilli()))
}

// appendHistogram writes the message Histogram, which both versions have.
func appendHistogram(b []byte, h *sdk.Histogram, t int64) []byte {
	whole := func(b []byte, field byte, v float64) []byte {
		b = append(b, field<<3|varintType)
		return binary.AppendUvarint(b, uint64(v))
	}
	if h.Float {
		b = appendDouble(b, 2, h.Count)
	} else {
		b = whole(b, 1, h.Count)
	}
	b = appendDouble(b, 3, h.Sum)
	b = append(b, 4<<3|varintType)
	b = binary.AppendUvarint(b, zigzag(int64(h.Schema)))
	b = appendDouble(b, 5, h.ZeroThreshold)
	if h.Float {
		b = appendDouble(b, 7, h.ZeroCount)
	} else {
		b = whole(b, 6, h.ZeroCount)
	}
	b = appendBuckets(b, 8, h.NegativeSpans, h.Negative, h.Float)
	b = appendBuckets(b, 11, h.PositiveSpans, h.Positive, h.Float)
	b = append(b, 14<<3|varintType, byte(h.Reset), 15<<3|varintType)
	b = binary.AppendUvarint(b, uint64(t))
	if len(h.Custom) > 0 {
		b = binary.AppendUvarint(b, 16<<3|bytesType)
		b = appendDoubles(b, h.Custom)
	}
	return b
}

// appendBuckets writes spans as a field, and counts as the one behind it (differences of whole ones) or the next.
func appendBuckets(b []byte, field byte, spans []sdk.Span, counts []float64, float bool) []byte {
	for _, s := range spans {
		inner := binary.AppendUvarint([]byte{1<<3 | varintType}, zigzag(int64(s.Offset)))
		inner = binary.AppendUvarint(append(inner, 2<<3|varintType), uint64(s.Length))
		b = appendInner(b, field, inner)
	}
	if len(counts) == 0 {
		return b
	}
	if float {
		return appendDoubles(append(b, (field+2)<<3|bytesType), counts)
	}
	var packed []byte
	last := int64(0)
	for _, c := range counts {
		packed = binary.AppendUvarint(packed, zigzag(int64(c)-last))
		last = int64(c)
	}
	return appendInner(b, field+1, packed)
}

func appendDoubles(b []byte, values []float64) []byte {
	b = binary.AppendUvarint(b, uint64(8*len(values)))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

func appendDouble(b []byte, field byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, field<<3|fixed64Type), math.Float64bits(v))
}

func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }
