package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// Rule sets are read unchanged and give what they give under promtool: the same alerts with the same labels and annotations pending and
// firing at the same times, the same recorded series. Series are made for them (rulesets_series_test.go), promtool is asked what they
// give, and magpie test then has to find exactly that; promtool itself, asked again, too.

// differs names alerts that the two engines see differently, with the reason; they are not compared.
var differs = map[string]string{
	"MemberVaries": "In 2.42 the variance of equal values may be a rounding error above 0; since sums are compensated it is 0.",
}

// A promtool test file.
type ruleTestFile struct {
	RuleFiles []string       `yaml:"rule_files"`
	Every     string         `yaml:"evaluation_interval"`
	Order     []string       `yaml:"group_eval_order"`
	Tests     []*ruleTestOne `yaml:"tests"`
}

type ruleTestOne struct {
	Interval string       `yaml:"interval"`
	Series   []fileSeries `yaml:"input_series"`
	Alerts   []*fileAlert `yaml:"alert_rule_test"`
	Exprs    []*fileExpr  `yaml:"promql_expr_test"`
}

type fileSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type fileAlert struct {
	At     string          `yaml:"eval_time"`
	Name   string          `yaml:"alertname"`
	Alerts []expectedAlert `yaml:"exp_alerts"`
}

type expectedAlert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

type fileExpr struct {
	Expr    string           `yaml:"expr"`
	At      string           `yaml:"eval_time"`
	Samples []expectedSample `yaml:"exp_samples"`
}

type expectedSample struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}

// ruleSet is a rule file.
type ruleSet struct {
	path            string
	groups          []string
	alerts, records []string
	exprs           []parser.Expr
}

