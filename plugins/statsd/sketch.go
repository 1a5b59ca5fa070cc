package main

import (
	"math"
	"slices"
)

// sketch counts values by magnitude, in buckets of which each is 2.2 % wider than the one below: a quantile is right to 1.1 %
// of its value, whatever was measured. Memory: 8 bytes for each bucket between the least and the greatest magnitude, at most
// 4,096 of them (2^±64) for each sign; what is beyond is counted in the last bucket.
type sketch struct {
	positive, negative ladder
	zeros              float64
	count              float64
	min, max           float64
}

// ladder is buckets; the first is that of index from.
type ladder struct {
	from   int
	counts []float64
}

const (
	perOctave = 32
	maxIndex  = 64*perOctave - 1
)

// bounds are those within an octave, from 1/2 on.
var bounds = func() (b [perOctave]float64) {
	for i := range b {
		b[i] = math.Exp2(float64(i)/perOctave) / 2
	}
	return b
}()

// indexOf is the bucket of a positive value.
func indexOf(v float64) int {
	fraction, exponent := math.Frexp(v)
	lo, hi := 0, perOctave
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; bounds[mid] <= fraction {
			lo = mid
		} else {
			hi = mid
		}
	}
	return max(-maxIndex-1, min(maxIndex, exponent*perOctave+lo))
}

// middleOf is the value that stands for a bucket.
func middleOf(index int) float64 { return math.Exp2((float64(index)+0.5)/perOctave) / 2 }

func (l *ladder) add(index int, weight float64) {
	if len(l.counts) == 0 {
		l.from, l.counts = index, append(l.counts, 0)
	}
	if index < l.from {
		more := l.from - index
		l.counts = slices.Grow(l.counts, more)[:len(l.counts)+more]
		copy(l.counts[more:], l.counts)
		clear(l.counts[:more])
		l.from = index
	}
	for index >= l.from+len(l.counts) {
		l.counts = append(l.counts, 0)
	}
	l.counts[index-l.from] += weight
}

func (s *sketch) add(v, weight float64) {
	if s.count == 0 {
		s.min, s.max = v, v
	}
	s.count += weight
	s.min, s.max = min(s.min, v), max(s.max, v)
	switch {
	case v > 0:
		s.positive.add(indexOf(v), weight)
	case v < 0:
		s.negative.add(indexOf(-v), weight)
	default:
		s.zeros += weight
	}
}

// quantile is the value below which the share q of all lies.
func (s *sketch) quantile(q float64) float64 {
	switch {
	case q <= 0:
		return s.min
	case q >= 1:
		return s.max
	}
	rank := q * s.count
	between := func(v float64) float64 { return max(s.min, min(s.max, v)) }
	seen := 0.0
	for i := len(s.negative.counts) - 1; i >= 0; i-- {
		if seen += s.negative.counts[i]; seen >= rank && s.negative.counts[i] > 0 {
			return between(-middleOf(s.negative.from + i))
		}
	}
	if seen += s.zeros; seen >= rank && s.zeros > 0 {
		return 0
	}
	for i, n := range s.positive.counts {
		if seen += n; seen >= rank && n > 0 {
			return between(middleOf(s.positive.from + i))
		}
	}
	return s.max
}

// empty makes the sketch ready for the next window, and keeps its memory.
func (s *sketch) empty() {
	clear(s.positive.counts)
	clear(s.negative.counts)
	s.zeros, s.count = 0, 0
}
