package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// page is what a scrape of two targets gives.
func page(b *sdk.Batch, at time.Time) {
	b.Time = at
	put := func(v float64, f *sdk.Family, pairs ...string) {
		b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels(pairs...), Family: f}), v)
	}
	requests := &sdk.Family{Name: "http_requests_total", Type: sdk.CounterType, Help: "Requests."}
	latency := &sdk.Family{Name: "latency_seconds", Type: sdk.HistogramType, Unit: "seconds"}
	gc := &sdk.Family{Name: "gc_seconds", Type: sdk.SummaryType}
	for _, instance := range []string{"a:1", "b:1"} {
		where := []string{"job", "shop/eu", "instance", instance}
		put(1, &sdk.Family{Name: "up", Type: sdk.GaugeType}, append(where, "__name__", "up")...)
		put(7, requests, append(where, "__name__", "http_requests_total", "code", "200")...)
		put(0.5, requests, append(where, "__name__", "http_requests_total", "code", "500 \"x\"")...)
		put(3, latency, append(where, "__name__", "latency_seconds_bucket", "le", "0.5")...)
		put(4, latency, append(where, "__name__", "latency_seconds_bucket", "le", "+Inf")...)
		put(4, latency, append(where, "__name__", "latency_seconds_count")...)
		put(1.5, latency, append(where, "__name__", "latency_seconds_sum")...)
		put(0.1, gc, append(where, "__name__", "gc_seconds", "quantile", "0.99")...)
		put(2, gc, append(where, "__name__", "gc_seconds_count")...)
		put(math.Inf(1), nil, append(where, "__name__", "odd:name")...)
	}
	put(1, &sdk.Family{Name: "alone", Type: sdk.GaugeType}, "__name__", "alone")
	put(sdk.StaleNaN, &sdk.Family{Name: "gone", Type: sdk.GaugeType}, "__name__", "gone", "job", "x")
}

// untyped finds the types in what seen has.
var untyped = regexp.MustCompile(`\[[a-z]*\]`)

// textOf writes samples with times, sorted.
func textOf(samples plugintest.Samples) string {
	var lines []string
	for _, s := range samples {
		lines = append(lines, line(s.Labels.String(), "", s.Time.UnixMilli(), s.Value))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestOurSinkSendsIntoOurSource(t *testing.T) {
	t.Parallel()
	for _, cfg := range []plugintest.Config{
		{"protocol": "grpc"}, {"protocol": "http"}, {"protocol": "grpc", "compression": "none"}, {"protocol": "http", "compression": "none", "max_request_size": 16 << 10},
	} {
		c, overGRPC, overHTTP := listening(t, plugintest.Config{"target_info": false}, plugintest.Settings(sdk.SourceSettings{Interval: time.Hour}))
		cfg["endpoint"] = "http://" + overGRPC
		if cfg["protocol"] == "http" {
			cfg["endpoint"] = "http://" + overHTTP
		}
		s := plugintest.Open(t, sink, cfg)
		at := time.Now().Truncate(time.Millisecond)
		page(s.Batch(), at)
		n := s.Batch().Len()
		want := func() string {
			b := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
			out := &seen{defined: map[sdk.Ref]sdk.Series{}}
			page(b, at)
			out.Emit(t.Context(), b)
			return untyped.ReplaceAllString(out.take(), "[]")
		}()
		if ack := s.Write(); ack.Stored != uint64(n) || len(ack.Dropped) > 0 {
			t.Errorf("%v: %v", cfg, ack)
		}
		if got := textOf(c.Next()); got != want {
			t.Errorf("%v: got\n%s\nwant\n%s", cfg, got, want)
		}
	}
}

// prometheusServer is the OTLP endpoint of Prometheus 3 over its database.
func prometheusServer(t *testing.T) (address string, db *tsdb.DB) {
	t.Helper()
	options := tsdb.DefaultOptions()
	options.EnableExemplarStorage, options.MaxExemplars = true, 100
	db, err := tsdb.Open(t.TempDir(), slog.New(slog.DiscardHandler), nil, options, nil)
	if err != nil {
		t.Fatal(err)
	}
	handler := remote.NewOTLPWriteHandler(slog.New(slog.DiscardHandler), nil, db, func() config.Config { return config.DefaultConfig }, remote.OTLPOptions{})
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		db.Close()
	})
	return server.URL, db
}

