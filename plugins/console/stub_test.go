package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
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
	diagnosed  atomic.Bool   // a person's report is kept
	found      chan struct{} // closed: the diagnoser finds something
	components string
}

func newStub(t *testing.T) *stub {
	s := &stub{components: components, found: make(chan struct{})}
	s.config.Store(`{"state": "current"}`)
	mux := http.NewServeMux()
	mux.Handle("/", handler(t))
	mux.HandleFunc("POST /api/magpie/v1/Status", s.status)
	mux.HandleFunc("GET /api/v1/{route...}", s.prometheus)
	mux.HandleFunc("POST /api/magpie/v1/Reports", s.reports)
	mux.HandleFunc("POST /api/magpie/v1/Diagnose", s.diagnose)
	mux.HandleFunc("GET /reports/{id}", func(w http.ResponseWriter, _ *http.Request) { answer(w, report) })
	mux.HandleFunc("GET /api/magpie/v1/dashboards", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"dashboards": [{"name": "pack.etcd.requests", "title": "Requests <b>all</b>"}]}`)
	})
	mux.HandleFunc("GET /api/magpie/v1/dashboards/pack.etcd.requests", func(w http.ResponseWriter, _ *http.Request) { answer(w, dashboard) })
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
			 "pssBytes": "12582912", "startedUnixMs": "1795240000000", "components": ["source.host.main"],
			 "verified": {"current": true, "atUnixMs": "1795161600000", "by": "0.1.0", "kit": "0.1.0", "ok": 71, "notApplicable": 12}},
			{"plugin": "etcd", "version": "0.1.0", "pid": 4507, "state": "running", "restarts": 3, "rssBytes": "39845888",
			 "lastDeath": "killed by signal 9 (SIGKILL)", "components": ["source.etcd.main"],
			 "verified": {"current": true, "atUnixMs": "1795161600000", "by": "0.1.0", "kit": "0.1.0", "ok": 70, "failed": 22, "checks": [
				{"of": "source \"etcd\"", "check": "close/cancel", "about": "a call ends within 1 s of being cancelled", "text": "it went on for <b>3.1 s</b>\nand then for more", "fix": "heed ctx in everything that <i>waits</i>"},
				{"of": "plugin", "check": "secret/said", "about": "a secret is never printed", "text": "it stands on stderr", "fix": "do not log it"}]}},
			{"plugin": "stale", "version": "0.2.0", "pid": 4600, "state": "running", "verified": {"atUnixMs": "1795161600000", "by": "0.1.0", "ok": 71, "failed": 1}},
			{"plugin": "garbled", "version": "0.2.0", "pid": 4601, "state": "running", "verified": {"problem": "garbled.verify.json is <u>no</u> report of magpie plugin verify: its JSON is another"}},
			{"plugin": "unseen", "version": "0.2.0", "pid": 4602, "state": "running"}
		],
		"pipelines": [{"name": "default", "sink": "store.tsdb.main", "delivered": "812345", "stored": "812345", "lagMs": "120"}],
		"buffer": {"bytes": "18874368", "records": "42", "segments": 2}
	}`, time.Now().Add(-time.Hour).UnixMilli(), s.config.Load(), s.components, seconds))
}

