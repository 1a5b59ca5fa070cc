package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// exporter is a target whose page a test changes.
type exporter struct {
	*httptest.Server
	mu     sync.Mutex
	page   string
	header http.Header
	status int
	seen   []*http.Request
	hang   chan struct{} // requests wait for its end, if not nil
	slow   time.Duration // requests take so long
}

func newExporter(t testing.TB, page string) *exporter {
	e := &exporter{page: page, header: http.Header{}}
	e.Server = plugintest.Serve(t, e)
	return e
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	page, status, hang := []byte(e.page), e.status, e.hang
	e.seen = append(e.seen, r)
	for name, values := range e.header {
		w.Header()[name] = values
	}
	e.mu.Unlock()
	time.Sleep(e.slow)
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}
	if r.Header.Get("Accept-Encoding") == "gzip" && w.Header().Get("Content-Encoding") == "" {
		w.Header().Set("Content-Encoding", "gzip")
		page = zip(page)
	}
	if status != 0 {
		w.WriteHeader(status)
	}
	w.Write(page)
}

func zip(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func (e *exporter) set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

func (e *exporter) host() string { return strings.TrimPrefix(e.URL, "http://") }

// scraping runs a test in a bubble: seconds from one scrape to the next pass in a moment.
func scraping(t *testing.T, test func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, test)
}

// scraped is a source under test: next waits for the next scrape of a target.
type scraped struct {
	*plugintest.Component
	t    testing.TB
	rest plugintest.Samples
}

func scrapes(t testing.TB, cfg plugintest.Config, opts ...plugintest.Option) *scraped {
	t.Helper()
	settings := plugintest.Settings(sdk.SourceSettings{Job: "node", Labels: map[string]string{"dc": "fra"}, Interval: time.Second, Timeout: time.Second, LimitSeries: 1000})
	return &scraped{Component: plugintest.Open(t, scraper(), cfg, append([]plugintest.Option{settings}, opts...)...), t: t}
}

// next returns the samples of one scrape: what came up to its markers. A scrape's reports are the last of its values;
// histograms follow.
func (s *scraped) next() (scrape plugintest.Samples) {
	s.t.Helper()
	for {
		for i, x := range s.rest {
			if x.Labels.Get(sdk.NameLabel) != "scrape_series_added" || math.IsNaN(x.Value) {
				continue
			}
			end := i + 1
			for end < len(s.rest) && (isStale(s.rest[end]) || s.rest[end].Histogram != nil) {
				end++
			}
			scrape, s.rest = s.rest[:end], s.rest[end:]
			return scrape
		}
		s.rest = append(s.rest, s.Next()...)
	}
}

// until waits for a scrape of which something is true.
func (s *scraped) until(what string, is func(plugintest.Samples) bool) plugintest.Samples {
	s.t.Helper()
	var last plugintest.Samples
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if last = s.next(); is(last) {
			return last
		}
	}
	s.t.Fatalf("never %s; the last scrape gave\n%s", what, last)
	return nil
}

func isStale(x plugintest.Sample) bool {
	return math.Float64bits(x.Value) == math.Float64bits(sdk.StaleNaN)
}

// value is that of the only sample of a name, NaN where there are none or several.
func value(s plugintest.Samples, name string, pairs ...string) float64 {
	if found := s.Find(name, pairs...); len(found) == 1 {
		return found[0].Value
	}
	return math.NaN()
}

func isUp(s plugintest.Samples) bool   { return value(s, "up") == 1 }
func isDown(s plugintest.Samples) bool { return value(s, "up") == 0 }

// plain writes a scrape without its duration, which is not the same twice.
func plain(s plugintest.Samples) string {
	return slices.DeleteFunc(slices.Clone(s), func(x plugintest.Sample) bool {
		return x.Labels.Get(sdk.NameLabel) == "scrape_duration_seconds"
	}).String()
}

func want(t *testing.T, got plugintest.Samples, text string) {
	t.Helper()
	if got, text := plain(got), strings.TrimSpace(text); got != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
}

