package main

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func isStale(v float64) bool { return math.Float64bits(v) == math.Float64bits(sdk.StaleNaN) }

// pretender serves a page as an etcd without gRPC would.
type pretender struct {
	mu    sync.Mutex
	page  string
	media string
	code  int
}

func (p *pretender) set(page string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.page = page
}

func (p *pretender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path == "/health" {
		fmt.Fprint(w, `{"health":"true","reason":""}`)
		return
	}
	if p.media != "" {
		w.Header().Set("Content-Type", p.media)
	}
	if p.code != 0 {
		w.WriteHeader(p.code)
	}
	fmt.Fprint(w, p.page)
}

func pretend(t *testing.T, p *pretender) *watched {
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	cfg := plugintest.Config{"endpoints": []string{server.URL}, "discover_members": false}
	return watch(t, cfg, plugintest.Settings(sdk.SourceSettings{Job: "etcd", Interval: 50 * time.Millisecond, Timeout: time.Minute, LimitSeries: 100}))
}

// lines are the samples of the page, without labels that the SDK adds.
func lines(samples plugintest.Samples) (out []string) {
	for _, s := range samples {
		name := s.Labels.Get(sdk.NameLabel)
		if strings.HasPrefix(name, "x") {
			out = append(out, fmt.Sprintf("%s %v", slices.Clone(s.Labels).Set("instance", "").Set("job", ""), s.Value))
		}
	}
	slices.Sort(out)
	return out
}

func wait(t *testing.T, c *watched, want ...string) plugintest.Samples {
	t.Helper()
	return until(t, c, fmt.Sprintf("%q", want), func(s plugintest.Samples) bool { return slices.Equal(lines(s), want) })
}

func TestSeriesComeAndGoWithThePage(t *testing.T) {
	t.Parallel()
	p := &pretender{page: "# TYPE x gauge\nx{a=\"1\"} 1\nx{a=\"2\"} 2\n"}
	c := pretend(t, p)
	wait(t, c, `x{a="1"} 1`, `x{a="2"} 2`)
	p.set("# TYPE x gauge\nx{a=\"3\"} 3\nx{a=\"2\"} 2.5\nx{a=\"2\"} 7\n")
	until(t, c, "the third", func(s plugintest.Samples) bool {
		return slices.Equal(lines(s), []string{`x{a="1"} NaN`, `x{a="2"} 2.5`, `x{a="3"} 3`}) // NaN: stale
	})
	wait(t, c, `x{a="2"} 2.5`, `x{a="3"} 3`)
	p.set("")
	until(t, c, "nothing", func(s plugintest.Samples) bool { return len(lines(s)) == 0 })
	p.set("x{a=\"1\"} 4\n")
	wait(t, c, `x{a="1"} 4`)
}

func TestRefsOfAPageThatFailsAreGivenBack(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	for i := range 60 { // of a limit of 100: twice would be too many
		fmt.Fprintf(&page, "x{a=\"%02d\"} 1\n", i)
	}
	p := &pretender{page: page.String()}
	c := pretend(t, p)
	for range 3 {
		p.mu.Lock()
		p.code = 0
		p.mu.Unlock()
		until(t, c, "60 series", func(s plugintest.Samples) bool { return len(live(s).Find("x")) == 60 })
		p.mu.Lock()
		p.code = 500
		p.mu.Unlock()
		until(t, c, "none", func(s plugintest.Samples) bool { return len(s.Find("x")) == 0 })
	}
	if h := c.Health(); len(h.Dropped) != 0 || h.Series > 40 {
		t.Errorf("dropped %v, %d series", h.Dropped, h.Series)
	}
}

func TestWhatIsNoMetricsPageIsAnErrorThatBlamesTheTarget(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]*pretender{
		"answers 404 Not Found":                      {code: 404},
		`with "text/html", not with metrics`:         {media: "text/html", page: "<html>"},
		"the metrics page is broken":                 {page: "x 1\n{{{\n"},
		"is larger than 16MiB":                       {page: strings.Repeat("# a long page\n", 1<<21)},
		"a series of the metrics page has 65 labels": {page: "x 1\n" + manyLabels(64)},
		"a text above 4KiB, or not in UTF-8":         {page: "x 1\nx{a=\"" + strings.Repeat("y", 5000) + "\"} 1\n"},
	} {
		c := pretend(t, p)
		if up := one(t, c.Cycle(), "up"); up != 0 {
			t.Errorf("%s: up is %v", want, up)
		}
		h := c.Health()
		if h.Errors["target"] == 0 || h.Errors["plugin"] != 0 || !strings.Contains(h.Text, want) {
			t.Errorf("%s: %v", want, h)
		}
	}
}

