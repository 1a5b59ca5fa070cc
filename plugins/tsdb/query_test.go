package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestAMistakeInAnExpressionHasItsPlace(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	for _, c := range []struct{ expr, at, text string }{
		{`sum(up`, ``, `unclosed left parenthesis`},
		{`up + `, ``, `unexpected end of input`},
		{`rate(up)`, `up`, `expected type range vector in call to function "rate", got instant vector`},
		{`up{job="a}`, `"a}`, `unterminated quoted string`},
		{`sum by (job) (up) foo`, `foo`, `unexpected identifier "foo"`},
		{`up[5x]`, `5x]`, `bad number or duration syntax: "5"`},
		{`nosuch(up)`, `nosuch`, `unknown function with name "nosuch"`},
		{`{}`, `{}`, `vector selector must contain at least one non-empty matcher`},
		{`up > ü`, `ü`, `unexpected character: 'ü'`},
		{``, ``, `no expression found in input`},
	} {
		err := o.Component.CheckQuery(t.Context(), o.Number, c.expr)
		var m *sdk.QueryError
		if !errors.As(err, &m) {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if got := c.expr[m.Start:m.End]; got != c.at || !strings.Contains(m.Text, c.text) {
			t.Errorf("%s: %q at %d to %d, %q; want %q at %q", c.expr, m.Text, m.Start, m.End, got, c.text, c.at)
		}
		_, err = o.Component.Query(t.Context(), o.Number, sdk.Query{Expr: c.expr, Start: time.Now()})
		var q *sdk.QueryError
		if !errors.As(err, &q) || *q != *m {
			t.Errorf("%s: the query says %v, the check %v", c.expr, err, m)
		}
	}
	for _, expr := range []string{`up`, `sum by (job) (rate(x_total[5m])) > 0`, `{"dotted.name", "a.b"="c"}`, `-1`, `"text"`} {
		if err := o.Component.CheckQuery(t.Context(), o.Number, expr); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func TestAnExpressionTooLongOrTooDeepIsRefusedInNoTime(t *testing.T) {
	t.Parallel()
	s := openDirectly(t, &Config{WALCompression: "none"})
	deep := func(n int) map[string]string {
		return map[string]string{
			"parentheses": strings.Repeat("(", n) + "1" + strings.Repeat(")", n),
			"open":        strings.Repeat("(", n),
			"signs":       strings.Repeat("-", n) + "up",
			"a sum":       "1" + strings.Repeat("+1", n),
			"words":       "up" + strings.Repeat(" or up", n),
			"calls":       strings.Repeat("abs(", n) + "up" + strings.Repeat(")", n),
			"aggregation": strings.Repeat("sum(", n) + "up" + strings.Repeat(")", n),
		}
	}
	for name, expr := range deep(maxNesting / 2) {
		if _, err := s.Query(t.Context(), sdk.Query{Expr: expr, Start: time.Now()}); err != nil && name != "open" {
			t.Errorf("%s: %v", name, err)
		}
	}
	var m *sdk.QueryError
	for name, expr := range deep(maxNesting + 1) {
		if err := s.CheckQuery(expr); !errors.As(err, &m) || !strings.Contains(m.Text, "operators") {
			t.Errorf("check %s: %v", name, err)
		}
		if _, err := s.Query(t.Context(), sdk.Query{Expr: expr}); !errors.As(err, &m) || !strings.Contains(m.Text, "operators") {
			t.Errorf("query %s: %v", name, err)
		}
	}
	if err := s.CheckQuery(strings.Repeat("(", 4<<20)); !errors.As(err, &m) || m.Start != maxExpr || !strings.Contains(m.Text, "128 KiB") {
		t.Errorf("4 MiB: %v", err)
	}
	alternatives := `up{host=~"` + strings.Repeat("host-(a|b)+|", 8000) + `"}`
	if err := s.CheckQuery(alternatives); err != nil {
		t.Errorf("a long string: %v", err)
	}
}

func TestResultsHaveTheShapesOfPrometheus(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	at := time.Now().Truncate(time.Second)
	b := o.Batch()
	ref := b.Define(series("c_total", "job", "a"))
	for i := range 5 {
		b.PutAt(ref, float64(i*10), at.Add(time.Duration(i-4)*15*time.Second))
	}
	o.written(5, map[string]uint64{})
	for _, c := range []struct {
		q    sdk.Query
		kind sdk.ResultType
		want string
	}{
		{sdk.Query{Expr: `c_total`, Start: at}, sdk.Vector, `[{c_total{job="a"} [40]}]`},
		{sdk.Query{Expr: `c_total[31s]`, Start: at}, sdk.Matrix, `[{c_total{job="a"} [20 30 40]}]`},
		{sdk.Query{Expr: `c_total`, Start: at.Add(-time.Minute), End: at, Step: 30 * time.Second}, sdk.Matrix, `[{c_total{job="a"} [0 20 40]}]`},
		{sdk.Query{Expr: `rate(c_total[1m])`, Start: at}, sdk.Vector, `[{{job="a"} [0.6666666666666666]}]`},
		{sdk.Query{Expr: `1 + 1`, Start: at}, sdk.Scalar, `[{ [2]}]`},
		{sdk.Query{Expr: `2`, Start: at.Add(-time.Minute), End: at, Step: time.Minute}, sdk.Matrix, `[{ [2 2]}]`},
		{sdk.Query{Expr: `nothing`, Start: at}, sdk.Vector, `[]`},
		{sdk.Query{Expr: `"text"`, Start: at}, sdk.String, `[]text`},
	} {
		r, err := o.Component.Query(t.Context(), o.Number, c.q)
		if err != nil {
			t.Errorf("%s: %v", c.q.Expr, err)
			continue
		}
		type line struct {
			labels string
			values []float64
		}
		lines := []line{}
		for _, s := range r.Series {
			l := line{labels: s.Labels.String()}
			for _, p := range s.Points {
				l.values = append(l.values, p.Value)
			}
			lines = append(lines, l)
		}
		if got := fmt.Sprint(lines) + r.Text; r.Type != c.kind || got != c.want {
			t.Errorf("%s: %s %s, want %s %s", c.q.Expr, r.Type, got, c.kind, c.want)
		}
	}
}

func TestTheEnginesRemarksComeWithTheResult(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	ref := b.Define(series("g"))
	b.PutAt(ref, 1, now.Add(-10*time.Second))
	b.PutAt(ref, 2, now)
	o.written(2, map[string]uint64{})
	r, err := o.Component.Query(t.Context(), o.Number, sdk.Query{Expr: `rate(g[1m])`, Start: now})
	if err != nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "might not be a counter") {
		t.Errorf("%v, %v", r, err)
	}
}

func TestNativeHistogramsAreInAResult(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	b.PutHistogramAt(b.Define(series("h")), observed(3), now)
	o.written(1, map[string]uint64{})
	for _, expr := range []string{`h`, `h[1m]`, `h - 2 * h`, `histogram_count(h)`} {
		r, err := o.Component.Query(t.Context(), o.Number, sdk.Query{Expr: expr, Start: now})
		if err != nil {
			t.Fatal(err)
		}
		if expr == `h - 2 * h` {
			if len(r.Series) != 0 || len(r.Warnings) != 1 {
				t.Errorf("%s: %v", expr, r)
			}
			continue
		}
		if len(r.Series) != 1 || len(r.Series[0].Points) != 1 {
			t.Errorf("%s: %v", expr, r)
			continue
		}
		got := r.Series[0].Points[0]
		if expr == `histogram_count(h)` {
			if got.Histogram != nil || got.Value != 12 {
				t.Errorf("%s: %+v", expr, got)
			}
		} else if got.Histogram == nil || got.Histogram.Count != 12 || got.Histogram.Sum != 60 || got.Histogram.Positive[0] != 3 || !got.Time.Equal(now) {
			t.Errorf("%s: %+v", expr, got)
		}
	}
}

func TestQueriesAreBounded(t *testing.T) {
	t.Parallel()
	s := openDirectly(t, &Config{WALCompression: "none", Query: &QueryLimits{Timeout: time.Minute, MaxConcurrent: 1, MaxSamples: 1000, MaxSeries: 10, Lookback: time.Minute}})
	f := newFleet(1, 2000)
	f.next()
	if err := s.Write(t.Context(), sdk.ReadBatch(1, f.runs)); err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(f.at)
	var p *sdk.Problem
	if _, err := s.Query(t.Context(), sdk.Query{Expr: `{job="bench"}`, Start: at}); !errors.As(err, &p) || !p.Permanent || !strings.Contains(p.Fix, "max_samples") {
		t.Errorf("too many samples: %v", err)
	}
	if r, err := s.Query(t.Context(), sdk.Query{Expr: `bench_metric_1_total`, Start: at.Add(2 * time.Minute)}); err != nil || len(r.Series) != 0 {
		t.Errorf("behind the lookback: %v, %v", r, err)
	}
	s.front.Load().engineSlots <- struct{}{} // as a query that runs
	if _, err := s.Query(t.Context(), sdk.Query{Expr: `up`, Start: at, Timeout: 50 * time.Millisecond}); !errors.As(err, &p) || !strings.Contains(err.Error(), "max_concurrent") {
		t.Errorf("no free slot: %v", err)
	}
	<-s.front.Load().engineSlots
	for name, q := range map[string]sdk.Query{
		"a step of a nanosecond":  {Expr: "1", Start: at, End: at.Add(time.Hour), Step: 1},
		"an end before its start": {Expr: "1", Start: at, End: at.Add(-time.Hour), Step: time.Second},
		"too many points":         {Expr: "1", Start: at, End: at.Add(time.Hour), Step: time.Millisecond},
	} {
		if _, err := s.Query(t.Context(), q); !errors.As(err, &p) || !p.Permanent {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Query(ctx, sdk.Query{Expr: "up", Start: at}); err == nil {
		t.Error("a query of a caller that is gone was answered")
	}
}

func TestLimitsChangeInPlace(t *testing.T) {
	t.Parallel()
	o := openStore(t, plugintest.Config{"query": plugintest.Config{"max_samples": 10}})
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	for i := range 20 {
		b.PutAt(b.Define(series("m", "i", fmt.Sprint(i))), 1, now)
	}
	o.written(20, map[string]uint64{})
	q := sdk.Query{Expr: "m", Start: now}
	if _, err := o.Component.Query(t.Context(), o.Number, q); err == nil {
		t.Error("20 series were answered with max_samples = 10")
	}
	if err := o.Component.Reconfigure(t.Context(), o.Number, []byte(`{"query": {"max_samples": 100}}`)); err != nil {
		t.Fatal(err)
	}
	if r, err := o.Component.Query(t.Context(), o.Number, q); err != nil || len(r.Series) != 20 {
		t.Errorf("with max_samples = 100: %v, %v", r, err)
	}
}

func FuzzCheckQuery(f *testing.F) {
	for _, expr := range []string{`up`, `sum(rate(x{a=~"b|c"}[5m] offset 1h)) by (d) / on (e) group_left f @ end()`, `{"ü"="\u00fc"}`, "up #x\n+", `((((`, "\xff"} {
		f.Add(expr)
	}
	s := &store{}
	f.Fuzz(func(t *testing.T, expr string) {
		err := s.CheckQuery(expr)
		var m *sdk.QueryError
		switch {
		case err == nil:
		case !errors.As(err, &m):
			t.Errorf("%q: %v has no place", expr, err)
		case m.Start < 0 || m.End < m.Start || m.End > len(expr) || m.Text == "":
			t.Errorf("%q: %+v", expr, m)
		}
	})
}
