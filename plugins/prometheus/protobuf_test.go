package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

const protoKind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// delimited writes families as a page.
func delimited(t testing.TB, families ...*dto.MetricFamily) []byte {
	var out bytes.Buffer
	for _, f := range families {
		if _, err := protodelim.MarshalTo(&out, f); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func ptr[T any](v T) *T { return &v }

func pairs(texts ...string) (list []*dto.LabelPair) {
	for i := 0; i+1 < len(texts); i += 2 {
		list = append(list, &dto.LabelPair{Name: ptr(texts[i]), Value: ptr(texts[i+1])})
	}
	return list
}

func example(v float64, at time.Time, labels ...string) *dto.Exemplar {
	e := &dto.Exemplar{Value: &v, Label: pairs(labels...)}
	if !at.IsZero() {
		e.Timestamp = timestamppb.New(at)
	}
	return e
}

// readProtobuf reads a page as the source does, with the full parser.
func readProtobuf(page []byte, classic bool) (lines []string, err error) {
	w := &workspace{}
	text, err := w.rewritten(page, &Config{BodySizeLimit: 1 << 20, ScrapeNativeHistograms: true, AlwaysScrapeClassicHistograms: classic})
	if err != nil {
		return nil, err
	}
	p := &w.parser
	p.page, p.format = bytes.Clone(text), fromProtobuf
	p.begin(noState)
	for {
		ok, err := p.head()
		if !ok || err != nil {
			return lines, p.tell(err)
		}
		raw := p.rawLabels()
		v, err := p.value()
		if err != nil {
			return lines, p.tell(err)
		}
		state := p.settle(nil)
		line := fmt.Sprintf("%q %s %q %q", sorted(raw), state.family.Type, state.family.Unit, state.family.Help)
		if v.timed {
			line += fmt.Sprintf(" @%d", v.t)
		}
		if v.shape > 0 {
			h := w.rewriter.histograms[v.shape-1]
			line += " " + describe(h)
		} else {
			line += fmt.Sprintf(" %#x", math.Float64bits(v.v))
		}
		for _, e := range slices.Clone(p.found) {
			line += fmt.Sprintf(" # %q %v %d", p.exemplarLabels(e.labels), e.value, e.t)
		}
		lines = append(lines, line)
	}
}

func describe(h *sdk.Histogram) string {
	return fmt.Sprintf("schema %d zero %v %v count %v sum %v %v %v %v %v float %v reset %d", h.Schema, h.ZeroThreshold, h.ZeroCount, h.Count, h.Sum,
		h.PositiveSpans, h.Positive, h.NegativeSpans, h.Negative, h.Float, h.Reset)
}

// theirs makes a histogram of Prometheus' comparable.
func theirs(whole *histogram.Histogram, float *histogram.FloatHistogram) *sdk.Histogram {
	h := &sdk.Histogram{Float: float != nil}
	if float == nil {
		float = whole.ToFloat(nil)
	}
	h.Schema, h.ZeroThreshold, h.ZeroCount, h.Count, h.Sum = float.Schema, float.ZeroThreshold, float.ZeroCount, float.Count, float.Sum
	for _, s := range float.PositiveSpans {
		h.PositiveSpans = append(h.PositiveSpans, sdk.Span{Offset: s.Offset, Length: s.Length})
	}
	for _, s := range float.NegativeSpans {
		h.NegativeSpans = append(h.NegativeSpans, sdk.Span{Offset: s.Offset, Length: s.Length})
	}
	h.Positive, h.Negative = float.PositiveBuckets, float.NegativeBuckets
	if float.CounterResetHint == histogram.GaugeType {
		h.Reset = sdk.NotCounter
	}
	return h
}

// readTheirs reads a page with Prometheus' parser.
func readTheirs(page []byte, classic bool) (lines []string, err error) {
	p := textparse.NewProtobufParser(page, false, classic, false, false, labels.NewSymbolTable())
	var kind, unit, help string
	for {
		e, err := p.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		var ls labels.Labels
		var t *int64
		value := ""
		switch e {
		case textparse.EntryHelp:
			_, b := p.Help()
			help, unit = string(b), ""
			continue
		case textparse.EntryUnit:
			_, b := p.Unit()
			unit = string(b)
			continue
		case textparse.EntryType:
			_, k := p.Type()
			kind = string(k)
			continue
		case textparse.EntrySeries:
			var v float64
			_, t, v = p.Series()
			value = fmt.Sprintf(" %#x", math.Float64bits(v))
		case textparse.EntryHistogram:
			var h *histogram.Histogram
			var f *histogram.FloatHistogram
			_, t, h, f = p.Histogram()
			value = " " + describe(theirs(h, f))
		}
		p.Labels(&ls)
		var raw sdk.Labels
		ls.Range(func(l labels.Label) { raw = append(raw, sdk.Label{Name: l.Name, Value: l.Value}) })
		line := fmt.Sprintf("%q %s %q %q", sorted(raw), kind, unit, help)
		if t != nil {
			line += fmt.Sprintf(" @%d", *t)
		}
		line += value
		for x := (exemplar.Exemplar{}); p.Exemplar(&x); x = (exemplar.Exemplar{}) {
			var raw sdk.Labels
			x.Labels.Range(func(l labels.Label) { raw = append(raw, sdk.Label{Name: l.Name, Value: l.Value}) })
			line += fmt.Sprintf(" # %q %v %d", raw, x.Value, x.Ts)
		}
		lines = append(lines, line)
	}
}

// registry is a page as Go programs write it.
func registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total", Help: "Requests, \"all\" of them\nand \\ more."}, []string{"code"})
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "temperature_celsius", Help: "Temperature."})
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "rpc_seconds", Help: "RPCs.", Objectives: map[float64]float64{0.5: 0.1, 1: 0}})
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic_seconds", Help: "Classic.", Buckets: []float64{0.1, 1, 10}})
	native := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "native_seconds", Help: "Native.", NativeHistogramBucketFactor: 1.1}, []string{"path"})
	both := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "both_seconds", Help: "Both.", NativeHistogramBucketFactor: 1.5, Buckets: prometheus.DefBuckets})
	r.MustRegister(c, g, s, classic, native, both)
	c.WithLabelValues("200").Add(17)
	c.WithLabelValues("500\"\\\n").(prometheus.ExemplarAdder).AddWithExemplar(1, prometheus.Labels{"trace_id": "abc\"\\"})
	g.Set(-21.125)
	for i := range 100 {
		v := math.Exp(float64(i%37)/5 - 4)
		s.Observe(v)
		classic.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace_id": fmt.Sprint(i)})
		native.WithLabelValues("/").Observe(v)
		native.WithLabelValues("/x").Observe(-v)
		both.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace_id": fmt.Sprint(i)})
	}
	native.WithLabelValues("/empty")
	return r
}

