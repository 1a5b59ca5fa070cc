package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/config"
	native "github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pmetric"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resources "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/magpie-monitoring/magpie/sdk"
)

// theirs keeps what Prometheus' converter appends.
type theirs struct{ lines, exemplars []string }

func (*theirs) Commit() error   { return nil }
func (*theirs) Rollback() error { return nil }

func (a *theirs) Append(_ storage.SeriesRef, ls labels.Labels, _, t int64, v float64, h *native.Histogram, _ *native.FloatHistogram, opts storage.AppendV2Options) (storage.SeriesRef, error) {
	var own sdk.Labels
	ls.Range(func(l labels.Label) { own = own.Set(l.Name, l.Value) })
	for _, e := range opts.Exemplars {
		var with sdk.Labels
		e.Labels.Range(func(l labels.Label) { with = with.Set(l.Name, l.Value) })
		a.exemplars = append(a.exemplars, exemplarLine(own.String(), with.String(), e.Value, time.UnixMilli(e.Ts)))
	}
	switch {
	case h == nil:
		a.lines = append(a.lines, line(own.String(), string(opts.Metadata.Type), t, v))
	case math.Float64bits(h.Sum) == math.Float64bits(sdk.StaleNaN):
		a.lines = append(a.lines, line(own.String(), string(opts.Metadata.Type), t, sdk.StaleNaN))
	default:
		f := h.ToFloat(nil)
		ours := &sdk.Histogram{Schema: f.Schema, ZeroThreshold: f.ZeroThreshold, ZeroCount: f.ZeroCount, Count: f.Count, Sum: f.Sum, Positive: f.PositiveBuckets, Negative: f.NegativeBuckets}
		for _, s := range f.PositiveSpans {
			ours.PositiveSpans = append(ours.PositiveSpans, sdk.Span(s))
		}
		for _, s := range f.NegativeSpans {
			ours.NegativeSpans = append(ours.NegativeSpans, sdk.Span(s))
		}
		a.lines = append(a.lines, histogramLine(own.String(), t, ours))
	}
	return 0, nil
}

// prometheus converts a request as Prometheus' OTLP endpoint does.
func prometheus(t testing.TB, body []byte, cfg SourceConfig) (samples, exemplars string) {
	t.Helper()
	all, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(body)
	if err != nil {
		t.Fatal(err)
	}
	defaults := config.DefaultOTLPConfig
	defaults.PromoteResourceAttributes = cfg.PromoteResourceAttributes
	a := &theirs{}
	_, err = prometheusremotewrite.NewPrometheusConverter(a).FromMetrics(context.Background(), all, prometheusremotewrite.Settings{
		AddMetricSuffixes: true, AllowUTF8: cfg.Translation == "utf8", DisableTargetInfo: !cfg.TargetInfo, PromoteScopeMetadata: cfg.ScopeLabels,
		PromoteResourceAttributes:            prometheusremotewrite.NewPromoteResourceAttributes(defaults),
		LabelNameUnderscoreSanitization:      defaults.LabelNameUnderscoreSanitization,
		LabelNamePreserveMultipleUnderscores: defaults.LabelNamePreserveMultipleUnderscores,
	})
	if err != nil {
		t.Logf("Prometheus says: %v", err)
	}
	slices.Sort(a.lines)
	slices.Sort(a.exemplars)
	return strings.Join(a.lines, "\n"), strings.Join(a.exemplars, "\n")
}

// dice makes requests that every receiver takes, of awkward names and values.
type dice struct {
	*rand.Rand
	at uint64
}

func (d dice) of(words ...string) string { return words[d.IntN(len(words))] }