const components = `[
	{"address": "source.host.main", "kind": "source", "type": "host", "plugin": "host", "state": "running", "series": "812", "collects": "370", "lastCollectNs": "8200000", "samples": "300000"},
	{"address": "source.etcd.main", "kind": "source", "type": "etcd", "plugin": "etcd", "state": "degraded", "text": "1 of 2 members answers", "errors": {"target": "744"}},
	{"address": "diagnoser.etcd.main", "kind": "diagnoser", "type": "etcd", "plugin": "etcd", "state": "running"},
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
	case "label/job/values":
		answer(w, `{"status": "success", "data": ["etcd", "node"]}`)
	case "series", "label/instance/values":
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

const report = `{"address": "diagnoser.etcd.main", "question": {"alert": {"Labels": {"alertname": "etcdMembersDown", "instance": "10.0.0.2:2379"}}},
	"started": "2026-11-21T07:00:00Z", "ended": "2026-11-21T07:00:02Z", "problem": "10.0.0.3:2379 did not answer", "cut": 2,
	"findings": [{"severity": "critical", "title": "A member is <b>lost</b>", "text": "It does not answer.",
		"evidence": [{"time": "2026-11-21T07:00:01Z", "where": "10.0.0.2:2379", "what": "connection", "value": "refused"}],
		"next": [{"text": "Look at its log", "command": "journalctl -u etcd"}, {"text": "Take it out", "command": "etcdctl member remove 8e9e", "changes": true}]}],
	"checks": [{"name": "quorum", "outcome": "2 of 3"}, {"name": "disk", "trouble": "no permission"}]}`

func (s *stub) reports(w http.ResponseWriter, _ *http.Request) {
	asked := ""
	if s.diagnosed.Load() {
		asked = `{"id": "20261121T080000.000Z-b", "address": "diagnoser.etcd.main", "startedUnixMs": "1795248000000", "headline": "nothing found"},`
	}
	answer(w, `{"reports": [`+asked+`
		{"id": "20261121T070000.000Z-a", "address": "diagnoser.etcd.main", "startedUnixMs": "1795244400000", "headline": "1 critical", "worst": "critical", "alert": "etcdMembersDown"},
		{"id": "20261121T060000.000Z-a", "address": "diagnoser.etcd.main", "startedUnixMs": "1795240800000", "headline": "1 warning", "worst": "warning", "alert": "Other"}]}`)
}

// diagnose answers as Connect does: messages with their length before them, the last one marked.
func (s *stub) diagnose(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if want := `{"address":"diagnoser.etcd.main"}`; err != nil || r.Header.Get("Content-Type") != "application/connect+json" || string(b) != "\x00\x00\x00\x00\x21"+want {
		http.Error(w, fmt.Sprintf("not the request of a stream: %q", b), http.StatusUnsupportedMediaType)
		return
	}
	send := func(flags byte, message string) {
		w.Write(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message))))
		io.WriteString(w, message)
		w.(http.Flusher).Flush()
	}
	w.Header().Set("Content-Type", "application/connect+json")
	send(0, `{"progress": "asking <i>each</i> member"}`)
	<-s.found
	if s.diagnosed.Load() {
		send(2, `{"error": {"code": "failed_precondition", "message": "diagnoser.etcd.main is not running"}}`)
		return
	}
	s.diagnosed.Store(true)
	send(0, `{"id": "20261121T080000.000Z-b", "diagnosis": "e30="}`)
	send(2, `{}`)
}

// dashboard has a panel of each kind, in the words of Grafana, and what only means harm.
const dashboard = `{"title": "Requests of $job", "time": {"from": "now-1h", "to": "now"}, "refresh": "5s", "templating": {"list": [
	{"type": "datasource", "name": "datasource"},
	{"type": "query", "name": "job", "query": {"query": "label_values(board_requests, job)"}, "multi": true, "includeAll": true, "current": {"value": ["$__all"]}},
	{"type": "custom", "name": "quantile", "query": "0.5,0.99"}
]}, "panels": [
	{"type": "timeseries", "title": "Rate", "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
	 "targets": [{"expr": "rate(board_requests{job=~\"$job\"}[$__rate_interval])", "legendFormat": "{{instance}} of {{job}}"}],
	 "options": {"legend": {"calcs": ["max"]}}, "fieldConfig": {"defaults": {"unit": "reqps", "custom": {"fillOpacity": 10, "stacking": {"mode": "normal"}}}}},
	{"type": "stat", "title": "Members", "gridPos": {"x": 12, "y": 0, "w": 6, "h": 4}, "targets": [{"expr": "board_members", "instant": true}],
	 "fieldConfig": {"defaults": {"thresholds": {"steps": [{"color": "green", "value": null}, {"color": "red", "value": 2}]}}}},
	{"type": "gauge", "title": "Space", "gridPos": {"x": 18, "y": 0, "w": 6, "h": 4}, "targets": [{"expr": "board_space"}], "fieldConfig": {"defaults": {"unit": "percentunit"}}},
	{"type": "text", "title": "About", "gridPos": {"x": 12, "y": 4, "w": 6, "h": 4}, "options": {"mode": "html", "content": "<img src=x onerror=alert(1)> of $job"}},
	{"type": "heatmap", "title": "Heat", "gridPos": {"x": 18, "y": 4, "w": 6, "h": 4}, "targets": [{"expr": "x"}]},
	{"type": "row", "title": "Tables of ${job:csv}", "collapsed": true, "gridPos": {"x": 0, "y": 8, "w": 24, "h": 1}, "panels": [
		{"type": "table", "title": "Members", "gridPos": {"x": 0, "y": 9, "w": 24, "h": 8}, "targets": [
			{"expr": "board_table", "refId": "A", "instant": true}, {"expr": "board_broken(", "refId": "B", "instant": true}],
		 "transformations": [{"id": "organize", "options": {"excludeByName": {"secret": true}, "renameByName": {"instance": "Member"}}}]}
	]},
	{"type": 7, "title": {"toString": "x"}, "gridPos": {"x": -5, "y": 1e9, "w": 1e9, "h": 1e9}, "targets": {"expr": 1}}
]}`

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
	{`rate(board_requests{job=~"(etcd|node)"}[60s])`, []canned{gauge(20, "job", "node", "instance", "a"), gauge(10, "job", "etcd", "instance", "<i>b</i>")}},
	{`rate(board_requests{job=~"node"}[60s])`, []canned{gauge(20, "job", "node", "instance", "alone")}},
	{"board_members", []canned{steady(3)}},
	{"board_space", []canned{steady(0.42)}},
	{"board_table", []canned{steady(7, "instance", "a", "secret", "hidden"), steady(1234, "instance", "b", "secret", "hidden")}},
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
