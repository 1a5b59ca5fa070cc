package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/prompb"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// get calls a route of the store's handler and returns the code and the body.
func (o *opened) get(path string) (int, string) {
	o.t.Helper()
	return o.call(http.MethodGet, path, "", nil)
}

func (o *opened) call(method, path, contentType string, body io.Reader) (int, string) {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, "http://store"+path, body)
	if err != nil {
		o.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := o.client.Do(r)
	if err != nil {
		o.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		o.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, string(text)
}

// filled is a store with two series of a family.
func filled(t testing.TB, cfg plugintest.Config) (*opened, time.Time) {
	o := openStore(t, cfg)
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	family := &sdk.Family{Name: "up", Type: sdk.GaugeType, Unit: "", Help: "Is it up?"}
	for i, job := range []string{"a", "b"} {
		b.PutAt(b.Define(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "up", "job", job), Family: family}), float64(i), now)
	}
	o.written(2, map[string]uint64{})
	return o, now
}

// routes are all that web/api/v1 registers, with a call and its answer. %d is the time of the samples.
var routes = []struct {
	path, call string
	code       int
	body       string // a part of the answer
}{
	{"/query", "/query?query=up&time=%d", 200, `"value":[%d,"1"]`},
	{"/query", "/query?query=up(&time=%d", 400, `"errorType":"bad_data"`},
	{"/query", "/query?query=up[1m:1s]&time=%d", 200, `"resultType":"matrix"`},
	{"/query_range", "/query_range?query=up&start=%d&end=%d&step=1", 200, `"values":[[%d,"1"]]`},
	{"/query_range", "/query_range?query=up&start=1&end=2000000000&step=1", 400, `exceeded maximum resolution of 11,000 points`},
	{"/query_exemplars", "/query_exemplars?query=up&start=%d&end=%d", 200, `"data":[]`},
	{"/format_query", "/format_query?query=sum(up)by(job)", 200, `sum by (job) (up)`},
	{"/parse_query", "/parse_query?query=up", 200, `"vectorSelector"`},
	{"/labels", "/labels", 200, `["__name__","job"]`},
	{"/label/:name/values", "/label/job/values", 200, `["a","b"]`},
	{"/label/:name/values", "/label/job/values?limit=1", 200, `results truncated due to limit`},
	{"/series", "/series?match[]=up", 200, `{"__name__":"up","job":"a"}`},
	{"/series", "/series", 400, `no match[] parameter provided`},
	{"/scrape_pools", "/scrape_pools", 200, `"scrapePools":[]`},
	{"/scrape_pools/config", "/scrape_pools/config?scrapePool=x", 400, `a store scrapes nothing`},
	{"/targets", "/targets", 200, `"activeTargets":[]`},
	{"/targets/metadata", "/targets/metadata", 200, `"metric":"up"`},
	{"/targets/metadata", "/targets/metadata?metric=up", 200, `Is it up?`},
	{"/targets/relabel_steps", "/targets/relabel_steps?scrapePool=x&labels={}", 400, `a store scrapes nothing`},
	{"/alertmanagers", "/alertmanagers", 200, `"activeAlertmanagers":[]`},
	{"/metadata", "/metadata", 200, `{"up":[{"type":"gauge","unit":"","help":"Is it up?"}]}`},
	{"/metadata", "/metadata?metric=nothing", 200, `"data":{}`},
	{"/status/config", "/status/config", 200, `"yaml"`},
	{"/status/runtimeinfo", "/status/runtimeinfo", 200, `"storageRetention":"30d"`},
	{"/status/buildinfo", "/status/buildinfo", 200, `"version":"0.1.0"`},
	{"/status/flags", "/status/flags", 200, `"data":{}`},
	{"/status/tsdb", "/status/tsdb", 200, `"numSeries":2`},
	{"/status/tsdb/blocks", "/status/tsdb/blocks", 200, `"blocks":[]`},
	{"/status/self_metrics", "/status/self_metrics?metric_name_pattern=prometheus_tsdb_head_series", 200, `"gauge":{"value":2}`},
	{"/features", "/features", 200, `"promql"`},
	{"/status/walreplay", "/status/walreplay", 200, `"current":0`},
	{"/notifications", "/notifications", 200, `"data":[]`},
	{"/notifications/live", "/notifications/live", 204, ``},
	{"/read", "POST /read", 400, `snappy`},
	{"/write", "POST /write", 404, `remote write receiver needs to be enabled`},
	{"/otlp/v1/metrics", "POST /otlp/v1/metrics", 404, `otlp write receiver needs to be enabled`},
	{"/search/metric_names", "/search/metric_names?search=u", 500, `search API disabled`},
	{"/search/label_names", "/search/label_names?search=j", 500, `search API disabled`},
	{"/search/label_values", "/search/label_values?label=job", 500, `search API disabled`},
	{"/alerts", "/alerts", 200, `"alerts":[]`},
	{"/rules", "/rules", 200, `"groups":[]`},
	{"/admin/tsdb/delete_series", "POST /admin/tsdb/delete_series?match[]=up", 500, `admin APIs disabled`},
	{"/admin/tsdb/clean_tombstones", "PUT /admin/tsdb/clean_tombstones", 500, `admin APIs disabled`},
	{"/admin/tsdb/snapshot", "POST /admin/tsdb/snapshot", 500, `admin APIs disabled`},
	{"/openapi.yaml", "/openapi.yaml", 200, `openapi:`},
	{"/*path", "OPTIONS /query", 204, ``},
}

