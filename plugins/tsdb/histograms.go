package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/magpie-monitoring/magpie/sdk"
)

// convert makes the TSDB's histogram of a batch's: one of the two is set. It shares no memory with the batch, for the TSDB
// keeps the last histogram of each series.
func convert(h *sdk.Histogram) (whole *histogram.Histogram, float *histogram.FloatHistogram) {
	positive, negative := spansOf(h.PositiveSpans), spansOf(h.NegativeSpans)
	var custom []float64
	if len(h.Custom) > 0 {
		custom = append(custom, h.Custom...)
	}
	if h.Float {
		return nil, &histogram.FloatHistogram{
			CounterResetHint: resets[h.Reset], Schema: h.Schema, ZeroThreshold: h.ZeroThreshold, ZeroCount: h.ZeroCount, Count: h.Count, Sum: h.Sum,
			PositiveSpans: positive, NegativeSpans: negative, CustomValues: custom,
			PositiveBuckets: append([]float64(nil), h.Positive...), NegativeBuckets: append([]float64(nil), h.Negative...),
		}
	}
	return &histogram.Histogram{
		CounterResetHint: resets[h.Reset], Schema: h.Schema, ZeroThreshold: h.ZeroThreshold, ZeroCount: uint64(h.ZeroCount), Count: uint64(h.Count), Sum: h.Sum,
		PositiveSpans: positive, NegativeSpans: negative, CustomValues: custom,
		PositiveBuckets: deltasOf(h.Positive), NegativeBuckets: deltasOf(h.Negative),
	}, nil
}

var resets = [...]histogram.CounterResetHint{
	sdk.ResetUnknown: histogram.UnknownCounterReset, sdk.ResetSeen: histogram.CounterReset, sdk.ResetNone: histogram.NotCounterReset, sdk.NotCounter: histogram.GaugeType,
}

// resultHistogram makes a histogram of what the engine found, where all counts are fractional.
func resultHistogram(f *histogram.FloatHistogram) *sdk.Histogram {
	h := &sdk.Histogram{
		Schema: f.Schema, ZeroThreshold: f.ZeroThreshold, ZeroCount: f.ZeroCount, Count: f.Count, Sum: f.Sum, Float: true,
		Positive: f.PositiveBuckets, Negative: f.NegativeBuckets, Custom: f.CustomValues,
	}
	if f.CounterResetHint == histogram.GaugeType {
		h.Reset = sdk.NotCounter
	}
	for _, s := range f.PositiveSpans {
		h.PositiveSpans = append(h.PositiveSpans, sdk.Span{Offset: s.Offset, Length: s.Length})
	}
	for _, s := range f.NegativeSpans {
		h.NegativeSpans = append(h.NegativeSpans, sdk.Span{Offset: s.Offset, Length: s.Length})
	}
	return h
}

func spansOf(spans []sdk.Span) []histogram.Span {
	if len(spans) == 0 {
		return nil
	}
	out := make([]histogram.Span, len(spans))
	for i, s := range spans {
		out[i] = histogram.Span{Offset: s.Offset, Length: s.Length}
	}
	return out
}

func deltasOf(counts []float64) []int64 {
	if len(counts) == 0 {
		return nil
	}
	out := make([]int64, len(counts))
	last := int64(0)
	for i, c := range counts {
		out[i], last = int64(c)-last, int64(c)
	}
	return out
}

// mark is what is compared of two histograms of one time in place of a value's bits.
func mark(h *sdk.Histogram) uint64 {
	return math.Float64bits(h.Sum) ^ math.Float64bits(h.Count)*0x9e3779b97f4a7c15
}

// keepExemplars puts the exemplars of a batch into the store's ring. It comes behind the commit of the samples, since it
// needs their series; only batches that have exemplars pay for it. What a batch that is repeated brings again is known.
func (s *store) keepExemplars(db *database, in *sdk.Batch) error {
	if s.cfg.Load().MaxExemplars == 0 || !hasExemplars(in.Runs()) {
		return nil
	}
	app := db.Appender(db.closing)
	runs := in.Runs()
	for r := range runs {
		run := &runs[r]
		known := natives(run.Origin, s.generation)
		for i := range run.Exemplars {
			e := &run.Exemplars[i]
			n := known.Get(e.Ref)
			if n == nil || n.ref == 0 || n.ref == invalid {
				s.refuseExemplar("unknown_series")
				continue
			}
			ls, ok := exemplarLabels(e.Labels)
			if !ok {
				s.refuseExemplar("invalid_labels")
				continue
			}
			if _, err := app.AppendExemplar(n.ref, labels.EmptyLabels(), exemplar.Exemplar{Labels: ls, Value: e.Value, Ts: e.Time.UnixMilli(), HasTs: true}); err != nil {
				s.refuseExemplar(exemplarReason(err))
			}
		}
	}
	return crashing(app.Commit)
}

func hasExemplars(runs []sdk.Run) bool {
	for i := range runs {
		if len(runs[i].Exemplars) > 0 {
			return true
		}
	}
	return false
}

// exemplarLabels makes the TSDB's labels; false if one is there twice.
func exemplarLabels(ls sdk.Labels) (labels.Labels, bool) {
	b := builders.Get().(*labels.ScratchBuilder)
	defer builders.Put(b)
	b.Reset()
	for i, l := range ls {
		if i > 0 && ls[i-1].Name >= l.Name {
			return labels.EmptyLabels(), false
		}
		b.Add(l.Name, l.Value)
	}
	return b.Labels(), true
}

// exemplarReason names why the TSDB refuses an exemplar.
func exemplarReason(err error) string {
	switch {
	case errors.Is(err, storage.ErrOutOfOrderExemplar):
		return "out_of_order"
	case errors.Is(err, storage.ErrExemplarLabelLength):
		return "long_labels"
	}
	return "rejected"
}

// refuseExemplar counts an exemplar that is not kept: they are no samples, so the daemon has no count of them.
func (s *store) refuseExemplar(reason string) {
	s.refusedMu.Lock()
	defer s.refusedMu.Unlock()
	if s.refused == nil {
		s.refused = map[string]uint64{}
	}
	s.refused[reason]++
}

// describeRefused says how many exemplars were not kept.
func (s *store) describeRefused() string {
	s.refusedMu.Lock()
	defer s.refusedMu.Unlock()
	text := ""
	for _, reason := range slices.Sorted(maps.Keys(s.refused)) {
		text += fmt.Sprintf(", exemplars refused as %s: %d", reason, s.refused[reason])
	}
	return text
}
