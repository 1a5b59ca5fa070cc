package rule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/magpie-monitoring/magpie/sdk"
)

// A pair is Prometheus' own rules and this package's, each with a TSDB of its own that is fed the same samples.
type pair struct {
	t      *testing.T
	theirs side
	ours   side
	fails  bool // queries and rules fail now and then
	fail   bool // they fail now

	group     *rules.Group
	mine      *group
	set       *Rules
	told, ask []string // what each side notified in this step
}

type side struct {
	*teststorage.TestStorage
	engine *promql.Engine
}

func newSide(t *testing.T) side {
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: testParser})
	t.Cleanup(func() { engine.Close() })
	return side{teststorage.New(t), engine}
}

var (
	testParser  = parser.NewParser(parser.Options{})
	errInjected = errors.New("injected")
)

func (p *pair) query(s side) rules.QueryFunc {
	ask := rules.EngineQueryFunc(s.engine, s.TestStorage)
	return func(ctx context.Context, q string, at time.Time) (promql.Vector, error) {
		if p.fail {
			return nil, errInjected
		}
		return ask(ctx, q, at)
	}
}

// toResult makes an answer as a store gives it.
func toResult(v promql.Vector) *sdk.Result {
	result := &sdk.Result{Type: sdk.Vector}
	for _, s := range v {
		result.Series = append(result.Series, sdk.ResultSeries{Labels: fromProm(s.Metric), Points: []sdk.Point{{Time: time.UnixMilli(s.T), Value: s.F}}})
	}
	return result
}

func fromProm(ls labels.Labels) (out sdk.Labels) {
	ls.Range(func(l labels.Label) { out = append(out, sdk.Label{Name: l.Name, Value: l.Value}) })
	return out
}

func toProm(ls sdk.Labels) labels.Labels {
	var pairs []string
	for _, l := range ls {
		pairs = append(pairs, l.Name, l.Value)
	}
	return labels.FromStrings(pairs...)
}

