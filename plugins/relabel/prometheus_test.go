package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/plugins/internal/peer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// scraped is the page that both Prometheus and the processor get.
var scraped = []sdk.Labels{
	sdk.NewLabels("__name__", "http_requests", "path", "/Api/V1", "code", "200", "zone", "eu-1", "host", "eu-1"),
	sdk.NewLabels("__name__", "http_requests", "path", "/Api/V2", "code", "500", "zone", "eu-2", "host", "eu-1"),
	sdk.NewLabels("__name__", "http_size", "path", "/", "code", "404"),
	sdk.NewLabels("__name__", "disk_free", "pod_name", "db-0", "pod_uid", "77", "empty", ""),
}

// cases are rules as both sides read them.
var cases = map[string][]map[string]any{
	"replace":            {{"source_labels": []string{"path"}, "regex": "/Api/(.*)", "target_label": "version", "replacement": "is $1"}},
	"replace_several":    {{"source_labels": []string{"path", "code"}, "separator": "@", "regex": "(.+)@(4.*|5.*)", "target_label": "bad", "replacement": "${2}-$1"}},
	"replace_nothing":    {{"source_labels": []string{"missing"}, "target_label": "copy"}},
	"replace_removes":    {{"source_labels": []string{"code"}, "regex": "404", "target_label": "code", "replacement": ""}},
	"replace_everywhere": {{"target_label": "fixed", "replacement": "yes"}},
	"replace_target":     {{"source_labels": []string{"pod_name"}, "regex": "(.+)-(.+)", "target_label": "pod_$1", "replacement": "$2"}},
	"replace_job":        {{"source_labels": []string{"job"}, "target_label": "was"}},
	"rename":             {{"source_labels": []string{"__name__"}, "regex": "http_(.*)", "target_label": "__name__", "replacement": "web_$1"}},
	"keep":               {{"source_labels": []string{"__name__", "code"}, "regex": "http_.*;[45]..", "action": "keep"}},
	"drop":               {{"source_labels": []string{"code"}, "regex": "5", "action": "drop"}},
	"drop_those_without": {{"source_labels": []string{"code"}, "regex": "", "action": "drop"}},
	"keepequal":          {{"source_labels": []string{"zone"}, "target_label": "host", "action": "keepequal"}},
	"dropequal":          {{"source_labels": []string{"zone"}, "target_label": "host", "action": "dropequal"}},
	"hashmod":            {{"source_labels": []string{"path", "code"}, "modulus": 1009, "target_label": "shard", "action": "hashmod"}},
	"labelmap":           {{"regex": "pod_(.*)", "action": "labelmap"}},
	"labelmap_text":      {{"regex": "pod_(.*)", "replacement": "k8s_${1}_x", "action": "labelmap"}},
	"labeldrop":          {{"regex": "pod.*|code", "action": "labeldrop"}},
	"labelkeep":          {{"regex": "__name__|job|instance|p.*", "action": "labelkeep"}},
	"lowercase":          {{"source_labels": []string{"path"}, "target_label": "path", "action": "lowercase"}},
	"uppercase":          {{"source_labels": []string{"path", "zone"}, "target_label": "loud", "action": "uppercase"}},
	"in_order": {
		{"source_labels": []string{"path"}, "regex": "/(.).*", "target_label": "__tmp", "replacement": "$1"},
		{"source_labels": []string{"__tmp"}, "regex": "A", "target_label": "api", "replacement": "true"},
		{"regex": "__tmp", "action": "labeldrop"},
		{"source_labels": []string{"api", "code"}, "regex": "true;500", "action": "drop"},
	},
}

func TestEveryActionDoesWhatARealPrometheusDoes(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	for _, ls := range scraped {
		text := strings.ReplaceAll(ls.String(), ", ", ",")
		page.WriteString(text + " 1\n")
	}
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page.String()) }))
	defer target.Close()
	host := target.Listener.Addr().String()
	p := prometheus(t, host)
	for name, rules := range cases {
		var in []sdk.Labels
		for _, ls := range scraped {
			in = append(in, slices.Clone(ls).Set("job", name).Set("instance", host))
		}
		var blocks []plugintest.Config
		for _, r := range rules {
			blocks = append(blocks, r)
		}
		got := slices.DeleteFunc(mapped(t, plugintest.Config{"rule": blocks}, in...), func(s string) bool { return s == "dropped" })
		slices.Sort(got)
		if want := stored(t, p, name); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
}

// prometheus runs a real one that scrapes the target once for each case, under its name.
func prometheus(t *testing.T, target string) *peer.Peer {
	t.Helper()
	var jobs []map[string]any
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		jobs = append(jobs, map[string]any{
			"job_name": name, "static_configs": []any{map[string]any{"targets": []string{target}}}, "metric_relabel_configs": cases[name],
		})
	}
	config, err := json.Marshal(map[string]any{"global": map[string]string{"scrape_interval": "1s"}, "scrape_configs": jobs}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	return peer.Prometheus(t, string(config))
}

// stored waits until the job of a case is scraped and lists its series, without those of the scrape itself.
func stored(t *testing.T, p *peer.Peer, job string) (lines []string) {
	t.Helper()
	p.Eventually("Prometheus has scraped "+job, func() bool {
		lines = nil
		scraped := false
		for _, v := range p.Query(fmt.Sprintf("{job=%q}", job)) {
			switch name := v.Labels.Get(sdk.NameLabel); {
			case name == "scrape_samples_post_metric_relabeling":
				scraped = true
			case name == "up" || strings.HasPrefix(name, "scrape_"):
			default:
				lines = append(lines, v.Labels.String())
			}
		}
		return scraped
	})
	slices.Sort(lines)
	return lines
}