// stored is what a database has.
func stored(t *testing.T, db *tsdb.DB) string {
	t.Helper()
	q, err := db.Querier(0, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var lines []string
	for found := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")); found.Next(); {
		var own sdk.Labels
		found.At().Labels().Range(func(l labels.Label) { own = own.Set(l.Name, l.Value) })
		for it := found.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			ms, v := it.At()
			lines = append(lines, line(own.String(), "", ms, v))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestPrometheusStoresWhatOurSinkSends(t *testing.T) {
	t.Parallel()
	address, db := prometheusServer(t)
	s := plugintest.Open(t, sink, plugintest.Config{"protocol": "http", "endpoint": address + "/api/v1/otlp/v1/metrics"})
	start := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	b := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
	want := &seen{defined: map[sdk.Ref]sdk.Series{}}
	for i := range 3 {
		at := start.Add(time.Duration(i) * time.Second)
		page(b, at)
		want.Emit(t.Context(), b)
		page(s.Batch(), at)
		if ack := s.Write(); len(ack.Dropped) > 0 {
			t.Fatalf("%v", ack)
		}
	}
	text := untyped.ReplaceAllString(want.take(), "[]")
	if got := stored(t, db); got != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
}

// stub is a receiver that answers as told.
type stub struct {
	mu       sync.Mutex
	requests []*metrics.MetricsData
	headers  []metadata.MD
	answers  []error // of the next requests; nil: taken
	partial  []byte
}

func (s *stub) take(body []byte, md metadata.MD) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.answers) > 0 {
		err := s.answers[0]
		if s.answers = s.answers[1:]; err != nil {
			return nil, err
		}
	}
	m := &metrics.MetricsData{}
	if err := proto.Unmarshal(body, m); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	s.requests, s.headers = append(s.requests, m), append(s.headers, md)
	return s.partial, nil
}

// overGRPC serves a stub.
func (s *stub) overGRPC(t *testing.T, options ...grpc.ServerOption) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.ForceServerCodecV2(bytesCodec{}))...)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Export", Handler: func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var body []byte
			if err := read(&body); err != nil {
				return nil, err
			}
			md, _ := metadata.FromIncomingContext(ctx)
			answer, err := s.take(body, md)
			return &answer, err
		},
	}}}, s)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

// numbers sends n samples of one series, a second apart, and gives the acknowledgement.
func numbers(c *plugintest.Component, n int, values ...float64) map[string]uint64 {
	b := c.Batch()
	b.Time = time.Now()
	ref := b.Series(sdk.Series{Labels: sdk.NewLabels("__name__", "n_total", "pad", strings.Repeat("x", 500)), Family: &sdk.Family{Name: "n_total", Type: sdk.CounterType}})
	for i := range n {
		v := float64(i)
		if i < len(values) {
			v = values[i]
		}
		b.PutAt(ref, v, time.Unix(1_700_000_000+int64(i), 0))
	}
	ack := c.Write()
	if ack.Dropped["stored"] = ack.Stored; len(ack.Dropped) == 0 {
		return nil
	}
	return ack.Dropped
}

func withRetry(code codes.Code, after time.Duration) error {
	s, err := status.New(code, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	return errors.Join(s.Err(), err)
}

func TestTheStatusDecidesWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answers []error
		want    string
	}{
		{nil, "map[stored:3]"},
		{[]error{status.Error(codes.Unavailable, ""), status.Error(codes.Aborted, ""), status.Error(codes.DataLoss, "")}, "map[stored:3]"},
		{[]error{withRetry(codes.ResourceExhausted, time.Millisecond)}, "map[stored:3]"},
		{[]error{status.Error(codes.InvalidArgument, "bad")}, "map[rejected:3 stored:0]"},
		{[]error{status.Error(codes.PermissionDenied, "")}, "map[stored:0 unauthorized:3]"},
		{[]error{status.Error(codes.Unimplemented, "")}, "map[not_found:3 stored:0]"},
		// too large: halves, of which one is too large again
		{[]error{status.Error(codes.ResourceExhausted, "")}, "map[stored:3]"},
	} {
		s := &stub{answers: c.answers}
		component := plugintest.Open(t, sink, plugintest.Config{"endpoint": "http://" + s.overGRPC(t)})
		if got := fmt.Sprint(numbers(component, 3)); got != c.want {
			t.Errorf("%v: %s, want %s", c.answers, got, c.want)
		}
	}
}

func TestTheAnswerOverHTTPDecidesWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code  int
		after string
		want  failure
	}{
		{429, "7", failure{reason: "rejected", again: true, after: 7 * time.Second}}, {502, "", failure{reason: "rejected", again: true}}, {503, "999999", failure{reason: "rejected", again: true, after: time.Hour}}, {504, "soon", failure{reason: "rejected", again: true}},
		{400, "5", failure{reason: "rejected"}}, {500, "", failure{reason: "rejected"}}, {401, "", failure{reason: "unauthorized"}}, {403, "", failure{reason: "unauthorized"}},
		{404, "", failure{reason: "not_found"}}, {413, "", failure{reason: "too_large", tooLarge: true}}, {302, "", failure{reason: "rejected"}},
	} {
		f := judge(&http.Response{StatusCode: c.code, Header: http.Header{"Retry-After": {c.after}}}, []byte("because"))
		f.err = nil
		if *f != c.want {
			t.Errorf("%d: %+v, want %+v", c.code, *f, c.want)
		}
	}
}

func TestAPartialSuccessIsCounted(t *testing.T) {
	t.Parallel()
	s := &stub{partial: partialSuccess(map[string]int{"too old": 2})}
	c := plugintest.Open(t, sink, plugintest.Config{"endpoint": "http://" + s.overGRPC(t)})
	if got := fmt.Sprint(numbers(c, 3)); got != "map[partial_success:2 stored:1]" {
		t.Error(got)
	}
	if h := c.Health(); !strings.Contains(h.LastError.GetText(), `the receiver refused 2 of 3 data points: "data points refused: 2 too old"`) {
		t.Errorf("%v", h)
	}
}

func TestALargeBatchIsSeveralRequestsAndGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	s := &stub{answers: []error{nil, status.Error(codes.Unavailable, ""), nil, status.Error(codes.InvalidArgument, "")}}
	c := plugintest.Open(t, sink, plugintest.Config{"endpoint": "http://" + s.overGRPC(t), "max_request_size": 16 << 10})
	got := numbers(c, 300, 5, 6, 7, 1, 2)
	if got["rejected"] < 10 || got["rejected"]+got["stored"] != 300 {
		t.Errorf("%v", got)
	}
	last, n := uint64(0), uint64(0)
	for _, r := range s.requests {
		for _, p := range r.ResourceMetrics[0].ScopeMetrics[0].Metrics[0].GetSum().DataPoints {
			if p.TimeUnixNano <= last {
				t.Errorf("%d came after %d", p.TimeUnixNano, last)
			}
			last = p.TimeUnixNano
			n++
		}
		if size := proto.Size(r); size > 18<<10 {
			t.Errorf("a request has %d B", size)
		}
	}
	if n != got["stored"] {
		t.Errorf("%d came, %v", n, got)
	}
	points := s.requests[0].ResourceMetrics[0].ScopeMetrics[0].Metrics[0].GetSum().DataPoints
	start := points[0].TimeUnixNano
	for i, want := range []uint64{start, start, start, start + 2e9, start + 2e9} {
		if points[i].StartTimeUnixNano != want {
			t.Errorf("point %d began at %d, want %d", i, points[i].StartTimeUnixNano, want)
		}
	}
}

func TestCredentialsAndHeadersGoOverGRPC(t *testing.T) {
	t.Parallel()
	authority := certificates.New(t)
	server := authority.Issue()
	how, err := credentials.NewServerTLSFromFile(server.Cert, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{}
	c := plugintest.Open(t, sink, plugintest.Config{"endpoint": "https://" + s.overGRPC(t, grpc.Creds(how)), "headers": map[string]string{"X-Tenant": "a"}, "bearer_token": "t0ken", "tls": plugintest.Config{"ca_file": authority.File}})
	if got := fmt.Sprint(numbers(c, 1)); got != "map[stored:1]" {
		t.Fatal(got)
	}
	if md := s.headers[0]; md.Get("x-tenant")[0] != "a" || md.Get("authorization")[0] != "Bearer t0ken" || !strings.Contains(md.Get("user-agent")[0], "Magpie/") {
		t.Errorf("%v", md)
	}
	if encoding.GetCompressor("gzip") == nil {
		t.Error("no gzip")
	}
}

func TestAMistakeInTheSinkIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  plugintest.Config
		want string
	}{
		{plugintest.Config{"endpoint": "https://a:4317"}, ""},
		{plugintest.Config{"endpoint": "a:4317"}, "endpoint: endpoint is no http:// or https:// address"},
		{plugintest.Config{"endpoint": "http://a/v1/metrics"}, `endpoint: over gRPC an endpoint has no path: write protocol = "http", or the address alone`},
		{plugintest.Config{"endpoint": "http://a", "proxy_url": "http://p"}, `proxy_url: proxy_url works with protocol = "http" only`},
	} {
		if got := plugintest.Remarks(t, sink, c.cfg); got != c.want {
			t.Errorf("%v: got %q, want %q", c.cfg, got, c.want)
		}
	}
}

