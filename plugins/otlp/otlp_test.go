package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resources "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// receive opens a source on free ports and gives its addresses.
func listening(t testing.TB, cfg plugintest.Config, opts ...plugintest.Option) (c *plugintest.Component, overGRPC, overHTTP string) {
	t.Helper()
	all := plugintest.Config{"grpc_listen": "127.0.0.1:0", "http_listen": "127.0.0.1:0"}
	for k, v := range cfg {
		all[k] = v
	}
	c = plugintest.Open(t, source, all, opts...)
	found := regexp.MustCompile(`gRPC at (\S+), HTTP at (\S+)`).FindStringSubmatch(c.Health().Text)
	if found == nil {
		t.Fatalf("health: %q", c.Health().Text)
	}
	return c, found[1], found[2]
}

func str(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func attrs(pairs ...string) (list []*common.KeyValue) {
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, &common.KeyValue{Key: pairs[i], Value: str(pairs[i+1])})
	}
	return list
}

// request is the metrics of one service.
func request(all ...*metrics.Metric) *metrics.MetricsData {
	return &metrics.MetricsData{ResourceMetrics: []*metrics.ResourceMetrics{{
		Resource:     &resources.Resource{Attributes: attrs("service.name", "shop", "service.namespace", "eu", "service.instance.id", "i1", "host.name", "h")},
		ScopeMetrics: []*metrics.ScopeMetrics{{Scope: &common.InstrumentationScope{Name: "lib", Version: "1"}, Metrics: all}},
	}}}
}

func dot(at time.Time, v float64, pairs ...string) *metrics.NumberDataPoint {
	return &metrics.NumberDataPoint{TimeUnixNano: uint64(at.UnixNano()), Attributes: attrs(pairs...), Value: &metrics.NumberDataPoint_AsDouble{AsDouble: v}}
}

func gaugeOf(name, unit string, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Unit: unit, Description: "A " + name + ".", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: points}}}
}

func sumOf(name string, temporality metrics.AggregationTemporality, points ...*metrics.NumberDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: name, Data: &metrics.Metric_Sum{Sum: &metrics.Sum{DataPoints: points, AggregationTemporality: temporality, IsMonotonic: true}}}
}

func encoded(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seen is what an intake emitted.
type seen struct {
	scope      *sdk.Scope
	defined    map[sdk.Ref]sdk.Series
	retired    []sdk.Ref
	lines      []string
	exemplars  []string
	full       bool
	quiet      bool // keep no lines
	notDurable error
}

func (s *seen) Batch() *sdk.Batch { return s.scope.Batch() }

func (s *seen) Emit(ctx context.Context, b *sdk.Batch) error {
	if s.full && !sdk.Waits(ctx) {
		return sdk.ErrFull
	}
	b.Seal(func(c *sdk.Columns) {
		for _, d := range c.Define {
			s.defined[d.Ref] = d.Series
		}
		if s.quiet {
			return
		}
		for i, ref := range c.Run.Refs {
			d := s.defined[ref]
			kind := ""
			if d.Family != nil {
				kind = d.Family.Type.String()
			}
			s.lines = append(s.lines, line(d.Labels.String(), kind, c.Run.Time(i), c.Run.Values[i]))
		}
		if c.Signals != nil {
			for i, ref := range c.Signals.Run.Refs {
				s.lines = append(s.lines, histogramLine(s.defined[ref].Labels.String(), c.Signals.Run.Time(i), c.Signals.Run.Histograms[i]))
			}
			for _, e := range c.Signals.Exemplars {
				s.exemplars = append(s.exemplars, exemplarLine(s.defined[e.Ref].Labels.String(), e.Labels.String(), e.Value, e.Time))
			}
		}
		s.retired = append(s.retired, c.Retire...)
	})
	return nil
}

func (s *seen) Flush(context.Context) error { return s.notDurable }

func line(labels, kind string, ms int64, v float64) string {
	if math.Float64bits(v) == math.Float64bits(sdk.StaleNaN) {
		return fmt.Sprintf("%s [%s] %d stale", labels, kind, ms)
	}
	return fmt.Sprintf("%s [%s] %d %v", labels, kind, ms, v)
}

// histogramLine says which buckets have what.
func histogramLine(labels string, ms int64, h *sdk.Histogram) string {
	text := fmt.Sprintf("%s %d schema %d count %v sum %v zero %v %v", labels, ms, h.Schema, h.Count, h.Sum, h.ZeroThreshold, h.ZeroCount)
	for i, side := range [2][]float64{h.Positive, h.Negative} {
		at, k := int32(0), 0
		text += " |"
		for _, s := range [2][]sdk.Span{h.PositiveSpans, h.NegativeSpans}[i] {
			for at += s.Offset; s.Length > 0; s.Length-- {
				if side[k] != 0 {
					text += fmt.Sprintf(" %d:%v", at, side[k])
				}
				at++
				k++
			}
		}
	}
	return text
}

func exemplarLine(series, labels string, v float64, at time.Time) string {
	return fmt.Sprintf("%s # %s %v %d", series, labels, v, at.UnixMilli())
}

// take gives the sorted lines since the last call.
func (s *seen) take() string {
	slices.Sort(s.lines)
	text := strings.Join(s.lines, "\n")
	s.lines = nil
	return text
}

func intakeFor(cfg SourceConfig, settings sdk.SourceSettings) (*intake, *seen) {
	if cfg.Translation == "" {
		cfg.Translation = "underscores"
	}
	cfg.Suffixes = true
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 15 * time.Minute
	}
	out := &seen{scope: sdk.NewScope(settings, "", true), defined: map[sdk.Ref]sdk.Series{}}
	in := newIntake(&cfg, settings)
	in.start(out)
	return in, out
}

