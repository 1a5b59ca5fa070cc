package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/daemon/internal/notify"
	"github.com/magpie-monitoring/magpie/daemon/internal/rule"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// ruleCase is one test: rules, series and what is expected of them.
type ruleCase struct {
	name, place string
	groups      []rule.Group
	begin       time.Time
	every       time.Duration // between two evaluations
	spacing     time.Duration // between two values of a series
	series      []inputSeries
	labels      map[string]string // external ones
	url         string
	alerts      []alertCheck
	exprs       []exprCheck

	route       *notify.Route // of what notifiers are told
	inhibitions []notify.Inhibition
	sent        []sentNotification // what they were told when it ran
}

type inputSeries struct {
	labels sdk.Labels
	values []parser.SequenceValue
}

// alertCheck looks at the alerts after the last evaluation up to a time, and at what was sent until then.
type alertCheck struct {
	at    time.Duration
	looks bool // at what was sent since the last check that did
	check func(active []rule.ActiveAlert, since []sentNotification) []failure
}

// exprCheck looks at what an expression gives after all evaluations.
type exprCheck struct {
	at          time.Duration
	place, expr string
	want        []string // as samples are written, sorted
}

var testPromQL = parser.NewParser(parser.Options{})

// readSeries reads a series with its values in Prometheus' notation.
func readSeries(text string) (s inputSeries, err error) {
	ls, values, err := testPromQL.ParseSeriesDesc(text)
	if err != nil {
		return s, err
	}
	for _, v := range values {
		if v.Histogram != nil {
			return s, fmt.Errorf("native histograms are not supported in tests of rules")
		}
	}
	return inputSeries{labelsOf(ls.Map()), values}, nil
}

func labelsOf(m map[string]string) (ls sdk.Labels) {
	for name, value := range m {
		ls = ls.Set(name, value)
	}
	return ls
}

