package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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
const (
	maxTestFile  = 16 << 20
	maxTestNodes = 1_000_000 // with aliases, a small file can mean a large one
)

// testFile is a test file of promtool.
type testFile struct {
	RuleFiles []placed[string] `yaml:"rule_files"`
	Every     span             `yaml:"evaluation_interval"`
	Order     []string         `yaml:"group_eval_order"`
	Fuzzy     bool             `yaml:"fuzzy_compare"`
	Tests     []placed[fileTest]
}

type fileTest struct {
	Name           string            `yaml:"name"`
	Interval       span              `yaml:"interval"`
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
	At     span   `yaml:"eval_time"`
	Name   string `yaml:"alertname"`
	Alerts []struct {
		Labels      map[string]string `yaml:"exp_labels"`
		Annotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

type fileExpr struct {
	Expr    string `yaml:"expr"`
	At      span   `yaml:"eval_time"`
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

// span is a time as Prometheus writes it.
type span time.Duration

func (s *span) UnmarshalYAML(n *yaml.Node) error {
	d, err := model.ParseDuration(n.Value)
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", n.Line, err)}}
	}
	*s = span(d)
	return nil
}

func (p *placed[T]) UnmarshalYAML(n *yaml.Node) error {
	p.line, p.column = n.Line, n.Column
	return n.Decode(&p.value)
}

// readTestFile reads a test file of promtool and the files of rules that it names: those of a configuration, or nil, where it may be in an archive.
func readTestFile(ctx context.Context, catalogue *client.Catalogue, in *language.Config, path string) ([]*ruleCase, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxTestFile {
		return nil, fmt.Errorf("%s has %d bytes, and a test file has at most %d", path, info.Size(), maxTestFile)
	}
	b, err := in.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := testFile{Every: span(time.Minute)}
	if err := f.decode(path, b); err != nil {
		return nil, err
	}
	if f.Fuzzy {
		return nil, fmt.Errorf("%s: fuzzy_compare is not supported: say what the value is", path)
	}
	groups, err := f.readRules(ctx, catalogue, in, path)
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

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)

// intoType ends what YAML says of a value of another type, with Go's name for that.
var intoType = regexp.MustCompile(` into (\[\]|map\[|cli\.|struct )?(.*)$`)

func plainly(text string) string {
	m := intoType.FindStringSubmatch(text)
	switch {
	case m == nil:
		return text
	case m[1] == "[]":
		m[2] = "a list"
	case m[1] != "":
		m[2] = "a mapping"
	}
	return strings.TrimSuffix(text, m[0]) + ": " + m[2] + " belongs here"
}

// decode reads the fields of a test file. All that is wrong is said with its line.
func (f *testFile) decode(path string, b []byte) error {
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && expanded(&doc, map[*yaml.Node]int{}) > maxTestNodes {
		return fmt.Errorf("%s: a test file has at most %d values, those of aliases counted each time", path, maxTestNodes)
	}
	if err == nil {
		err = doc.Decode(f)
	}
	var wrong []string
	var types *yaml.TypeError
	if errors.As(err, &types) {
		wrong = types.Errors
	} else if err != nil {
		wrong = []string{err.Error()}
	} else {
		unknownFields(&doc, reflect.TypeFor[testFile](), func(n *yaml.Node, what string) {
			wrong = append(wrong, fmt.Sprintf("line %d: %s", n.Line, what))
		})
	}
	for i, text := range wrong {
		place := path + ": "
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			place = path + ":" + m[1] + ": "
		}
		wrong[i] = place + plainly(yamlLine.ReplaceAllString(text, ""))
	}
	if wrong == nil {
		return nil
	}
	return errors.New(strings.Join(wrong, "\n"))
}

// expanded counts the values of a node, those of aliases each time. One that is in itself has too many.
func expanded(n *yaml.Node, known map[*yaml.Node]int) int {
	if count, ok := known[n]; ok {
		return count
	}
	known[n] = maxTestNodes + 1 // until it is counted
	count := 1
	if n.Alias != nil {
		count = expanded(n.Alias, known)
	}
	for _, e := range n.Content {
		count = min(count+expanded(e, known), maxTestNodes+1)
	}
	known[n] = count
	return count
}

// unknownFields finds the fields of mappings that the type that they are read into does not have.
func unknownFields(n *yaml.Node, t reflect.Type, found func(n *yaml.Node, what string)) {
	if t.Kind() == reflect.Struct && n.Kind != yaml.DocumentNode {
		if value, isPlaced := t.FieldByName("value"); isPlaced {
			unknownFields(n, value.Type, found)
			return
		}
	}
	switch {
	case n.Kind == yaml.DocumentNode:
		unknownFields(n.Content[0], t, found)
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, e := range n.Content {
			unknownFields(e, t.Elem(), found)
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		fields, names := map[string]reflect.Type{}, []string{}
		for i := range t.NumField() {
			name := cmp.Or(t.Field(i).Tag.Get("yaml"), strings.ToLower(t.Field(i).Name))
			fields[name], names = t.Field(i).Type, append(names, name)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if inner, known := fields[key.Value]; known {
				unknownFields(n.Content[i+1], inner, found)
			} else if key.ShortTag() != "!!merge" {
				hint := language.DidYouMean(key.Value, names)
				if hint == "" {
					hint = " There are " + strings.Join(names, ", ") + "."
				}
				found(key, fmt.Sprintf("%q is not a field here.%s", key.Value, hint))
			}
		}
	}
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
func (f *testFile) readRules(ctx context.Context, catalogue *client.Catalogue, in *language.Config, path string) ([]rule.Group, error) {
	sources := []language.Source{{}}
	patterns := []string{}
	for _, x := range f.RuleFiles {
		patterns = append(patterns, strings.NewReplacer("${", "$${", "%{", "%%{").Replace(x.value))
		names, err := in.FilesBeside(path, x.value)
		if err == nil && len(names) == 0 {
			err = fmt.Errorf("no file matches %s", x.value)
		}
		for _, name := range names {
			if err == nil && !language.IsRuleFile(name) {
				err = fmt.Errorf("the name of a rule file ends in .yml, .yaml or .rules, and that of %s does not", name)
			}
			var b []byte
			if err == nil {
				b, err = in.ReadFile(name)
				sources = append(sources, language.Source{Name: name, Bytes: b})
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d:%d: %w", path, x.line, x.column, err)
		}
	}
	config, err := json.Marshal(map[string]any{"store": map[string]any{"tsdb": map[string]any{"test": struct{}{}}}, "rules": map[string]any{"files": map[string]any{"files": patterns}}})
	if err != nil {
		return nil, err
	}
	sources[0] = language.Source{Name: filepath.Join(filepath.Dir(path), "rule_files.json"), Bytes: config}
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
