package main

import (
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// observed is a histogram of n observations in each of four buckets: (1, 2], (2, 4], (4, 8] and (8, 16] with schema 0.
func observed(n float64) *sdk.Histogram {
	return &sdk.Histogram{
		Count: 4 * n, Sum: 20 * n, ZeroThreshold: 0x1p-128, Positive: []float64{n, n, n, n},
		PositiveSpans: []sdk.Span{{Offset: 1, Length: 4}},
	}
}

func TestHistogramsAreStoredAndTheirQuantilesAnswered(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	now := time.Now().Truncate(time.Minute)
	b := o.Batch()
	whole, float, custom := b.Define(series("whole")), b.Define(series("float")), b.Define(series("custom"))
	for i := range 3 {
		at, n := now.Add(time.Duration(i-2)*time.Minute), float64(i+1)
		b.PutHistogramAt(whole, observed(n), at)
		f := observed(1.5 * n)
		f.Float = true
		b.PutHistogramAt(float, f, at)
		b.PutHistogramAt(custom, &sdk.Histogram{
			Schema: sdk.CustomBuckets, Custom: []float64{1, 2}, Count: 3 * n, Sum: n, Positive: []float64{n, n, n}, PositiveSpans: []sdk.Span{{Length: 3}},
		}, at)
	}
	o.written(9, map[string]uint64{})
	for expr, want := range map[string]string{
		`histogram_quantile(0.5, whole)`:                          "{} 4",
		`histogram_quantile(1, float)`:                            "{} 16",
		`histogram_count(whole)`:                                  "{} 12",
		`histogram_sum(float)`:                                    "{} 90",
		`histogram_count(increase(whole[3m]))`:                    "{} 12",
		`histogram_quantile(0.5, sum(rate(whole[3m])))`:           "{} 4",
		`histogram_fraction(0, 4, whole)`:                         "{} 0.5",
		`histogram_quantile(0.3333333333333333, custom)`:          "{} 1",
		`histogram_quantile(0.9999999, rate(custom[2m]))`:         "{} 2",
		`count(whole) + count(float)`:                             "{} 2",
		`histogram_quantile(0.5, whole offset 1m)`:                "{} 4",
		`histogram_count(whole offset 2m) / histogram_avg(whole)`: "{} 0.8",
	} {
		if got := o.ask(expr, now); strings.TrimPrefix(got, "{}") != strings.TrimPrefix(want, "{}") {
			t.Errorf("%s = %q, want %q", expr, got, want)
		}
	}
	code, body := o.get("/query?query=" + url.QueryEscape("whole") + fmt.Sprintf("&time=%d", now.Unix()))
	if code != 200 || !strings.Contains(body, `"histogram":[`) || !strings.Contains(body, `"count":"12"`) {
		t.Errorf("%d %s", code, body)
	}
}

func TestAHistogramGoesStaleAndComesBack(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	ref := b.Define(series("h"))
	b.PutHistogramAt(ref, observed(1), now.Add(-20*time.Second))
	o.written(1, map[string]uint64{})
	b.Time = now.Add(-10 * time.Second)
	b.Stale(ref)
	o.written(1, map[string]uint64{})
	b.Time = now
	b.PutHistogram(ref, observed(2))
	o.written(1, map[string]uint64{})
	for after, want := range map[time.Duration]string{-11 * time.Second: " 4", -5 * time.Second: "", 0: " 8"} {
		if got := strings.TrimPrefix(o.ask(`histogram_count(h)`, now.Add(after)), "{}"); got != want {
			t.Errorf("%s later: %q, want %q", after, got, want)
		}
	}
}

func TestHistogramsAreRefusedForTheReasonsOfFloats(t *testing.T) {
	t.Parallel()
	o := openStore(t, plugintest.Config{"out_of_order": 0})
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	ref := b.Define(series("h"))
	b.PutHistogramAt(ref, observed(2), now)
	b.PutHistogramAt(ref, observed(2), now) // the same again is no harm
	b.PutHistogramAt(ref, observed(3), now)
	b.PutHistogramAt(ref, observed(1), now.Add(-time.Minute))
	b.PutHistogramAt(ref, observed(1), now.Add(ahead+time.Minute))
	b.PutHistogramAt(b.Define(sdk.Series{Labels: sdk.NewLabels("job", "nameless")}), observed(1), now)
	o.written(2, map[string]uint64{"duplicate": 1, "out_of_order": 1, "out_of_bounds": 1, "invalid_labels": 1})
	if reason := reasonOf(fmt.Errorf("append: %w", histogram.ErrHistogramCountMismatch)); reason != "invalid_histogram" {
		t.Errorf("reason %q", reason)
	}
}

func TestExemplarsAreAnsweredAndSurviveAnotherOpening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := openStore(t, plugintest.Config{"path": dir, "max_exemplars": 2})
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	b.Time = now
	c, h := b.Define(series("requests_total")), b.Define(series("latency"))
	b.Put(c, 7)
	b.PutHistogram(h, observed(1))
	b.PutExemplar(c, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "pushed out"), Value: 1, Time: now.Add(-3 * time.Second)})
	b.PutExemplar(c, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "abc"), Value: 1, Time: now.Add(-time.Second)})
	b.PutExemplar(c, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", strings.Repeat("x", 130)), Value: 1})
	b.PutExemplar(h, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "def"), Value: 3.5})
	o.written(2, map[string]uint64{})
	ask := func(o *opened, query string) string {
		_, body := o.get(fmt.Sprintf("/query_exemplars?query=%s&start=%d&end=%d", query, now.Unix()-60, now.Unix()+60))
		return body
	}
	want := fmt.Sprintf(`{"seriesLabels":{"__name__":"requests_total"},"exemplars":[{"labels":{"trace_id":"abc"},"value":"1","timestamp":%d}]}`, now.Unix()-1)
	if got := ask(o, "rate(requests_total[5m])"); !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := ask(o, "latency"); !strings.Contains(got, `"trace_id":"def"`) {
		t.Error(got)
	}
	if text := o.Component.Health().Text; !strings.Contains(text, "exemplars refused as long_labels: 1") {
		t.Errorf("the status is %q", text)
	}
	o.closeNow()
	again := openStore(t, plugintest.Config{"path": dir})
	if got := ask(again, "requests_total"); !strings.Contains(got, `"trace_id":"abc"`) {
		t.Errorf("after another opening: %s", got)
	}
}