func (d dice) value(depth int) *common.AnyValue {
	switch n := d.IntN(12); {
	case n < 5:
		return str(d.of("", "a", "x;y", "\"<é>\\", "long value with words", "1"))
	case n == 5:
		return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: d.IntN(2) == 0}}
	case n == 6:
		return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: d.Int64() - d.Int64()}}
	case n == 7:
		return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: []float64{0, 1, -0.5, 1e21, 1e20, 1e-7, 1e-6, 123456.789, math.NaN(), math.Inf(1), math.Inf(-1)}[d.IntN(11)]}}
	case n == 8:
		return &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{0, 255, byte(n)}}}
	case n == 9 && depth < 3:
		list := &common.ArrayValue{}
		for range d.IntN(3) {
			list.Values = append(list.Values, d.value(depth+1))
		}
		return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: list}}
	case n == 10 && depth < 3:
		return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: d.attributes("k", "j", "<")}}}
	}
	return &common.AnyValue{}
}

func (d dice) attributes(names ...string) (list []*common.KeyValue) {
	for _, i := range d.Perm(len(names))[:d.IntN(len(names)+1)] {
		list = append(list, &common.KeyValue{Key: names[i], Value: d.value(1)})
	}
	return list
}

func (d dice) pointAttributes() []*common.KeyValue {
	return d.attributes("a", "a.b", "a_b", "a/b", "http.method", "1st", "_hidden", "__name__", "job", "le", "quantile", "é", "host.name", "x__y", "instance")
}

func (d dice) flags() uint32 {
	if d.IntN(10) == 0 {
		return noRecordedValue
	}
	return 0
}

func (d dice) metric(i int) *metrics.Metric {
	m := &metrics.Metric{
		Name:        fmt.Sprintf("%s%d", d.of("http.server.duration", "jvm_memory", "Ünicode.name", "1st", "a..b__c", "x.total.count", "ratio", "seconds.", "k8s:pod"), i) + d.of("", "", ".total", "_bytes", ".seconds"),
		Unit:        d.of("", "1", "ms", "s", "By", "By/s", "{packet}", "%", "m/s", "Cel", "odd unit", "{a}/{b}", "KiBy"),
		Description: "what it is",
	}
	n := 1 + d.IntN(3)
	var numbers []*metrics.NumberDataPoint
	for i := range n {
		p := &metrics.NumberDataPoint{TimeUnixNano: d.at, Exemplars: d.exemplars(i), Attributes: d.pointAttributes(), Flags: d.flags(), Value: &metrics.NumberDataPoint_AsDouble{AsDouble: d.NormFloat64()}}
		if d.IntN(2) == 0 {
			p.Value = &metrics.NumberDataPoint_AsInt{AsInt: d.Int64N(1<<50) - 1<<40}
		}
		numbers = append(numbers, p)
	}
	switch d.IntN(6) {
	case 5:
		h := &metrics.ExponentialHistogram{AggregationTemporality: cumulative}
		for i := range n {
			p := &metrics.ExponentialHistogramDataPoint{TimeUnixNano: d.at, Attributes: d.pointAttributes(), Flags: d.flags(), Scale: int32(d.IntN(15) - 4), ZeroCount: d.Uint64N(3), Exemplars: d.exemplars(i)}
			p.Positive, p.Negative = d.buckets(p.Scale > maxSchema), d.buckets(p.Scale > maxSchema)
			p.Count = p.ZeroCount
			for _, side := range []*metrics.ExponentialHistogramDataPoint_Buckets{p.Positive, p.Negative} {
				for _, k := range side.GetBucketCounts() {
					p.Count += k
				}
			}
			if d.IntN(3) > 0 {
				p.Sum = proto.Float64(d.NormFloat64())
			}
			h.DataPoints = append(h.DataPoints, p)
		}
		m.Data = &metrics.Metric_ExponentialHistogram{ExponentialHistogram: h}
	case 0:
		m.Data = &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: numbers}}
	case 1:
		m.Data = &metrics.Metric_Sum{Sum: &metrics.Sum{DataPoints: numbers, AggregationTemporality: cumulative, IsMonotonic: true}}
	case 2:
		m.Data = &metrics.Metric_Sum{Sum: &metrics.Sum{DataPoints: numbers, AggregationTemporality: cumulative}}
	case 3:
		h := &metrics.Histogram{AggregationTemporality: cumulative}
		for i := range n {
			p := &metrics.HistogramDataPoint{TimeUnixNano: d.at, Exemplars: d.exemplars(i), Attributes: d.pointAttributes(), Flags: d.flags()}
			if bounds := d.IntN(5); bounds > 0 {
				b := d.NormFloat64()
				for range bounds - 1 {
					p.ExplicitBounds = append(p.ExplicitBounds, b)
					b += d.Float64() + 0.1
				}
				for range bounds {
					p.BucketCounts = append(p.BucketCounts, d.Uint64N(100))
					p.Count += p.BucketCounts[len(p.BucketCounts)-1]
				}
			}
			if d.IntN(2) == 0 {
				p.Sum = proto.Float64(d.NormFloat64())
			}
			h.DataPoints = append(h.DataPoints, p)
		}
		m.Data = &metrics.Metric_Histogram{Histogram: h}
	case 4:
		s := &metrics.Summary{}
		for range n {
			p := &metrics.SummaryDataPoint{TimeUnixNano: d.at, Attributes: d.pointAttributes(), Flags: d.flags(), Count: d.Uint64N(100), Sum: d.NormFloat64()}
			for _, q := range []float64{0, 0.5, 0.99, 1}[:d.IntN(5)] {
				p.QuantileValues = append(p.QuantileValues, &metrics.SummaryDataPoint_ValueAtQuantile{Quantile: q, Value: d.NormFloat64()})
			}
			s.DataPoints = append(s.DataPoints, p)
		}
		m.Data = &metrics.Metric_Summary{Summary: s}
	}
	return m
}

