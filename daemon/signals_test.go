package main

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestNativeHistogramsAndExemplarsGoFromAPageToAnAnswer(t *testing.T) {
	t.Parallel()
	target := httptest.NewServer(promhttp.HandlerFor(application(), promhttp.HandlerOpts{}))
	t.Cleanup(target.Close)
	m := start(t, fmt.Sprintf(`
source "prometheus" "app" {
  targets                  = ["%s"]
  scrape_native_histograms = true
}
store "tsdb" "main" {}
record "app:latency:all" { expr = "sum(latency_seconds)" }
record "app:latency:p50" { expr = "histogram_quantile(0.5, latency_seconds)" }
`, strings.TrimPrefix(target.URL, "http://")))
	for expr, want := range map[string]string{
		`histogram_count(latency_seconds{job="app"})`: "3",
		`histogram_sum(latency_seconds)`:              "6.75",
		`count(latency_seconds_bucket) or vector(0)`:  "0",
		`requests_total`:                              "3",
	} {
		if got := m.value(expr); got != want {
			t.Errorf("%s is %s, want %s", expr, got, want)
		}
	}
	if got := m.value(`histogram_quantile(0.5, latency_seconds) > 1.8 < 2.2`); got == "" {
		t.Error("no median")
	}
	m.value(`app:latency:p50 > 1.8`)
	if got := m.value(`histogram_count(app:latency:all)`); got != "3" {
		t.Errorf("the recorded histogram has %s observations", got)
	}
	now := time.Now().Unix()
	for _, metric := range []string{"latency_seconds", "requests_total"} {
		page := string(m.get(fmt.Sprintf("/api/v1/query_exemplars?query=%s&start=%d&end=%d", metric, now-600, now+600)))
		if !strings.Contains(page, `"trace_id":"t4"`) {
			t.Errorf("the exemplars of %s: %s", metric, page)
		}
	}
	page := string(m.get("/api/v1/metadata?metric=" + url.QueryEscape("latency_seconds")))
	if !strings.Contains(page, `{"type":"histogram","unit":"","help":"Latency of requests."}`) {
		t.Errorf("metadata: %s", page)
	}
	target.Close()
	m.eventually("the histogram goes stale", func() bool { return len(m.query(`latency_seconds`)) == 0 && m.value(`up{job="app"}`) == "0" })
}

// application is a program with three observations, each with its trace.
func application() *client.Registry {
	r := client.NewRegistry()
	h := client.NewHistogram(client.HistogramOpts{Name: "latency_seconds", Help: "Latency of requests.", NativeHistogramBucketFactor: 1.1, Buckets: client.DefBuckets})
	c := client.NewCounter(client.CounterOpts{Name: "requests_total", Help: "Requests."})
	r.MustRegister(h, c)
	for _, v := range []float64{0.75, 2, 4} {
		trace := client.Labels{"trace_id": fmt.Sprintf("t%v", v)}
		h.(client.ExemplarObserver).ObserveWithExemplar(v, trace)
		c.(client.ExemplarAdder).AddWithExemplar(1, trace)
	}
	return r
}
