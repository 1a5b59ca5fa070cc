package rule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/template"
)

// resolvedRetention is how long a resolved alert is kept and told again, as in Prometheus.
const resolvedRetention = 15 * time.Minute

// status is how an alert is.
type status int

const (
	inactive status = iota // resolved: it has fired
	pending
	firing
)

func (s status) String() string { return [...]string{"inactive", "pending", "firing"}[s] }

// alert is one alert of a rule. Its times are steady; zero where it never happened.
type alert struct {
	Status      status
	Labels      sdk.Labels
	Annotations map[string]string
	Value       float64

	ActiveAt, FiredAt, ResolvedAt, KeepFiringSince time.Time
	toldAt                                         time.Time // zero: there is news; not saved, so all is told again after a restart
}

var errSameAlert = errors.New("vector contains metrics with the same labelset after applying alert labels")

// alerts moves the states of a rule's alerts by what its expression gave, and returns ALERTS and ALERTS_FOR_STATE.
func (g *group) alerts(ctx context.Context, s *state, vector []Sample, ts, at time.Time) ([]Sample, error) {
	found, err := g.instances(ctx, s, vector, ts, at)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, a := range found {
		if known := s.alerts[key]; known != nil && known.Status != inactive {
			known.Value, known.Annotations = a.Value, a.Annotations
		} else {
			s.alerts[key] = a
			g.dirty = true
		}
	}
	var out []Sample
	actives := 0
	for _, key := range slices.Sorted(maps.Keys(s.alerts)) {
		a := s.alerts[key]
		before := *a
		_, holds := found[key]
		active := a.step(s.Rule, holds, ts)
		if !active && (before.Status == pending || !before.ResolvedAt.IsZero() && ts.Sub(before.ResolvedAt) > resolvedRetention) {
			delete(s.alerts, key)
			g.dirty = true
		}
		// What is pending is saved each time: the time that passes until the daemon is started again must not count.
		if a.Status == pending || a.Status != before.Status || !a.KeepFiringSince.Equal(before.KeepFiringSince) {
			g.dirty = true
		}
		if active {
			actives++
			out = append(out, g.series(s.Rule, a, at.Add(-g.Offset))...)
		}
	}
	if g.Limit > 0 && actives > g.Limit { // as Prometheus does: the rule has no alerts then, and nobody is told that they resolved
		clear(s.alerts)
		g.dirty = true
		return nil, fmt.Errorf("exceeded limit of %d with %d alerts", g.Limit, actives)
	}
	return out, nil
}

// instances makes an alert of each element of the vector.
func (g *group) instances(ctx context.Context, s *state, vector []Sample, ts, at time.Time) (map[string]*alert, error) {
	found := make(map[string]*alert, len(vector))
	expand := g.expander(ctx, s.Alert, at)
	for _, sample := range vector {
		expand := expand(sample)
		ls := slices.Clone(sample.Labels).Set(sdk.NameLabel, "")
		for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
			ls = ls.Set(name, expand(s.Labels[name]))
		}
		ls = ls.Set("alertname", s.Alert)
		if found[keyOf(ls)] != nil {
			return nil, errSameAlert
		}
		annotations := make(map[string]string, len(s.Annotations))
		for name, text := range s.Annotations {
			annotations[name] = expand(text)
		}
		found[keyOf(ls)] = &alert{Status: pending, Labels: ls, Annotations: annotations, Value: sample.Value, ActiveAt: ts}
	}
	return found, nil
}

// expander expands the texts of one alert in one evaluation, sample by sample. What cannot be expanded is logged once.
func (g *group) expander(ctx context.Context, name string, at time.Time) func(Sample) func(text string) string {
	e := template.New(ctx, template.Options{
		Name: name, At: at, ExternalURL: g.o.ExternalURL, ExternalLabels: g.o.ExternalLabels,
		Query: func(expr string) (out []template.Sample, err error) {
			vector, err := g.query(ctx, expr, at)
			for _, s := range vector {
				out = append(out, template.Sample{Labels: s.Labels, Value: s.Value})
			}
			return out, err
		},
	})
	reported := false
	return func(s Sample) func(string) string {
		data := e.Data(template.Sample{Labels: s.Labels, Value: s.Value})
		return func(text string) string {
			out, err := e.Expand(text, data)
			if err != nil && !reported {
				reported = true
				g.o.Log.Warn("a template of an alert could not be expanded", "alert", name, "error", err)
			}
			return out
		}
	}
}