func gathered(t testing.TB) []*dto.MetricFamily {
	families, err := registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// oddFamilies are what no client library writes every day.
func oddFamilies() []*dto.MetricFamily {
	at := time.UnixMilli(1700000000123)
	return []*dto.MetricFamily{
		{Name: ptr("empty")},
		{Name: ptr("a.b \"c\""), Help: ptr(" leading {"), Unit: ptr(""), Metric: []*dto.Metric{{Label: pairs("ünï", "cödé", "x.y", "", "n\nl", "\\"), Counter: &dto.Counter{Value: ptr(math.Inf(1))}}}},
		{Name: ptr("mem_bytes"), Unit: ptr("bytes"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: ptr(1e300)}, TimestampMs: ptr(int64(1700000000001))}, {Label: pairs("z", "1", "a", "2"), Gauge: &dto.Gauge{Value: ptr(math.Copysign(0, -1))}}}},
		{Name: ptr("u"), Type: dto.MetricType_UNTYPED.Enum(), Metric: []*dto.Metric{{Untyped: &dto.Untyped{Value: ptr(math.NaN())}}}},
		{Name: ptr("s"), Type: dto.MetricType_SUMMARY.Enum(), Metric: []*dto.Metric{{Summary: &dto.Summary{SampleCount: ptr(uint64(1) << 60), SampleSum: ptr(0.1)}}, {Label: pairs("q", "1"), Summary: &dto.Summary{Quantile: []*dto.Quantile{{Quantile: ptr(0.0), Value: ptr(3.0)}, {Quantile: ptr(1e-7), Value: ptr(math.NaN())}, {Quantile: ptr(1e21)}}}}}},
		{Name: ptr("gh"), Type: dto.MetricType_GAUGE_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCountFloat: ptr(4.5), SampleSum: ptr(-1.0), Schema: ptr(int32(-4)), ZeroThreshold: ptr(0.5), ZeroCountFloat: ptr(0.5),
			PositiveSpan:  []*dto.BucketSpan{{Offset: ptr(int32(-2)), Length: ptr(uint32(3))}, {Offset: ptr(int32(5)), Length: ptr(uint32(0))}, {Offset: ptr(int32(1)), Length: ptr(uint32(1))}},
			PositiveCount: []float64{1, 0, 2, 1}, Exemplars: []*dto.Exemplar{example(1, at, "b", "1", "a", "2"), example(2, time.Time{}), example(3, at.Add(time.Second))}}}}},
		{Name: ptr("mixed"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{
			{Label: pairs("k", "classic"), Histogram: &dto.Histogram{SampleCount: ptr(uint64(3)), SampleSum: ptr(4.0), Bucket: []*dto.Bucket{{UpperBound: ptr(1.0), CumulativeCount: ptr(uint64(2)), Exemplar: example(0.5, at, "t", "x")}, {UpperBound: ptr(2e6), CumulativeCountFloat: ptr(2.5)}}}},
			{Label: pairs("k", "none"), Histogram: &dto.Histogram{}},
			{Label: pairs("k", "native"), TimestampMs: ptr(int64(5)), Histogram: &dto.Histogram{SampleCount: ptr(uint64(9)), SampleSum: ptr(4.0), Schema: ptr(int32(3)), ZeroThreshold: ptr(1e-128), ZeroCount: ptr(uint64(1)),
				NegativeSpan: []*dto.BucketSpan{{Offset: ptr(int32(0)), Length: ptr(uint32(2))}, {Offset: ptr(int32(3)), Length: ptr(uint32(1))}}, NegativeDelta: []int64{4, -4, 4},
				Bucket: []*dto.Bucket{{UpperBound: ptr(1.0), CumulativeCount: ptr(uint64(2)), Exemplar: example(0.5, at, "t", "y")}, {UpperBound: ptr(math.Inf(1)), CumulativeCount: ptr(uint64(9)), Exemplar: example(7, time.Time{})}}}},
		}},
		{Name: ptr("c_total"), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: ptr(3.0), Exemplar: example(0.25, time.Time{}, "trace", "q")}}}},
	}
}

