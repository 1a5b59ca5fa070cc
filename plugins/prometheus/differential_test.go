package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/peer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// job is scraped by both: its pages come one after another, the last one again and again. Its configuration is written
// twice, for Prometheus and for the plugin.
type job struct {
	pages  []string
	kind   string // Content-Type
	yaml   string
	config plugintest.Config
}

const (
	textKind = "text/plain; version=0.0.4; charset=utf-8"
	openKind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

func differentialJobs() map[string]job {
	recent := time.Now().Add(-30 * time.Second).UnixMilli()
	rich := `# HELP c_total A counter.
# TYPE c_total counter
c_total{a="1",job="theirs",instance="i",exported_job="x"} 1.5e+06
c_total{a="2",zone="z"} 1e-05
# TYPE h histogram
h_bucket{le="0.1"} 1
h_bucket{le="1"} 2
h_bucket{le="+Inf"} 3
h_sum 1234567.890123456789
h_count 3
# TYPE s summary
s{quantile="0.5"} NaN
s{quantile="1"} 0.30000000000000004
# a comment
untyped{text="line\nbreak \"quoted\" back\\slash ünïcödé",empty=""} +Inf
	indented 5
odd{ a = "b" , c="d" , }   -0.000
big 123456789012345678901234567890
tiny 4.9e-324
`
	open := `# TYPE c counter
# UNIT c_seconds seconds
# HELP c Help.
c_total{a="1"} 1.0 # {trace="x"} 0.5 1600000000
c_created{a="1"} 1.6e+09
# TYPE i info
i_info{v="1"} 1
# TYPE st stateset
st{st="a"} 1
st{st="b"} 0
# TYPE gh gaugehistogram
gh_bucket{le="1.0"} 1
gh_gcount 1
# EOF
`
	rules := `
    metric_relabel_configs:
      - {source_labels: [__name__], regex: "drop_.*", action: drop}
      - {source_labels: [a, b], separator: "-", regex: "(.*)-(.*)", target_label: ab, replacement: "${2}/$1"}
      - {regex: "tmp_(.*)", action: labelmap, replacement: "kept_$1"}
      - {regex: "tmp_.*", action: labeldrop}
      - {source_labels: [a], action: uppercase, target_label: upper}
      - {source_labels: [a], action: hashmod, modulus: 16, target_label: shard}
      - {source_labels: [x], action: dropequal, target_label: y}
      - {source_labels: [__name__], regex: "renamed", target_label: __name__, replacement: "new_name"}`
	relabels := []plugintest.Config{
		{"source_labels": []string{"__name__"}, "regex": "drop_.*", "action": "drop"},
		{"source_labels": []string{"a", "b"}, "separator": "-", "regex": "(.*)-(.*)", "target_label": "ab", "replacement": "${2}/$1"},
		{"regex": "tmp_(.*)", "action": "labelmap", "replacement": "kept_$1"},
		{"regex": "tmp_.*", "action": "labeldrop"},
		{"source_labels": []string{"a"}, "action": "uppercase", "target_label": "upper"},
		{"source_labels": []string{"a"}, "action": "hashmod", "modulus": 16, "target_label": "shard"},
		{"source_labels": []string{"x"}, "action": "dropequal", "target_label": "y"},
		{"source_labels": []string{"__name__"}, "regex": "renamed", "target_label": "__name__", "replacement": "new_name"},
	}
	return map[string]job{
		"rich":         {pages: []string{strings.ReplaceAll(rich, "\t", "")}, kind: textKind},
		"openmetrics":  {pages: []string{strings.Replace(open, "# UNIT c_seconds seconds\n", "", 1)}, kind: openKind},
		"node":         {pages: []string{string(nodePage(0)), string(nodePage(1))}, kind: textKind},
		"no_type":      {pages: []string{"a 1\n"}, kind: ""},
		"odd_type":     {pages: []string{"a 1\n"}, kind: "application/x-thing"},
		"html":         {pages: []string{"<html></html>\n"}, kind: "text/html"},
		"open_no_eof":  {pages: []string{"a 1\n"}, kind: openKind},
		"empty":        {pages: []string{"a 1\n", ""}, kind: textKind},
		"comment_only": {pages: []string{"# nothing\n"}, kind: textKind},
		"crlf":         {pages: []string{"a 1\r\n"}, kind: textKind},
		"utf8":         {pages: []string{"a{b=\"\xff\"} 1\n"}, kind: textKind},
		"twice":        {pages: []string{"a 1\na 2\nb{x=\"1\",y=\"2\"} 1\nb{y=\"2\",x=\"1\"} 5\n"}, kind: textKind},
		"label_twice":  {pages: []string{"a{b=\"1\",b=\"2\"} 1\n"}, kind: textKind},
		"times":        {pages: []string{fmt.Sprintf("a 1 %d\nb 2\n", recent), fmt.Sprintf("b 2\nc 5 %d\n", recent)}, kind: textKind},
		"own_times_ignored": {pages: []string{fmt.Sprintf("a 1 %d\nb 2\n", recent), "b 2\n"}, kind: textKind,
			yaml: "\n    honor_timestamps: false", config: plugintest.Config{"honor_timestamps": false}},
		"honor":        {pages: []string{"a{job=\"theirs\",instance=\"\",zone=\"z\"} 1\n"}, kind: textKind, yaml: "\n    honor_labels: true", config: plugintest.Config{"honor_labels": true}},
		"changes":      {pages: []string{"# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 2\n# TYPE b gauge\nb 3\n", "# TYPE b counter\nb 4\n# TYPE a gauge\na{x=\"2\"} 5\na{x=\"3\"} 6\nnew 1\n"}, kind: textKind},
		"breaks":       {pages: []string{"a 1\nb 2\n", "c 1\na x\n"}, kind: textKind}, // see fail for lines that are known before the mistake
		"samples":      {pages: []string{"a 1\nb 2\n", "c 3\nd 4\na 1\nb 2\n"}, kind: textKind, yaml: "\n    sample_limit: 2", config: plugintest.Config{"sample_limit": 2}},
		"labels":       {pages: []string{"ok 1\na{x=\"1\",y=\"2\"} 1\n"}, kind: textKind, yaml: "\n    label_limit: 4", config: plugintest.Config{"label_limit": 4}},
		"label_names":  {pages: []string{"ok 1\na{verylongname=\"1\"} 1\n"}, kind: textKind, yaml: "\n    label_name_length_limit: 8", config: plugintest.Config{"label_name_length_limit": 8}},
		"label_values": {pages: []string{"ok 1\na{x=\"0123456789012345678901234567890\"} 1\n"}, kind: textKind, yaml: "\n    label_value_length_limit: 30", config: plugintest.Config{"label_value_length_limit": 30}},
		"relabelled":   {pages: []string{"drop_me 1\na{a=\"q\",b=\"r\",tmp_z=\"1\"} 1\nb{x=\"1\",y=\"1\"} 1\nc{x=\"1\",y=\"2\"} 2\nrenamed 3\n"}, kind: textKind, yaml: rules, config: plugintest.Config{"metric_relabel": relabels}},
		"merged":       {pages: []string{"a{x=\"1\"} 1\na{x=\"2\"} 2\n", "a{x=\"2\"} 3\n"}, kind: textKind, yaml: "\n    metric_relabel_configs: [{regex: x, action: labeldrop}]", config: plugintest.Config{"metric_relabel": []plugintest.Config{{"regex": "x", "action": "labeldrop"}}}},
		"nameless":     {pages: []string{"a 1\n"}, kind: textKind, yaml: "\n    metric_relabel_configs: [{regex: __name__, action: labeldrop}]", config: plugintest.Config{"metric_relabel": []plugintest.Config{{"regex": "__name__", "action": "labeldrop"}}}},
		"target_labels": {pages: []string{"a{dc=\"theirs\"} 1\n"}, kind: textKind,
			yaml:   "\n    relabel_configs:\n      - {source_labels: [__address__, __scrape_interval__], target_label: instance, regex: '(.*):.*;(.*)', replacement: '$1 each $2'}\n      - {source_labels: [job], target_label: job, replacement: 'x-$1'}\n      - {source_labels: [job], target_label: __param_p}",
			config: plugintest.Config{"relabel": []plugintest.Config{{"source_labels": []string{"__address__", "__scrape_interval__"}, "target_label": "instance", "regex": "(.*):.*;(.*)", "replacement": "$1 each $2"}, {"source_labels": []string{"job"}, "target_label": "job", "replacement": "x-$1"}, {"source_labels": []string{"job"}, "target_label": "__param_p"}}}},
	}
}

// pageServer serves each job's pages, as /prometheus/<job> the page that the test is at, and as /magpie/<job> one after
// another.
type pageServer struct {
	*httptest.Server
	jobs  map[string]job
	mu    sync.Mutex
	stage int // of Prometheus
	seen  map[string]int
}

func (p *pageServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by, name, _ := strings.Cut(r.URL.Path[1:], "/")
	j := p.jobs[name]
	p.mu.Lock()
	n := p.stage
	if by == "magpie" {
		n = p.seen[name]
		p.seen[name]++
	}
	p.mu.Unlock()
	w.Header()["Content-Type"] = nil // none, rather than one that is guessed
	if j.kind != "" {
		w.Header().Set("Content-Type", j.kind)
	}
	io.WriteString(w, j.pages[min(n, len(j.pages)-1)])
}

// TestScrapesAgreeWithPrometheus has a real Prometheus and the plugin scrape the same pages, and compares the series that
// are there in the end and what each scrape reported. However slow the machine is: Prometheus gets the next page when it
// has read the last one, and its answer is asked for again where a scrape was too late.
func TestScrapesAgreeWithPrometheus(t *testing.T) {
	t.Parallel()
	p := &pageServer{jobs: differentialJobs(), seen: map[string]int{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	theirs := prometheusOf(t, p)
	for stage := range 4 { // two pages at most; of the last, two scrapes see nothing new
		p.mu.Lock()
		p.stage = stage
		p.mu.Unlock()
		set := time.Now()
		theirs.Eventually(fmt.Sprintf("Prometheus has scraped everything at stage %d", stage), func() bool { return scrapedSince(t, theirs, set) == len(p.jobs) })
	}
	ours := scrapeAll(t, p)
	var wrong []string
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		wrong = nil
		for _, name := range slices.Sorted(maps.Keys(p.jobs)) {
			if live := liveInPrometheus(t, theirs, name); !maps.Equal(ours[name], live) {
				wrong = append(wrong, name+":\n"+difference(ours[name], live))
			}
		}
		if len(wrong) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, text := range wrong {
		t.Error(text)
	}
}

// scrapedSince counts the targets of which Prometheus has read a page whose scrape began after a time.
func scrapedSince(t *testing.T, prometheus *peer.Peer, at time.Time) (n int) {
	t.Helper()
	r, err := http.Get(prometheus.URL + "/api/v1/targets?state=active")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Data struct {
			ActiveTargets []struct {
				LastScrape time.Time
				LastError  string
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, target := range answer.Data.ActiveTargets {
		if target.LastScrape.After(at) && !strings.Contains(target.LastError, "deadline exceeded") && !strings.Contains(target.LastError, "Timeout") {
			n++
		}
	}
	return n
}

// prometheusOf scrapes every job each second.
func prometheusOf(t *testing.T, p *pageServer) *peer.Peer {
	t.Helper()
	host := strings.TrimPrefix(p.URL, "http://")
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
	for name, j := range p.jobs {
		config += fmt.Sprintf("  - job_name: %s\n    metrics_path: /prometheus/%s\n    static_configs: [{targets: ['%s'], labels: {dc: fra}}]%s\n", name, name, host, j.yaml)
	}
	return peer.Prometheus(t, config)
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// liveInPrometheus lists the series of a job by their labels, with their last values; a job may be relabelled to x-<job>.
func liveInPrometheus(t *testing.T, prometheus *peer.Peer, name string) map[string]string {
	t.Helper()
	live := map[string]string{}
	for _, series := range prometheus.Query(fmt.Sprintf(`{job=~"(x-)?%s|theirs",__name__!=""}`, name)) {
		if series.Labels.Get("job") == "theirs" && name != "honor" {
			continue
		}
		v, err := strconv.ParseFloat(series.Value, 64)
		if err != nil {
			t.Fatal(err)
		}
		note(live, series.Labels, v)
	}
	return live
}

// note keeps a series' last value. Version 2 of Prometheus leaves le and quantile as the text format has them.
func note(live map[string]string, ls sdk.Labels, v float64) {
	ls = slices.Clone(ls)
	for i, l := range ls {
		if l.Name == "le" || l.Name == "quantile" {
			ls[i].Value = canonical(l.Value)
		}
	}
	key := ls.String()
	switch {
	case ls.Get(sdk.NameLabel) == "scrape_duration_seconds":
		live[key] = "some time"
	case math.Float64bits(v) == math.Float64bits(sdk.StaleNaN):
		delete(live, key)
	default:
		live[key] = strconv.FormatFloat(v, 'g', -1, 64)
	}
}

// scrapeAll scrapes every job with the plugin.
func scrapeAll(t *testing.T, p *pageServer) map[string]map[string]string {
	host := strings.TrimPrefix(p.URL, "http://")
	all := map[string]map[string]string{}
	var mu sync.Mutex
	var running sync.WaitGroup
	for name, j := range p.jobs {
		running.Go(func() {
			cfg := plugintest.Config{"targets": []string{host}, "metrics_path": "/magpie/" + name}
			maps.Copy(cfg, j.config)
			s := scrapes(t, cfg, plugintest.Settings(sdk.SourceSettings{Job: name, Labels: map[string]string{"dc": "fra"}, Interval: time.Second, Timeout: time.Minute, LimitSeries: 100_000}))
			live := map[string]string{}
			for range len(j.pages) + 2 {
				for _, x := range s.next() {
					note(live, x.Labels, x.Value)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all[name] = live
		})
	}
	running.Wait()
	return all
}

func difference(ours, theirs map[string]string) string {
	var lines []string
	for key, v := range ours {
		if w, ok := theirs[key]; !ok || v != w {
			lines = append(lines, fmt.Sprintf("  ours   %s %s", key, v))
		}
	}
	for key, v := range theirs {
		if w, ok := ours[key]; !ok || v != w {
			lines = append(lines, fmt.Sprintf("  theirs %s %s", key, v))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
