package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stub is a daemon as the page sees one: the embedded page, and canned answers of both APIs.
type stub struct {
	*httptest.Server
	down       atomic.Bool  // the API's connections are cut
	store      atomic.Bool  // the store answers 503
	config     atomic.Value // the JSON of Status' config
	histories  atomic.Int64 // range queries of CPU time: one each time that the machine's charts are refreshed
	statuses   atomic.Int64
	components string
}

func newStub(t *testing.T) *stub {
	s := &stub{components: components}
	s.config.Store(`{"state": "current"}`)
	mux := http.NewServeMux()
	mux.Handle("/", handler(t))
	mux.HandleFunc("POST /api/magpie/v1/Status", s.status)
	mux.HandleFunc("GET /api/v1/{route...}", s.prometheus)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() && strings.HasPrefix(r.URL.Path, "/api/") {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stub) status(w http.ResponseWriter, r *http.Request) {
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		http.Error(w, fmt.Sprintf(`{"code": "invalid_argument", "message": "Content-Type %q"}`, got), http.StatusUnsupportedMediaType)
		return
	}
	seconds := float64(s.statuses.Add(1)) // CPU that the processes have used: more at each poll
	answer(w, fmt.Sprintf(`{
		"version": "0.1.0", "startedUnixMs": "%d", "hostname": "testhost", "config": %s, "components": %s,
		"processes": [
			{"plugin": "host", "version": "0.1.0", "pid": 4121, "state": "running", "cpuSeconds": %g, "rssBytes": "32505856",
			 "pssBytes": "12582912", "startedUnixMs": "1795240000000", "components": ["source.host.main"]},
			{"plugin": "etcd", "version": "0.1.0", "pid": 4507, "state": "running", "restarts": 3, "rssBytes": "39845888",
			 "lastDeath": "killed by signal 9 (SIGKILL)", "components": ["source.etcd.main"]}
		],
		"pipelines": [{"name": "default", "sink": "store.tsdb.main", "delivered": "812345", "stored": "812345", "lagMs": "120"}],
		"buffer": {"bytes": "18874368", "records": "42", "segments": 2}
	}`, time.Now().Add(-time.Hour).UnixMilli(), s.config.Load(), s.components, seconds))
}

const components = `[
	{"address": "source.host.main", "kind": "source", "type": "host", "plugin": "host", "state": "running", "series": "812", "collects": "370", "lastCollectNs": "8200000", "samples": "300000"},
	{"address": "source.etcd.main", "kind": "source", "type": "etcd", "plugin": "etcd", "state": "degraded", "text": "1 of 2 members answers", "errors": {"target": "744"}},
	{"address": "store.tsdb.main", "kind": "store", "type": "tsdb", "plugin": "tsdb", "state": "failed", "text": "the disk is full"}
]`

func (s *stub) prometheus(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	switch route := r.PathValue("route"); route {
	case "query", "query_range":
		s.query(w, route, q.Get("query"), q.Get("start"), q.Get("end"), q.Get("step"))
	case "targets":
		answer(w, targets)
	case "rules":
		answer(w, rules)
	case "labels":
		answer(w, `{"status": "success", "data": ["__name__", "instance", "job"]}`)
	case "label/__name__/values":
		answer(w, `{"status": "success", "data": ["node_load1", "up"]}`)
	case "metadata", "status/flags":
		answer(w, `{"status": "success", "data": {}}`)
	case "series", "label/job/values", "label/instance/values":
		answer(w, `{"status": "success", "data": []}`)
	default:
		refuse(w, http.StatusNotFound, "not_found", "the page asks for "+route)
	}
}

const targets = `{"status": "success", "data": {"activeTargets": [
	{"labels": {"job": "node", "instance": "testhost"}, "scrapePool": "source.host.main", "scrapeUrl": "testhost", "health": "up",
	 "lastScrape": "2026-11-21T07:00:00Z", "lastScrapeDuration": 0.008, "scrapeInterval": "5s"},
	{"labels": {"job": "etcd", "instance": "10.0.0.1:2379"}, "scrapePool": "source.etcd.main", "scrapeUrl": "http://10.0.0.1:2379/metrics", "health": "up",
	 "lastScrape": "2026-11-21T07:00:00Z", "lastScrapeDuration": 0.02},
	{"labels": {"job": "etcd", "instance": "10.0.0.2:2379"}, "scrapePool": "source.etcd.main", "scrapeUrl": "http://10.0.0.2:2379/metrics", "health": "down",
	 "lastScrape": "2026-11-21T07:00:00Z", "lastScrapeDuration": 2, "lastError": "connection <b>refused</b>"}
]}}`

const rules = `{"status": "success", "data": {"groups": [{"name": "etcd", "file": "config.hcl", "interval": 15, "lastEvaluation": "2026-11-21T07:00:00Z", "evaluationTime": 0.001, "rules": [
	{"type": "alerting", "name": "etcdMembersDown", "query": "up{job=\"etcd\"} == 0", "state": "firing", "health": "ok", "duration": 20, "alerts": [
		{"state": "firing", "activeAt": "2026-11-21T06:00:00Z", "value": "0e+00", "labels": {"alertname": "etcdMembersDown", "severity": "critical", "instance": "10.0.0.2:2379"}, "annotations": {"summary": "A member is down."}}]},
	{"type": "alerting", "name": "HostBusy", "query": "node_load1 > 1", "state": "pending", "health": "ok", "duration": 600, "alerts": [
		{"state": "pending", "activeAt": "2026-11-21T06:59:00Z", "value": "1.5e+00", "labels": {"alertname": "HostBusy", "severity": "warning"}, "annotations": {}}]},
	{"type": "recording", "name": "job:up:sum", "query": "sum by (job) (up)", "health": "err", "lastError": "the store is on fire"}
]}]}}`

