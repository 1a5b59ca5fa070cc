package main

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
	"github.com/magpie-monitoring/magpie/sdk"
)

// maxDense is how many buckets a histogram may have with the empty ones between, which OTLP writes all.
const maxDense = 40_000

// Reasons for which a native histogram cannot be sent.
const (
	fractional     = "fractional_histogram" // OTLP counts in whole numbers
	gaugeHistogram = "gauge_histogram"      // OTLP has none
	sparse         = "sparse_histogram"     // more than maxDense buckets
)

// addHistogram puts a native histogram behind the others of its metric: an exponential histogram, or one with explicit
// bounds where it has custom ones. It gives about how much the request grew, or why it cannot be sent.
func (o *origin) addHistogram(from *sdk.Origin, ref sdk.Ref, ms int64, h *sdk.Histogram, examples []sdk.Exemplar) (grew int, reason string) {
	switch {
	case h.Reset == sdk.NotCounter:
		return 0, gaugeHistogram
	case h.Float && !whole(h):
		return 0, fractional
	}
	lowest, positive, ok := dense(h.PositiveSpans, h.Positive)
	lowestNegative, negative, okNegative := dense(h.NegativeSpans, h.Negative)
	if !ok || !okNegative {
		return 0, sparse
	}
	t := o.trackOf(from, ref)
	at, n := uint64(max(ms, 0))*1e6, kindOfNative(h)
	body := appendFixed64(make([]byte, 0, len(t.labels)+64+9*len(h.Custom)+2*len(positive)+2*len(negative)), 2, uint64(max(t.startAt(ms, h.Count), 0))*1e6)
	body = appendFixed64(body, 3, at)
	body = appendFixed64(body, 4, uint64(h.Count))
	body = appendFixed64(body, 5, math.Float64bits(h.Sum))
	if n == histogram {
		counts := make([]uint64, len(h.Custom)+1)
		for i, c := range positive {
			counts[int(lowest)+i] = c // Validate has seen to it that they fit
		}
		for _, c := range counts {
			body = appendFixed64(body, 6, c)
		}
		for _, bound := range h.Custom {
			body = appendFixed64(body, 7, math.Float64bits(bound))
		}
		body = appendExemplars(t.appendLabels(body, 9), 8, examples)
	} else {
		body = protowire.AppendVarint(append(body, 6<<3|byte(asVarint)), protowire.EncodeZigZag(int64(h.Schema)))
		body = appendFixed64(body, 7, uint64(h.ZeroCount))
		body = appendBuckets(body, 8, lowest, positive)
		body = appendBuckets(body, 9, lowestNegative, negative)
		body = appendFixed64(body, 14, math.Float64bits(h.ZeroThreshold))
		body = appendExemplars(t.appendLabels(body, 1), 11, examples)
	}
	s := o.nativeStream(from, ref, t, n)
	grew = o.touch(s)
	before := len(s.points)
	s.points = protowire.AppendBytes(append(s.points, field1), body)
	return grew + len(s.points) - before, ""
}

func kindOfNative(h *sdk.Histogram) kind {
	if h.Schema == sdk.CustomBuckets {
		return histogram
	}
	return exponential
}

// whole says whether all counts are whole numbers.
func whole(h *sdk.Histogram) bool {
	for _, side := range [3][]float64{{h.Count, h.ZeroCount}, h.Positive, h.Negative} {
		for _, c := range side {
			if c != math.Trunc(c) || c > 1<<53 {
				return false
			}
		}
	}
	return true
}

// dense are the buckets from the lowest to the highest that is there, with the empty ones between.
func dense(spans []sdk.Span, values []float64) (lowest int32, counts []uint64, ok bool) {
	k := 0
	for i, s := range spans {
		if i == 0 {
			lowest = s.Offset
		} else if int64(len(counts))+int64(s.Offset) <= maxDense {
			counts = append(counts, make([]uint64, s.Offset)...)
		} else {
			return 0, nil, false
		}
		if int64(len(counts))+int64(s.Length) > maxDense {
			return 0, nil, false
		}
		for range s.Length {
			counts = append(counts, uint64(values[k]))
			k++
		}
	}
	return lowest, counts, true
}

// appendBuckets writes a Buckets; OTLP's indices are one less than Prometheus'.
func appendBuckets(b []byte, field byte, lowest int32, counts []uint64) []byte {
	if len(counts) == 0 {
		return b
	}
	var packed []byte
	for _, c := range counts {
		packed = protowire.AppendVarint(packed, c)
	}
	inner := protowire.AppendVarint([]byte{1<<3 | byte(asVarint)}, protowire.EncodeZigZag(int64(lowest)-1))
	inner = protowire.AppendBytes(append(inner, field2), packed)
	return protowire.AppendBytes(append(b, field<<3|byte(asBytes)), inner)
}

// appendLabels writes the attributes, which stand under another field in every kind of point.
func (t *track) appendLabels(b []byte, field byte) []byte {
	m := protobuf.Read(t.labels)
	for m.Next() {
		b = protowire.AppendBytes(append(b, field<<3|byte(asBytes)), m.Bytes)
	}
	return b
}

// nativeStream is the metric of a series' histograms, beside that of its floats.
func (o *origin) nativeStream(from *sdk.Origin, ref sdk.Ref, t *track, k kind) *stream {
	if t.native == nil || t.native.key.kind != k {
		def, _ := from.Series(ref)
		old := t.native
		t.native = t.stream.target.stream(streamKey{t.stream.key.name, k}, def.Family)
		if old != nil {
			o.release(old)
		}
	}
	return t.native
}
