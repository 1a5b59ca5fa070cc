package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

var capability = sdk.Processor(open)

// mapped sends series through a processor: a line each, "dropped" among them.
func mapped(t *testing.T, cfg plugintest.Config, series ...sdk.Labels) (lines []string) {
	t.Helper()
	c := plugintest.Open(t, capability, cfg)
	out, err := c.MapSeries(t.Context(), c.Number, series)
	if err != nil {
		t.Fatal(err)
	}
	for _, ls := range out {
		if ls == nil {
			lines = append(lines, "dropped")
		} else {
			lines = append(lines, ls.String())
		}
	}
	return lines
}

func named(names ...string) (series []sdk.Labels) {
	for _, n := range names {
		series = append(series, sdk.NewLabels("__name__", n))
	}
	return series
}

func TestKeepAndDropMatchTheWholeName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  plugintest.Config
		want string
	}{
		{plugintest.Config{}, "up go_info go_x xgo_x"},
		{plugintest.Config{"drop": []string{"go_.*"}}, "up dropped dropped xgo_x"},
		{plugintest.Config{"drop": []string{"go_info|up", "xgo"}}, "dropped dropped go_x xgo_x"},
		{plugintest.Config{"keep": []string{"up", "go_.*"}}, "up go_info go_x dropped"},
		{plugintest.Config{"keep": []string{"go_.*"}, "drop": []string{".*_info"}}, "dropped dropped go_x dropped"},
		{plugintest.Config{"keep": []string{"(.*)"}}, "up go_info go_x xgo_x"},
		{plugintest.Config{"drop": []string{"(.*)"}}, "dropped dropped dropped dropped"},
	} {
		if got := strings.Join(mapped(t, c.cfg, named("up", "go_info", "go_x", "xgo_x")...), " "); got != c.want {
			t.Errorf("%v: got %q, want %q", c.cfg, got, c.want)
		}
	}
}

func TestRulesSeeWhatKeepAndDropLeave(t *testing.T) {
	t.Parallel()
	cfg := plugintest.Config{
		"drop": []string{"a"},
		"rule": []plugintest.Config{
			{"source_labels": []string{"__name__"}, "regex": "b", "target_label": "__name__", "replacement": "a"},
			{"source_labels": []string{"job"}, "target_label": "team"},
		},
	}
	got := mapped(t, cfg, sdk.NewLabels("__name__", "a"), sdk.NewLabels("__name__", "b", "job", "db"))
	if want := []string{"dropped", `a{job="db", team="db"}`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsNoSeriesAnyMoreIsDropped(t *testing.T) {
	t.Parallel()
	for why, rule := range map[string]plugintest.Config{
		"no metric name":  {"action": "labelkeep", "regex": "job"},
		"no label name":   {"action": "labelmap", "regex": "j(x?)ob", "replacement": "$1"},
		"a long name":     {"target_label": strings.Repeat("x", 1025), "replacement": "y"},
		"a long value":    {"target_label": "x", "replacement": strings.Repeat("y", 65537)},
		"no name of many": {"action": "labeldrop", "regex": "__name.*|instance"},
	} {
		cfg := plugintest.Config{"rule": []plugintest.Config{rule}}
		if got := mapped(t, cfg, sdk.NewLabels("__name__", "a", "job", "x"), sdk.NewLabels("__name__", "b", "job", "y")); !slices.Equal(got, []string{"dropped", "dropped"}) {
			t.Errorf("%s: got %q", why, got)
		}
	}
}

func TestMistakesLeadToTheirAttribute(t *testing.T) {
	t.Parallel()
	for path, cfg := range map[string]plugintest.Config{
		"drop[1]":              {"drop": []string{"a", "("}},
		"keep[0]":              {"keep": []string{"a)|(b"}},
		"rule[1].target_label": {"rule": []plugintest.Config{{"target_label": "a"}, {"source_labels": []string{"b"}}}},
	} {
		_, err := plugintest.TryOpen(t, capability, cfg)
		if p := sdk.AsProblem(err); p == nil || p.Path.String() != path || p.Blame != sdk.BlameConfig {
			t.Errorf("%v: %+v does not lead to %s", cfg, p, path)
		}
	}
}

func TestAProcessorThatChangesNothingIsWarnedOf(t *testing.T) {
	t.Parallel()
	diags := plugintest.Validate(t, capability, plugintest.Config{})
	if len(diags) != 1 || !diags[0].Warning || diags[0].Path != nil {
		t.Errorf("%+v", diags)
	}
}

func FuzzTheAnswerIsTheSameTwiceAndCanBeStored(f *testing.F) {
	f.Add("__name__", "(.*)", "$1_x", "__name__", "replace", "up", "a")
	f.Add("a", "(.)(.*)", "$2", "${1}", "labelmap", "m", "bc")
	f.Add("a", "a", "", "a", "hashmod", "m", "bc")
	f.Fuzz(func(t *testing.T, source, regex, replacement, target, action, name, value string) {
		cfg := &Config{}
		if err := sdk.Fill(cfg, []byte(`{"rule": [{}]}`)); err != nil {
			t.Fatal(err)
		}
		r := &cfg.Rules[0]
		r.SourceLabels, r.Regex, r.Replacement, r.TargetLabel, r.Action, r.Modulus = []string{source}, regex, replacement, target, action, 7
		var d sdk.Diags
		if cfg.Validate(&d); slices.ContainsFunc(d.List, func(d sdk.Diag) bool { return !d.Warning }) {
			return
		}
		p, err := open(t.Context(), cfg, nil)
		if err != nil {
			t.Fatalf("Validate finds no mistake, but open does: %v", err)
		}
		p.warned.Do(func() {}) // there is no log
		in := sdk.NewLabels("__name__", name, "a", value)
		once, kept := p.MapSeries(sdk.Series{Labels: in})
		twice, keptToo := p.MapSeries(sdk.Series{Labels: in})
		if kept != keptToo || once.Labels.Compare(twice.Labels) != 0 {
			t.Errorf("%s, then %s", once.Labels, twice.Labels)
		}
		for i, l := range once.Labels {
			if kept && (l.Name == "" || l.Value == "" || i > 0 && once.Labels[i-1].Name >= l.Name) {
				t.Errorf("these are no labels: %q", once.Labels)
			}
		}
	})
}