func manyLabels(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "l%d=\"v\",", i)
	}
	return "x{" + b.String() + "} 1\n"
}

func TestAPageIsGoodWhereOnlyGRPCFails(t *testing.T) {
	t.Parallel()
	c := pretend(t, &pretender{page: "x 1\n"})
	samples := c.Cycle()
	for name, want := range map[string]float64{"up": 1, "etcd_status_success": 0, "etcd_health": 1, "x": 1} {
		if got := one(t, samples, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if h := c.Health(); h.Errors["target"] == 0 || !strings.Contains(h.LastError.Text, ": status: ") {
		t.Errorf("%v", h)
	}
}

func FuzzPage(f *testing.F) {
	f.Add("# HELP x Some x.\n# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 0.5\nx_count 1\n", "x_count 2\n")
	f.Add("x{a=\"\\\"\\n\",b=\"\"} NaN\n", "{\"x.y\",a=\"1\"} +Inf\n")
	f.Add("# HELP x \xff\n", "x{a=\"\xff\"} 1\nx 1 12345\n")
	f.Add("x 1\n", "{\"\xff\"}Inf ")
	f.Fuzz(func(t *testing.T, first, second string) {
		scope := sdk.NewScope(sdk.SourceSettings{LimitSeries: 1000, Job: "etcd"}, "here", false)
		batch := scope.Batch()
		batch.Whole = true
		var p page
		for _, text := range []string{first, second, first} {
			p.body.Reset()
			p.body.WriteString(text)
			_ = p.read(batch)
			batch.Seal(func(c *sdk.Columns) {
				if len(c.Run.Refs) > 0 && len(p.lines) == 0 {
					t.Error("samples, but no lines")
				}
				for _, d := range c.Define {
					for _, l := range d.Series.Labels {
						if !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) || l.Value == "" || len(l.Name) > maxName || len(l.Value) > maxText {
							t.Errorf("the stream cannot carry %q", d.Series.Labels)
						}
					}
					if fam := d.Series.Family; fam != nil && (!utf8.ValidString(fam.Help) || !utf8.ValidString(fam.Name)) {
						t.Errorf("the stream cannot carry %+v", fam)
					}
				}
			})
		}
		p.forget(batch)
		if _, _, series, _ := scope.Counts(); series != 0 {
			t.Errorf("%d refs are not given back", series)
		}
	})
}

func FuzzMembersHaveInstancesOfTheirOwn(f *testing.F) {
	f.Add("a", "http://x:1", "http://y:2", "", "http://x:1", "http://x:1")
	f.Add("a", "http://%ff:1", "http://%ff:2", "b", "unix:", ":")
	f.Fuzz(func(t *testing.T, n1, c1, p1, n2, c2, p2 string) {
		seen := map[string]bool{}
		list := []*etcdserverpb.Member{
			{ID: 1, Name: n1, ClientURLs: []string{c1}, PeerURLs: []string{p1}},
			{ID: 2, Name: n2, ClientURLs: []string{c2, c1}, PeerURLs: []string{p2}},
		}
		for _, m := range membersOf(list, nil) {
			if m.instance == "" || seen[m.instance] || !utf8.ValidString(m.instance) || (m.url == "") != (m.problem != nil) {
				t.Errorf("%+v", m)
			}
			seen[m.instance] = true
		}
	})
}

func BenchmarkPageThatIsKnown(b *testing.B) {
	var text strings.Builder
	for i := range 1800 {
		if i%20 == 0 {
			fmt.Fprintf(&text, "# HELP etcd_metric_%d_seconds Bucketed histogram of the time that something takes.\n# TYPE etcd_metric_%d_seconds histogram\n", i/20, i/20)
		}
		fmt.Fprintf(&text, "etcd_metric_%d_seconds_bucket{grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",le=\"%v\"} %d\n", i/20, 0.0001*float64(i%20+1), i*1000)
	}
	batch := sdk.NewScope(sdk.SourceSettings{}, "here", false).Batch()
	batch.Whole = true
	var p page
	for b.Loop() {
		p.body.Reset()
		p.body.WriteString(text.String())
		if err := p.read(batch); err != nil {
			b.Fatal(err)
		}
		batch.Seal(func(*sdk.Columns) {})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1800), "ns/sample")
}
