package main

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Series for rules that nobody wrote tests for: what their expressions select, with values that cross thresholds now and then. The same
// seed makes the same series.

// seriesFor makes series for the metrics that the expressions select: for each way that a metric is selected, three instances.
func seriesFor(exprs []parser.Expr, recorded map[string]bool, seed uint64, minutes int) []fileSeries {
	selected := map[string][]labels.Labels{}
	for _, expr := range exprs {
		grouped := groupedBy(expr)
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			v, ok := n.(*parser.VectorSelector)
			if ok && v.Name != "" && !recorded[v.Name] && v.Name != "ALERTS" {
				selected[v.Name] = append(selected[v.Name], labelsFor(v.LabelMatchers, grouped, seed))
			}
			return nil
		})
	}
	values := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(selected)) {
		for _, ls := range selected[name] {
			for _, instance := range []string{"a", "b", "c"} {
				one := labels.NewBuilder(ls).Set("__name__", name)
				if ls.Get("instance") == "" {
					one.Set("instance", instance+":9100")
				}
				addSeries(values, one, seed, minutes)
			}
		}
	}
	var all []fileSeries
	for _, s := range slices.Sorted(maps.Keys(values)) {
		all = append(all, fileSeries{s, values[s]})
	}
	return all
}

// addSeries adds one series, or the buckets of one.
func addSeries(values map[string]string, b *labels.Builder, seed uint64, minutes int) {
	r := rand.New(rand.NewPCG(seed, sum(b.Labels().String())))
	if !strings.HasSuffix(b.Get("__name__"), "_bucket") {
		values[b.Labels().String()] = "_ " + valuesOf(r, minutes)
		return
	}
	rate, slow := r.IntN(50), r.IntN(4)
	for i, le := range []string{"0.01", "0.1", "1", "10", "+Inf"} {
		b.Set("le", le)
		values[b.Labels().String()] = fmt.Sprintf("_ 0+%dx%d", rate*min(i+1, 5-slow)+slow*i, minutes)
	}
}

func sum(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// valuesOf makes the values of a series: constant, growing, falling, changing at a time, missing for a while, starting again.
func valuesOf(r *rand.Rand, minutes int) string {
	number := func() float64 {
		return []float64{0, 0, 1, 1, 1, 2, 5, 0.01, 0.5, 100, 1000, 1e5, 1e7, 1e9, 1e11}[r.IntN(15)]
	}
	text := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	a, b, half := text(number()), text(number()), minutes/2
	at := 3 + r.IntN(minutes-6)
	switch r.IntN(9) {
	case 0, 1, 2:
		return fmt.Sprintf("%sx%d", a, minutes)
	case 3:
		return fmt.Sprintf("0+%sx%d", a, minutes)
	case 4:
		return fmt.Sprintf("%s-%sx%d", text(number()*1000), a, minutes)
	case 5:
		return fmt.Sprintf("%sx%d %sx%d", a, at, b, minutes-at-1)
	case 6:
		return fmt.Sprintf("%sx%d _x%d %sx%d", a, at/2, at/2, b, minutes-at)
	case 7:
		return fmt.Sprintf("0+%sx%d 0+%sx%d", a, half, b, half)
	}
	return fmt.Sprintf("%sx%d stale _x3 %sx%d", a, at, b, minutes-at)
}

// groupedBy are the labels that an expression joins, groups or rewrites by.
func groupedBy(expr parser.Expr) map[string]bool {
	names := map[string]bool{}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			if !n.Without {
				for _, name := range n.Grouping {
					names[name] = true
				}
			}
		case *parser.BinaryExpr:
			if n.VectorMatching != nil && n.VectorMatching.On {
				for _, name := range n.VectorMatching.MatchingLabels {
					names[name] = true
				}
			}
			if n.VectorMatching != nil {
				for _, name := range n.VectorMatching.Include {
					names[name] = true
				}
			}
		}
		return nil
	})
	return names
}

// labelsFor gives labels that matchers select, and a value to each label that is grouped by: one, so that joins have one partner.
func labelsFor(matchers []*labels.Matcher, grouped map[string]bool, seed uint64) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for name := range grouped {
		b.Set(name, name+"0")
	}
	b.Del("instance")
	b.Del("le")
	for _, m := range matchers {
		for _, value := range slices.Concat([]string{b.Get(m.Name)}, matching(m, seed), []string{"x0", "eth0", "0", ""}) {
			fits := func(other *labels.Matcher) bool { return other.Name != m.Name || other.Matches(value) }
			if m.Name != "__name__" && !slices.ContainsFunc(matchers, func(o *labels.Matcher) bool { return !fits(o) }) {
				b.Set(m.Name, value)
				break
			}
		}
	}
	b.Del("__name__")
	return b.Labels()
}

// matching are values that a matcher may take: of a regular expression some texts, of which the seed chooses the first.
func matching(m *labels.Matcher, seed uint64) []string {
	switch m.Type {
	case labels.MatchEqual:
		return []string{m.Value}
	case labels.MatchRegexp:
		re, err := syntax.Parse(m.Value, syntax.Perl)
		if err != nil {
			return nil
		}
		all := textsOf(re)
		at := int(seed % uint64(len(all)))
		return slices.Concat(all[at:], all[:at])
	}
	return nil
}

// textsOf are some texts that a regular expression takes.
func textsOf(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}
	case syntax.OpCharClass:
		return []string{string(re.Rune[0])}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"x"}
	case syntax.OpCapture, syntax.OpPlus:
		return textsOf(re.Sub[0])
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			all = append(all, textsOf(sub)...)
		}
		return all
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			var longer []string
			for _, begin := range all {
				for _, end := range textsOf(sub) {
					longer = append(longer, begin+end)
				}
			}
			all = longer[:min(len(longer), 8)]
		}
		return all
	}
	return []string{""}
}
