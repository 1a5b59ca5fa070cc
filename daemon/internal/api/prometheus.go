package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/daemon/internal/rule"
	"github.com/magpie-monitoring/magpie/sdk"
)

// prometheusAPI answers those routes of Prometheus' HTTP API whose state lives in the daemon; the store answers the others.
// https://prometheus.io/docs/prometheus/latest/querying/api/
type prometheusAPI struct {
	engine  *engine.Engine
	started time.Time
}

// answerFunc gives the data of an answer.
type answerFunc func(r *http.Request) (any, error)

func (f answerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := f(r)
	w.Header().Set("Content-Type", "application/json")
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]any{"status": "error", "errorType": "bad_data", "error": err.Error()})
		return
	case err != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		json.NewEncoder(w).Encode(map[string]any{"status": "error", "errorType": "unavailable", "error": err.Error()})
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": data})
}

// badRequest is the client's mistake.
type badRequest string

func (e badRequest) Error() string { return string(e) }

// target is what is known of a target from its own series: who it is, whether it was up, and when.
type target struct {
	DiscoveredLabels   map[string]string `json:"discoveredLabels"`
	Labels             map[string]string `json:"labels"`
	ScrapePool         string            `json:"scrapePool"`
	ScrapeURL          string            `json:"scrapeUrl"`
	GlobalURL          string            `json:"globalUrl"`
	LastError          string            `json:"lastError"`
	LastScrape         time.Time         `json:"lastScrape"`
	LastScrapeDuration float64           `json:"lastScrapeDuration"`
	Health             string            `json:"health"`
	ScrapeInterval     string            `json:"scrapeInterval"`
	ScrapeTimeout      string            `json:"scrapeTimeout"`
}

// targets are those whose `up` the default store knows now. Plugins keep their targets to themselves; what a dashboard
// wants of them is in their series.
func (p *prometheusAPI) targets(r *http.Request) (any, error) {
	out := map[string]any{"activeTargets": []target{}, "droppedTargets": []target{}, "droppedTargetCounts": map[string]int{}}
	switch state := r.FormValue("state"); state {
	case "", "any", "active":
	case "dropped":
		return out, nil
	default:
		return nil, badRequest(fmt.Sprintf("state %q is not one of any, active, dropped", state))
	}
	active, err := p.active(r.Context())
	if err != nil {
		return nil, err
	}
	if pool := r.FormValue("scrapePool"); pool != "" {
		active = slices.DeleteFunc(active, func(t target) bool { return t.ScrapePool != pool })
	}
	out["activeTargets"] = active
	return out, nil
}

func (p *prometheusAPI) active(ctx context.Context) ([]target, error) {
	store := p.engine.DefaultStore()
	if store == "" {
		return []target{}, nil
	}
	now := time.Now()
	up, err := p.engine.Query(ctx, store, sdk.Query{Expr: "up", Start: now})
	if err != nil {
		return nil, err
	}
	durations, err := p.engine.Query(ctx, store, sdk.Query{Expr: "scrape_duration_seconds", Start: now})
	if err != nil {
		return nil, err
	}
	when, err := p.engine.Query(ctx, store, sdk.Query{Expr: "timestamp(up)", Start: now})
	if err != nil {
		return nil, err
	}
	took, at := byTarget(durations), byTarget(when)
	jobs := p.jobs()
	all := make([]target, 0, len(up.Series))
	for _, s := range up.Series {
		key := targetKey(s.Labels)
		t := target{DiscoveredLabels: map[string]string{}, Labels: s.Labels.Map(), Health: "down", LastScrapeDuration: took[key]}
		delete(t.Labels, sdk.NameLabel)
		j := jobs[t.Labels["job"]]
		t.ScrapePool, t.ScrapeURL = cmp.Or(j.address, t.Labels["job"]), t.Labels["instance"]
		t.GlobalURL, t.ScrapeInterval, t.ScrapeTimeout = t.ScrapeURL, j.interval, j.timeout
		t.LastScrape = time.UnixMilli(int64(at[key] * 1000)).UTC()
		if len(s.Points) > 0 && s.Points[0].Value == 1 {
			t.Health = "up"
		} else {
			t.LastError = j.err
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b target) int {
		return strings.Compare(a.ScrapePool+"\x00"+a.ScrapeURL, b.ScrapePool+"\x00"+b.ScrapeURL)
	})
	return all, nil
}

type job struct{ address, interval, timeout, err string }

// jobs tells of each job what its source says, and which one that is: what Prometheus calls a scrape pool.
func (p *prometheusAPI) jobs() map[string]job {
	out := map[string]job{}
	for _, c := range p.engine.Status().Components {
		if c.Kind != sdk.KindSource {
			continue
		}
		j := job{address: c.Address, interval: c.Source.Interval.String(), timeout: c.Source.Timeout.String()}
		if c.Health != nil {
			j.err = c.Health.LastError.GetText()
		}
		out[c.Source.Job] = j
	}
	return out
}

// targetKey names a target by its labels without the metric's name.
func targetKey(ls sdk.Labels) string {
	return slices.Clone(ls).Set(sdk.NameLabel, "").String()
}