func TestAProtobufPageSaysWhatItSaysToPrometheus(t *testing.T) {
	for _, classic := range []bool{false, true} {
		for _, f := range append(gathered(t), oddFamilies()...) {
			page := delimited(t, f)
			want, err := readTheirs(page, classic)
			if err != nil {
				t.Fatal(err)
			}
			got, err := readProtobuf(page, classic)
			if err != nil {
				t.Errorf("%s: %v", f.GetName(), err)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s (classic too: %v)\nours   %s\ntheirs %s", f.GetName(), classic, strings.Join(got, "\n       "), strings.Join(want, "\n       "))
			}
		}
	}
}

// TestAnyNativeHistogramIsReadAsPrometheusReadsIt compares random ones.
func TestAnyNativeHistogramIsReadAsPrometheusReadsIt(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		h := &dto.Histogram{Schema: ptr(int32(r.IntN(13) - 4)), ZeroThreshold: ptr(r.Float64()), SampleSum: ptr(r.NormFloat64())}
		count := uint64(0)
		side := func() (spans []*dto.BucketSpan, deltas []int64) {
			last := int64(0)
			for i := range r.IntN(6) {
				s := &dto.BucketSpan{Offset: ptr(int32(r.IntN(4))), Length: ptr(uint32(r.IntN(6)))}
				if i == 0 {
					*s.Offset -= 100
				}
				spans = append(spans, s)
				for range *s.Length {
					c := int64(max(0, r.IntN(9)-4))
					deltas, last = append(deltas, c-last), c
					count += uint64(c)
				}
			}
			return spans, deltas
		}
		h.PositiveSpan, h.PositiveDelta = side()
		h.NegativeSpan, h.NegativeDelta = side()
		h.SampleCount = &count
		page := delimited(t, &dto.MetricFamily{Name: ptr("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: h}}})
		want, err := readTheirs(page, false)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readProtobuf(page, false); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v\nours   %s\ntheirs %s", err, got, want)
		}
	}
}

func TestABrokenProtobufPageFails(t *testing.T) {
	h := func(h *dto.Histogram) []byte {
		return delimited(t, &dto.MetricFamily{Name: ptr("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: h}}})
	}
	whole := delimited(t, gathered(t)...)
	many := make([]int64, maxBuckets+2)
	for name, c := range map[string]struct {
		page []byte
		text string
	}{
		"cut":        {whole[:len(whole)-3], "broken protobuf"},
		"text":       {[]byte("up 1\n"), "broken protobuf"},
		"no name":    {delimited(t, &dto.MetricFamily{Metric: []*dto.Metric{{}}}), "no metric name"},
		"no UTF-8":   {[]byte("\x08\x0a\x02\xff\xfe\x22\x02\x1a\x00"), "no metric name"},
		"spans":      {h(&dto.Histogram{PositiveSpan: []*dto.BucketSpan{{Length: ptr(uint32(1 << 31))}}}), `histogram "h": its spans have`},
		"far span":   {h(&dto.Histogram{PositiveSpan: []*dto.BucketSpan{{Offset: ptr(int32(math.MaxInt32)), Length: ptr(uint32(1))}}, PositiveDelta: []int64{1}}), "a span begins at bucket"},
		"buckets":    {h(&dto.Histogram{PositiveDelta: many}), "more than 10000"},
		"label name": {delimited(t, &dto.MetricFamily{Name: ptr("m"), Metric: []*dto.Metric{{Label: pairs("", "x")}}}), "no label name"},
		"time":       {delimited(t, &dto.MetricFamily{Name: ptr("m"), Metric: []*dto.Metric{{TimestampMs: ptr(int64(-1))}}}), "before 1970"},
	} {
		if _, err := readProtobuf(c.page, true); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASmallPageDoesNotBecomeALargeText(t *testing.T) {
	var metrics []*dto.Metric
	for range 1000 {
		metrics = append(metrics, &dto.Metric{})
	}
	if _, err := readProtobuf(delimited(t, &dto.MetricFamily{Name: ptr(strings.Repeat("n", 100_000)), Metric: metrics}), true); !errors.Is(err, errBodySize) {
		t.Errorf("%v", err)
	}
}

func TestNativeHistogramsAndTheirExemplarsAreScraped(t *testing.T) {
	scraping(t, func(t *testing.T) {
		r := prometheus.NewRegistry()
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latency_seconds", Help: "Latency.", NativeHistogramBucketFactor: 1.1, Buckets: prometheus.DefBuckets})
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total", Help: "Requests."})
		r.MustRegister(h, c)
		observe := func(v float64) {
			h.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace_id": fmt.Sprint(v)})
			c.(prometheus.ExemplarAdder).AddWithExemplar(1, prometheus.Labels{"trace_id": fmt.Sprint(v)})
		}
		observe(0.25)
		var accepted atomic.Value // a string
		handler := promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true})
		server := plugintest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			accepted.Store(q.Header.Get("Accept"))
			handler.ServeHTTP(w, q)
		}))
		s := scrapes(t, plugintest.Config{"targets": []string{strings.TrimPrefix(server.URL, "http://")}, "scrape_native_histograms": true},
			plugintest.Settings(sdk.SourceSettings{Job: "j", Interval: time.Second, Timeout: time.Minute, LimitSeries: 1000}))
		first := s.next()
		if asked := accepted.Load().(string); !strings.HasPrefix(asked, "application/vnd.google.protobuf;") {
			t.Errorf("asked for %s", asked)
		}
		got := first.Find("latency_seconds")
		if len(got) != 1 || got[0].Histogram == nil || got[0].Histogram.Count != 1 || got[0].Family == nil || *got[0].Family != (sdk.Family{Name: "latency_seconds", Type: sdk.HistogramType, Help: "Latency."}) {
			t.Fatalf("%+v", got)
		}
		if n := len(first.Find("latency_seconds_bucket")); n != 0 || first.Find("scrape_samples_scraped")[0].Value != 2 {
			t.Errorf("%d buckets, %v samples", n, first.Find("scrape_samples_scraped"))
		}
		traces := func() (list []string) {
			for _, e := range s.Exemplars() {
				list = append(list, e.Series.Get(sdk.NameLabel)+" "+e.Labels.Get("trace_id"))
			}
			slices.Sort(list)
			return list
		}
		if got := traces(); !slices.Equal(got, []string{"latency_seconds 0.25", "requests_total 0.25"}) {
			t.Errorf("exemplars %q", got)
		}
		second := s.next()
		if got := traces(); len(got) != 0 || len(second.Find("latency_seconds")) != 1 {
			t.Errorf("the same exemplars came again: %q", got)
		}
		observe(4)
		third := s.next()
		if h := third.Find("latency_seconds"); len(h) != 1 || h[0].Histogram == nil || h[0].Histogram.Count != 2 {
			t.Errorf("%+v", h)
		}
		if got := traces(); !slices.Equal(got, []string{"latency_seconds 4", "requests_total 4"}) {
			t.Errorf("exemplars %q", got)
		}
		r.Unregister(h)
		gone := s.next().Find("latency_seconds")
		if len(gone) != 1 || gone[0].Histogram != nil || math.Float64bits(gone[0].Value) != math.Float64bits(sdk.StaleNaN) {
			t.Errorf("%+v", gone)
		}
	})
}

func TestExemplarsOfOpenMetricsComeOnce(t *testing.T) {
	scraping(t, func(t *testing.T) {
		page := func(n int) string {
			return fmt.Sprintf("# TYPE a counter\na_total %d # {trace_id=\"x\\\"%d\"} 0.5\n# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {} 0.25 940000000.%d\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n# EOF\n", n, n/2, 100+n/3)
		}
		e := newExporter(t, page(0))
		e.header.Set("Content-Type", openKind)
		s := scrapes(t, plugintest.Config{"targets": []string{e.host()}},
			plugintest.Settings(sdk.SourceSettings{Job: "j", Interval: 200 * time.Millisecond, Timeout: time.Minute, LimitSeries: 1000}))
		for i, want := range []string{
			"a_total {trace_id=\"x\\\"0\"} 0.5 own=false, h_bucket  0.25 own=true", "", "a_total {trace_id=\"x\\\"1\"} 0.5 own=false", "h_bucket  0.25 own=true",
		} {
			samples := s.next()
			var got []string
			for _, x := range s.Exemplars() {
				got = append(got, fmt.Sprintf("%s %s %v own=%v", x.Series.Get(sdk.NameLabel), x.Labels, x.Value, x.Time.Unix() == 940000000))
			}
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("scrape %d: %q, want %q", i, text, want)
			}
			if len(samples.Find("a_total")) != 1 {
				t.Errorf("scrape %d: %v", i, samples)
			}
			e.set(func() { e.page = page(i + 1) })
		}
	})
}