func (s side) append(t *testing.T, samples []Sample) {
	t.Helper()
	app := s.Appender(t.Context())
	for _, sample := range samples {
		if _, err := app.Append(0, toProm(sample.Labels), sample.Time.UnixMilli(), sample.Value); err != nil {
			t.Errorf("%v at %v: %v", sample.Labels, sample.Time, err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Error(err)
	}
}

const externalURL = "http://magpie.example:9470/base"

func newPair(t *testing.T) *pair {
	p := &pair{t: t, theirs: newSide(t), ours: newSide(t)}
	ask := p.query(p.ours)
	p.set = New(Options{
		Query: func(ctx context.Context, _, expr string, at time.Time) (*sdk.Result, error) {
			v, err := ask(ctx, expr, at)
			return toResult(v), err
		},
		Write: func(_ context.Context, _ string, samples []Sample) error { p.ours.append(t, samples); return nil },
		Notify: func(alerts []Alert) {
			for _, a := range alerts {
				p.told = append(p.told, fmt.Sprint(a.Status, labels.FromMap(a.Labels), labels.FromMap(a.Annotations), a.StartsAt.UnixMilli(), a.EndsAt.UnixMilli(), a.GeneratorURL))
			}
		},
		Ready:          func(string) error { return nil },
		Load:           func(string) ([]byte, error) { return nil, nil },
		Save:           func(string, []byte) error { return nil },
		ExternalLabels: map[string]string{"site": "fra1"}, ExternalURL: externalURL, Log: hclog.NewNullLogger(),
	})
	return p
}

// use puts a group of rules into both, which take over the state of the one before.
func (p *pair) use(spec Group) {
	var list []rules.Rule
	for i, r := range spec.Rules {
		expr, err := testParser.ParseExpr(r.Expr)
		if err != nil {
			p.t.Fatal(err)
		}
		spec.Rules[i].Expr = expr.String()
		list = append(list, promRule(r, expr))
	}
	u, _ := url.Parse(externalURL)
	group := rules.NewGroup(rules.GroupOptions{
		Name: spec.Name, File: spec.File, Interval: spec.Interval, Rules: list, Limit: spec.Limit, QueryOffset: &spec.Offset,
		Opts: &rules.ManagerOptions{
			Context: p.t.Context(), QueryFunc: p.query(p.theirs), Appendable: p.theirs, Queryable: p.theirs,
			ResendDelay: time.Minute, ExternalURL: u, Logger: slog.New(slog.DiscardHandler),
			NotifyFunc: func(_ context.Context, expr string, alerts ...*rules.Alert) {
				for _, a := range alerts {
					status, ends := sdk.Firing, time.Time{}
					if !a.ResolvedAt.IsZero() {
						status, ends = sdk.Resolved, a.ResolvedAt
					}
					link := externalURL + "/graph?g0.expr=" + url.QueryEscape(expr) + "&g0.tab=1"
					p.ask = append(p.ask, fmt.Sprint(status, a.Labels, a.Annotations, a.FiredAt.UnixMilli(), ends.UnixMilli(), link))
				}
			},
		},
	})
	mine := newGroup(p.set, spec)
	mine.ctx = p.t.Context()
	if p.group != nil {
		group.CopyState(p.group)
		close(p.mine.done)
		follow(alone(p.mine), alone(mine))
	}
	p.group, p.mine = group, mine
}

func alone(g *group) map[string]*group { return map[string]*group{g.key: g} }

func promRule(r Rule, expr parser.Expr) rules.Rule {
	if r.Record != "" {
		return rules.NewRecordingRule(r.Record, expr, labels.FromMap(r.Labels))
	}
	return rules.NewAlertingRule(r.Alert, expr, r.For, r.KeepFiringFor, labels.FromMap(r.Labels), labels.FromMap(r.Annotations),
		labels.FromStrings("site", "fra1"), externalURL, true, slog.New(slog.DiscardHandler))
}

// step evaluates both at ts and compares the states of all alerts, and what was notified.
func (p *pair) step(ts time.Time) {
	p.t.Helper()
	p.told, p.ask = nil, nil
	p.group.Eval(p.t.Context(), p.mine.clock.show(ts))
	p.mine.iterate(ts)
	var theirs, ours []string
	for i, rule := range p.group.Rules() {
		health := string(rule.Health())
		if ar, ok := rule.(*rules.AlertingRule); ok {
			ar.ForEachActiveAlert(func(a *rules.Alert) {
				theirs = append(theirs, fmt.Sprintln(i, health, a.State, a.Labels, a.Annotations, a.Value, ms(a.ActiveAt), ms(a.FiredAt), ms(a.ResolvedAt), ms(a.KeepFiringSince)))
			})
		}
		theirs = append(theirs, fmt.Sprintln(i, health))
	}
	show := func(t time.Time) string { return ms(p.mine.clock.show(t)) }
	for i, s := range p.mine.rules {
		for _, a := range s.alerts {
			ours = append(ours, fmt.Sprintln(i, s.stats.Health, a.Status, toProm(a.Labels), labels.FromMap(a.Annotations), a.Value, show(a.ActiveAt), show(a.FiredAt), show(a.ResolvedAt), show(a.KeepFiringSince)))
		}
		ours = append(ours, fmt.Sprintln(i, s.stats.Health))
	}
	same(p.t, ts, "states", theirs, ours)
	if !p.fails { // with failures the rhythm differs, since this package tells on what fires
		same(p.t, ts, "notified", p.ask, p.told)
	}
}

func ms(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return fmt.Sprint(t.UnixMilli())
}

func same(t *testing.T, ts time.Time, what string, theirs, ours []string) {
	t.Helper()
	slices.Sort(theirs)
	slices.Sort(ours)
	if !slices.Equal(theirs, ours) {
		t.Fatalf("%v at %v differ\nPrometheus:\n%s\nours:\n%s", what, ts, strings.Join(theirs, "\n"), strings.Join(ours, "\n"))
	}
}

// dump is every sample of a TSDB.
func (s side) dump(t *testing.T) (all []string) {
	q, err := s.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			at, v := it.At()
			all = append(all, fmt.Sprintf("%v %d %x", set.At().Labels(), at, math.Float64bits(v)))
		}
	}
	return all
}

// flicker makes samples of series that come and go, and cross thresholds.
func flicker(r *rand.Rand, at time.Time) (samples []Sample) {
	for _, instance := range []string{"a", "b", "c", "d"} {
		for _, job := range []string{"api", "db"} {
			ls := sdk.NewLabels("__name__", "m", "instance", instance, "job", job)
			switch r.IntN(10) {
			case 0:
				samples = append(samples, Sample{ls, at, sdk.StaleNaN, nil})
			case 1:
				samples = append(samples, Sample{ls, at, math.NaN(), nil})
			case 2, 3, 4: // nothing: the last sample goes on for the lookback
			default:
				samples = append(samples, Sample{ls, at, float64(r.IntN(4)), nil})
			}
		}
	}
	return samples
}