// casesOf are the tests of a configuration.
func casesOf(ctx context.Context, catalogue *client.Catalogue, b *engine.Built) (cases []*ruleCase, err error) {
	read := map[string]bool{} // packs of the same files have the same test files
	for _, t := range b.Desired.Tests {
		for _, pattern := range t.Files {
			paths, err := b.Config.FilesBeside(t.Range.Filename, pattern)
			if err == nil && len(paths) == 0 {
				err = fmt.Errorf("no file matches %s", pattern)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", language.Place(t.Range), err)
			}
			for _, path := range paths {
				if read[path] {
					continue
				}
				read[path] = true
				more, err := readTestFile(ctx, catalogue, b.Config, path)
				if err != nil {
					return nil, err
				}
				cases = append(cases, more...)
			}
		}
		if len(t.Expect) == 0 {
			continue
		}
		name := t.Name
		if t.Pack != "" {
			name = strings.TrimSuffix(t.Pack, ".") + ": " + name
		}
		c := &ruleCase{name: name, place: language.Place(t.Range), groups: groupsFor(b, t.Pack), begin: time.Unix(0, 0).UTC(), every: t.Interval, spacing: t.Interval,
			labels: b.Desired.Settings.ExternalLabels, url: b.Desired.Settings.ExternalURL}
		for line := range strings.Lines(t.Series) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			s, err := readSeries(line)
			if err != nil {
				return nil, fmt.Errorf("%s: the series %s: %w", c.place, line, err)
			}
			c.series = append(c.series, s)
		}
		c.route, c.inhibitions = b.Route()
		for i, e := range t.Expect {
			if err := c.expect(language.Place(t.Expects[i]), e); err != nil {
				return nil, err
			}
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// expect adds what an expect block wants.
func (c *ruleCase) expect(place string, e language.ExpectBlock) error {
	at, err := time.ParseDuration(e.At)
	if err != nil {
		return err
	}
	c.alerts = append(c.alerts, alertCheck{at, e.Notified != nil || e.Notifications != nil, func(active []rule.ActiveAlert, since []sentNotification) []failure {
		return append(expected(place, e, active), expectedSent(place, e, since)...)
	}})
	for _, q := range e.Queries {
		check := exprCheck{at: at, place: place, expr: q.Expr}
		for _, text := range q.Samples {
			s, err := readSeries(text)
			if err == nil && (len(s.values) != 1 || s.values[0].Omitted) {
				err = fmt.Errorf("it is not one value behind its labels: write job:up:sum{job='a'} 1")
			}
			if err != nil {
				return fmt.Errorf("%s: the sample %s: %w", place, text, err)
			}
			check.want = append(check.want, sampleLine(s.labels, s.values[0].Value))
		}
		slices.Sort(check.want)
		c.exprs = append(c.exprs, check)
	}
	return nil
}

// groupsFor are the rules that a test sees: all, or those of the pack that it is in.
func groupsFor(b *engine.Built, pack string) []rule.Group {
	return slices.DeleteFunc(b.Groups(), func(g rule.Group) bool { return !strings.HasPrefix(g.Name, pack) })
}

// expected compares what is active with an expect block.
func expected(place string, e language.ExpectBlock, active []rule.ActiveAlert) (all []failure) {
	names := func(state string) (names []string) {
		for _, a := range active {
			if a.State == state {
				names = append(names, a.Labels.Get("alertname"))
			}
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	for state, want := range map[string][]string{"firing": e.Firing, "pending": e.Pending} {
		if want == nil {
			continue
		}
		slices.Sort(want)
		if got := names(state); !slices.Equal(got, want) {
			all = append(all, failure{place, fmt.Sprintf("at %s these alerts are %s:\n%s", e.At, state, difference(want, got))})
		}
	}
	for _, w := range e.Alerts {
		want := []string{alertLine(w.State, w.Name, w.Labels, w.Annotations)}
		var got []string
		found := false
		for _, a := range active {
			if a.Labels.Get("alertname") == w.Name {
				found = found || a.State == w.State && holds(a.Labels.Map(), w.Labels) && holds(a.Annotations, w.Annotations)
				got = append(got, alertLine(a.State, w.Name, a.Labels.Map(), a.Annotations))
			}
		}
		if !found {
			all = append(all, failure{place, fmt.Sprintf("at %s no such alert is there:\n%s", e.At, difference(want, got))})
		}
	}
	slices.SortFunc(all, func(a, b failure) int { return cmp.Compare(a.Text, b.Text) })
	return all
}

func holds(all, some map[string]string) bool {
	for name, value := range some {
		if strings.TrimSpace(all[name]) != strings.TrimSpace(value) {
			return false
		}
	}
	return true
}

func alertLine(state, name string, labels, annotations map[string]string) string {
	return fmt.Sprintf("%s %s %s %s", state, name, pairsText(labels), pairsText(annotations))
}

func pairsText(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if k != "alertname" {
			parts = append(parts, fmt.Sprintf("%s=%q", k, m[k]))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// difference shows two sorted lists: - is missing, + is too much.
func difference(want, got []string) string {
	var lines []string
	for _, w := range want {
		if i := slices.Index(got, w); i >= 0 {
			lines = append(lines, "  "+w)
			got = slices.Delete(slices.Clone(got), i, i+1)
			continue
		}
		lines = append(lines, "- "+w)
	}
	for _, g := range got {
		lines = append(lines, "+ "+g)
	}
	if lines == nil {
		return "  (none)"
	}
	return strings.Join(lines, "\n")
}

// run evaluates the rules step by step, as promtool does: at each, what the series have until then is there.
func (c *ruleCase) run(ctx context.Context, store *testStore) []failure {
	broken := func(err error) []failure { return []failure{{c.place, err.Error()}} }
	d, err := store.open(ctx)
	if err != nil {
		return broken(err)
	}
	defer d.close()
	told, err := c.tell()
	if err != nil {
		return broken(err)
	}
	defer told.stop()
	groups := slices.Clone(c.groups)
	for i := range groups {
		groups[i].Interval = c.every // how long what is told of an alert holds
	}
	s := rule.Simulate(ctx, rule.Options{
		Notify: told.put,
		Query: func(ctx context.Context, _, expr string, at time.Time) (*sdk.Result, error) {
			return d.query(ctx, expr, at)
		},
		Write:          func(ctx context.Context, _ string, samples []rule.Sample) error { return d.write(ctx, samples) },
		ExternalLabels: c.labels, ExternalURL: c.url,
	}, groups, c.begin)
	slices.SortStableFunc(c.alerts, func(a, b alertCheck) int { return cmp.Compare(a.at, b.at) })
	end := time.Duration(0)
	for _, a := range c.alerts {
		end = max(end, a.at)
	}
	for _, e := range c.exprs {
		end = max(end, e.at)
	}
	var all []failure
	said := map[string]bool{}
	next := 0 // of the values of all series
	for at := time.Duration(0); at <= end; at += c.every {
		if next, err = c.load(ctx, d, next, at); err != nil {
			return broken(err)
		}
		told.clock.MoveTo(c.begin.Add(at))
		var active []rule.ActiveAlert
		for _, g := range s.Eval(c.begin.Add(at)) {
			for _, r := range g.States {
				active = append(active, r.Active...)
				if text := fmt.Sprintf("rule %s of group %s at %s: %s", r.Alert+r.Record, g.Name, at, r.LastError); r.LastError != "" && !said[r.Alert+r.Record+r.LastError] {
					said[r.Alert+r.Record+r.LastError] = true
					all = append(all, failure{c.place, text})
				}
			}
		}
		for _, a := range c.alerts {
			if at <= a.at && a.at < at+c.every {
				var since []sentNotification
				if a.looks {
					since = told.since(a.at)
				}
				all = append(all, a.check(active, since)...)
			}
		}
	}
	c.sent = told.sent
	if _, err = c.load(ctx, d, next, end); err != nil {
		return broken(err)
	}
	for _, e := range c.exprs {
		all = append(all, c.ask(ctx, d, e)...)
	}
	return all
}

// load writes what the series have until a time, in its order.
func (c *ruleCase) load(ctx context.Context, d *testData, next int, until time.Duration) (int, error) {
	var samples []rule.Sample
	for ; time.Duration(next)*c.spacing <= until; next++ {
		more := false
		for _, s := range c.series {
			if next >= len(s.values) {
				continue
			}
			more = true
			if v := s.values[next]; !v.Omitted {
				samples = append(samples, rule.Sample{Labels: s.labels, Time: c.begin.Add(time.Duration(next) * c.spacing), Value: v.Value})
			}
		}
		if !more {
			break
		}
	}
	return next, d.write(ctx, samples)
}

func (c *ruleCase) ask(ctx context.Context, d *testData, e exprCheck) []failure {
	result, err := d.query(ctx, e.expr, c.begin.Add(e.at))
	if err != nil {
		return []failure{{e.place, fmt.Sprintf("%s at %s: %v", e.expr, e.at, err)}}
	}
	var got []string
	for _, s := range result.Series {
		if len(s.Points) > 0 {
			if last := s.Points[len(s.Points)-1]; last.Histogram != nil {
				got = append(got, sampleLine(s.Labels, math.NaN())+" (a native histogram)")
			} else if isNumber(last.Value) {
				got = append(got, sampleLine(s.Labels, last.Value))
			}
		}
	}
	slices.Sort(got)
	if slices.Equal(got, e.want) {
		return nil
	}
	return []failure{{e.place, fmt.Sprintf("%s at %s:\n%s", e.expr, e.at, difference(e.want, got))}}
}

func sampleLine(ls sdk.Labels, v float64) string {
	return fmt.Sprintf("%s %v", ls, v+0) // -0 is 0
}