func post(t *testing.T, address, contentType string, body []byte, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+address+"/v1/metrics", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

const (
	delta      = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	cumulative = metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
)

func TestAServicesMetricsBecomeSeries(t *testing.T) {
	t.Parallel()
	c, _, address := listening(t, plugintest.Config{"promote_resource_attributes": []string{"host.name"}}, plugintest.Settings(sdk.SourceSettings{Job: "otlp", Labels: map[string]string{"zone": "a"}, Interval: time.Hour, LimitSeries: 100}))
	now := time.Now().Truncate(time.Millisecond)
	body := encoded(t, request(
		gaugeOf("queue.size", "By", dot(now, 7, "queue", "q1", "zone", "b")),
		sumOf("http.requests", cumulative, dot(now, 3)),
		&metrics.Metric{Name: "rpc.duration", Unit: "ms", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{AggregationTemporality: cumulative, DataPoints: []*metrics.HistogramDataPoint{
			{TimeUnixNano: uint64(now.UnixNano()), Count: 6, Sum: proto.Float64(12.5), BucketCounts: []uint64{1, 2, 3}, ExplicitBounds: []float64{0.5, 10}},
		}}}},
		&metrics.Metric{Name: "gc", Unit: "s", Data: &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: []*metrics.SummaryDataPoint{
			{TimeUnixNano: uint64(now.UnixNano()), Count: 2, Sum: 3, QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: 1}}},
		}}}},
	))
	if response, text := post(t, address, binary, body); response.StatusCode != 200 || text != "" || response.Header.Get("Content-Type") != binary {
		t.Fatalf("%s %q", response.Status, text)
	}
	got := c.Next()
	for _, want := range []string{
		`queue_size_bytes{exported_zone="b", host_name="h", instance="i1", job="eu/shop", queue="q1", zone="a"} 7`,
		`http_requests_total{host_name="h", instance="i1", job="eu/shop", zone="a"} 3`,
		`rpc_duration_milliseconds_bucket{host_name="h", instance="i1", job="eu/shop", le="0.5", zone="a"} 1`,
		`rpc_duration_milliseconds_bucket{host_name="h", instance="i1", job="eu/shop", le="10", zone="a"} 3`,
		`rpc_duration_milliseconds_bucket{host_name="h", instance="i1", job="eu/shop", le="+Inf", zone="a"} 6`,
		`rpc_duration_milliseconds_sum{host_name="h", instance="i1", job="eu/shop", zone="a"} 12.5`,
		`rpc_duration_milliseconds_count{host_name="h", instance="i1", job="eu/shop", zone="a"} 6`,
		`gc_seconds{host_name="h", instance="i1", job="eu/shop", quantile="0.5", zone="a"} 1`,
		`gc_seconds_sum{host_name="h", instance="i1", job="eu/shop", zone="a"} 3`,
		`gc_seconds_count{host_name="h", instance="i1", job="eu/shop", zone="a"} 2`,
		`target_info{host_name="h", instance="i1", job="eu/shop", zone="a"} 1`,
	} {
		if !strings.Contains("\n"+got.String()+"\n", "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if len(got) != 11 || !got[0].Time.Equal(now) {
		t.Errorf("%d samples, the first at %s:\n%s", len(got), got[0].Time, got)
	}
	if f := got.Find("rpc_duration_milliseconds_sum")[0].Family; f.Name != "rpc_duration_milliseconds" || f.Type != sdk.HistogramType || f.Unit != "milliseconds" {
		t.Errorf("%+v", f)
	}
}