func ruleSets() []Group {
	group := func(rules ...Rule) Group {
		return Group{Name: "g", File: "f.hcl", Store: "store.tsdb.main", Interval: 15 * time.Second, Rules: rules}
	}
	annotations := map[string]string{
		"summary": "{{ $labels.instance }} of {{ .Labels.job }} has {{ $value | humanize }} at {{ $externalLabels.site }} {{ $externalURL }}",
		"broken":  "{{ .Nope }}", "unparsed": "{{ if }}", "plain": "no template", "empty": "",
		"others": `{{ range query "sum by (job) (m)" | sortByLabel "job" }}{{ .Labels.job }}={{ .Value }} {{ end }}`,
	}
	limited := group(
		Rule{Record: "job:m:sum", Expr: "sum by (job) (m)", Labels: map[string]string{"kind": "sum"}},
		Rule{Record: "instance:m:max", Expr: "max by (instance) (m) > 0"},
		Rule{Alert: "High", Expr: "m > 1", For: 30 * time.Second, Labels: map[string]string{"severity": "page"}, Annotations: annotations},
		Rule{Alert: "Sticky", Expr: "m == 1", KeepFiringFor: time.Minute, For: 15 * time.Second},
	)
	limited.Limit = 3
	return []Group{
		group(
			Rule{Record: "job:m:sum", Expr: "sum by (job) (m)", Labels: map[string]string{"kind": "sum"}},
			Rule{Alert: "High", Expr: "m > 2", For: 30 * time.Second, Labels: map[string]string{"severity": "page", "who": "{{ $labels.job }}-team", "none": "{{ $labels.nope }}"}, Annotations: annotations},
			Rule{Alert: "Sticky", Expr: "m == 1", KeepFiringFor: time.Minute, For: 15 * time.Second},
			Rule{Alert: "Sum", Expr: "job:m:sum > 6", Labels: map[string]string{"severity": "info"}},
			Rule{Alert: "Known", Expr: `count(ALERTS{alertstate="firing", alertname!="Known"}) > 1`},
		),
		group( // one rule changed, one removed, one new, one moved
			Rule{Alert: "High", Expr: "m > 1", For: 2 * time.Minute, KeepFiringFor: 30 * time.Second, Labels: map[string]string{"severity": "page", "who": "{{ $labels.job }}-team", "none": "{{ $labels.nope }}"}, Annotations: annotations},
			Rule{Record: "job:m:sum", Expr: "sum by (job) (m) > 2", Labels: map[string]string{"kind": "sum"}},
			Rule{Alert: "Absent", Expr: `absent(m{instance="a"})`, For: 15 * time.Second},
			Rule{Alert: "Sum", Expr: "job:m:sum > 6", Labels: map[string]string{"severity": "warning"}},
			Rule{Alert: "Scalar", Expr: "scalar(count(m))"},
		),
		limited,
		group( // errors: duplicate label sets in an alert and in a record, a string result
			Rule{Alert: "Same", Expr: "m > 1", Labels: map[string]string{"instance": "", "job": "all"}},
			Rule{Record: "same", Expr: "m", Labels: map[string]string{"instance": "x"}},
			Rule{Record: "text", Expr: `"text"`},
			Rule{Alert: "High", Expr: "m > 2", For: 30 * time.Second, Labels: map[string]string{"severity": "page", "who": "{{ $labels.job }}-team", "none": "{{ $labels.nope }}"}, Annotations: annotations},
			Rule{Alert: "Sticky", Expr: "m == 1", KeepFiringFor: time.Minute, For: 15 * time.Second},
		),
	}
}

func TestStatesNotificationsAndSeriesAreThoseOfPrometheus(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				p := newPair(t)
				p.fails = seed%2 == 1
				use := func(i int) { // one offset in a run: where it grows, what is written is older than what is there
					set := ruleSets()[i]
					set.Offset = time.Duration(seed%3) * 20 * time.Second
					p.use(set)
				}
				use(0)
				ts := p.mine.firstSlot()
				for step := range 240 {
					time.Sleep(time.Until(ts))
					samples := flicker(r, p.mine.clock.show(ts))
					p.theirs.append(t, samples)
					p.ours.append(t, samples)
					p.fail = p.fails && step%50 > 40 && r.IntN(2) == 0
					if step%40 == 39 {
						sets := len(ruleSets())
						if !p.fails {
							sets-- // the last has errors
						}
						use(r.IntN(sets))
					}
					p.step(ts)
					ts = ts.Add(cmp.Or(time.Duration(r.IntN(30)/28), 1) * p.mine.Interval)
				}
				series := p.ours.dump(t)
				same(t, ts, "series", p.theirs.dump(t), series)
				all := strings.Join(series, "\n")
				for _, want := range []string{`alertstate="firing"`, `alertstate="pending"`, "ALERTS_FOR_STATE", "job:m:sum", fmt.Sprintf("%x", math.Float64bits(sdk.StaleNaN))} {
					if strings.Count(all, want) < 50 {
						t.Errorf("the comparison saw %s only %d times", want, strings.Count(all, want))
					}
				}
			})
		})
	}
}

var _ storage.Storage = side{}
