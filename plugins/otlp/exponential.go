package main

import (
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	minSchema, maxSchema = -4, 8
	maxBuckets           = 10_000        // of a histogram, filled ones
	zeroThreshold        = 1e-128        // of a histogram that names none, as Prometheus has it
	farIndex             = 1<<30 - 1     // no index of a bucket is further from 0
	maxObservations      = 1<<53 - 1<<10 // what a float counts exactly, and room for what NaN observations add
)

// buckets are those of an exponential histogram that are not empty, by Prometheus' index: one more than OTLP's.
type buckets map[int32]float64

// expHistogram is an exponential histogram while it is read and added up.
type expHistogram struct {
	scale              int32
	count, sum, zeros  float64
	threshold          float64
	positive, negative buckets
	hasSum             bool
}

// exponential reads an ExponentialHistogramDataPoint.
func (in *intake) exponential(at *place, raw []byte) error {
	var d data
	h := &expHistogram{threshold: zeroThreshold}
	var positive, negative []byte
	ok := true
	in.begin()
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 4<<3 | asFixed64:
			h.count = float64(m.Bits)
		case 5<<3 | asFixed64:
			h.sum, h.hasSum = m.Float(), true
		case 6<<3 | asVarint:
			h.scale = int32(protowire.DecodeZigZag(m.Bits & math.MaxUint32))
		case 7<<3 | asFixed64:
			h.zeros = float64(m.Bits)
		case 8<<3 | asBytes:
			positive = m.Bytes
		case 9<<3 | asBytes:
			negative = m.Bytes
		case 14<<3 | asFixed64:
			h.threshold = max(h.threshold, m.Float())
		default:
			d.field(in, &at.tags, &m)
		}
	}
	if m.Err != nil {
		return errMalformed
	}
	for _, side := range []struct {
		raw []byte
		to  *buckets
	}{{positive, &h.positive}, {negative, &h.negative}} {
		fine, err := readBuckets(side.raw, h.scale, side.to)
		if err != nil {
			return err
		}
		ok = ok && fine
	}
	h.scale = min(h.scale, maxSchema)
	if !ok || h.scale < minSchema || h.count > maxObservations {
		in.reject(badHistogram, 1)
		return nil
	}
	p, err := in.pointOf(at, &d, raw, nil)
	if p == nil {
		return err
	}
	ms := int64(d.time / 1e6)
	if d.flags&noRecordedValue != 0 {
		in.samples = append(in.samples, sample{p.series[0].ref, sdk.StaleNaN, ms})
		return in.exemplars(p, nil)
	}
	if at.delta {
		if d.time <= p.last {
			in.reject(lateDelta, 1)
			return nil
		}
		sum := h
		if p.total != nil {
			if sum = p.total.plus(h); sum == nil {
				in.reject(unlikeDelta, 1)
				return nil
			}
		}
		in.undo = append(in.undo, before{p, p.last, p.totals, p.total})
		p.last, p.total, h = d.time, sum, sum
	}
	native := h.native()
	if native.Validate() != nil {
		if at.delta {
			last := in.undo[len(in.undo)-1]
			p.last, p.total = last.last, last.total
		}
		in.reject(badHistogram, 1)
		return nil
	}
	in.histograms = append(in.histograms, histogramSample{p.series[0].ref, native, ms})
	return in.exemplars(p, nil)
}

// readBuckets reads a Buckets at a scale; not fine: more than a histogram can have.
func readBuckets(raw []byte, scale int32, to *buckets) (fine bool, err error) {
	offset, i := int64(0), int64(0)
	m := protobuf.Read(raw) // the offset comes first as a rule, and must be known before the counts
	for m.Next() {
		if m.Tag == 1<<3|asVarint {
			offset = int64(int32(protowire.DecodeZigZag(m.Bits & math.MaxUint32)))
		}
	}
	down := max(scale-maxSchema, 0)
	if down > 31 {
		down = 31
	}
	add := func(n uint64) bool {
		index := (offset+i)>>down + 1
		i++
		if n == 0 {
			return true
		}
		if index > farIndex || index < -farIndex || n > maxObservations {
			return false
		}
		if *to == nil {
			*to = buckets{}
		}
		(*to)[int32(index)] += float64(n)
		return len(*to) <= maxBuckets
	}
	fine = true
	bad := m.Err != nil
	m = protobuf.Read(raw)
	for m.Next() && !bad {
		switch m.Tag {
		case 2<<3 | asVarint:
			fine = fine && add(m.Bits)
		case 2<<3 | asBytes:
			for b := m.Bytes; len(b) > 0; {
				n, size := protowire.ConsumeVarint(b)
				if size < 0 {
					return false, errMalformed
				}
				b = b[size:]
				fine = fine && add(n)
			}
		}
	}
	if bad || m.Err != nil {
		return false, errMalformed
	}
	return fine, nil
}

// at is the histogram at a scale that is not finer: each step merges two buckets.
func (b buckets) at(steps int32) buckets {
	if steps == 0 {
		return b
	}
	coarse := make(buckets, len(b))
	for i, n := range b {
		coarse[(i-1)>>steps+1] += n
	}
	return coarse
}

// plus is the sum of two histograms, at the coarser of their scales; nil where they cannot be added up. What the larger zero
// bucket would take from the other's buckets stays in them, which errs by less than its width.
func (h *expHistogram) plus(d *expHistogram) *expHistogram {
	if math.IsNaN(d.sum) || math.IsInf(d.sum, 0) {
		return nil
	}
	scale := min(h.scale, d.scale)
	sum := &expHistogram{scale: scale, count: h.count + d.count, sum: h.sum + d.sum, zeros: h.zeros + d.zeros, threshold: max(h.threshold, d.threshold), hasSum: h.hasSum || d.hasSum}
	for _, side := range []struct{ a, b, to *buckets }{{&h.positive, &d.positive, &sum.positive}, {&h.negative, &d.negative, &sum.negative}} {
		total := maps.Clone(side.a.at(h.scale - scale))
		if total == nil {
			total = buckets{}
		}
		for i, n := range side.b.at(d.scale - scale) {
			total[i] += n
		}
		if len(total) > maxBuckets {
			return nil
		}
		*side.to = total
	}
	return sum
}

// native is the histogram as it goes into the batch.
func (h *expHistogram) native() *sdk.Histogram {
	n := &sdk.Histogram{Schema: h.scale, ZeroThreshold: h.threshold, ZeroCount: h.zeros, Count: h.count, Sum: h.sum}
	n.PositiveSpans, n.Positive = h.positive.spans()
	n.NegativeSpans, n.Negative = h.negative.spans()
	return n
}

// spans lists the buckets in order; a gap of up to two is filled, since a span costs as much.
func (b buckets) spans() (spans []sdk.Span, counts []float64) {
	next := int32(0)
	for _, i := range slices.Sorted(maps.Keys(b)) {
		gap := i - next
		if len(spans) == 0 || gap > 2 {
			spans = append(spans, sdk.Span{Offset: gap})
		} else {
			for range gap {
				counts = append(counts, 0)
				spans[len(spans)-1].Length++
			}
		}
		counts = append(counts, b[i])
		spans[len(spans)-1].Length++
		next = i + 1
	}
	return spans, counts
}

// histogramSample is a histogram on its way into the batch.
type histogramSample struct {
	ref sdk.Ref
	h   *sdk.Histogram
	ms  int64
}