func TestEveryRouteAnswersAsPrometheusWithAndWithoutThePrefix(t *testing.T) {
	t.Parallel()
	o, now := filled(t, nil)
	for _, c := range routes {
		method, path, ok := strings.Cut(c.call, " ")
		if !ok {
			method, path = http.MethodGet, c.call
		}
		at := fmt.Sprint(now.Unix())
		path, want := strings.ReplaceAll(path, "%d", at), strings.ReplaceAll(c.body, "%d", at)
		for _, prefix := range []string{"/api/v1", ""} {
			code, body := o.call(method, prefix+path, "", nil)
			if code != c.code || !strings.Contains(body, want) {
				t.Errorf("%s %s%s: %d %.500s\nwant %d and %s", method, prefix, path, code, body, c.code, want)
			}
			var answer struct{ Status string }
			if prometheusShaped := json.Unmarshal([]byte(body), &answer) == nil && (answer.Status == "success") == (code == 200); code != 204 && !prometheusShaped && strings.HasPrefix(body, "{") {
				t.Errorf("%s %s: %d with the status %q", method, path, code, answer.Status)
			}
		}
	}
}

func TestNoRouteOfPrometheusIsForgottenAboveAndNoMethodMakesOnePanic(t *testing.T) {
	t.Parallel()
	o, _ := filled(t, nil)
	registered := map[string]bool{}
	recording := route.New().WithInstrumentation(func(path string, h http.HandlerFunc) http.HandlerFunc {
		registered[path] = true
		return h
	})
	s := o.store
	newAPI(s.front.Load(), s.cfg.Load(), &s.families, slog.New(slog.DiscardHandler)).Register(recording)
	for _, r := range routes {
		if !registered[r.path] {
			t.Errorf("%s is tested, and does not exist", r.path)
		}
	}
	for path := range registered {
		if !slices.ContainsFunc(routes, func(r struct {
			path, call string
			code       int
			body       string
		}) bool {
			return r.path == path
		}) {
			t.Errorf("%s is not tested", path)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			for _, query := range []string{"", "?query=up&match[]=up&start=x&end=-1&step=0&time=9e99&limit=-1&metric=%00&label=%ff&labels=[1]&scrapePool=up&lookback_delta=1"} {
				if code, body := o.call(method, "/api/v1"+strings.ReplaceAll(path, ":name", "job")+query, "", nil); strings.Contains(body, "panic") || code == http.StatusBadGateway {
					t.Errorf("%s %s%s: %d %s", method, path, query, code, body)
				}
			}
		}
	}
}