// FuzzProtobuf: no page makes the rewriter or the parser behind it panic or write more than it may, and what both read is what
// Prometheus reads.
func FuzzProtobuf(f *testing.F) {
	for _, family := range append(gathered(f), oddFamilies()...) {
		f.Add(delimited(f, family))
	}
	f.Add(delimited(f, oddFamilies()...))
	f.Fuzz(func(t *testing.T, page []byte) {
		m := memory{}
		for range 2 {
			w := &workspace{}
			text, err := w.rewritten(page, &Config{BodySizeLimit: 1 << 16, ScrapeNativeHistograms: true, AlwaysScrapeClassicHistograms: true})
			if err != nil {
				return
			}
			if len(text) > 1<<17+2*len(page) {
				t.Fatalf("%d bytes became %d", len(page), len(text))
			}
			w.open(text, fromProtobuf, true)
			if m.read(w, &shaping{}) != nil {
				m.rollback(w)
				return
			}
			m.commit(w, sdk.NewScope(sdk.SourceSettings{}, "", true).Batch(), false)
		}
	})
}

func TestProtobufThatNobodyAskedForHasItsClassicBuckets(t *testing.T) {
	scraping(t, func(t *testing.T) {
		e := newExporter(t, string(delimited(t, gathered(t)...)))
		e.header.Set("Content-Type", protoKind)
		s := scrapes(t, plugintest.Config{"targets": []string{e.host()}})
		page := s.next()
		if h := page.Find("both_seconds"); len(h) != 0 || len(page.Find("both_seconds_bucket")) != len(prometheus.DefBuckets)+1 || value(page, "both_seconds_count") != 100 {
			t.Errorf("%v\n%v", h, page.Find("both_seconds_bucket"))
		}
	})
}
