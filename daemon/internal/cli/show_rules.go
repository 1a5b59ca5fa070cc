package cli

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/magpie-monitoring/magpie/daemon/internal/rule"
)

type showFlags struct{ rules bool }

func showFlagsOf(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.show.rules, "rules", false, "show the rules of the files at PATH as a rule file of Prometheus")
}

// ruleFile is Prometheus' format. What only Magpie knows, such as diagnose and notify, has no place in it.
type ruleFile struct {
	Groups []ruleFileGroup `yaml:"groups"`
}

type ruleFileGroup struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval,omitempty"`
	Offset   model.Duration `yaml:"query_offset,omitempty"`
	Limit    int            `yaml:"limit,omitempty"`
	Rules    []ruleFileRule `yaml:"rules"`
}

type ruleFileRule struct {
	Record        string            `yaml:"record,omitempty"`
	Alert         string            `yaml:"alert,omitempty"`
	Expr          string            `yaml:"expr"`
	For           model.Duration    `yaml:"for,omitempty"`
	KeepFiringFor model.Duration    `yaml:"keep_firing_for,omitempty"`
	Labels        map[string]string `yaml:"labels,omitempty"`
	Annotations   map[string]string `yaml:"annotations,omitempty"`
}

// showRules writes the rules of the files, or of a pack in them, whatever runs.
func (o *options) showRules(ctx context.Context, args []string) int {
	built := o.valid(ctx)
	if built == nil {
		return exitErrors
	}
	if o.json {
		return o.fail(fmt.Errorf("-rules gives YAML, which is what Prometheus reads"))
	}
	file := ruleFile{Groups: []ruleFileGroup{}}
	for _, g := range built.Groups() {
		if len(args) == 1 && strings.HasPrefix(args[0], "pack.") && !strings.HasPrefix(g.Name, args[0]+".") {
			continue
		}
		file.Groups = append(file.Groups, ruleFileGroupOf(g))
	}
	b, err := yaml.Marshal(file)
	if err != nil {
		return o.fail(err)
	}
	fmt.Fprintf(o.Out, "%s", b)
	return exitOK
}

func ruleFileGroupOf(g rule.Group) ruleFileGroup {
	wait := func(d time.Duration) model.Duration { return model.Duration(d) }
	out := ruleFileGroup{Name: g.Name, Interval: wait(g.Interval), Offset: wait(g.Offset), Limit: g.Limit, Rules: []ruleFileRule{}}
	for _, r := range g.Rules {
		out.Rules = append(out.Rules, ruleFileRule{
			Record: r.Record, Alert: r.Alert, Expr: r.Expr, For: wait(r.For), KeepFiringFor: wait(r.KeepFiringFor), Labels: r.Labels, Annotations: r.Annotations,
		})
	}
	return out
}
