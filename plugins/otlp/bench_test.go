package main

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/magpie-monitoring/magpie/sdk"
)

// typical is what a service of 1,000 streams sends: three attributes a point, ten points a metric.
func typical(at time.Time) *metrics.MetricsData {
	var all []*metrics.Metric
	for m := range 100 {
		var points []*metrics.NumberDataPoint
		for p := range 10 {
			points = append(points, dot(at, float64(m*p), "http.method", "GET", "http.route", fmt.Sprintf("/api/v1/items/%d", p), "http.status_code", "200"))
		}
		all = append(all, sumOf(fmt.Sprintf("http.server.requests.%d", m), cumulative, points...))
	}
	return request(all...)
}

// BenchmarkARequestBecomesABatch: one operation is a data point, from protobuf to the batch, of senders that came before.
func BenchmarkARequestBecomesABatch(b *testing.B) {
	const points = 1000
	in, out := intakeFor(SourceConfig{TargetInfo: true}, sdk.SourceSettings{Job: "otlp"})
	out.quiet = true
	body := encoded(b, typical(time.Now()))
	if _, err := in.take(b.Context(), body); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(body) / points))
	for n := 0; n < b.N; n += points {
		if _, err := in.take(b.Context(), body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTheGeneratedDecoderAlone is the same bytes through protobuf's generated code, which maps nothing.
func BenchmarkTheGeneratedDecoderAlone(b *testing.B) {
	const points = 1000
	body := encoded(b, typical(time.Now()))
	b.ReportAllocs()
	for n := 0; n < b.N; n += points {
		if err := proto.Unmarshal(body, &metrics.MetricsData{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkABatchBecomesARequest: one operation is a sample of a known series.
func BenchmarkABatchBecomesARequest(b *testing.B) {
	const samples = 1000
	defs := map[sdk.Ref]sdk.Series{}
	origin := sdk.NewOrigin("source.test.main", func(ref sdk.Ref) (sdk.Series, bool) { s, ok := defs[ref]; return s, ok })
	run := sdk.Run{Origin: origin, Base: time.Now().UnixMilli()}
	for i := range samples {
		ref := sdk.Ref(i)
		defs[ref] = sdk.Series{Family: &sdk.Family{Name: "http_requests_total", Type: sdk.CounterType},
			Labels: sdk.NewLabels("__name__", "http_requests_total", "job", "shop", "instance", "a:1", "method", "GET", "route", fmt.Sprint("/api/v1/items/", i), "status", "200")}
		run.Refs, run.Values = append(run.Refs, ref), append(run.Values, float64(i))
	}
	in := sdk.ReadBatch(1, []sdk.Run{run})
	b.ReportAllocs()
	for n := 0; n < b.N; n += samples {
		encodeFrom(in, 0, 1<<20, nil)
	}
}
