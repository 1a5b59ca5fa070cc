package sdk

import (
	"errors"
	"fmt"
	"math"
)

// Histogram is a native histogram, as Prometheus has them: many buckets in one sample. Buckets that are empty are mostly
// not there; spans say where the others are.
//
// With Schema -4 … 8, positive bucket i ends at 2^(i × 2^-Schema) and begins where the one before ends, negative ones mirror
// them, and what is nearer to 0 than ZeroThreshold is in the zero bucket. With CustomBuckets, bucket i ends at Custom[i], one
// more has no end, and there are neither negative buckets nor a zero bucket.
type Histogram struct {
	Schema        int32     // resolution: each bucket is 2^(2^-Schema) times the one before; CustomBuckets: Custom has the bounds
	ZeroThreshold float64   // the zero bucket reaches from its negative to it
	ZeroCount     float64   // observations in the zero bucket
	Count         float64   // of observations
	Sum           float64   // StaleNaN: the series is gone
	PositiveSpans []Span    // which buckets Positive has
	NegativeSpans []Span    // which buckets Negative has
	Positive      []float64 // observations in each bucket that is there, not differences
	Negative      []float64 // the same of negative observations
	Custom        []float64 // where custom buckets end, but for the last
	Float         bool      // counts may be fractional; otherwise they are whole and at most 2^53
	Reset         ResetHint // whether it is known to go on from the one before
}

// CustomBuckets is the Schema of a histogram whose bounds are in Custom.
const CustomBuckets = -53

// Span is a stretch of buckets that are there.
type Span struct {
	Offset int32  // of the first span the index of its first bucket; of others the gap behind the span before
	Length uint32 // how many buckets follow each other
}

// ResetHint says what is known of counter resets between a histogram and the one before it in its series.
type ResetHint uint8

// What can be known of a reset.
const (
	ResetUnknown ResetHint = iota
	ResetSeen
	ResetNone
	NotCounter // a gauge histogram: its counts may fall
)

// Limits of a histogram.
const (
	maxBuckets = 10_000 // and as many spans, and as many bounds
	maxCount   = 1 << 53
)

// Validate says what is wrong with a histogram: one that is not valid does not go over the wire. Its rules are those by
// which Prometheus' database takes a histogram, and bounds on its size: 10,000 spans, buckets and custom bounds each.
func (h *Histogram) Validate() error {
	switch {
	case h.Schema != CustomBuckets && (h.Schema < -4 || h.Schema > 8):
		return fmt.Errorf("the schema is %d, and may be -4 to 8 or %d", h.Schema, CustomBuckets)
	case len(h.PositiveSpans)+len(h.NegativeSpans) > maxBuckets, len(h.Positive)+len(h.Negative) > maxBuckets, len(h.Custom) > maxBuckets:
		return fmt.Errorf("there are more than %d spans, buckets or bounds", maxBuckets)
	case !(h.ZeroThreshold >= 0) || math.IsInf(h.ZeroThreshold, 0):
		return fmt.Errorf("the zero threshold is %v", h.ZeroThreshold)
	case h.Reset > NotCounter:
		return fmt.Errorf("the reset hint is %d", h.Reset)
	}
	if err := h.validateCustom(); err != nil {
		return err
	}
	if err := validSpans(h.PositiveSpans, len(h.Positive)); err != nil {
		return fmt.Errorf("positive buckets: %w", err)
	}
	if err := validSpans(h.NegativeSpans, len(h.Negative)); err != nil {
		return fmt.Errorf("negative buckets: %w", err)
	}
	return h.validateCounts()
}

func (h *Histogram) validateCustom() error {
	if h.Schema != CustomBuckets {
		if len(h.Custom) > 0 {
			return errors.New("bounds belong to custom buckets only")
		}
		return nil
	}
	if h.ZeroThreshold != 0 || h.ZeroCount != 0 || len(h.NegativeSpans) > 0 || len(h.Negative) > 0 {
		return errors.New("custom buckets have neither a zero bucket nor negative buckets")
	}
	last := math.Inf(-1)
	for i, bound := range h.Custom {
		if !(bound > last) || math.IsInf(bound, 1) {
			return fmt.Errorf("bound %d is %v behind %v: bounds rise and are finite", i, bound, last)
		}
		last = bound
	}
	end := int64(0)
	for _, s := range h.PositiveSpans {
		if s.Offset < 0 {
			return errors.New("a span begins before the first custom bucket")
		}
		end += int64(s.Offset) + int64(s.Length)
	}
	if end > int64(len(h.Custom))+1 {
		return fmt.Errorf("spans reach %d buckets, and %d bounds make one more than that", end, len(h.Custom))
	}
	return nil
}

// validSpans checks spans against the number of buckets.
func validSpans(spans []Span, buckets int) error {
	at, n := int64(0), int64(0)
	for i, s := range spans {
		if i > 0 && s.Offset < 0 {
			return fmt.Errorf("span %d begins before the one before it ends", i)
		}
		at += int64(s.Offset) + int64(s.Length)
		n += int64(s.Length)
		if at > math.MaxInt32 {
			return fmt.Errorf("span %d ends at bucket %d", i, at)
		}
	}
	if n != int64(buckets) {
		return fmt.Errorf("the spans have %d buckets, and there are %d", n, buckets)
	}
	return nil
}

// validateCounts checks that counts are counts, and of whole ones that they add up: what was observed as NaN is in none of
// the buckets, and makes the sum one.
func (h *Histogram) validateCounts() error {
	if !h.isCount(h.Count) || !h.isCount(h.ZeroCount) {
		return fmt.Errorf("there are %v observations, %v of them near zero", h.Count, h.ZeroCount)
	}
	sum := h.ZeroCount
	for _, side := range [2][]float64{h.Positive, h.Negative} {
		for _, c := range side {
			if !h.isCount(c) {
				return fmt.Errorf("a bucket has %v observations", c)
			}
			sum += c
		}
	}
	if !h.Float && (sum > h.Count || sum != h.Count && !math.IsNaN(h.Sum)) {
		return fmt.Errorf("%v observations are in buckets, and there are %v", sum, h.Count)
	}
	return nil
}

func (h *Histogram) isCount(c float64) bool {
	if h.Float {
		return c >= 0 && !math.IsInf(c, 1)
	}
	return c >= 0 && c <= maxCount && c == math.Trunc(c)
}
