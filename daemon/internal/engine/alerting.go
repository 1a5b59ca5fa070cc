package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/notify"
	"github.com/magpie-monitoring/magpie/daemon/internal/pipeline"
	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/daemon/internal/rule"
	"github.com/magpie-monitoring/magpie/daemon/internal/telemetry"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

const (
	writeWait = 10 * time.Second // for the store's acknowledgement of what a rule wrote
	tooLate   = 30 * time.Second // a store that has taken nothing for so long is behind
)

// alerting joins the rules with the store that they ask and write to, and with the notifiers.
type alerting struct {
	e *Engine

	mu       sync.Mutex
	rules    *rule.Rules
	notifier *notify.Notifier
	labels   map[string]string // external ones, as the rules know them
	url      string

	recording sync.Mutex           // apart: set waits for evaluations, which record
	recorders map[string]*recorder // by store
}

// recorder writes what rules give, one write at a time.
type recorder struct {
	mu sync.Mutex
	*pipeline.Recorder
}

func newAlerting(e *Engine) *alerting { return &alerting{e: e, recorders: map[string]*recorder{}} }

// set makes groups and routes as desired.
func (a *alerting) set(d *plan.Desired) {
	s := a.e.Settings()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rules != nil && (s.ExternalURL != a.url || !maps.Equal(s.ExternalLabels, a.labels)) {
		a.rules.Stop() // the new ones go on from the state on disk
		a.notifier.Stop()
		a.rules = nil
	}
	if a.rules == nil {
		a.labels, a.url = s.ExternalLabels, s.ExternalURL
		a.start()
	}
	route, inhibitions := routesOf(d)
	if err := a.notifier.SetRoute(route, inhibitions...); err != nil {
		a.e.o.Log.Error("the route was not changed", "error", err)
	}
	groups := make([]rule.Group, 0, len(d.Groups))
	for _, g := range d.Groups {
		group := groupOf(g)
		for _, was := range d.Moved.Was(g.Address()) {
			group.Was = append(group.Was, language.GroupName(was))
		}
		groups = append(groups, group)
	}
	if err := a.rules.Set(groups); err != nil {
		a.e.o.Log.Error("the rules were not changed", "error", err)
	}
}

func (a *alerting) start() {
	log := a.e.o.Log
	load := func(bucket string) func(string) ([]byte, error) {
		return func(key string) ([]byte, error) { return a.e.state.Get(bucket, key) }
	}
	save := func(bucket string) func(string, []byte) error {
		return func(key string, value []byte) error {
			if value == nil {
				return a.e.state.Delete(bucket, key)
			}
			return a.e.state.Put(bucket, key, value)
		}
	}
	a.notifier = notify.New(notify.Options{
		Deliver: a.deliver, Load: load("notify"), Save: save("notify"), ExternalURL: a.url, Log: log.Named("notify"),
	})
	notifier, labels := a.notifier, a.labels
	a.rules = rule.New(rule.Options{
		Query: func(ctx context.Context, store, expr string, at time.Time) (*sdk.Result, error) {
			return a.e.Query(ctx, store, sdk.Query{Expr: expr, Start: at})
		},
		Write: a.write, Ready: a.ready, Load: load("rules"), Save: save("rules"),
		Keys: func() ([]string, error) { return a.e.state.Keys("rules") },
		Notify: func(alerts []rule.Alert) {
			out := Outward(alerts, labels)
			for i, x := range alerts {
				if len(x.Diagnose) > 0 {
					a.e.diagnoses.because(out[i], x.Since, x.Diagnose)
				}
			}
			notifier.Put(out)
		},
		ExternalLabels: labels, ExternalURL: a.url, Log: log.Named("rules"),
	})
}

// Outward gives alerts the external labels, as Prometheus does to what leaves it.
func Outward(alerts []rule.Alert, external map[string]string) []notify.Alert {
	out := make([]notify.Alert, 0, len(alerts))
	for _, x := range alerts {
		if len(external) > 0 {
			labels := maps.Clone(external)
			maps.Copy(labels, x.Labels)
			x.Labels = labels
		}
		out = append(out, notify.Alert{Alert: x.Alert, ValidFor: x.ValidFor, Notify: x.Notify})
	}
	return out
}

// Groups are the rules of a configuration as they are evaluated.
func (b *Built) Groups() (groups []rule.Group) {
	for _, g := range b.Desired.Groups {
		groups = append(groups, groupOf(g))
	}
	return groups
}

func groupOf(g *plan.Group) rule.Group {
	out := rule.Group{Name: g.Name, File: g.File, Store: g.Store, Interval: g.Interval, Limit: g.Limit, Offset: g.Offset}
	for _, r := range g.Rules {
		out.Rules = append(out.Rules, rule.Rule{
			Alert: r.Alert, Record: r.Record, Expr: r.Expr, For: r.For, KeepFiringFor: r.KeepFiringFor,
			Labels: r.Labels, Annotations: r.Annotations, Notify: r.Notify, Diagnose: r.Diagnose,
		})
	}
	return out
}

// Route is the tree of routes of a configuration and its inhibitions, as they are used.
func (b *Built) Route() (*notify.Route, []notify.Inhibition) { return routesOf(b.Desired) }

func routesOf(d *plan.Desired) (*notify.Route, []notify.Inhibition) {
	var inhibitions []notify.Inhibition
	for _, i := range d.Inhibit {
		inhibitions = append(inhibitions, notify.Inhibition(i))
	}
	return routeOf(d.Route), inhibitions
}