func TestFormsArePostedAndBounded(t *testing.T) {
	t.Parallel()
	o, now := filled(t, plugintest.Config{"query": plugintest.Config{"max_series": 1}})
	const form = "application/x-www-form-urlencoded"
	post := func(path string, values url.Values) (int, string) {
		return o.call(http.MethodPost, path, form, strings.NewReader(values.Encode()))
	}
	if code, body := post("/api/v1/query", url.Values{"query": {"up"}, "time": {fmt.Sprint(now.Unix())}}); code != 200 || !strings.Contains(body, `"job":"b"`) {
		t.Errorf("a posted query: %d %s", code, body)
	}
	for _, path := range []string{"/series", "/label/job/values", "/labels"} {
		for _, limit := range []string{"", "0", "7"} {
			code, body := post("/api/v1"+path, url.Values{"match[]": {"up"}, "limit": {limit}})
			if path == "/label/job/values" {
				code, body = o.get("/api/v1" + path + "?limit=" + limit)
			}
			if code != 200 || !strings.Contains(body, "truncated due to limit") {
				t.Errorf("%s with limit %q: %d %s", path, limit, code, body)
			}
		}
	}
	for name, c := range map[string]struct {
		contentType, body, want string
		code                    int
	}{
		"large":      {form, "query=" + strings.Repeat("x", maxBody), "larger than 4 MiB", 413},
		"long":       {form, "query=" + strings.Repeat("x", maxExpr+1), "longer than 128 KiB", 400},
		"deep":       {form, "query=" + strings.Repeat("(", maxNesting+1), "operators and parentheses", 400},
		"match":      {form, "match[]=" + strings.Repeat("(", maxNesting+1), "operators and parentheses", 400},
		"malformed":  {form, "query=%zz", "cannot be read", 400},
		"multipart":  {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=query\r\n\r\n" + strings.Repeat("-", maxNesting+1) + "\r\n--x--\r\n", "operators and parentheses", 400},
		"other type": {"application/json", `{"query": "up"}`, `"errorType":"bad_data"`, 400},
	} {
		code, body := o.call(http.MethodPost, "/api/v1/query", c.contentType, strings.NewReader(c.body))
		if code != c.code || !strings.Contains(body, c.want) || !strings.Contains(body, `"status":"error"`) {
			t.Errorf("%s: %d %.200s, want %d %s", name, code, body, c.code, c.want)
		}
	}
}

func TestPrometheusCanReadRemotely(t *testing.T) {
	t.Parallel()
	o, now := filled(t, nil)
	request := &prompb.ReadRequest{Queries: []*prompb.Query{{
		StartTimestampMs: now.Add(-time.Minute).UnixMilli(), EndTimestampMs: now.UnixMilli(),
		Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_EQ, Name: "job", Value: "b"}},
	}}}
	raw, err := request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	code, body := o.call(http.MethodPost, "/api/v1/read", "application/x-protobuf", bytes.NewReader(snappy.Encode(nil, raw)))
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	raw, err = snappy.Decode(nil, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	var answer prompb.ReadResponse
	if err := answer.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	if got := answer.Results[0].Timeseries; len(got) != 1 || got[0].Samples[0].Value != 1 || got[0].Samples[0].Timestamp != now.UnixMilli() {
		t.Errorf("%v", got)
	}
}

func TestOtherSitesPagesCannotReadAnswers(t *testing.T) {
	t.Parallel()
	o, _ := filled(t, nil)
	for _, origin := range []string{"https://evil.example", "null", "http://localhost"} {
		r, _ := http.NewRequest(http.MethodGet, "http://store/api/v1/labels", nil)
		r.Header.Set("Origin", origin)
		response, err := o.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if allowed := response.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
			t.Errorf("origin %s: allowed is %q", origin, allowed)
		}
	}
}

func TestListsWaitForTheirTurnAndGiveUp(t *testing.T) {
	t.Parallel()
	o, _ := filled(t, plugintest.Config{"query": plugintest.Config{"max_concurrent": 1, "timeout": time.Second}})
	f := o.front.Load()
	f.lists <- struct{}{}
	if code, body := o.get("/api/v1/labels"); code != 503 || !strings.Contains(body, `"errorType":"timeout"`) || !strings.Contains(body, "max_concurrent") {
		t.Errorf("without a free slot: %d %s", code, body)
	}
	<-f.lists
	if code, body := o.get("/api/v1/labels"); code != 200 {
		t.Errorf("with a free slot: %d %s", code, body)
	}
}

func TestAPanicIsAnsweredWithAnError(t *testing.T) {
	t.Parallel()
	s := openDirectly(t, &Config{WALCompression: "none"})
	f := *s.front.Load()
	boom := route.New()
	boom.Get("/boom", func(http.ResponseWriter, *http.Request) { panic("ouch") })
	f.routes = func() *route.Router { return boom }
	s.front.Store(&f)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/boom", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"errorType":"internal"`) || len(f.lists) != 0 {
		t.Errorf("%d %s, %d slots taken", w.Code, w.Body, len(f.lists))
	}
}

func FuzzHTTP(f *testing.F) {
	for _, r := range routes {
		path, query, _ := strings.Cut(r.call, "?")
		f.Add(path, query)
	}
	f.Add("/api/v1", "")
	f.Add("x", "")
	s := openDirectly(f, &Config{OutOfOrder: time.Hour, WALCompression: "none", Query: &QueryLimits{Timeout: time.Second, MaxConcurrent: 2, MaxSamples: 10_000, MaxSeries: 100, Lookback: time.Minute}})
	fleet := newFleet(2, 10)
	fleet.next()
	if err := s.Write(f.Context(), sdk.ReadBatch(1, fleet.runs)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}, Body: http.NoBody})
			if strings.Contains(w.Body.String(), `"error":"panic: `) {
				t.Errorf("%s %s?%s: %s", method, path, query, w.Body)
			}
		}
		if len(s.front.Load().lists) != 0 {
			t.Error("a slot was not given back")
		}
	})
}
