package wire

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

func wholeHistogram() *sdk.Histogram {
	return &sdk.Histogram{
		Schema: 3, ZeroThreshold: 0x1p-128, ZeroCount: 2, Count: 20, Sum: 18.4, Reset: sdk.ResetSeen,
		PositiveSpans: []sdk.Span{{Offset: -3, Length: 2}, {Offset: 4, Length: 3}}, Positive: []float64{1, 3, 4, 2, 0},
		NegativeSpans: []sdk.Span{{Offset: 7, Length: 1}}, Negative: []float64{8},
	}
}

func floatHistogram() *sdk.Histogram {
	return &sdk.Histogram{
		Schema: -4, ZeroThreshold: 0.5, ZeroCount: 0.25, Count: 3.5, Sum: math.Inf(1), Float: true, Reset: sdk.NotCounter,
		PositiveSpans: []sdk.Span{{Offset: 1, Length: 2}}, Positive: []float64{1.5, 1.75},
	}
}

func customHistogram() *sdk.Histogram {
	return &sdk.Histogram{
		Schema: sdk.CustomBuckets, Count: 9, Sum: 5, Custom: []float64{-1, 0.5, 2.5},
		PositiveSpans: []sdk.Span{{Offset: 0, Length: 1}, {Offset: 1, Length: 2}}, Positive: []float64{2, 3, 4},
	}
}

func TestAHistogramArrivesBesideFloatsAndGoesStaleLikeThem(t *testing.T) {
	l := newLink(t)
	b := l.scope.Batch()
	b.Time, b.Whole = time.UnixMilli(1000), true
	f := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "f")})
	h := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "h")})
	line := func(at int, h *sdk.Histogram) string {
		return fmt.Sprintf(`h{instance="here", job="j"} %d %+v`, at, *h)
	}
	b.PutHistogram(h, wholeHistogram())
	b.Put(f, 1)
	l.expect(b, `f{instance="here", job="j"} 1000 1`, line(1000, wholeHistogram()))

	b.Time = time.UnixMilli(2000)
	b.Put(f, 2)
	b.PutHistogram(h, floatHistogram())
	b.PutHistogramAt(h, customHistogram(), time.UnixMilli(500))
	b.PutHistogramAt(h, customHistogram(), time.UnixMilli(500).Add(100*24*time.Hour))
	if b.Len() != 4 {
		t.Errorf("the batch has %d samples", b.Len())
	}
	l.expect(b, `f{instance="here", job="j"} 2000 2`, line(2000, floatHistogram()), line(500, customHistogram()), line(8640000500, customHistogram()))
	if l.samples != 6 {
		t.Errorf("packets announced %d samples, want 6", l.samples)
	}

	b.Time = time.UnixMilli(3000)
	b.Put(f, 3)
	l.expect(b, `f{instance="here", job="j"} 3000 3`, `h{instance="here", job="j"} 3000 NaN`)
	b.Time = time.UnixMilli(4000)
	b.Put(f, 4)
	l.expect(b, `f{instance="here", job="j"} 4000 4`)
}

func TestExemplarsArriveAndAreNoSamples(t *testing.T) {
	l := newLink(t)
	b := l.scope.Batch()
	b.Time = time.UnixMilli(1000)
	f := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "f")})
	b.Put(f, 1)
	b.PutExemplar(f, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "abc"), Value: 0.5})
	b.PutExemplar(f, sdk.Exemplar{Value: 7, Time: time.UnixMilli(990)})
	b.PutExemplar(f, sdk.Exemplar{Labels: sdk.NewLabels("a", strings.Repeat("x", 5000))})
	b.PutExemplar(f, sdk.Exemplar{Labels: sdk.Labels{{Name: "b", Value: "1"}, {Name: "a", Value: "1"}}})
	l.expect(b, `f{instance="here", job="j"} 1000 1`, `f{instance="here", job="j"} # {trace_id="abc"} 1000 0.5`, `f{instance="here", job="j"} #  990 7`)
	if dropped, _, _, _ := l.scope.Counts(); dropped["invalid_exemplar"] != 2 || l.samples != 1 {
		t.Errorf("dropped %v, announced %d samples", dropped, l.samples)
	}
}