// A canned series is a wave around a level; in the middle third of a range it has a gap.
type canned struct {
	labels map[string]string
	level  float64
	wave   float64 // share of the level
}

func steady(level float64, labels ...string) canned {
	c := gauge(level, labels...)
	c.wave = 0
	return c
}

func gauge(level float64, labels ...string) canned {
	c := canned{map[string]string{}, level, 0.2}
	for i := 0; i < len(labels); i += 2 {
		c.labels[labels[i]] = labels[i+1]
	}
	return c
}

// database answers an expression with the series behind the first text that it contains.
var database = []struct {
	contains string
	series   []canned
}{
	{"group by (job, instance)", []canned{gauge(1, "job", "node", "instance", "testhost"), gauge(1, "job", "node", "instance", "other")}},
	{"count(node_cpu", []canned{gauge(2)}},
	{"node_uname_info", []canned{
		gauge(1, "__name__", "node_uname_info", "nodename", "testhost", "sysname", "Linux", "release", "6.18.44", "machine", "x86_64"),
		gauge(1, "__name__", "node_os_info", "pretty_name", "Debian GNU/Linux 12 (bookworm)"),
		gauge(16<<30, "__name__", "node_memory_MemTotal_bytes"),
	}},
	{"node_cpu_seconds_total", []canned{gauge(0.6, "mode", "user"), gauge(0.2, "mode", "system"), gauge(1.1, "mode", "idle"), gauge(0.1, "mode", "iowait")}},
	{"node_load", []canned{gauge(1.5, "__name__", "node_load1"), gauge(1.2, "__name__", "node_load5"), gauge(1, "__name__", "node_load15")}},
	{"node_memory", []canned{
		steady(16<<30, "__name__", "node_memory_MemTotal_bytes"), gauge(9<<30, "__name__", "node_memory_MemAvailable_bytes"),
		gauge(2<<30, "__name__", "node_memory_MemFree_bytes"),
	}},
	{"node_filesystem_(size|avail)", []canned{
		gauge(100<<30, "__name__", "node_filesystem_size_bytes", "mountpoint", "/", "device", "/dev/vda", "fstype", "ext4"),
		gauge(8<<30, "__name__", "node_filesystem_avail_bytes", "mountpoint", "/", "device", "/dev/vda", "fstype", "ext4"),
	}},
	{"node_filesystem", []canned{gauge(0.92, "mountpoint", "/")}},
	{"node_network", []canned{gauge(120_000)}},
	{"node_disk", []canned{gauge(3_000_000)}},
	{"node_pressure", []canned{gauge(0.04)}},
	{"scrape_duration_seconds", []canned{gauge(0.008, "job", "node", "instance", "testhost"), gauge(0.02, "job", "etcd", "instance", "10.0.0.1:2379")}},
	{"up", []canned{gauge(1, "__name__", "up", "job", "node", "instance", "testhost"), gauge(1, "__name__", "up", "job", "etcd", "instance", "10.0.0.1:2379")}},
}

func (s *stub) query(w http.ResponseWriter, route, expr, start, end, step string) {
	if s.store.Load() {
		refuse(w, http.StatusServiceUnavailable, "unavailable", "store.tsdb.main replays its log")
		return
	}
	if strings.HasSuffix(expr, "(") {
		refuse(w, http.StatusBadRequest, "bad_data", fmt.Sprintf("1:%d: parse error: unclosed left parenthesis", len(expr)))
		return
	}
	if route == "query_range" && strings.Contains(expr, "node_cpu_seconds_total") {
		s.histories.Add(1)
	}
	var found []canned
	for _, entry := range database {
		if strings.Contains(expr, entry.contains) {
			found = entry.series
			break
		}
	}
	result := []any{}
	for _, c := range found {
		r := map[string]any{"metric": maps.Clone(c.labels)}
		if route == "query" {
			r["value"] = sample(float64(time.Now().Unix()), c.level)
		} else {
			r["values"] = c.values(number(start), number(end), number(step))
		}
		result = append(result, r)
	}
	kind := map[string]string{"query": "vector", "query_range": "matrix"}[route]
	b, err := json.Marshal(map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}})
	if err != nil {
		panic(err)
	}
	answer(w, string(b))
}

func (c canned) values(start, end, step float64) (all []any) {
	for t := start; t <= end; t += step {
		if at := (t - start) / (end - start); at < 1.0/3 || at > 2.0/3 {
			all = append(all, sample(t, c.level*(1+c.wave*math.Sin(t/60))))
		}
	}
	return all
}

func sample(t, v float64) any { return []any{t, strconv.FormatFloat(v, 'f', -1, 64)} }

func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(fmt.Sprintf("the page sent %q where a number belongs", s))
	}
	return f
}

func refuse(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"status": "error", "errorType": %q, "error": %q}`, kind, text)
}

func answer(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, body)
}