func TestAPageBecomesSeriesWithTheTargetsLabels(t *testing.T) {
	scraping(t, func(t *testing.T) {
		e := newExporter(t, "# HELP a_total Things.\n# TYPE a_total counter\na_total{job=\"own\",x=\"1\"} 5\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_sum 3\n")
		e.slow = 250 * time.Millisecond
		s := scrapes(t, plugintest.Config{"targets": []string{e.URL}})
		got := s.next()
		want(t, got, strings.ReplaceAll(`
	a_total{dc="fra", exported_job="own", instance="HOST", job="node", x="1"} 5
h_bucket{dc="fra", instance="HOST", job="node", le="1.0"} 2
h_sum{dc="fra", instance="HOST", job="node"} 3
scrape_samples_post_metric_relabeling{dc="fra", instance="HOST", job="node"} 3
scrape_samples_scraped{dc="fra", instance="HOST", job="node"} 3
scrape_series_added{dc="fra", instance="HOST", job="node"} 3
up{dc="fra", instance="HOST", job="node"} 1`, "HOST", e.host()))
		if f := got.Find("a_total")[0].Family; f == nil || *f != (sdk.Family{Name: "a_total", Type: sdk.CounterType, Help: "Things."}) {
			t.Errorf("family of a_total: %v", f)
		}
		if f := got.Find("h_sum")[0].Family; f == nil || f.Name != "h" || f.Type != sdk.HistogramType {
			t.Errorf("family of h_sum: %v", f)
		}
		if d := value(got, "scrape_duration_seconds"); d != 0.25 {
			t.Errorf("the scrape took %v s", d)
		}
		if again := s.next(); value(again, "scrape_series_added") != 0 || value(again, "a_total") != 5 {
			t.Errorf("the second scrape gave\n%s", again)
		}
	})
}

func TestTheRequestIsThatOfPrometheus(t *testing.T) {
	scraping(t, func(t *testing.T) {
		e := newExporter(t, "a 1\n")
		s := scrapes(t, plugintest.Config{
			"target":  []plugintest.Config{{"address": e.URL + "/probe?target=x", "labels": map[string]string{"__param_extra": "1"}}},
			"params":  map[string][]string{"module": {"a", "b"}, "target": {"default"}},
			"headers": map[string]string{"X-Test": "yes"}, "enable_compression": true,
			"basic_auth": plugintest.Config{"username": "u", "password": "p"},
		})
		s.until("up", isUp)
		e.mu.Lock()
		defer e.mu.Unlock()
		r := e.seen[0]
		if got := r.URL.String(); got != "/probe?extra=1&module=a&module=b&target=x" {
			t.Errorf("requested %s", got)
		}
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p" {
			t.Errorf("authorized as %q", user)
		}
		for name, want := range map[string]string{"Accept": accept, "Accept-Encoding": "gzip", "User-Agent": "Magpie/" + version, "X-Prometheus-Scrape-Timeout-Seconds": "1", "X-Test": "yes"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	})
}