func TestWhatIsNoHistogramIsCountedAndDoesNotTravel(t *testing.T) {
	for name, spoil := range map[string]func(*sdk.Histogram){
		"schema":         func(h *sdk.Histogram) { h.Schema = 9 },
		"spans":          func(h *sdk.Histogram) { h.PositiveSpans[0].Length++ },
		"a span back":    func(h *sdk.Histogram) { h.PositiveSpans[1].Offset = -1 },
		"a far span":     func(h *sdk.Histogram) { h.PositiveSpans[1].Offset = math.MaxInt32 },
		"negative":       func(h *sdk.Histogram) { h.Positive[0] = -1 },
		"NaN":            func(h *sdk.Histogram) { h.Negative[0] = math.NaN() },
		"fraction":       func(h *sdk.Histogram) { h.Positive[0], h.Positive[1] = 1.5, 2.5 },
		"count":          func(h *sdk.Histogram) { h.Count++ },
		"infinite count": func(h *sdk.Histogram) { h.Float, h.Count = true, math.Inf(1) },
		"zero threshold": func(h *sdk.Histogram) { h.ZeroThreshold = math.NaN() },
		"bounds":         func(h *sdk.Histogram) { h.Custom = []float64{1} },
		"custom":         func(h *sdk.Histogram) { h.Schema = sdk.CustomBuckets },
		"unsorted":       func(h *sdk.Histogram) { *h = *customHistogram(); h.Custom[1] = -1 },
		"infinite bound": func(h *sdk.Histogram) { *h = *customHistogram(); h.Custom[2] = math.Inf(1) },
		"few bounds":     func(h *sdk.Histogram) { *h = *customHistogram(); h.Custom = h.Custom[:2] },
		"many buckets": func(h *sdk.Histogram) {
			*h = sdk.Histogram{PositiveSpans: []sdk.Span{{Length: 10001}}, Positive: make([]float64, 10001)}
		},
	} {
		l := newLink(t)
		b := l.scope.Batch()
		b.Time = time.UnixMilli(1)
		h := wholeHistogram()
		spoil(h)
		b.PutHistogram(b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "h")}), h)
		if dropped, _, _, _ := l.scope.Counts(); dropped["invalid_histogram"] != 1 || b.Len() != 0 {
			t.Errorf("%s: dropped %v", name, dropped)
		}
		if readHistogram(appendHistogram(nil, h), &sdk.Histogram{}) == nil && name != "fraction" {
			t.Errorf("%s: the decoder takes it", name)
		}
	}
}

// TestAnyHistogramArrives is the round trip with random histograms, in frames of many.
func TestAnyHistogramArrives(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := newLink(t)
	b := l.scope.Batch()
	b.Time = time.UnixMilli(9)
	ref := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "h")})
	var want []string
	for range 3000 {
		h := &sdk.Histogram{Schema: int32(r.IntN(13) - 4), Float: r.IntN(2) == 0, Sum: r.NormFloat64(), Reset: sdk.ResetHint(r.IntN(4))}
		side := func() (spans []sdk.Span, buckets []float64) {
			for i := range r.IntN(5) {
				s := sdk.Span{Offset: int32(r.IntN(100)), Length: uint32(r.IntN(20))}
				if i == 0 {
					s.Offset -= 50
				}
				spans = append(spans, s)
				for range s.Length {
					c := float64(r.IntN(1 << r.IntN(30)))
					if h.Float {
						c *= 1.25
					}
					buckets = append(buckets, c)
					h.Count += c
				}
			}
			return spans, buckets
		}
		h.PositiveSpans, h.Positive = side()
		h.NegativeSpans, h.Negative = side()
		at := int64(9)
		if r.IntN(3) == 0 {
			at = r.Int64N(1 << 40)
		}
		b.PutHistogramAt(ref, h, time.UnixMilli(at))
		want = append(want, fmt.Sprintf(`h{instance="here", job="j"} %d %+v`, at, *h))
	}
	l.expect(b, want...)
}

