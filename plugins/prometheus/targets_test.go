package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/relabel"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func targetingOf(t *testing.T, cfg *Config, rules ...relabel.Rule) *targeting {
	t.Helper()
	if cfg.MetricsPath == "" {
		cfg.MetricsPath, cfg.Scheme = "/metrics", "http"
	}
	for i := range rules {
		if rules[i].Action == "" {
			rules[i].Action = "replace"
		}
		if rules[i].Regex == "" {
			rules[i].Regex = "(.*)"
		}
		if rules[i].Replacement == "" && rules[i].Action == "replace" {
			rules[i].Replacement = "$1"
		}
	}
	compiled, err := relabel.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return &targeting{cfg, sdk.SourceSettings{Job: "node", Labels: map[string]string{"dc": "fra"}, Interval: 15 * time.Second}, compiled}
}

func TestAddressesBecomeURLsAndLabels(t *testing.T) {
	t.Parallel()
	target := targetingOf(t, &Config{Params: map[string][]string{"m": {"1", "2"}}})
	for _, c := range []struct {
		address     string
		own         map[string]string
		url, labels string
	}{
		{"host:9100", nil, "http://host:9100/metrics?m=1&m=2", `{dc="fra", instance="host:9100", job="node"}`},
		{"host", nil, "http://host/metrics?m=1&m=2", `{dc="fra", instance="host", job="node"}`},
		{"[::1]:9100", nil, "http://[::1]:9100/metrics?m=1&m=2", `{dc="fra", instance="[::1]:9100", job="node"}`},
		{"https://host/node?x=y", nil, "https://host/node?m=1&m=2&x=y", `{dc="fra", instance="host", job="node"}`},
		{"http://host:1?m=z", nil, "http://host:1/metrics?m=z&m=2", `{dc="fra", instance="host:1", job="node"}`},
		{"host:1", map[string]string{"job": "j", "instance": "i", "dc": "ber", "__scheme__": "https", "__metrics_path__": "/p", "__param_q": "a b", "__x": "1", "__meta_y": "1"},
			"https://host:1/p?m=1&m=2&q=a+b", `{dc="ber", instance="i", job="j"}`},
		{"", map[string]string{"__address__": "found:1"}, "http://found:1/metrics?m=1&m=2", `{dc="fra", instance="found:1", job="node"}`},
	} {
		e, err := target.endpoint(c.address, c.own)
		if err != nil || e.url.String() != c.url || e.labels.String() != c.labels {
			t.Errorf("%s: %v\ngot  %s %s\nwant %s %s", c.address, err, e.url, e.labels, c.url, c.labels)
		}
		if e.interval != 15*time.Second || e.timeout != 10*time.Second {
			t.Errorf("%s: every %s for %s", c.address, e.interval, e.timeout)
		}
	}
}

func TestTargetsThatCannotBeScrapedAreRefused(t *testing.T) {
	t.Parallel()
	target := targetingOf(t, &Config{})
	for want, c := range map[string]struct {
		address string
		own     map[string]string
	}{
		"it has no address":                    {"", nil},
		"the path belongs into":                {"host:1/path", nil},
		"write a basic_auth block":             {"http://u:p@host", nil},
		"can be http or https":                 {"ftp://host", nil},
		"the URL has no host":                  {"http:///x", nil},
		"is given twice":                       {"http://h/?a=1&a=2", nil},
		`__scrape_interval__ is "x"`:           {"h", map[string]string{"__scrape_interval__": "x"}},
		"it cannot be 0":                       {"h", map[string]string{"__scrape_timeout__": "0s"}},
		"longer than __scrape_interval__":      {"h", map[string]string{"__scrape_interval__": "1s", "__scrape_timeout__": "2s"}},
		`the label "a" is not UTF-8`:           {"h", map[string]string{"a": "\xff"}},
		"invalid URL escape":                   {"http://h/%zz", nil},
		"first path segment in URL cannot con": {"a b://h", nil},
	} {
		if e, err := target.endpoint(c.address, c.own); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %v: got %v, %v; want %q", c.address, c.own, e, err, want)
		}
	}
}