func TestWhatIsRefusedIsSaidAndCounted(t *testing.T) {
	t.Parallel()
	c, _, address := listening(t, nil, plugintest.Settings(sdk.SourceSettings{Job: "otlp", Interval: time.Hour, LimitSeries: 2}))
	now := time.Now()
	none := dot(now, 0)
	none.Value = nil
	body := encoded(t, request(
		gaugeOf("ok", "", dot(now, 1)),
		gaugeOf("late", "", dot(now.Add(time.Hour), 1), dot(time.Unix(0, 0), 1), none, dot(now, 1, "", "x")),
		gaugeOf("___", "", dot(now, 1)),
		sumOf("s", 0, dot(now, 1)),
		gaugeOf("more", "", dot(now, 1, "n", "1"), dot(now, 1, "n", "2"), dot(now, 1, "n", "3")),
		&metrics.Metric{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{AggregationTemporality: cumulative, DataPoints: []*metrics.HistogramDataPoint{
			{TimeUnixNano: uint64(now.UnixNano()), Count: 6, BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{0.5, 10}},
			{TimeUnixNano: uint64(now.UnixNano()), Count: 6, BucketCounts: []uint64{1, 2, 3}, ExplicitBounds: []float64{10, 10}},
		}}}},
	))
	response, text := post(t, address, binary, body)
	if response.StatusCode != 200 || !strings.Contains(text, "data points refused: 1 invalid_labels, 2 invalid_histogram") && !strings.Contains(text, "2 invalid_histogram, 1 invalid_labels, 1 invalid_name, 2 invalid_time, 2 limit_series, 1 no_temporality, 1 no_value") {
		t.Errorf("%s %q", response.Status, text)
	}
	if got := c.Next(); len(got) != 2 {
		t.Errorf("%s", got)
	}
	h := c.Health()
	if want := map[string]uint64{badHistogram: 2, badAttributes: 1, badName: 1, badTime: 2, noTemporality: 1, noValue: 1}; h.Errors["target"] != 1 || h.Series != 2 {
		t.Errorf("%v", h)
	} else {
		for reason, n := range want {
			if h.Dropped[reason] != n {
				t.Errorf("%s: %d of %d were counted", reason, h.Dropped[reason], n)
			}
		}
	}
	if h.Dropped[tooManySeries] < 2 {
		t.Errorf("%v", h.Dropped)
	}
	r, text := post(t, address, text2JSON, []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"x","sum":{"dataPoints":[{"asInt":"1"}]}}]}]}]}`))
	if r.StatusCode != 200 || text != `{"partialSuccess":{"rejectedDataPoints":"1","errorMessage":"data points refused: 1 no_temporality"}}` {
		t.Errorf("%s %q", r.Status, text)
	}
}

const text2JSON = "application/json; charset=utf-8"

func TestDeltasAddUpAndComeOnlyOnce(t *testing.T) {
	t.Parallel()
	in, out := intakeFor(SourceConfig{}, sdk.SourceSettings{})
	start := time.Now().Truncate(time.Second)
	for i, c := range []struct {
		after    int
		v        float64
		want     string
		rejected map[string]int
	}{
		{0, 5, "5", nil}, {1, 2, "7", nil},
		{1, 2, "", map[string]int{lateDelta: 1}}, // sent again, since the answer was lost
		{0, 1, "", map[string]int{lateDelta: 1}},
		{2, math.NaN(), "", map[string]int{unlikeDelta: 1}},
		{3, 0.5, "7.5", nil},
	} {
		at := start.Add(time.Duration(c.after) * time.Second)
		rejected, err := in.take(t.Context(), encoded(t, request(sumOf("s", delta, dot(at, c.v, "a", "b")))))
		if err != nil || fmt.Sprint(rejected) != fmt.Sprint(c.rejected) {
			t.Errorf("%d: %v, %v", i, rejected, err)
		}
		want := ""
		if c.want != "" {
			want = fmt.Sprintf(`s_total{a="b", instance="i1", job="eu/shop"} [counter] %d %s`, at.UnixMilli(), c.want)
		}
		if got := out.take(); got != want {
			t.Errorf("%d: got %q, want %q", i, got, want)
		}
	}
	histogram := func(at time.Time, sum *float64, bounds []float64, counts ...uint64) string {
		h := &metrics.HistogramDataPoint{TimeUnixNano: uint64(at.UnixNano()), Sum: sum, ExplicitBounds: bounds, BucketCounts: counts}
		for _, n := range counts {
			h.Count += n
		}
		if _, err := in.take(t.Context(), encoded(t, request(&metrics.Metric{Name: "h", Data: &metrics.Metric_Histogram{Histogram: &metrics.Histogram{AggregationTemporality: delta, DataPoints: []*metrics.HistogramDataPoint{h}}}}))); err != nil {
			t.Error(err)
		}
		var values []string
		for _, l := range strings.Split(out.take(), "\n") {
			values = append(values, l[strings.LastIndexByte(l, ' ')+1:])
		}
		return strings.Join(values, " ")
	}
	for i, c := range []struct{ got, want string }{ // +Inf, 1, count, sum
		{histogram(start, proto.Float64(2), []float64{1}, 1, 2), "3 1 3 2"},
		{histogram(start.Add(time.Second), proto.Float64(3), []float64{1}, 1, 1), "5 2 5 5"},
		{histogram(start.Add(2*time.Second), nil, []float64{1}, 1, 1), "7 3 7"},
		{histogram(start.Add(3*time.Second), proto.Float64(1), []float64{2}, 1, 1), "2 1 2 1"}, // other buckets: a new beginning
	} {
		if c.got != c.want {
			t.Errorf("histogram %d: got %s, want %s", i, c.got, c.want)
		}
	}
}

func TestAMalformedRequestChangesNothing(t *testing.T) {
	t.Parallel()
	in, out := intakeFor(SourceConfig{}, sdk.SourceSettings{})
	start := time.Now()
	send := func(at time.Time, end ...byte) error {
		_, err := in.take(t.Context(), append(encoded(t, request(sumOf("s", delta, dot(at, 1)))), end...))
		return err
	}
	if err := send(start); err != nil {
		t.Fatal(err)
	}
	out.take()
	if err := send(start.Add(time.Second), 0x0a, 0x7f); err != errMalformed {
		t.Errorf("%v", err)
	}
	if got := out.take(); got != "" {
		t.Errorf("it emitted %s", got)
	}
	if err := send(start.Add(time.Second)); err != nil || !strings.HasSuffix(out.take(), " 2") {
		t.Errorf("the total is not 2: %v", err)
	}
	out.full = true
	if err := send(start.Add(2 * time.Second)); err != sdk.ErrFull {
		t.Errorf("%v", err)
	}
	out.full = false
	if err := send(start.Add(2 * time.Second)); err != nil || !strings.HasSuffix(out.take(), " 3") {
		t.Errorf("the total is not 3: %v", err)
	}
}

func TestSeriesThatDoNotComeAreForgotten(t *testing.T) {
	t.Parallel()
	in, out := intakeFor(SourceConfig{IdleTimeout: 2 * time.Minute, TargetInfo: true}, sdk.SourceSettings{LimitSeries: 3})
	body := encoded(t, request(gaugeOf("a", "", dot(time.Now(), 1, "x", "1", "y", "2"), dot(time.Now(), 1, "y", "2", "x", "1"), dot(time.Now(), 1))))
	if _, err := in.take(t.Context(), body); err != nil || len(in.series) != 3 || len(out.defined) != 3 {
		t.Fatalf("%v, %d series, %d defined: the order of attributes makes no series", err, len(in.series), len(out.defined))
	}
	in.sweep(t.Context())
	in.sweep(t.Context())
	if len(out.retired) != 0 {
		t.Errorf("retired too early: %v", out.retired)
	}
	in.sweep(t.Context())
	if len(out.retired) != 3 || len(in.series) != 0 || len(in.resources) != 0 {
		t.Errorf("%v were retired, %d series and %d resources are left", out.retired, len(in.series), len(in.resources))
	}
	if rejected, err := in.take(t.Context(), body); err != nil || rejected != nil {
		t.Errorf("there is no room for them again: %v, %v", rejected, err)
	}
}

func TestASeriesThatEndedIsStale(t *testing.T) {
	t.Parallel()
	in, out := intakeFor(SourceConfig{}, sdk.SourceSettings{})
	now := time.Now()
	end := dot(now, 0)
	end.Value, end.Flags = nil, 1
	if _, err := in.take(t.Context(), encoded(t, request(gaugeOf("g", "", end)))); err != nil {
		t.Fatal(err)
	}
	if got, want := out.take(), fmt.Sprintf(`g{instance="i1", job="eu/shop"} [gauge] %d stale`, now.UnixMilli()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheExampleIsValid(t *testing.T) {
	t.Setenv("OTLP_TOKEN", "x")
	plugintest.Example(t, "example.hcl", "otlp", source, sink)
}

func exponentialOf(temporality metrics.AggregationTemporality, p *metrics.ExponentialHistogramDataPoint) *metrics.Metric {
	return &metrics.Metric{Name: "e", Data: &metrics.Metric_ExponentialHistogram{ExponentialHistogram: &metrics.ExponentialHistogram{AggregationTemporality: temporality, DataPoints: []*metrics.ExponentialHistogramDataPoint{p}}}}
}

func TestExponentialHistogramsAreMergedWhereTheyAreTooFineAndAddedUp(t *testing.T) {
	t.Parallel()
	in, out := intakeFor(SourceConfig{}, sdk.SourceSettings{})
	start := time.Now().Truncate(time.Second)
	second := 0
	send := func(temporality metrics.AggregationTemporality, scale, offset int32, counts ...uint64) string {
		second++
		p := &metrics.ExponentialHistogramDataPoint{
			TimeUnixNano: uint64(start.Add(time.Duration(second) * time.Second).UnixNano()), Scale: scale, Sum: proto.Float64(1.5), ZeroCount: 1, Count: 1, ZeroThreshold: 0.25,
			Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: offset, BucketCounts: counts},
		}
		for _, n := range counts {
			p.Count += n
		}
		rejected, err := in.take(t.Context(), encoded(t, request(exponentialOf(temporality, p))))
		if err != nil || rejected != nil {
			return fmt.Sprint(rejected, err)
		}
		return strings.SplitN(out.take(), " ", 5)[4]
	}
	for i, c := range []struct{ got, want string }{
		// scale 10, indices -1 … 8: four of them are one of scale 8
		{send(cumulative, 10, -1, 2, 0, 0, 1, 1, 0, 0, 0, 0, 5), "8 count 10 sum 1.5 zero 0.25 1 | 0:2 1:2 3:5 |"},
		{send(delta, 3, 0, 1, 2), "3 count 4 sum 1.5 zero 0.25 1 | 1:1 2:2 |"},
		{send(delta, 3, 1, 3), "3 count 8 sum 3 zero 0.25 2 | 1:1 2:5 |"},
		{send(delta, 2, 0, 1), "2 count 10 sum 4.5 zero 0.25 3 | 1:7 |"}, // the coarser scale stays
		{send(delta, 3, 2, 0, 4), "2 count 15 sum 6 zero 0.25 4 | 1:7 2:4 |"},
		{send(cumulative, -5, 0, 1), "map[invalid_histogram:1] <nil>"},
		{send(cumulative, 0, math.MaxInt32, 1), "map[invalid_histogram:1] <nil>"},
		{send(cumulative, 0, 0, 1<<60), "map[invalid_histogram:1] <nil>"},
	} {
		if c.got != c.want {
			t.Errorf("%d: got %s, want %s", i, c.got, c.want)
		}
	}
}

func TestAnExemplarIsKeptOnce(t *testing.T) {
	t.Parallel()
	in, out := intakeFor(SourceConfig{}, sdk.SourceSettings{})
	now := time.Now()
	p := dot(now, 1)
	p.Exemplars = []*metrics.Exemplar{{TimeUnixNano: uint64(now.UnixNano()), Value: &metrics.Exemplar_AsInt{AsInt: 3}, TraceId: []byte("0123456789abcdef")}}
	for range 2 {
		if _, err := in.take(t.Context(), encoded(t, request(sumOf("s", cumulative, p)))); err != nil {
			t.Fatal(err)
		}
	}
	want := exemplarLine(`s_total{instance="i1", job="eu/shop"}`, `{trace_id="30313233343536373839616263646566"}`, 3, now)
	if len(out.exemplars) != 1 || out.exemplars[0] != want {
		t.Errorf("%q, want %q", out.exemplars, want)
	}
	// the same over JSON, where ids are hex
	body, err := fromJSON([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"j","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"5","timeUnixNano":"1","exemplars":[
		{"asInt":"1","timeUnixNano":"5000000","traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.take(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	if want := exemplarLine("j_total", `{span_id="eee19b7ec3c1b174", trace_id="5b8efff798038103d269b633813fc60c"}`, 1, time.UnixMilli(5)); len(out.exemplars) != 2 || out.exemplars[1] != want {
		t.Errorf("%q, want %q", out.exemplars, want)
	}
}