func routeOf(r *plan.Route) *notify.Route {
	if r == nil {
		return nil
	}
	out := &notify.Route{
		Match: r.Match, Notify: r.Notify, GroupBy: r.GroupBy, GroupWait: r.GroupWait, GroupInterval: r.GroupInterval, RepeatInterval: r.RepeatInterval, Continue: r.Continue,
	}
	for _, child := range r.Routes {
		out.Routes = append(out.Routes, routeOf(child))
	}
	return out
}

func (a *alerting) deliver(ctx context.Context, receiver string, n sdk.Notification) (sdk.Receipt, error) {
	h, err := a.e.use(ctx, receiver)
	if err != nil {
		return sdk.Receipt{}, err
	}
	a.e.diagnoses.attach(ctx, &n)
	return h.Notify(ctx, h.Number, n)
}

// ready says why a store cannot be asked now.
func (a *alerting) ready(store string) error {
	d := a.deliveryTo(store)
	if d == nil {
		return fmt.Errorf("nothing is delivered to %s yet", store)
	}
	switch s := d.State(); {
	case !s.Connected:
		return fmt.Errorf("%s is not connected", store)
	case s.Trouble != "":
		return errors.New(s.Trouble)
	case s.Age > tooLate:
		return fmt.Errorf("%s is behind: it has taken nothing for %s", store, s.Age.Round(time.Second))
	}
	return nil
}

// deliveryTo is the delivery that brings the rules' output to a store.
func (a *alerting) deliveryTo(store string) *delivery {
	a.e.mu.Lock()
	defer a.e.mu.Unlock()
	for _, d := range a.e.deliveries {
		if d.pipeline.To == store && len(d.rules) > 0 {
			return d
		}
	}
	return nil
}

// write stores what a rule gave and returns when the store has acknowledged it. It goes the way of all samples, through
// the log: sinks get it too.
func (a *alerting) write(ctx context.Context, store string, samples []rule.Sample) error {
	r, err := a.recorder(store)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	position, err := r.write(ctx, samples)
	if err != nil {
		return err
	}
	d := a.deliveryTo(store)
	if d == nil {
		return fmt.Errorf("nothing is delivered to %s any more", store)
	}
	return d.Wait(ctx, position)
}

func (r *recorder) write(ctx context.Context, samples []rule.Sample) (position uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(samples) > 0 {
		at := samples[0].Time
		var together []pipeline.Sample
		for len(samples) > 0 && samples[0].Time.Equal(at) {
			together = append(together, pipeline.Sample{Series: sdk.Series{Labels: samples[0].Labels}, Value: samples[0].Value, Histogram: samples[0].Histogram})
			samples = samples[1:]
		}
		if position, err = r.Write(ctx, at, together); err != nil {
			return 0, err
		}
	}
	return position, nil
}

func (a *alerting) recorder(store string) (*recorder, error) {
	a.recording.Lock()
	defer a.recording.Unlock()
	if r := a.recorders[store]; r != nil {
		return r, nil
	}
	number, err := a.e.numbers.take()
	if err != nil {
		return nil, err
	}
	r := &recorder{Recorder: a.e.ingest.Record(number, rulesAddress(store), 5*time.Minute)}
	a.recorders[store] = r
	return r, nil
}

func (a *alerting) stop() {
	a.mu.Lock()
	rules, notifier := a.rules, a.notifier
	a.mu.Unlock()
	if rules != nil {
		rules.Stop()
		notifier.Stop()
	}
}

// Rules reports all groups and alerts.
func (e *Engine) Rules() []rule.GroupState {
	e.alerting.mu.Lock()
	rules := e.alerting.rules
	e.alerting.mu.Unlock()
	if rules == nil {
		return nil
	}
	return rules.Snapshot()
}

func (a *alerting) metrics() []telemetry.Metric {
	var m metrics
	for _, g := range a.e.Rules() {
		who := []string{"rule_group", g.File + ";" + g.Name}
		m.counter("magpie_rule_group_iterations_total", "Evaluations of the group that were due.", float64(g.Iterations), who...)
		m.counter("magpie_rule_group_iterations_missed_total", "Of them, missed since an earlier one took too long.", float64(g.Missed), who...)
		m.counter("magpie_rule_group_iterations_skipped_total", "Of them, skipped since the store was down or behind.", float64(g.Skipped), who...)
		m.gauge("magpie_rule_group_last_duration_seconds", "How long the last evaluation took.", g.EvaluationTime.Seconds(), who...)
		m.gauge("magpie_rule_group_rules", "Rules of the group.", float64(len(g.Rules)), who...)
		failures, active := 0.0, map[string]int{"pending": 0, "firing": 0}
		for _, r := range g.States {
			failures += float64(r.Failures)
			for _, x := range r.Active {
				active[x.State]++
			}
		}
		m.counter("magpie_rule_evaluation_failures_total", "Evaluations of rules that failed.", failures, who...)
		for state, n := range active {
			m.gauge("magpie_alerts", "Alerts of the group that are pending or firing.", float64(n), append(who, "state", state)...)
		}
	}
	a.mu.Lock()
	notifier := a.notifier
	a.mu.Unlock()
	if notifier == nil {
		return m
	}
	told := notifier.Snapshot()
	m.gauge("magpie_alerts_inhibited", "Alerts that fire and are not told, as others fire that inhibit them.", float64(told.Inhibited))
	for receiver, c := range told.Receivers {
		who := []string{"notifier", receiver}
		m.counter("magpie_notifications_total", "Notifications delivered.", float64(c.Sent), who...)
		m.counter("magpie_notifications_failed_total", "Attempts that failed and are repeated.", float64(c.Failed), who...)
		m.counter("magpie_notifications_refused_total", "Notifications that the receiver refused for good.", float64(c.Refused), who...)
	}
	return m
}