func TestRelabellingChangesDropsAndMergesTargets(t *testing.T) {
	t.Parallel()
	target := targetingOf(t, &Config{Targets: []string{"a:1", "b:1", "http://a:1/metrics", "c:1"}},
		relabel.Rule{SourceLabels: []string{"__address__"}, Regex: "b:.*", Action: "drop"},
		relabel.Rule{SourceLabels: []string{"__address__"}, Regex: "c:.*", TargetLabel: "__address__", Replacement: "${none}"},
		relabel.Rule{SourceLabels: []string{"__meta_i"}, Regex: "(.+)", TargetLabel: "__scrape_interval__"},
	)
	list, refused := target.endpoints([]sdk.Discovered{{Address: "a:1"}, {Address: "d:1", Labels: map[string]string{"__meta_i": "30s"}}, {Address: "d:1", Labels: map[string]string{"__meta_i": "1m"}}})
	var got []string
	for _, e := range list {
		got = append(got, e.url.Host+" "+e.interval.String())
	}
	if want := "a:1 15s, d:1 30s, d:1 1m0s"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	if len(refused) != 1 || refused[0].Error() != "target c:1: it has no address" {
		t.Errorf("refused %v", refused)
	}
}

func TestTheTimeoutIsNeverLongerThanTheInterval(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ interval, timeout, want time.Duration }{
		{15 * time.Second, 0, 10 * time.Second}, {5 * time.Second, 0, 5 * time.Second}, {5 * time.Second, 10 * time.Second, 5 * time.Second}, {time.Minute, 30 * time.Second, 30 * time.Second},
	} {
		target := targeting{settings: sdk.SourceSettings{Interval: c.interval, Timeout: c.timeout}}
		if got := target.timeout(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestMistakesInTheBlockLeadToTheirAttribute(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]plugintest.Config{
		`targets[1] target "h/p": write "host:port", or a URL with http:// or https://`: {"targets": []string{"ok:1", "h/p"}},
		`targets[0] target "": write "host:port", or a URL with http:// or https://`:    {"targets": []string{""}},
		`targets[0] target "h:99999": a port is at most 65535`:                          {"targets": []string{"h:99999"}},
		`targets[0] target "ht!tp://h": it is no URL: first path segment in URL`:        {"targets": []string{"ht!tp://h"}},
		`target[0].address target "ftp://h": the scheme is "ftp"`:                       {"target": []plugintest.Config{{"address": "ftp://h"}}},
		`relabel[0].target_label action "replace" needs a target_label`:                 {"relabel": []plugintest.Config{{"source_labels": []string{"a"}}}},
		`metric_relabel[1].modulus action "hashmod" needs a modulus`:                    {"metric_relabel": []plugintest.Config{{"action": "labeldrop", "regex": "x"}, {"action": "hashmod", "target_label": "x"}}},
		`tls cert_file and key_file go together`:                                        {"tls": plugintest.Config{"cert_file": "x"}},
	} {
		diags := plugintest.Validate(t, scraper(), cfg)
		if len(diags) != 1 || !strings.HasPrefix(diags[0].Path.String()+" "+diags[0].Text, want) {
			t.Errorf("got %v, want %s", diags, want)
		}
	}
	if diags := plugintest.Validate(t, scraper(), plugintest.Config{"targets": []string{"h:1", "https://h/x"}}); len(diags) != 0 {
		t.Errorf("got %v", diags)
	}
}

func FuzzTargets(f *testing.F) {
	for _, address := range []string{"host:9100", "http://h/p?a=b", "https://[::1]:1", "a b", "http://h/%zz", "\xff", "http://\x00"} {
		f.Add(address, "__param_a", "b")
	}
	f.Fuzz(func(t *testing.T, address, name, value string) {
		e, err := targetingOf(t, &Config{}).endpoint(address, map[string]string{name: value})
		if err != nil {
			return
		}
		if e.labels.Get("instance") == "" && e.labels.Get("job") == "" {
			t.Errorf("%q has labels %s", address, e.labels)
		}
		if u, err := url.Parse(e.url.String()); err == nil && u.Path == "" {
			t.Errorf("%q is requested at %s", address, u)
		}
	})
}
