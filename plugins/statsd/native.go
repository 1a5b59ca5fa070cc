package main

import (
	"math"
	"sort"

	"github.com/magpie-monitoring/magpie/sdk"
)

// native counts values in the buckets of a native histogram: eight an octave, so that each is 9 % wider than the one below.
// Memory: 8 bytes for each bucket between the least and the greatest magnitude, at most 4,096 of them for each sign (2^±256);
// what is beyond is counted in the last.
type native struct {
	positive, negative ladder
	zeros              float64
	fractional         bool // some values counted for a fraction more than once, because of their sample rate
}

const (
	nativeSchema  = 3
	nativeOctave  = 1 << nativeSchema
	nativeReach   = 256 * nativeOctave
	zeroThreshold = 2.938735877055719e-39 // 2^-128, as Prometheus' client libraries have it
)

// nativeBounds are those within an octave, from 1/2 on, to the last bit those of Prometheus' client libraries: what lies on a
// bound is then in the same bucket.
var nativeBounds = [nativeOctave]float64{
	0.5, 0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
	0.7071067811865475, 0.7711054127039704, 0.8408964152537144, 0.9170040432046711,
}

// nativeIndex is the bucket of a positive value, whose upper bound belongs to it.
func nativeIndex(v float64) int {
	fraction, exponent := math.Frexp(v)
	i := sort.SearchFloat64s(nativeBounds[:], fraction) + (exponent-1)*nativeOctave
	return max(-nativeReach+1, min(nativeReach, i))
}

func (n *native) add(v, weight float64) {
	n.fractional = n.fractional || weight != math.Trunc(weight)
	switch {
	case v > zeroThreshold:
		n.positive.add(nativeIndex(v), weight)
	case v < -zeroThreshold:
		n.negative.add(nativeIndex(-v), weight)
	default:
		n.zeros += weight
	}
}

// histogram is all that was counted.
func (n *native) histogram(count, sum float64) *sdk.Histogram {
	h := &sdk.Histogram{Schema: nativeSchema, ZeroThreshold: zeroThreshold, ZeroCount: n.zeros, Count: count, Sum: sum, Float: n.fractional}
	h.PositiveSpans, h.Positive = n.positive.spans()
	h.NegativeSpans, h.Negative = n.negative.spans()
	return h
}

// spans are the buckets that are not empty.
func (l *ladder) spans() (spans []sdk.Span, counts []float64) {
	end := 0 // behind the last span
	for i, n := range l.counts {
		if n == 0 {
			continue
		}
		at := l.from + i
		if len(spans) == 0 || at > end {
			spans = append(spans, sdk.Span{Offset: int32(at - end)})
		}
		spans[len(spans)-1].Length++
		counts = append(counts, n)
		end = at + 1
	}
	return spans, counts
}