// step moves one alert at ts; holds says whether the expression gave it. It reports whether the alert is active.
// This is Prometheus' AlertingRule.Eval (rules/alerting.go), for one alert.
func (a *alert) step(rule Rule, holds bool, ts time.Time) (active bool) {
	if holds {
		a.KeepFiringSince = time.Time{}
	} else {
		keep := false
		if a.Status == firing && rule.KeepFiringFor > 0 {
			if a.KeepFiringSince.IsZero() {
				a.KeepFiringSince = ts
			}
			keep = ts.Sub(a.KeepFiringSince) < rule.KeepFiringFor
		}
		if !keep {
			if a.Status != inactive {
				a.Status, a.ResolvedAt, a.toldAt = inactive, ts, time.Time{}
			}
			return false
		}
	}
	if a.Status == pending && ts.Sub(a.ActiveAt) >= rule.For {
		a.Status, a.FiredAt = firing, ts
	}
	if a.Status == firing && ts.Sub(a.ActiveAt) < rule.For { // the rule has a longer For now
		a.Status = pending
		a.FiredAt, a.toldAt, a.KeepFiringSince = time.Time{}, time.Time{}, time.Time{}
	}
	return true
}

// series gives an active alert's ALERTS and ALERTS_FOR_STATE.
func (g *group) series(rule Rule, a *alert, at time.Time) []Sample {
	var ls sdk.Labels // the rule's labels as written, then the alert's over them, as Prometheus does
	for name, text := range rule.Labels {
		ls = ls.Set(name, text)
	}
	for _, l := range a.Labels {
		ls = ls.Set(l.Name, l.Value)
	}
	state := slices.Clone(ls).Set(sdk.NameLabel, "ALERTS").Set("alertname", rule.Alert).Set("alertstate", a.Status.String())
	since := ls.Set(sdk.NameLabel, "ALERTS_FOR_STATE").Set("alertname", rule.Alert)
	return []Sample{{state, at, 1, nil}, {since, at, float64(g.clock.show(a.ActiveAt).Unix()), nil}}
}

// tell notifies of a rule's alerts that fire or have resolved: at once when they change, then every resendDelay.
func (g *group) tell(s *state, ts time.Time) {
	g.mu.Lock()
	var due []Alert
	for _, a := range s.alerts {
		if a.Status == pending || !a.toldAt.Add(resendDelay).Before(ts) {
			continue
		}
		a.toldAt = ts
		due = append(due, g.outward(s.Rule, a))
	}
	g.mu.Unlock()
	if len(due) > 0 {
		g.o.Notify(due)
	}
}

// tellAll tells what the whole group has to tell without an evaluation.
func (g *group) tellAll(ts time.Time) {
	for _, s := range g.rules {
		g.tell(s, ts)
	}
}

// resolve ends the alerts of a rule that is gone.
func (g *group) resolve(s *state) {
	var ended []Alert
	for _, a := range s.alerts {
		if a.Status == firing {
			a.Status, a.ResolvedAt = inactive, g.clock.now()
			ended = append(ended, g.outward(s.Rule, a))
		}
	}
	if len(ended) > 0 {
		g.o.Notify(ended)
	}
}

// outward is an alert as Notify is told of it.
func (g *group) outward(rule Rule, a *alert) Alert {
	out := Alert{
		Alert: sdk.Alert{
			Status: sdk.Firing, Labels: a.Labels.Map(), Annotations: a.Annotations, Value: a.Value,
			StartsAt: g.clock.show(a.FiredAt), EndsAt: g.clock.show(a.ResolvedAt),
			GeneratorURL: g.o.ExternalURL + "/graph?g0.expr=" + url.QueryEscape(rule.Expr) + "&g0.tab=1",
		},
		Since:    g.clock.show(a.ActiveAt),
		ValidFor: 4 * max(g.Interval, resendDelay),
		Notify:   rule.Notify,
		Diagnose: rule.Diagnose,
	}
	if a.Status == inactive {
		out.Status = sdk.Resolved
	}
	return out
}

func (s *state) snapshot(c *clock) RuleState {
	out := s.stats
	out.Rule = s.Rule
	if s.Alert == "" {
		return out
	}
	worst := inactive
	for _, a := range s.alerts {
		worst = max(worst, a.Status)
		if a.Status == inactive {
			continue
		}
		out.Active = append(out.Active, ActiveAlert{
			State: a.Status.String(), Labels: a.Labels, Annotations: a.Annotations, Value: a.Value,
			ActiveAt: c.show(a.ActiveAt), KeepFiringSince: c.show(a.KeepFiringSince),
		})
	}
	slices.SortFunc(out.Active, func(x, y ActiveAlert) int {
		return cmp.Or(cmp.Compare(y.State, x.State), x.Labels.Compare(y.Labels))
	})
	out.State = worst.String()
	if out.LastEvaluation.IsZero() && worst == inactive {
		out.State = "unknown"
	}
	return out
}