func TestNativeHistogramsComeThrough(t *testing.T) {
	t.Parallel()
	c, overGRPC, _ := listening(t, plugintest.Config{"target_info": false}, plugintest.Settings(sdk.SourceSettings{Interval: time.Hour}))
	s := plugintest.Open(t, sink, plugintest.Config{"endpoint": "http://" + overGRPC})
	b := s.Batch()
	b.Time = time.Now().Truncate(time.Millisecond)
	f := &sdk.Family{Name: "latency_seconds", Type: sdk.HistogramType}
	one := &sdk.Histogram{
		Schema: 3, ZeroThreshold: 0.001, ZeroCount: 2, Count: 12, Sum: 7.5,
		PositiveSpans: []sdk.Span{{Offset: -2, Length: 2}, {Offset: 5, Length: 1}}, Positive: []float64{1, 2, 3}, NegativeSpans: []sdk.Span{{Offset: 4, Length: 1}}, Negative: []float64{4},
	}
	put := func(name string, h *sdk.Histogram) {
		b.PutHistogram(b.Series(sdk.Series{Labels: sdk.NewLabels("__name__", "latency_seconds", "job", "j", "n", name), Family: f}), h)
	}
	put("exponential", one)
	put("custom", &sdk.Histogram{Schema: sdk.CustomBuckets, Count: 5, Sum: 2, Custom: []float64{0.5, 1}, PositiveSpans: []sdk.Span{{Offset: 1, Length: 2}}, Positive: []float64{2, 3}})
	put("fractional", &sdk.Histogram{Schema: 0, Count: 0.5, Float: true, PositiveSpans: []sdk.Span{{Length: 1}}, Positive: []float64{0.5}})
	put("gauge", &sdk.Histogram{Schema: 0, Reset: sdk.NotCounter})
	put("sparse", &sdk.Histogram{Schema: 0, Count: 2, PositiveSpans: []sdk.Span{{Length: 1}, {Offset: 1 << 20, Length: 1}}, Positive: []float64{1, 1}})
	if ack := s.Write(); ack.Stored != 2 || fmt.Sprint(ack.Dropped) != "map[fractional_histogram:1 gauge_histogram:1 sparse_histogram:1]" {
		t.Errorf("%v", ack)
	}
	got := c.Next()
	found := got.Find("latency_seconds", "n", "exponential")
	if len(found) != 1 || found[0].Histogram == nil {
		t.Fatalf("%s", got)
	}
	if a, b := histogramLine("", 0, found[0].Histogram), histogramLine("", 0, one); a != b {
		t.Errorf("got %s, sent %s", a, b)
	}
	for le, want := range map[string]float64{"0.5": 0, "1": 2, "+Inf": 5} {
		if found := got.Find("latency_seconds_bucket", "n", "custom", "le", le); len(found) != 1 || found[0].Value != want {
			t.Errorf("le %s: %s", le, found)
		}
	}
}