// buckets are all filled where they are to be merged: behind empty ones, the converter of Prometheus 3.15 then counts part of
// a bucket in the one before it (convertBucketsLayout leaves its index behind).
func (d dice) buckets(filled bool) *metrics.ExponentialHistogramDataPoint_Buckets {
	if d.IntN(3) == 0 {
		return nil
	}
	b := &metrics.ExponentialHistogramDataPoint_Buckets{Offset: int32(d.IntN(40) - 20)}
	for range d.IntN(30) {
		n := d.Uint64N(4) * d.Uint64N(2)
		if filled {
			n++
		}
		b.BucketCounts = append(b.BucketCounts, n)
	}
	return b
}

// exemplars are in the order of their values, as Prometheus expects them.
func (d dice) exemplars(point int) (list []*metrics.Exemplar) {
	v := d.NormFloat64()
	if point > 0 {
		return nil // the next point may be of the same series, and its older exemplars be left out
	}
	for range d.IntN(3) {
		e := &metrics.Exemplar{TimeUnixNano: d.at - d.Uint64N(1e12), Value: &metrics.Exemplar_AsDouble{AsDouble: v}}
		v += d.Float64()
		if d.IntN(2) == 0 {
			e.TraceId, e.SpanId = []byte("0123456789abcdef"), []byte("01234567")
		}
		if d.IntN(2) == 0 {
			e.FilteredAttributes = attrs("user", strings.Repeat("é", d.IntN(120)), "x.y", "z")
		}
		list = append(list, e)
	}
	return list
}

func (d dice) request() *metrics.MetricsData {
	all := &metrics.MetricsData{}
	for r := range 1 + d.IntN(2) {
		// the index makes resources differ, so that their series do
		attributes := append(d.attributes("service.namespace", "host.name", "host_name", "os.type", "1x", "le"), &common.KeyValue{Key: "service.name", Value: str(fmt.Sprint("s", r))})
		if d.IntN(2) == 0 {
			attributes = append(attributes, attrs("service.instance.id", d.of("a", "b:1", ""))...)
		}
		rm := &metrics.ResourceMetrics{Resource: &resources.Resource{Attributes: attributes}, SchemaUrl: "r"}
		for s := range d.IntN(3) {
			sm := &metrics.ScopeMetrics{Scope: &common.InstrumentationScope{Name: d.of("", "lib", "é"), Version: d.of("", "1"), Attributes: d.attributes("short.name", "x")}, SchemaUrl: d.of("", "https://schema")}
			for i := range 1 + d.IntN(3) {
				sm.Metrics = append(sm.Metrics, d.metric(10*s+i))
			}
			rm.ScopeMetrics = append(rm.ScopeMetrics, sm)
		}
		all.ResourceMetrics = append(all.ResourceMetrics, rm)
	}
	return all
}

