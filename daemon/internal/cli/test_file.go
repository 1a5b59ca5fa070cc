package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/daemon/internal/rule"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// maxTestFile bounds a test file: a mistaken path must not fill the memory.
const maxTestFile = 16 << 20

// testFile is a test file of promtool.
type testFile struct {
	RuleFiles []string       `yaml:"rule_files"`
	Every     model.Duration `yaml:"evaluation_interval"`
	Order     []string       `yaml:"group_eval_order"`
	Fuzzy     bool           `yaml:"fuzzy_compare"`
	Tests     []placed[fileTest]
}

type fileTest struct {
	Name           string            `yaml:"name"`
	Interval       model.Duration    `yaml:"interval"`
	Series         []fileSeries      `yaml:"input_series"`
	ExternalLabels map[string]string `yaml:"external_labels"`
	ExternalURL    string            `yaml:"external_url"`
	Start          string            `yaml:"start_timestamp"`

	Alerts []placed[fileAlert] `yaml:"alert_rule_test"`
	Exprs  []placed[fileExpr]  `yaml:"promql_expr_test"`
}

type fileSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type fileAlert struct {
	At     model.Duration `yaml:"eval_time"`
	Name   string         `yaml:"alertname"`
	Alerts []struct {
		Labels      map[string]string `yaml:"exp_labels"`
		Annotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

type fileExpr struct {
	Expr    string         `yaml:"expr"`
	At      model.Duration `yaml:"eval_time"`
	Samples []struct {
		Labels    string  `yaml:"labels"`
		Value     float64 `yaml:"value"`
		Histogram string  `yaml:"histogram"`
	} `yaml:"exp_samples"`
}

// placed is a value of a file with the place where it stands.
type placed[T any] struct {
	value        T
	line, column int
}

func (p *placed[T]) UnmarshalYAML(n *yaml.Node) error {
	p.line, p.column = n.Line, n.Column
	text, err := yaml.Marshal(n)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&p.value); err != nil {
		return fmt.Errorf("in what begins at line %d: %w", n.Line, err)
	}
	return nil
}

// readTestFile reads a test file of promtool and the files of rules that it names.
func readTestFile(ctx context.Context, catalogue *client.Catalogue, path string) ([]*ruleCase, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxTestFile {
		err = fmt.Errorf("%s has %d bytes, and a test file has at most %d", path, info.Size(), maxTestFile)
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := testFile{Every: model.Duration(time.Minute)}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.Fuzzy {
		return nil, fmt.Errorf("%s: fuzzy_compare is not supported: say what the value is", path)
	}
	groups, err := f.readRules(ctx, catalogue, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var cases []*ruleCase
	for i, t := range f.Tests {
		c, err := f.caseOf(path, i, t)
		if err != nil {
			return nil, err
		}
		c.groups = groups
		cases = append(cases, c)
	}
	return cases, nil
}

func (f *testFile) caseOf(path string, i int, t placed[fileTest]) (*ruleCase, error) {
	at := func(line, column int) string { return fmt.Sprintf("%s:%d:%d", path, line, column) }
	c := &ruleCase{
		name: t.value.Name, place: at(t.line, t.column), begin: time.Unix(0, 0).UTC(), every: time.Duration(f.Every), spacing: time.Duration(t.value.Interval),
		labels: t.value.ExternalLabels, url: t.value.ExternalURL,
	}
	if c.name == "" {
		c.name = fmt.Sprintf("test %d", i+1)
	}
	if c.spacing == 0 {
		c.spacing = c.every
	}
	if t.value.Start != "" {
		return nil, fmt.Errorf("%s: start_timestamp is not supported: tests begin at time 0", c.place)
	}
	for _, s := range t.value.Series {
		in, err := readSeries(s.Series + " " + s.Values)
		if err != nil {
			return nil, fmt.Errorf("%s: the series %s: %w", c.place, s.Series, err)
		}
		c.series = append(c.series, in)
	}
	for _, a := range t.value.Alerts {
		if a.value.Name == "" {
			return nil, fmt.Errorf("%s: alertname is missing", at(a.line, a.column))
		}
		c.alerts = append(c.alerts, alertCheck{time.Duration(a.value.At), false, func(active []rule.ActiveAlert, _ []sentNotification) []failure {
			return a.value.check(at(a.line, a.column), active)
		}})
	}
	for _, e := range t.value.Exprs {
		check := exprCheck{at: time.Duration(e.value.At), place: at(e.line, e.column), expr: e.value.Expr}
		for _, s := range e.value.Samples {
			if s.Histogram != "" {
				return nil, fmt.Errorf("%s: native histograms are not supported in tests of rules", check.place)
			}
			ls, err := testPromQL.ParseMetric(s.Labels)
			if err != nil {
				return nil, fmt.Errorf("%s: the labels %s: %w", check.place, s.Labels, err)
			}
			check.want = append(check.want, sampleLine(labelsOf(ls.Map()), s.Value))
		}
		slices.Sort(check.want)
		c.exprs = append(c.exprs, check)
	}
	return c, nil
}

// check compares the alerts of a name that fire: exactly these, with exactly these labels and annotations.
func (a *fileAlert) check(place string, active []rule.ActiveAlert) []failure {
	var want, got []string
	for _, x := range a.Alerts {
		want = append(want, alertLine("firing", a.Name, x.Labels, x.Annotations))
	}
	for _, x := range active {
		if x.State == "firing" && x.Labels.Get("alertname") == a.Name {
			got = append(got, alertLine("firing", a.Name, x.Labels.Map(), x.Annotations))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if slices.Equal(want, got) {
		return nil
	}
	return []failure{{place, fmt.Sprintf("at %s these alerts are firing:\n%s", time.Duration(a.At), difference(want, got))}}
}

// readRules reads the rules by the reader of rules blocks, as a configuration that names the files. A file with mistakes is an error that
// says them with their places.
func (f *testFile) readRules(ctx context.Context, catalogue *client.Catalogue, dir string) ([]rule.Group, error) {
	sources := []language.Source{{}}
	patterns := []string{}
	for _, pattern := range f.RuleFiles {
		patterns = append(patterns, strings.NewReplacer("${", "$${", "%{", "%%{").Replace(pattern))
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(dir, pattern)
		}
		paths, err := filepath.Glob(pattern)
		if err == nil && len(paths) == 0 {
			err = fmt.Errorf("no file matches %s in rule_files", pattern)
		}
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if !language.IsRuleFile(path) {
				return nil, fmt.Errorf("the name of a rule file ends in .yml, .yaml or .rules, and that of %s does not", path)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			sources = append(sources, language.Source{Name: path, Bytes: b})
		}
	}
	config, err := json.Marshal(map[string]any{"store": map[string]any{"tsdb": map[string]any{"test": struct{}{}}}, "rules": map[string]any{"files": map[string]any{"files": patterns}}})
	if err != nil {
		return nil, err
	}
	sources[0] = language.Source{Name: filepath.Join(dir, "rule_files.json"), Bytes: config}
	built, err := engine.Build(ctx, catalogue, sources, nil, true)
	if err != nil {
		return nil, err
	}
	if built.Diags.HasErrors() {
		var b strings.Builder
		language.WriteDiagnostics(&b, built.Config, built.Diags, false)
		return nil, fmt.Errorf("the rules are invalid:\n%s", strings.TrimSpace(b.String()))
	}
	return f.ordered(built.Groups()), nil
}

// ordered are the groups in the order of the files, but for those that are to come in another.
func (f *testFile) ordered(groups []rule.Group) []rule.Group {
	order := func(g rule.Group) int {
		if i := slices.Index(f.Order, g.Name); i >= 0 {
			return i
		}
		return len(f.Order)
	}
	slices.SortStableFunc(groups, func(a, b rule.Group) int { return order(a) - order(b) })
	return groups
}
