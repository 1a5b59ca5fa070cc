package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

const small = machine + `
alert "Always" {
  expr   = "node_load1 >= 0"
  labels = { severity = "info" }
}
rules "recorded" {
  record "job:up:sum" { expr = "sum by (job) (up)" }
}
`

func TestPrometheusClientLibraryWorks(t *testing.T) {
	t.Parallel()
	m := start(t, small)
	m.value(`ALERTS{alertstate="firing"}`)
	m.value("job:up:sum")
	client, err := api.NewClient(api.Config{Address: m.url})
	if err != nil {
		t.Fatal(err)
	}
	p := v1.NewAPI(client)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	now := time.Now()
	check := func(what string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	vector, _, err := p.Query(ctx, "node_load1", now)
	check("Query", err == nil && len(vector.(model.Vector)) == 1, err)
	matrix, _, err := p.QueryRange(ctx, "node_load1", v1.Range{Start: now.Add(-time.Minute), End: now, Step: 5 * time.Second})
	check("QueryRange", err == nil && len(matrix.(model.Matrix)) == 1, err)
	names, _, err := p.LabelNames(ctx, nil, now.Add(-time.Hour), now)
	check("LabelNames", len(names) > 5, err)
	values, _, err := p.LabelValues(ctx, "job", nil, now.Add(-time.Hour), now)
	check("LabelValues", len(values) == 1 && values[0] == "node", err)
	found, _, err := p.Series(ctx, []string{"node_load1"}, now.Add(-time.Hour), now)
	check("Series", len(found) == 1, err)
	metadata, err := p.Metadata(ctx, "node_load1", "")
	check("Metadata", len(metadata["node_load1"]) == 1 && metadata["node_load1"][0].Type == "gauge", err)
	targets, err := p.Targets(ctx)
	check("Targets", err == nil && len(targets.Active) == 1 && targets.Active[0].Health == "up" && targets.Active[0].LastScrape.After(now.Add(-time.Minute)), err)
	groups, err := p.Rules(ctx, nil)
	check("Rules", err == nil && len(groups.Groups) == 2, err)
	alerts, err := p.Alerts(ctx)
	check("Alerts", err == nil && len(alerts.Alerts) == 1 && alerts.Alerts[0].State == "firing", err)
	_, err = p.AlertManagers(ctx)
	check("AlertManagers", true, err)
	_, err = p.Config(ctx)
	check("Config", true, err)
	_, err = p.Flags(ctx)
	check("Flags", true, err)
	build, err := p.Buildinfo(ctx)
	check("Buildinfo", build.Version != "", err)
	_, err = p.Runtimeinfo(ctx)
	check("Runtimeinfo", true, err)
	_, err = p.TSDB(ctx)
	check("TSDB", true, err)
	_, err = p.WalReplay(ctx)
	check("WalReplay", true, err)
	_, err = p.QueryExemplars(ctx, "node_load1", now.Add(-time.Hour), now)
	check("QueryExemplars", true, err)
	if _, _, err := p.Query(ctx, "sum(", now); err == nil || !strings.Contains(err.Error(), "parse error") {
		t.Errorf("a bad query: %v", err)
	}
}

func TestPromtoolWorks(t *testing.T) {
	t.Parallel()
	path := plugintest.Program(t, "promtool")
	m := start(t, small)
	m.value("job:up:sum")
	for _, args := range [][]string{
		{"query", "instant", m.url, "job:up:sum"},
		{"query", "range", "--start=" + time.Now().Add(-time.Minute).Format(time.RFC3339), "--end=" + time.Now().Add(time.Minute).Format(time.RFC3339), m.url, "job:up:sum"},
		{"query", "series", "--match=job:up:sum", m.url},
		{"query", "labels", m.url, "job"},
	} {
		out, err := exec.Command(path, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "node") {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if out, err := exec.Command(path, "check", "healthy", "--url="+m.url).CombinedOutput(); err != nil && !strings.Contains(string(out), "expected command") {
		t.Errorf("promtool check healthy: %v\n%s", err, out)
	}
}

// The selectors that node-mixin's rules use find this machine.
func TestNodeMixinsSelectorsFindThisMachine(t *testing.T) {
	t.Parallel()
	m := start(t, machine)
	m.value("node_load1")
	for _, expr := range []string{
		`node_filesystem_avail_bytes{job="node",fstype!="",mountpoint!=""} / node_filesystem_size_bytes{job="node",fstype!="",mountpoint!=""}`,
		`node_filesystem_files_free{job="node",fstype!="",mountpoint!=""}`, `node_filesystem_readonly{job="node",fstype!="",mountpoint!=""}`,
		`node_network_receive_errs_total{job="node"}`, `node_network_transmit_packets_total{job="node"}`, `node_network_receive_bytes_total{job="node", device!="lo"}`,
		`node_cpu_seconds_total{job="node", mode!="idle"}`, `node_cpu_seconds_total{job="node", mode="iowait"}`,
		`node_memory_MemAvailable_bytes{job="node"} / node_memory_MemTotal_bytes{job="node"}`, `node_memory_Slab_bytes{job="node"}`,
		`node_timex_sync_status{job="node"}`, `node_timex_offset_seconds{job="node"}`, `node_timex_maxerror_seconds{job="node"}`,
		`node_filefd_allocated{job="node"} / node_filefd_maximum{job="node"}`, `node_vmstat_pgmajfault{job="node"}`, `node_load1{job="node"}`,
		`node_uname_info{job="node"}`, `node_boot_time_seconds{job="node"}`,
		`node_scrape_collector_success{job="node"} == 1`,
	} {
		if got := m.query(expr); len(got) == 0 {
			t.Errorf("nothing matches %s", expr)
		}
	}
}

// No route of Prometheus' API panics, whatever is asked: the daemon's own and those of the store.
func TestEveryRouteAnswers(t *testing.T) {
	t.Parallel()
	m := start(t, small+"service \"console\" \"main\" {}\n")
	m.value("job:up:sum")
	for path, want := range map[string]int{
		"/-/healthy": 200, "/-/ready": 200, "/metrics": 200, "/": 200, "/api/magpie/v1/Status": 200, "/api/magpie/v1/Show": 200, "/api/magpie/v1/Nothing": 404,
		"/api/magpie/v1/Plan": 403, "/plugins/store.tsdb.main/api/v1/labels": 200, "/plugins/store.none.x/": 404, "/no/such/page": 404,
		"/api/v1/query?query=up": 200, "/api/v1/query?query=sum(": 400, "/api/v1/query": 400, "/api/v1/query_range?query=up&start=0&end=10&step=1": 200, "/api/v1/query_exemplars?query=up&start=0&end=1": 200,
		"/api/v1/format_query?query=sum(up)": 200, "/api/v1/parse_query?query=sum(up)": 200, "/api/v1/series?match[]=up": 200, "/api/v1/labels": 200, "/api/v1/label/job/values": 200,
		"/api/v1/label/__name__/values": 200, "/api/v1/metadata": 200, "/api/v1/targets": 200, "/api/v1/targets?state=dropped": 200, "/api/v1/targets?state=odd": 400, "/api/v1/targets/metadata": 200,
		"/api/v1/rules": 200, "/api/v1/rules?type=alert": 200, "/api/v1/rules?type=odd": 400, "/api/v1/alerts": 200, "/api/v1/alertmanagers": 200, "/api/v1/scrape_pools": 200,
		"/api/v1/status/config": 200, "/api/v1/status/flags": 200, "/api/v1/status/runtimeinfo": 200, "/api/v1/status/buildinfo": 200, "/api/v1/status/tsdb": 200, "/api/v1/status/walreplay": 200,
		"/api/v1/features": 200, "/api/v1/no_such_route": 404,
	} {
		r, err := patient.Get(m.url + path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		body, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d, want %d: %.200s", path, r.StatusCode, want, body)
		}
		if strings.HasPrefix(path, "/api/v1/") && want != 404 && !json.Valid(body) {
			t.Errorf("%s: no JSON: %.200s", path, body)
		}
	}
	if strings.Contains(m.logged(), "panic") {
		t.Error("something panicked")
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	t.Parallel()
	m := start(t, machine)
	for _, x := range []struct {
		method, path string
		change       func(*http.Request)
		want         int
	}{
		{"POST", "/-/reload", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		{"POST", "/-/reload", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"GET", "/metrics", func(r *http.Request) { r.Host = "evil.example" }, 421},
		{"GET", "/metrics", func(r *http.Request) { r.Host = "localhost" }, 200},
		{"POST", "/-/reload", func(*http.Request) {}, 200},
		{"GET", "/-/reload", func(*http.Request) {}, 405},
	} {
		r, _ := http.NewRequest(x.method, m.url+x.path, nil)
		x.change(r)
		answer, err := patient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != x.want {
			t.Errorf("%s %s: %d, want %d", x.method, x.path, answer.StatusCode, x.want)
		}
	}
}