func TestExemplarsGoWithTheirPoints(t *testing.T) {
	t.Parallel()
	c, overGRPC, _ := listening(t, plugintest.Config{"target_info": false}, plugintest.Settings(sdk.SourceSettings{Interval: time.Hour}))
	address, db := prometheusServer(t)
	ours := plugintest.Open(t, sink, plugintest.Config{"endpoint": "http://" + overGRPC, "max_request_size": 16 << 10})
	theirs := plugintest.Open(t, sink, plugintest.Config{"protocol": "http", "endpoint": address + "/api/v1/otlp/v1/metrics"})
	at := time.Now().Truncate(time.Millisecond)
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	want := map[string]string{}
	fill := func(b *sdk.Batch) {
		b.Time = at
		put := func(e sdk.Exemplar, kind sdk.MetricType, family string, h *sdk.Histogram, pairs ...string) {
			ref := b.Series(sdk.Series{Labels: sdk.NewLabels(append(pairs, "job", "j")...), Family: &sdk.Family{Name: family, Type: kind}})
			if h == nil {
				b.Put(ref, 5)
			} else {
				b.PutHistogram(ref, h)
			}
			b.PutExemplar(ref, e)
			e.Time = at.Add(-time.Second)
			want[sdk.NewLabels(append(pairs, "job", "j")...).String()] = fmt.Sprint(e)
		}
		ids := sdk.Exemplar{Labels: sdk.NewLabels("span_id", span, "trace_id", trace, "user", "ada"), Value: 0.7, Time: at.Add(-time.Second)}
		short := sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "no hex"), Value: 3, Time: at.Add(-time.Second)}
		put(ids, sdk.CounterType, "requests_total", nil, "__name__", "requests_total")
		put(short, sdk.CounterType, "requests_total", nil, "__name__", "requests_total", "code", "500")
		put(ids, sdk.HistogramType, "latency_seconds", nil, "__name__", "latency_seconds_bucket", "le", "1")
		put(ids, sdk.HistogramType, "native", &sdk.Histogram{Schema: 1, Count: 1, Sum: 0.7, PositiveSpans: []sdk.Span{{Length: 1}}, Positive: []float64{1}}, "__name__", "native")
		b.PutExemplar(b.Series(sdk.Series{Labels: sdk.NewLabels("__name__", "without_a_sample")}), ids)
	}
	fill(ours.Batch())
	fill(theirs.Batch())
	if a, b := ours.Write(), theirs.Write(); a.Stored != 4 || b.Stored != 4 {
		t.Fatalf("%v, %v", a, b)
	}
	c.Next()
	got := map[string]string{}
	for _, e := range c.Exemplars() {
		got[e.Series.String()] = fmt.Sprint(e.Exemplar)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	q, err := db.ExemplarQuerier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := q.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+")})
	if err != nil || len(found) != len(want) {
		t.Errorf("Prometheus has the exemplars of %d series, %v: %v", len(found), err, found)
	}
}

func TestAnExemplarGoesWithTheFirstSampleThatIsNotOlder(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000)
	defs := map[sdk.Ref]sdk.Series{1: {Labels: sdk.NewLabels("__name__", "a")}, 2: {Labels: sdk.NewLabels("__name__", "b")}}
	origin := sdk.NewOrigin("source.test.main", func(ref sdk.Ref) (sdk.Series, bool) { s, ok := defs[ref]; return s, ok })
	run := func(after time.Duration, refs ...sdk.Ref) sdk.Run {
		return sdk.Run{Origin: origin, Base: now.Add(after).UnixMilli(), Refs: refs, Values: make([]float64, len(refs))}
	}
	example := func(ref sdk.Ref, after time.Duration) sdk.RefExemplar {
		return sdk.RefExemplar{Ref: ref, Exemplar: sdk.Exemplar{Value: after.Seconds(), Time: now.Add(after)}}
	}
	in := sdk.ReadBatch(1, []sdk.Run{
		run(10*time.Second, 1, 2), run(20*time.Second, 2, 1), run(30*time.Second, 1),
		{Origin: origin, Exemplars: []sdk.RefExemplar{example(1, 5*time.Second), example(1, 10*time.Second), example(1, 15*time.Second), example(2, 15*time.Second), example(2, time.Minute), example(3, 0)}},
	})
	got := map[int][]float64{}
	for i, list := range examplesOf(in) {
		for _, e := range list {
			got[i] = append(got[i], e.Value)
		}
	}
	if text := fmt.Sprint(got); text != "map[0:[5 10] 2:[15 60] 3:[15]]" {
		t.Error(text)
	}
}

// Whatever is wrong with a receiver once, a sample arrives all the same, or is counted as refused; a 2xx is a success, whatever follows,
// unless what follows is a page for people.
func TestAFaultyReceiverLosesNothing(t *testing.T) {
	t.Parallel()
	for name, faulty := range plugintest.Faults(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				server := plugintest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if requests++; requests == 1 {
						faulty.ServeHTTP(w, r)
					}
				}))
				c := plugintest.Open(t, sink, plugintest.Config{"endpoint": server.URL, "protocol": "http", "request_timeout": 5 * time.Second})
				b := c.Batch()
				b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels("__name__", "a")}), 1)
				ack, want := c.Write(), "map[]"
				switch name {
				case "status 404":
					want = "map[not_found:1]"
				case "status 500": // which OTLP says is final
					want = "map[rejected:1]"
				case "status 429", "status 503 and another day", "redirect in a circle", "no answer", "connection cut", "no HTTP", "endless header", "page of a portal":
					if requests != 2 {
						t.Errorf("%d requests", requests)
					}
				}
				if fmt.Sprint(ack.Dropped) != want || ack.Stored+uint64(len(ack.Dropped)) != 1 {
					t.Errorf("%v after %d requests", ack, requests)
				}
			})
		})
	}
}