func byTarget(r *sdk.Result) map[string]float64 {
	m := map[string]float64{}
	for _, s := range r.Series {
		if len(s.Points) > 0 {
			m[targetKey(s.Labels)] = s.Points[0].Value
		}
	}
	return m
}

func (p *prometheusAPI) scrapePools(*http.Request) (any, error) {
	pools := []string{}
	for _, j := range p.jobs() {
		pools = append(pools, j.address)
	}
	slices.Sort(pools)
	return map[string]any{"scrapePools": pools}, nil
}

// alertmanagers are none: the daemon notifies itself.
func (p *prometheusAPI) alertmanagers(*http.Request) (any, error) {
	return map[string]any{"activeAlertmanagers": []string{}, "droppedAlertmanagers": []string{}}, nil
}

func (p *prometheusAPI) config(*http.Request) (any, error) {
	return map[string]string{"yaml": "# HCL: the configuration that runs, secrets masked\n" + p.engine.Show()}, nil
}

func (p *prometheusAPI) flags(*http.Request) (any, error) {
	s := p.engine.Settings()
	return map[string]string{"data-dir": s.DataDir, "listen": s.Listen}, nil
}

func (p *prometheusAPI) runtime(*http.Request) (any, error) {
	s := p.engine.Status()
	return map[string]any{
		"startTime": s.Started.UTC(), "CWD": "", "hostname": s.Hostname, "serverTime": time.Now().UTC(),
		"reloadConfigSuccess": s.Config.Problem == "", "lastConfigTime": s.Config.AppliedAt.UTC(), "corruptionCount": s.Buffer.Damaged,
		"goroutineCount": runtime.NumGoroutine(), "GOMAXPROCS": runtime.GOMAXPROCS(0), "GOMEMLIMIT": 0, "GOGC": "", "GODEBUG": "", "storageRetention": "",
	}, nil
}

func (p *prometheusAPI) build(*http.Request) (any, error) {
	return map[string]string{
		"version": p.engine.Status().Version, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": runtime.Version(), "application": "magpie",
	}, nil
}

// rules are all groups in Prometheus' form; type, rule_name[], rule_group[] and file[] select.
func (p *prometheusAPI) rules(r *http.Request) (any, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	names := map[string]string{"alert": "alerting", "record": "recording", "": ""}
	kind, known := names[r.Form.Get("type")]
	if !known {
		return nil, badRequest(fmt.Sprintf("type %q is not one of alert, record", r.Form.Get("type")))
	}
	selected := func(field, value string) bool {
		return len(r.Form[field]) == 0 || slices.Contains(r.Form[field], value)
	}
	groups := []map[string]any{}
	for _, g := range p.engine.Rules() {
		if !selected("rule_group[]", g.Name) || !selected("file[]", g.File) {
			continue
		}
		list := []map[string]any{}
		for _, s := range g.States {
			m := ruleJSON(s)
			if (kind == "" || m["type"] == kind) && selected("rule_name[]", m["name"].(string)) {
				list = append(list, m)
			}
		}
		if len(list) > 0 || len(r.Form["rule_name[]"]) == 0 && kind == "" {
			groups = append(groups, map[string]any{
				"name": g.Name, "file": g.File, "rules": list, "interval": g.Interval.Seconds(), "limit": g.Limit,
				"evaluationTime": g.EvaluationTime.Seconds(), "lastEvaluation": g.LastEvaluation.UTC(),
			})
		}
	}
	return map[string]any{"groups": groups}, nil
}

func ruleJSON(s rule.RuleState) map[string]any {
	m := map[string]any{
		"name": s.Record, "type": "recording", "query": s.Expr, "labels": orEmpty(s.Labels), "health": s.Health,
		"evaluationTime": s.EvaluationTime.Seconds(), "lastEvaluation": s.LastEvaluation.UTC(),
	}
	if s.LastError != "" {
		m["lastError"] = s.LastError
	}
	if s.Alert != "" {
		m["name"], m["type"], m["state"] = s.Alert, "alerting", s.State
		m["duration"], m["keepFiringFor"] = s.For.Seconds(), s.KeepFiringFor.Seconds()
		m["annotations"], m["alerts"] = orEmpty(s.Annotations), alertsJSON(s)
	}
	return m
}

func alertsJSON(s rule.RuleState) []map[string]any {
	list := []map[string]any{}
	for _, a := range s.Active {
		m := map[string]any{
			"labels": a.Labels.Map(), "annotations": orEmpty(a.Annotations), "state": a.State, "activeAt": a.ActiveAt.UTC(),
			"value": strconv.FormatFloat(a.Value, 'e', -1, 64),
		}
		if !a.KeepFiringSince.IsZero() {
			m["keepFiringSince"] = a.KeepFiringSince.UTC()
		}
		list = append(list, m)
	}
	return list
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (p *prometheusAPI) alerts(*http.Request) (any, error) {
	list := []map[string]any{}
	for _, g := range p.engine.Rules() {
		for _, s := range g.States {
			list = append(list, alertsJSON(s)...)
		}
	}
	return map[string]any{"alerts": list}, nil
}