var variants = []SourceConfig{
	{Translation: "underscores", TargetInfo: true},
	{Translation: "utf8", TargetInfo: true},
	{Translation: "underscores", TargetInfo: true, ScopeLabels: true, PromoteResourceAttributes: []string{"host.name", "os.type", "service.name"}},
	{Translation: "utf8", ScopeLabels: true, PromoteResourceAttributes: []string{"host.name"}},
}

// differ says which lines only one side has.
func differ(got, want string) (text string) {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, l := range g {
		if !slices.Contains(w, l) {
			text += "only here:          " + l + "\n"
		}
	}
	for _, l := range w {
		if !slices.Contains(g, l) {
			text += "only in Prometheus: " + l + "\n"
		}
	}
	return text
}

// sameAsPrometheus sends a request twice, so that it is once read and once known.
func sameAsPrometheus(t testing.TB, all *metrics.MetricsData, cfg SourceConfig) {
	t.Helper()
	body := encoded(t, all)
	want, examples := prometheus(t, body, cfg)
	in, out := intakeFor(cfg, sdk.SourceSettings{})
	for range 2 {
		rejected, err := in.take(t.Context(), body)
		if err != nil || len(rejected) > 0 {
			t.Fatalf("%v, %v", rejected, err)
		}
		if got := out.take(); got != want {
			t.Fatalf("%+v\n%s\n%s", cfg, all, differ(got, want))
		}
	}
	slices.Sort(out.exemplars)
	if got := strings.Join(out.exemplars, "\n"); got != examples {
		t.Fatalf("%s\ngot the exemplars\n%s\nPrometheus has\n%s", all, got, examples)
	}
}

func TestPrometheusMakesTheSameSeries(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		d := dice{rand.New(rand.NewPCG(1, seed)), uint64(time.Now().UnixNano())}
		sameAsPrometheus(t, d.request(), variants[seed%uint64(len(variants))])
	}
}

func FuzzPrometheusMakesTheSameSeries(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		d := dice{rand.New(rand.NewPCG(a, b)), uint64(time.Now().UnixNano())}
		sameAsPrometheus(t, d.request(), variants[b%uint64(len(variants))])
	})
}

// What protobuf's own decoder takes is not malformed to ours, nothing panics, and every sample has a series.
func FuzzARequestIsReadOrRefused(f *testing.F) {
	for seed := range uint64(20) {
		d := dice{rand.New(rand.NewPCG(2, seed)), uint64(time.Now().UnixNano())}
		f.Add(encoded(f, d.request()))
	}
	f.Add(encoded(f, request(sumOf("s", delta, dot(time.Now(), 1)), sumOf("s", delta, dot(time.Now(), 1)))))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, out := intakeFor(variants[len(body)%len(variants)], sdk.SourceSettings{LimitSeries: 50})
		for range 2 {
			_, err := in.take(t.Context(), body)
			if err == nil || proto.Unmarshal(body, &metrics.MetricsData{}) != nil {
				continue
			}
			if len(body) < 4*maxDepth { // deeper nesting than ours needs more bytes
				t.Errorf("protobuf takes it, and we do not: %v", err)
			}
		}
		out.take()
		for range 16 {
			in.sweep(t.Context())
		}
		if len(in.resources)+len(in.series) > 0 {
			t.Errorf("%d contexts and %d series are left", len(in.resources), len(in.series))
		}
	})
}