func readRuleSet(t *testing.T, path string) *ruleSet {
	t.Helper()
	file, errs := rulefmt.ParseFile(path, false, model.UTF8Validation, parser.NewParser(parser.Options{}), nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	s := &ruleSet{path: path}
	for _, g := range file.Groups {
		s.groups = append(s.groups, g.Name)
		for _, r := range g.Rules {
			expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
			if err != nil {
				t.Fatal(err)
			}
			s.exprs = append(s.exprs, expr)
			if r.Record != "" {
				s.records = append(s.records, r.Record)
			} else {
				s.alerts = append(s.alerts, r.Alert)
			}
		}
	}
	s.alerts = slices.DeleteFunc(s.alerts, func(name string) bool { return differs[name] != "" })
	slices.Sort(s.alerts)
	s.alerts = slices.Compact(s.alerts)
	slices.Sort(s.records)
	s.records = slices.Compact(s.records)
	return s
}

// test makes a test file that expects nothing of all that the rules may give. Since version 3 a range does not take the sample that is
// exactly as old as the range is long, and a subquery not the step: samples, steps and evaluations are never that far apart here, so that
// both versions see the same.
func (s *ruleSet) test(seed uint64, minutes int, every string) *ruleTestFile {
	recorded := map[string]bool{}
	for _, name := range s.records {
		recorded[name] = true
	}
	one := &ruleTestOne{Interval: "59s13ms", Series: seriesFor(s.exprs, recorded, seed, minutes)}
	same := fmt.Sprintf("{alertname!~%q}", strings.Join(slices.Sorted(maps.Keys(differs)), "|"))
	for _, at := range []int{6, minutes / 4, minutes/2 + 2, minutes - 2} {
		for _, name := range s.alerts {
			one.Alerts = append(one.Alerts, &fileAlert{At: fmt.Sprint(at, "m"), Name: name})
		}
		for _, name := range slices.Concat([]string{"ALERTS" + same, "ALERTS_FOR_STATE" + same}, s.records) {
			one.Exprs = append(one.Exprs, &fileExpr{Expr: fmt.Sprintf("%[1]s == %[1]s", name), At: fmt.Sprint(at, "m")}) // no test can expect NaN
		}
	}
	return &ruleTestFile{RuleFiles: []string{s.path}, Every: every, Order: s.groups, Tests: []*ruleTestOne{one}}
}

func (f *ruleTestFile) write(t *testing.T, path string) {
	t.Helper()
	b, err := yaml.Marshal(f)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var (
	labelsText = `\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\}`
	gotAlerts  = regexp.MustCompile(`    alertname: (.*), time: (\w+), \n\s*exp:\[\], \n\s*got:\[((?:\n\s*\d+:\n\s*Labels:` + labelsText + `\n\s*Annotations:` + labelsText + `,?)*)`)
	gotAlert   = regexp.MustCompile(`Labels:(` + labelsText + `)\n\s*Annotations:(` + labelsText + `)`)
	gotExpr    = regexp.MustCompile(`    expr: (".*"), time: (\w+),\n\s*exp: nil\n\s*got: (.*)`)
	gotSample  = regexp.MustCompile(`(\S*` + labelsText + `) ([^\s,]+)`)
)

// fill puts what promtool got where nothing was expected. It counts the alerts that fired, each at each time.
func (f *ruleTestFile) fill(t *testing.T, out string) (fired int) {
	t.Helper()
	pairs := func(text string) map[string]string {
		m, err := parser.NewParser(parser.Options{}).ParseMetric(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return m.Map()
	}
	for _, m := range gotAlerts.FindAllStringSubmatch(out, -1) {
		i := slices.IndexFunc(f.Tests[0].Alerts, func(a *fileAlert) bool { return a.Name == m[1] && sameTime(a.At, m[2]) })
		for _, got := range gotAlert.FindAllStringSubmatch(m[3], -1) {
			ls := pairs(got[1])
			delete(ls, "alertname")
			f.Tests[0].Alerts[i].Alerts = append(f.Tests[0].Alerts[i].Alerts, expectedAlert{ls, pairs(got[2])})
			fired++
		}
	}
	for _, m := range gotExpr.FindAllStringSubmatch(out, -1) {
		expr, err := strconv.Unquote(m[1])
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(f.Tests[0].Exprs, func(e *fileExpr) bool { return e.Expr == expr && sameTime(e.At, m[2]) })
		for _, got := range gotSample.FindAllStringSubmatch(m[3], -1) {
			v, err := strconv.ParseFloat(got[2], 64)
			if err != nil {
				t.Fatal(err)
			}
			f.Tests[0].Exprs[i].Samples = append(f.Tests[0].Exprs[i].Samples, expectedSample{got[1], v})
		}
	}
	return fired
}

func sameTime(a, b string) bool {
	x, err := model.ParseDuration(a)
	y, err2 := model.ParseDuration(b)
	return err == nil && err2 == nil && x == y
}

// ruleSetPaths are the project's own rule sets, and those that somebody wants to be compared too.
func ruleSetPaths(t *testing.T) (paths []string) {
	t.Helper()
	for _, pattern := range append([]string{"testdata/rulesets/*.yml"}, filepath.SplitList(os.Getenv("MAGPIE_RULE_SETS"))...) {
		more, err := filepath.Glob(pattern)
		if err != nil || more == nil {
			t.Fatalf("no rule set is %s: %v", pattern, err)
		}
		paths = append(paths, more...)
	}
	return paths
}

// MAGPIE_RULE_SETS names more rule files, as patterns separated by colons. make soak makes more series.
func TestRuleSetsFireAsTheyDoUnderPromtool(t *testing.T) {
	t.Parallel()
	promtool := plugintest.Program(t, "promtool")
	magpieBinary(t)
	seeds, minutes, every := atLength(2, 12), atLength(90, 130), fmt.Sprint(atLength(121, 61), "s")
	for _, path := range ruleSetPaths(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			absolute, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			set := readRuleSet(t, absolute)
			if len(set.alerts)+len(set.records) == 0 {
				t.Skip("SKIPPED: it holds no rules")
			}
			ever, fired, samples := map[string]bool{}, 0, 0
			for seed := range seeds {
				f := set.test(uint64(seed), minutes, every)
				f.compare(t, promtool, seed, &fired)
				for _, a := range f.Tests[0].Alerts {
					if len(a.Alerts) > 0 {
						ever[a.Name] = true
					}
				}
				for _, e := range f.Tests[0].Exprs {
					samples += len(e.Samples)
				}
			}
			t.Logf("%d of %d alerts fired, %d times in all, and %d samples of %d recorded series, of ALERTS and ALERTS_FOR_STATE are equal; never fired: %v",
				len(ever), len(set.alerts), fired, samples, len(set.records), slices.DeleteFunc(set.alerts, func(name string) bool { return ever[name] }))
			if len(ever)*2 < len(set.alerts) {
				t.Errorf("only %v fired: the series are too tame", slices.Sorted(maps.Keys(ever)))
			}
		})
	}
}

// compare asks promtool what the rules give, and both whether they give that.
func (f *ruleTestFile) compare(t *testing.T, promtool string, seed int, fired *int) {
	t.Helper()
	dir := t.TempDir()
	name := fmt.Sprintf("%d_test.yml", seed)
	ask := func() (string, error) {
		cmd := exec.Command(promtool, "test", "rules", name)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	f.write(t, filepath.Join(dir, name))
	out, err := ask()
	if err == nil {
		return // nothing fires, nothing is recorded
	}
	if strings.Contains(out, "    rule: ") {
		t.Errorf("series %d: promtool cannot evaluate the rules: %.2000s", seed, out)
		return
	}
	*fired += f.fill(t, out)
	for i, e := range f.Tests[0].Exprs { // promtool wants what is not there not to be written
		if e.Samples == nil {
			f.Tests[0].Exprs[i] = &fileExpr{Expr: e.Expr, At: e.At, Samples: []expectedSample{}}
		}
	}
	f.write(t, filepath.Join(dir, name))
	if out, err := ask(); err != nil {
		t.Fatalf("series %d: what promtool said was not understood: %.4000s", seed, out)
	}
	stdout, stderr, code := command(t, dir, "test", name)
	if code != 0 {
		t.Errorf("series %d: promtool finds what it expects, and magpie: exit %d\n%.6000s%s", seed, code, stdout, stderr)
	}
}