func TestAConvertedHistogramIsWhatPrometheusMeans(t *testing.T) {
	t.Parallel()
	h := &sdk.Histogram{
		Schema: 2, ZeroThreshold: 0.001, ZeroCount: 1, Count: 12, Sum: math.Inf(-1), Reset: sdk.NotCounter,
		PositiveSpans: []sdk.Span{{Offset: -1, Length: 2}, {Offset: 2, Length: 1}}, Positive: []float64{3, 1, 4},
		NegativeSpans: []sdk.Span{{Offset: 0, Length: 1}}, Negative: []float64{3},
	}
	want := &histogram.Histogram{
		Schema: 2, ZeroThreshold: 0.001, ZeroCount: 1, Count: 12, Sum: math.Inf(-1), CounterResetHint: histogram.GaugeType,
		PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}, {Offset: 2, Length: 1}}, PositiveBuckets: []int64{3, -2, 3},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []int64{3},
	}
	whole, float := convert(h)
	if float != nil || !whole.Equals(want) || whole.Validate() != nil {
		t.Errorf("got %v, %v", whole, whole.Validate())
	}
	h.Float = true
	if whole, float = convert(h); whole != nil || !float.Equals(want.ToFloat(nil)) || float.Validate() != nil {
		t.Errorf("got %v, want %v", float, want.ToFloat(nil))
	}
}
