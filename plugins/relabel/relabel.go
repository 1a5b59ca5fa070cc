// The processor "relabel" changes which series a pipeline carries, and under which labels, once per series and never per
// sample. Three things happen, in this order:
//
//  1. keep: a series whose metric name matches none of these expressions is dropped.
//  2. drop: a series whose metric name matches one of these expressions is dropped.
//  3. rule: each block is one of Prometheus' relabel rules, with the fields, defaults and actions of metric_relabel_configs
//     (Prometheus' own code applies them); each sees what the one before it left.
//
// Expressions are RE2 and must match the whole text. The rules see every label that the series is stored with, job and
// instance and those of the source's block among them, but not the daemon's external_labels, which are added later.
//
// # What is left
//
// What the rules leave must still be a series: with a metric name, every label with a name, and no text beyond what Magpie
// carries (names of 1 KiB, values of 64 KiB, 256 labels). Any other is dropped, and the log says so once.
//
// Rules that give two series
// the same labels make one series of them with the samples of both, most of which a store then refuses as duplicates: drop
// or aggregate before a label is taken away that tells series apart.
//
// # How it is tested
//
// Every action is compared with what a real Prometheus makes of the same series with the same rules.
package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/plugins/internal/relabel"
	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the processor.
type Config struct {
	Keep  []string       `hcl:"keep,optional" check:"regexp" doc:"Metric names to keep, as regular expressions that match the whole name; every other series is dropped. Default: all are kept."`
	Drop  []string       `hcl:"drop,optional" check:"regexp" doc:"Metric names to drop, as regular expressions that match the whole name."`
	Rules []relabel.Rule `hcl:"rule,block" doc:"A relabel rule, as in Prometheus' metric_relabel_configs; the rules apply in the order in which they are written."`
}

// Validate checks the rules, and warns of a processor that changes nothing.
func (c *Config) Validate(d *sdk.Diags) {
	if len(c.Keep)+len(c.Drop)+len(c.Rules) == 0 {
		d.Warnf(nil, "this processor changes nothing: give it keep, drop or a rule")
	}
	for i := range c.Rules {
		c.Rules[i].Validate(d)
	}
}

// processor is an open component.
type processor struct {
	rules  relabel.Rules
	host   sdk.Host
	warned sync.Once
}

func open(_ context.Context, cfg *Config, host sdk.Host) (*processor, error) {
	var all []relabel.Rule
	for _, list := range []struct {
		action   string
		patterns []string
	}{{"keep", cfg.Keep}, {"drop", cfg.Drop}} {
		if len(list.patterns) == 0 {
			continue
		}
		r, err := byName(list.action, list.patterns)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	if _, err := relabel.Compile(cfg.Rules); err != nil {
		return nil, err // points into cfg
	}
	rules, err := relabel.Compile(append(all, cfg.Rules...))
	return &processor{rules: rules, host: host}, err
}

// byName makes one rule of a list of expressions for the metric name.
func byName(action string, patterns []string) (relabel.Rule, error) {
	for i, p := range patterns {
		if _, err := regexp.Compile(p); err != nil {
			return relabel.Rule{}, sdk.At(&patterns[i], fmt.Errorf("%s: %w", action, err))
		}
	}
	return relabel.Rule{
		SourceLabels: []string{sdk.NameLabel}, Action: action, Separator: ";",
		Regex: "(?:" + strings.Join(patterns, ")|(?:") + ")",
	}, nil
}

// MapSeries relabels one series.
func (p *processor) MapSeries(s sdk.Series) (sdk.Series, bool) {
	labels, keep := p.rules.Apply(s.Labels)
	if !keep {
		return s, false
	}
	if fault := faultOf(labels); fault != "" {
		p.warned.Do(func() {
			p.host.Log().Warn("a series is dropped that the rules made "+fault+"; others will be without a word", "series", s.Labels.String())
		})
		return s, false
	}
	return sdk.Series{Labels: labels, Family: s.Family}, true
}

// faultOf says why labels are no series that the stream can carry (sdk/wire/FORMAT.md has the limits).
func faultOf(labels sdk.Labels) string {
	if labels.Get(sdk.NameLabel) == "" {
		return "without a metric name"
	}
	if len(labels) > 256 {
		return "with more than 256 labels"
	}
	for _, l := range labels {
		switch {
		case l.Name == "" || !utf8.ValidString(l.Name):
			return fmt.Sprintf("with a label of the name %q", l.Name)
		case len(l.Name) > 1<<10 || len(l.Value) > 64<<10:
			return fmt.Sprintf("with the label %.100q, whose name or value is too long", l.Name)
		}
	}
	return ""
}

var (
	_ sdk.Mapper    = (*processor)(nil)
	_ sdk.Validator = (*Config)(nil)
)
