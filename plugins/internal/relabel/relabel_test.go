package relabel

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
)

// rule fills a rule as the configuration does: defaults, then what is written.
func rule(t *testing.T, written string) Rule {
	t.Helper()
	var r Rule
	if err := sdk.Fill(&r, []byte(written)); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryActionDoesWhatItDoesInPrometheus(t *testing.T) {
	t.Parallel()
	in := sdk.NewLabels("__name__", "m", "a", "Foo", "b", "bar", "__meta_x", "1")
	for _, c := range []struct{ rule, want string }{
		{`{"source_labels": ["a"], "target_label": "c"}`, `m{__meta_x="1", a="Foo", b="bar", c="Foo"}`},
		{`{"source_labels": ["a", "b"], "separator": "-", "regex": "(.*)-(.*)", "target_label": "c", "replacement": "$2${1}"}`, `m{__meta_x="1", a="Foo", b="bar", c="barFoo"}`},
		{`{"source_labels": ["a"], "regex": "oo", "target_label": "c"}`, `m{__meta_x="1", a="Foo", b="bar"}`},
		{`{"source_labels": ["a"], "target_label": "a", "replacement": ""}`, `m{__meta_x="1", b="bar"}`},
		{`{"target_label": "c", "replacement": "fixed"}`, `m{__meta_x="1", a="Foo", b="bar", c="fixed"}`},
		{`{"source_labels": ["b"], "regex": "(.*)", "target_label": "${1}_x", "replacement": "y"}`, `m{__meta_x="1", a="Foo", b="bar", bar_x="y"}`},
		{`{"source_labels": ["a"], "separator": "", "regex": "", "target_label": "c", "replacement": "never"}`, `m{__meta_x="1", a="Foo", b="bar"}`},
		{`{"source_labels": ["a"], "regex": "F.*", "action": "keep"}`, `m{__meta_x="1", a="Foo", b="bar"}`},
		{`{"source_labels": ["a"], "regex": "f.*", "action": "keep"}`, "dropped"},
		{`{"source_labels": ["a"], "regex": "F.*", "action": "drop"}`, "dropped"},
		{`{"source_labels": ["a"], "target_label": "b", "action": "keepequal"}`, "dropped"},
		{`{"source_labels": ["a"], "target_label": "b", "action": "dropequal"}`, `m{__meta_x="1", a="Foo", b="bar"}`},
		{`{"source_labels": ["a"], "target_label": "c", "action": "lowercase"}`, `m{__meta_x="1", a="Foo", b="bar", c="foo"}`},
		{`{"source_labels": ["a"], "target_label": "c", "action": "uppercase"}`, `m{__meta_x="1", a="Foo", b="bar", c="FOO"}`},
		{`{"source_labels": ["a"], "target_label": "c", "action": "hashmod", "modulus": 1000}`, `m{__meta_x="1", a="Foo", b="bar", c="229"}`},
		{`{"regex": "__meta_(.*)", "action": "labelmap"}`, `m{__meta_x="1", a="Foo", b="bar", x="1"}`},
		{`{"regex": "a|__meta.*", "action": "labeldrop"}`, `m{b="bar"}`},
		{`{"regex": "a|__name__", "action": "labelkeep"}`, `m{a="Foo"}`},
	} {
		rules, err := Compile([]Rule{rule(t, c.rule)})
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		before := slices.Clone(in)
		got, keep := rules.Apply(in)
		text := got.String()
		if !keep {
			text = "dropped"
		}
		if text != c.want || in.Compare(before) != 0 {
			t.Errorf("%s: got %s, want %s (and the input is %s)", c.rule, text, c.want, in)
		}
	}
}

func TestRulesApplyInOrderToWhatIsLeft(t *testing.T) {
	t.Parallel()
	rules, err := Compile([]Rule{
		rule(t, `{"source_labels": ["a"], "target_label": "b"}`),
		rule(t, `{"source_labels": ["b"], "regex": "1", "action": "drop"}`),
		rule(t, `{"regex": "a", "action": "labeldrop"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, keep := rules.Apply(sdk.NewLabels("a", "2")); !keep || got.String() != `{b="2"}` {
		t.Errorf("got %s, %v", got, keep)
	}
	if _, keep := rules.Apply(sdk.NewLabels("a", "1")); keep {
		t.Error("kept")
	}
	if rules.Len() != 3 {
		t.Errorf("%d rules", rules.Len())
	}
}

func TestWithoutRulesLabelsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	in := sdk.NewLabels("a", "1")
	if got, keep := (Rules{}).Apply(in); !keep || &got[0] != &in[0] {
		t.Errorf("got %s, %v", got, keep)
	}
}

func TestRulesAreSafeSideBySide(t *testing.T) {
	t.Parallel()
	rules, err := Compile([]Rule{rule(t, `{"source_labels": ["a"], "target_label": "b", "replacement": "x$1"}`)})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			for range 1000 {
				if got, _ := rules.Apply(sdk.NewLabels("a", fmt.Sprint(i))); got.Get("b") != fmt.Sprint("x", i) {
					t.Errorf("got %s", got)
					return
				}
			}
		})
	}
	running.Wait()
}

// block is a config with rules, as a source has it.
type block struct {
	Relabel []Rule `hcl:"relabel,block" doc:"Rules."`
}

func (b *block) Validate(d *sdk.Diags) {
	for i := range b.Relabel {
		b.Relabel[i].Validate(d)
	}
}

func TestMistakesLeadToTheirAttribute(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		`{"regex": "("}`:          "relabel[0].regex regex: ",
		`{"action": "replaced"}`:  `relabel[0].action "replaced" is no action`,
		`{}`:                      `relabel[0].target_label action "replace" needs a target_label`,
		`{"action": "uppercase"}`: `relabel[0].target_label action "uppercase" needs`,
		`{"action": "hashmod", "target_label": "a"}`:                         `relabel[0].modulus action "hashmod" needs a modulus`,
		`{"action": "labeldrop", "target_label": "a"}`:                       "relabel[0] labeldrop action requires only 'regex'",
		`{"action": "keepequal", "target_label": "a", "regex": "x"}`:         "relabel[0] keepequal action requires only",
		`{"action": "lowercase", "target_label": "a", "replacement": "x"}`:   "relabel[0] 'replacement' can not be set",
		`{"target_label": "\ufffd"}`:                                         "",
		`{"action": "keep", "regex": "x"}`:                                   `relabel[0].source_labels action "keep" without source_labels`,
		`{"action": "labelmap", "regex": "x(.*)"}`:                           "",
		`{"source_labels": ["a"], "target_label": "b", "replacement": "$1"}`: "",
	} {
		capability := sdk.Processor[block, sdk.Mapper](nil)
		diags, err := capability.Validate([]byte(`{"relabel": [` + written + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range diags {
			got += d.Path.String() + " " + d.Text
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", written, got, want)
		}
		_, err = Compile([]Rule{rule(t, written)})
		refused := len(diags) > 0 && !diags[0].Warning
		if (err != nil) != refused {
			t.Errorf("%s: Compile says %v, Validate %q", written, err, got)
		}
	}
}