func TestAUsualHistogramIsSmall(t *testing.T) {
	h := &sdk.Histogram{Schema: 3, ZeroThreshold: 0x1p-128, Sum: 12.3, PositiveSpans: []sdk.Span{{Offset: -5, Length: 20}}}
	for i := range 20 {
		h.Positive = append(h.Positive, float64(100+i*(19-i)))
		h.Count += h.Positive[i]
	}
	if n := len(appendHistogram(nil, h)); n > 60 {
		t.Errorf("%d bytes", n)
	}
}

func TestProcessorsDropTheHistogramsAndExemplarsOfTheirSeries(t *testing.T) {
	l := newLink(t)
	b := l.scope.Batch()
	b.Time = time.UnixMilli(1)
	for _, name := range []string{"keep", "lose"} {
		ref := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", name)})
		b.PutHistogram(ref, wholeHistogram())
		b.PutExemplar(ref, sdk.Exemplar{Value: 1})
	}
	l.carry(b)
	tr := Translator{Wants: func(string) bool { return true }, Through: []MapSeries{func(_ context.Context, all []sdk.Labels) ([]sdk.Labels, error) {
		for i := range all {
			if all[i].Get("__name__") == "lose" {
				all[i] = nil
			}
		}
		return all, nil
	}}}
	out, err := tr.Translate(t.Context(), append(AppendStream(nil, 3, "source.test.one"), l.frames...), 2, true, false)
	if err != nil || out.Samples != 1 || out.Dropped != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	runs, _, err := NewDecoder().Decode(out.Frames)
	if err != nil {
		t.Fatal(err)
	}
	batch := sdk.ReadBatch(1, runs)
	for s := range batch.Exemplars() {
		if s.Labels.Get("__name__") != "keep" {
			t.Errorf("an exemplar of %s", s.Labels)
		}
	}
	if batch.Len() != 1 {
		t.Errorf("%d samples", batch.Len())
	}
}

func TestRecordsArriveAsTheyWere(t *testing.T) {
	l := newLink(t)
	b := l.scope.Batch()
	b.Time = time.UnixMilli(1000)
	ref := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "log", "filename", "/a")})
	other := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "log", "filename", "/b")})
	sent := []sdk.Record{
		{Time: time.Unix(1700000000, 123456789), Level: sdk.Error, Text: "it\nbroke", Attributes: sdk.NewLabels("code", "7", "who", "ä")},
		{Time: time.UnixMilli(1000)},
		{Time: time.Unix(-1, 999_999_999), Name: "restarted", Level: 24, Text: strings.Repeat("x", 256<<10)},
	}
	for _, r := range sent {
		b.Log(ref, r)
	}
	b.Log(other, sdk.Record{Text: "now"})
	b.Log(other, sdk.Record{Attributes: sdk.Labels{{Name: "b"}, {Name: "a"}}}) // not sorted
	b.Log(other, sdk.Record{Level: 25})
	sent = append(sent, sdk.Record{Time: time.UnixMilli(1000), Text: "now"})
	if b.Len() != len(sent) {
		t.Errorf("the batch has %d samples", b.Len())
	}
	l.carry(b)
	var got []sdk.Record
	runs, _, err := l.decoder.Decode(l.frames)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sdk.ReadBatch(1, runs).Samples() {
		if s.Record == nil || !s.Record.Time.Equal(s.Time) || s.Labels.Get("job") != "j" {
			t.Fatalf("%+v", s)
		}
		got = append(got, *s.Record)
	}
	if len(got) != len(sent) {
		t.Fatalf("%d records came", len(got))
	}
	for i := range sent {
		if g, w := got[i], sent[i]; !g.Time.Equal(w.Time) || g.Level != w.Level || g.Name != w.Name || g.Text != w.Text || g.Attributes.String() != w.Attributes.String() {
			t.Errorf("%+v came as %+v", w, g)
		}
	}
	if l.samples != len(sent) {
		t.Errorf("packets announced %d samples", l.samples)
	}
	if dropped, _, _, _ := l.scope.Counts(); dropped["invalid_record"] != 2 {
		t.Errorf("%v", dropped)
	}
}
