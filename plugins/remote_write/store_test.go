package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/peer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func openStoreTest(t testing.TB, url string, more plugintest.Config) *plugintest.Component {
	cfg := plugintest.Config{
		"url": url, "query_timeout": 10 * time.Second, "max_result": 1 << 20, "protocol": "auto", "request_timeout": 10 * time.Second, "max_samples": 10000, "shards": 4,
		"metadata_interval": time.Minute, "follow_redirects": true,
	}
	for k, v := range more {
		cfg[k] = v
	}
	return plugintest.Open(t, prometheusStore(), cfg)
}

func TestARealPrometheusIsAStore(t *testing.T) {
	t.Parallel()
	p := peer.Prometheus(t, "", "--web.enable-remote-write-receiver", "--web.enable-admin-api")
	c := openStoreTest(t, p.URL, nil)
	b := c.Batch()
	now := time.Now().Truncate(time.Second)
	for i := range 3 {
		ref := b.Define(named("kept", "i", fmt.Sprint(i)))
		b.PutAt(ref, float64(10*i), now.Add(-10*time.Second))
		b.PutAt(ref, float64(10*i+1), now)
	}
	if ack := c.Write(); ack.Stored != 6 {
		t.Fatal(ack)
	}
	ask := func(q sdk.Query) *sdk.Result {
		t.Helper()
		r, err := c.Query(t.Context(), c.Number, q)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := ask(sdk.Query{Expr: `kept{i="2"}`, Start: now})
	if r.Type != sdk.Vector || len(r.Series) != 1 || r.Series[0].Labels.String() != `kept{i="2", instance="a:1", job="x"}` || r.Series[0].Points[0] != (sdk.Point{Time: now, Value: 21}) {
		t.Errorf("vector: %+v", r)
	}
	r = ask(sdk.Query{Expr: "sum(kept)", Start: now.Add(-10 * time.Second), End: now, Step: 10 * time.Second})
	if r.Type != sdk.Matrix || len(r.Series) != 1 || len(r.Series[0].Points) != 2 || r.Series[0].Points[0].Value != 30 || r.Series[0].Points[1].Value != 33 {
		t.Errorf("matrix: %+v", r)
	}
	if r = ask(sdk.Query{Expr: "1.5", Start: now}); r.Type != sdk.Scalar || r.Series[0].Points[0] != (sdk.Point{Time: now, Value: 1.5}) {
		t.Errorf("scalar: %+v", r)
	}
	if r = ask(sdk.Query{Expr: `"text, with comma"`, Start: now}); r.Type != sdk.String || r.Text != "text, with comma" {
		t.Errorf("string: %+v", r)
	}
	if r = ask(sdk.Query{Expr: "-1/0 * kept", Start: now}); len(r.Series) != 3 || fmt.Sprint(r.Series[2].Points[0].Value) != "-Inf" {
		t.Errorf("infinite: %+v", r)
	}

	for expr, want := range map[string]string{
		"sum(kept":               `3: '(' is never closed`,
		"kept{i=~\"(\"}":         `missing closing )`,
		"sum by x (kept)":        `7: unexpected identifier "x"`,
		"\n  rate(kept)":         `8: expected type range vector in call to function "rate"`,
		"":                       `0: there is no expression`,
		"kept # sum(":            "",
		"sum(kept{i=\"]\\\"\"})": "",
	} {
		err := c.CheckQuery(t.Context(), c.Number, expr)
		var at *sdk.QueryError
		if want == "" && err != nil || want != "" && (!errors.As(err, &at) || !strings.Contains(err.Error(), want)) {
			t.Errorf("check %q: %v, want %q", expr, err, want)
		}
		if _, err := c.Query(t.Context(), c.Number, sdk.Query{Expr: expr, Start: now}); want != "" && (!errors.As(err, &at) || !strings.Contains(err.Error(), want)) {
			t.Errorf("query %q: %v, want %q", expr, err, want)
		}
	}
	if _, err := c.Query(t.Context(), c.Number, sdk.Query{Expr: "kept * on() kept", Start: now}); err == nil || !sdk.AsProblem(err).Permanent {
		t.Errorf("an expression that cannot be evaluated: %v", err)
	}

	get := func(path string) (int, string) {
		t.Helper()
		r, err := c.Client().Get("http://x" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(body)
	}
	for path, want := range map[string]string{
		"/query?query=" + url.QueryEscape(`kept{i="1"}`): `"11"`,
		"/api/v1/labels":           `"instance"`,
		"/label/i/values":          `["0","1","2"]`,
		"/series?match[]=kept":     `"i":"2"`,
		"/query?query=sum(":        `"errorType":"bad_data"`,
		"/admin/tsdb/snapshot":     `"errorType":"not_found"`,
		"/label/..%2fadmin/values": `"errorType":`,
		"/label/../admin/values":   `"errorType":"not_found"`,
		"/status/config":           `"errorType":"not_found"`,
		"/write":                   `"errorType":"not_found"`,
	} {
		if code, body := get(path); !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	p.Kill()
	if err := c.CheckQuery(t.Context(), c.Number, "sum by x (kept)"); err != nil {
		t.Errorf("a check without the remote: %v", err)
	}
	if _, err := c.Query(t.Context(), c.Number, sdk.Query{Expr: "kept", Start: now}); err == nil || sdk.AsProblem(err).Permanent || sdk.AsProblem(err).Blame != sdk.BlameTarget {
		t.Errorf("a query without the remote: %v", err)
	}
	if code, body := get("/labels"); code != http.StatusServiceUnavailable || !strings.Contains(body, `"errorType":"unavailable"`) {
		t.Errorf("%d %s", code, body)
	}
}

func FuzzLight(f *testing.F) {
	for _, expr := range []string{"sum(kept)", `a{b="c"}[5m]`, "# x\n1", "'", `"\`, "([)]"} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		var at *sdk.QueryError
		if err := light(expr); err != nil && (!errors.As(err, &at) || at.Start < 0 || at.End < at.Start || at.End > len(expr)) {
			t.Errorf("%q: %v", expr, err)
		}
		offset(expr, len(expr)%5, len(expr)%7)
	})
}