func TestOnlyTargetsOnOtherMachinesAreAskedForGzip(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, c := range []struct {
		url    string
		enable *bool
		proxy  string
		want   bool
	}{
		{"http://127.0.0.1:9100", nil, "", false}, {"http://[::1]:9100", nil, "", false}, {"http://localhost:9100", nil, "", false},
		{"http://10.0.0.1:9100", nil, "", true}, {"http://127.0.0.1:9100", nil, "http://proxy", true},
		{"http://127.0.0.1:9100", &yes, "", true}, {"http://10.0.0.1:9100", &no, "", false},
	} {
		s := &source{cfg: &Config{EnableCompression: c.enable, HTTPClient: sdk.HTTPClient{ProxyURL: c.proxy}}}
		r, _ := http.NewRequest("GET", c.url, nil)
		if got := s.compresses(r.URL); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestASeriesThatDisappearsGoesStale(t *testing.T) {
	scraping(t, func(t *testing.T) {
		e := newExporter(t, "a 1\nb 2\n")
		s := scrapes(t, plugintest.Config{"targets": []string{e.URL}})
		s.until("up", isUp)
		e.set(func() { e.page = "a 1\nc 3\n" })
		got := s.until("c", func(s plugintest.Samples) bool { return value(s, "c") == 3 })
		if b := got.Find("b"); len(b) != 1 || !isStale(b[0]) || !b[0].Time.Equal(got.Find("a")[0].Time) {
			t.Errorf("b: %v", b)
		}
		if value(got, "scrape_series_added") != 1 {
			t.Errorf("scrape_series_added is %v", value(got, "scrape_series_added"))
		}
		if again := s.next(); len(again.Find("b")) != 0 {
			t.Errorf("b is marked twice")
		}
	})
}

func TestAFailedScrapeMakesEverythingStaleOnce(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*exporter){
		"status":    func(e *exporter) { e.status = 503 },
		"page":      func(e *exporter) { e.page = "a 1\nb\n" },
		"gzip":      func(e *exporter) { e.header.Set("Content-Encoding", "gzip") },
		"encoding":  func(e *exporter) { e.header.Set("Content-Encoding", "br") },
		"no answer": func(e *exporter) { e.hang = make(chan struct{}) },
		"cut off":   func(e *exporter) { e.header.Set("Content-Length", "100") },
	} {
		t.Run(name, func(t *testing.T) {
			scraping(t, func(t *testing.T) {
				e := newExporter(t, "a 1\nb 2\nold 3 940000000000\n")
				s := scrapes(t, plugintest.Config{"targets": []string{e.URL}})
				s.until("up", isUp)
				e.set(func() { fail(e) })
				got := s.until("down", isDown)
				for _, name := range []string{"a", "b"} {
					if x := got.Find(name); len(x) != 1 || !isStale(x[0]) {
						t.Errorf("%s: %v", name, x)
					}
				}
				if len(got.Find("old")) != 0 {
					t.Error("a series with times of its own is marked")
				}
				if again := s.until("down", isDown); len(again.Find("a")) != 0 {
					t.Error("a is marked twice")
				}
				e.set(func() { e.page, e.status, e.hang, e.header = "a 1\nb 2\n", 0, nil, http.Header{} })
				back := s.until("up", isUp)
				if value(back, "a") != 1 || value(back, "scrape_series_added") != 0 {
					t.Errorf("after it came back:\n%s", back)
				}
			})
		})
	}
}

func TestAnEmptyPageIsUpWithoutSeries(t *testing.T) {
	scraping(t, func(t *testing.T) {
		e := newExporter(t, "a 1\n")
		s := scrapes(t, plugintest.Config{"targets": []string{e.URL}})
		s.until("up", isUp)
		e.set(func() { e.page = "" })
		got := s.until("without samples", func(s plugintest.Samples) bool { return value(s, "scrape_samples_scraped") == 0 })
		if a := got.Find("a"); !isUp(got) || len(a) != 1 || !isStale(a[0]) {
			t.Errorf("got\n%s", got)
		}
	})
}

func TestLimitsFailTheScrape(t *testing.T) {
	t.Parallel()
	page := "a{x=\"12345\"} 1\nb 2\ndrop_c 3\n"
	for name, c := range map[string]struct {
		cfg  plugintest.Config
		fail string // what the status says; "": it is up
		kept float64
	}{
		"sample_limit":                  {plugintest.Config{"sample_limit": 1}, "sample_limit exceeded", 2},
		"enough samples":                {plugintest.Config{"sample_limit": 2}, "", 2},
		"label_limit":                   {plugintest.Config{"label_limit": 4}, "label_limit exceeded: a has 5 labels, and the limit is 4", 0},
		"enough labels":                 {plugintest.Config{"label_limit": 5}, "", 2},
		"label_name_length_limit":       {plugintest.Config{"label_name_length_limit": 7}, "label_name_length_limit exceeded", 0},
		"enough length of names":        {plugintest.Config{"label_name_length_limit": 8}, "", 2},
		"label_value_length_limit":      {plugintest.Config{"label_value_length_limit": 4}, "label_value_length_limit exceeded", 0},
		"body_size_limit":               {plugintest.Config{"body_size_limit": len(page)}, "body_size_limit exceeded", 0},
		"body_size_limit, decompressed": {plugintest.Config{"body_size_limit": len(page), "enable_compression": true}, "body_size_limit exceeded", 0},
		"enough size":                   {plugintest.Config{"body_size_limit": len(page) + 1, "enable_compression": false}, "", 2},
		"target_limit":                  {plugintest.Config{"target_limit": 1, "target": []plugintest.Config{{"address": "127.0.0.1:1"}}}, "target_limit exceeded", 0},
	} {
		t.Run(name, func(t *testing.T) {
			scraping(t, func(t *testing.T) {
				e := newExporter(t, page)
				c.cfg["targets"] = []string{e.URL}
				c.cfg["metric_relabel"] = []plugintest.Config{{"source_labels": []string{"__name__"}, "regex": "drop_.*", "action": "drop"}}
				s := scrapes(t, c.cfg)
				mine := func(x plugintest.Sample) bool { return x.Labels.Get("instance") != e.host() }
				got := slices.DeleteFunc(s.next(), mine)
				if len(got) == 0 {
					got = slices.DeleteFunc(s.next(), mine)
				}
				if isUp(got) != (c.fail == "") || value(got, "scrape_samples_post_metric_relabeling") != c.kept {
					t.Errorf("got\n%s", got)
				}
				if c.fail != "" && len(got) != len(reports) {
					t.Errorf("samples of a page that failed were sent:\n%s", got)
				}
				waitFor(t, "the health to say "+c.fail, func() bool { return strings.Contains(s.Health().Text, c.fail) })
			})
		})
	}
}

func TestLimitSeriesKeepsUpAndWhatWasThere(t *testing.T) {
	scraping(t, func(t *testing.T) {
		e := newExporter(t, "a 1\nb 2\nc 3\nd 4\n")
		s := scrapes(t, plugintest.Config{"targets": []string{e.URL}},
			plugintest.Settings(sdk.SourceSettings{Job: "node", Interval: time.Second, LimitSeries: len(reports) + 2}))
		got := s.until("up", isUp)
		if value(got, "a") != 1 || value(got, "b") != 2 || len(got.Find("c")) != 0 || value(got, "scrape_samples_scraped") != 4 {
			t.Errorf("got\n%s", got)
		}
		if dropped := s.Health().Dropped["limit_series"]; dropped < 2 {
			t.Errorf("%d samples were dropped, and 2 of each scrape should be", dropped)
		}
		e.set(func() { e.page = "b 2\nc 3\nd 4\n" })
		s.until("c in a's place", func(s plugintest.Samples) bool {
			return value(s, "b") == 2 && value(s, "c") == 3 && len(s.Find("d")) == 0
		})
		e.set(func() { e.page = "c 3\nd 4\n" })
		s.until("c and d", func(s plugintest.Samples) bool { return value(s, "c") == 3 && value(s, "d") == 4 })
	})
}

func TestTimesOnThePageAreUsedOrNot(t *testing.T) {
	scraping(t, func(t *testing.T) {
		far := time.Now().Add(time.Hour).UnixMilli()
		page := fmt.Sprintf("a 1 940000000000\nb 2\nfar 3 %d\n", far)
		for _, honor := range []bool{true, false} {
			e := newExporter(t, page)
			s := scrapes(t, plugintest.Config{"targets": []string{e.URL}, "honor_timestamps": honor})
			got := s.next()
			if own := got.Find("a")[0].Time.UnixMilli() == 940000000000; own != honor {
				t.Errorf("honor_timestamps = %v: a has %v", honor, got.Find("a")[0].Time)
			}
			if n := len(got.Find("far")); (n == 0) != honor {
				t.Errorf("honor_timestamps = %v: %d samples of the far future", honor, n)
			}
			if value(got, "scrape_samples_post_metric_relabeling") != 3 {
				t.Errorf("got\n%s", got)
			}
		}
	})
}

func TestSeriesWithTimesOfTheirOwnGoStaleIfTracked(t *testing.T) {
	scraping(t, func(t *testing.T) {
		for _, track := range []bool{true, false} {
			e := newExporter(t, "a 1 940000000000\nb 2\n")
			s := scrapes(t, plugintest.Config{"targets": []string{e.URL}, "track_timestamps_staleness": track})
			s.until("up", isUp)
			e.set(func() { e.page = "b 3\n" })
			got := s.until("b at 3", func(s plugintest.Samples) bool { return value(s, "b") == 3 })
			if marked := len(got.Find("a")) == 1; marked != track {
				t.Errorf("track_timestamps_staleness = %v, and a is marked: %v", track, marked)
			}
		}
	})
}

func TestHonorLabelsKeepsThePagesLabels(t *testing.T) {
	scraping(t, func(t *testing.T) {
		e := newExporter(t, "a{job=\"own\",instance=\"\"} 1\n")
		s := scrapes(t, plugintest.Config{"targets": []string{e.URL}, "honor_labels": true})
		if got := s.next().Find("a")[0].Labels.String(); got != `a{dc="fra", job="own"}` {
			t.Errorf("got %s", got)
		}
	})
}

func TestOpenMetricsIsReadByItsContentType(t *testing.T) {
	scraping(t, func(t *testing.T) {
		e := newExporter(t, "# TYPE a counter\n# UNIT a_seconds seconds\na_total 1 940000000.5 # {x=\"1\"} 2\n# EOF\n")
		e.header.Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
		s := scrapes(t, plugintest.Config{"targets": []string{e.URL}})
		if got := s.next().Find("a_total"); len(got) != 1 || got[0].Time.UnixMilli() != 940000000500 {
			t.Errorf("got %v", got)
		}
		e.set(func() { e.page = "a_total 1\n" })
		s.until("down without # EOF", isDown)
		e.set(func() { e.header.Set("Content-Type", "text/plain") })
		s.until("up as text", isUp)
	})
}

func TestAHangingTargetDelaysNoOther(t *testing.T) {
	scraping(t, func(t *testing.T) {
		hanging, well := newExporter(t, ""), newExporter(t, "a 1\n")
		hang := make(chan struct{})
		hanging.hang = hang
		t.Cleanup(func() { close(hang) })
		var targets []string
		for i := range 50 {
			targets = append(targets, fmt.Sprintf("%s/%d", hanging.URL, i))
		}
		s := scrapes(t, plugintest.Config{"targets": append(targets, well.URL)},
			plugintest.Settings(sdk.SourceSettings{Job: "node", Interval: 100 * time.Millisecond, Timeout: time.Minute, LimitSeries: 100_000}))
		for range 5 {
			s.until("a scrape of the target that answers", func(s plugintest.Samples) bool { return value(s, "a") == 1 })
		}
	})
}

func TestTargetsComeAndGoByDiscovery(t *testing.T) {
	scraping(t, func(t *testing.T) {
		a, b := newExporter(t, "a 1\n"), newExporter(t, "b 2\n")
		one := sdk.Discovered{Address: a.host(), Labels: map[string]string{"__meta_rack": "r1", "zone": "z"}}
		two := sdk.Discovered{Address: b.host(), Labels: map[string]string{"__meta_rack": "r2"}}
		s := scrapes(t, plugintest.Config{"relabel": []plugintest.Config{{"source_labels": []string{"__meta_rack"}, "target_label": "rack"}}}, plugintest.Discovered(one))
		got := s.until("a", func(s plugintest.Samples) bool { return value(s, "a") == 1 })
		if labels := got.Find("a")[0].Labels; labels.Get("rack") != "r1" || labels.Get("zone") != "z" || labels.Get("__meta_rack") != "" {
			t.Errorf("labels %s", labels)
		}
		if err := s.SetTargets(t.Context(), s.Number, []sdk.Discovered{two}); err != nil {
			t.Fatal(err)
		}
		s.until("b, and a marked", func() func(plugintest.Samples) bool {
			var marked, there bool
			return func(s plugintest.Samples) bool {
				for _, x := range s {
					marked = marked || x.Labels.Get("rack") == "r1" && x.Labels.Get(sdk.NameLabel) == "up" && isStale(x)
				}
				there = there || value(s, "b") == 2
				return marked && there
			}
		}())
	})
}

func TestProbeNamesTheTargetsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	good, bad := newExporter(t, "a 1\n"), newExporter(t, "<html>")
	bad.header.Set("Content-Type", "text/html")
	cfg := &Config{Targets: []string{good.URL, bad.URL + "/x"}, MetricsPath: "/metrics", Scheme: "http", BodySizeLimit: 1 << 20}
	s, err := open(t.Context(), cfg, quietHost{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Probe(t.Context())
	if err == nil || strings.Contains(err.Error(), good.URL) || !strings.Contains(err.Error(), bad.URL+"/x") || !strings.Contains(err.Error(), "is the path right?") {
		t.Errorf("got %v", err)
	}
}

// quietHost is the host of a component that only its own methods are tested of.
type quietHost struct{ sdk.Host }

func (quietHost) Source() sdk.SourceSettings { return sdk.SourceSettings{} }
func (quietHost) Log() *slog.Logger          { return slog.New(slog.DiscardHandler) }
func (quietHost) Status(sdk.Status, string)  {}

// Whatever is wrong with a target, it is down with the timeout, keeps nothing of the page, and is up when the fault is over.
func TestAFaultyTargetIsDownAndComesBack(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, "a 1\nb 2\n"+strings.Repeat("c 3\n", 1000)+"end 4\n")
	})
	for name, faulty := range plugintest.Faults(page) {
		t.Run(name, func(t *testing.T) {
			scraping(t, func(t *testing.T) {
				var wrong atomic.Bool
				server := plugintest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if wrong.Load() {
						faulty.ServeHTTP(w, r)
					} else {
						page.ServeHTTP(w, r)
					}
				}))
				s := scrapes(t, plugintest.Config{"targets": []string{server.URL}, "body_size_limit": 1 << 20})
				if got := s.next(); !isUp(got) || value(got, "end") != 4 {
					t.Fatalf("at first it gives\n%s", got)
				}
				wrong.Store(true)
				for _, marked := range []int{1, 0} {
					got := s.until("down", isDown)
					if value(got, "scrape_duration_seconds") > 1 || len(got.Find("end")) != marked {
						t.Errorf("with the fault it gives\n%s", got)
					}
				}
				if h := s.Health(); h.Errors["target"] < 1 || h.Errors["plugin"] != 0 {
					t.Errorf("%v", h)
				}
				wrong.Store(false)
				if got := s.until("up", isUp); value(got, "end") != 4 {
					t.Errorf("after it: %s", got)
				}
			})
		})
	}
}
