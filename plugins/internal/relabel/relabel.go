// Package relabel is Prometheus' relabelling as HCL blocks: the names of the fields, their defaults and what every action
// does are those of relabel_config, and Prometheus' own package does the work. Sources relabel their targets and series
// with it, processors the series that pass through them.
//
//	relabel {
//	  source_labels = ["__address__"]
//	  regex         = "(.*):[0-9]+"
//	  target_label  = "host"
//	  replacement   = "$1"      # a group with braces is written $${1} in HCL
//	}
//
// A Config has a field `[]relabel.Rule` with an hcl tag, calls Validate for it, and Compile when it opens.
package relabel

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Rule is one block; rules apply in the order in which they are written, each to what the one before it left.
type Rule struct {
	SourceLabels []string `hcl:"source_labels,optional" doc:"Labels whose values are joined with separator and matched against regex."`
	Separator    string   `hcl:"separator,optional" default:";" doc:"Text between the joined values."`
	Regex        string   `hcl:"regex,optional" default:"(.*)" check:"regexp" doc:"Regular expression (RE2) that the joined values must match as a whole; for labelmap, labeldrop and labelkeep, the name of a label must."`
	Modulus      uint64   `hcl:"modulus,optional" doc:"For hashmod: the hash of the joined values is taken modulo this."`
	TargetLabel  string   `hcl:"target_label,optional" doc:"Label that the result is written to, or compared with (keepequal, dropequal). For replace it may refer to groups of regex."`
	Replacement  string   `hcl:"replacement,optional" default:"$1" doc:"What replace writes, or the new name that labelmap gives; $1 is the first group of regex, $${1} the same with braces as HCL wants them. An empty result removes the label."`
	Action       string   `hcl:"action,optional" default:"replace" check:"oneof=replace keep drop keepequal dropequal hashmod labelmap labeldrop labelkeep lowercase uppercase" doc:"What to do: write a label (replace, hashmod, lowercase, uppercase), keep or drop by a match (keep, drop, keepequal, dropequal), or work on the names of labels (labelmap, labeldrop, labelkeep)."`
}

// Validate reports what Prometheus would refuse, each at the attribute to change.
func (r *Rule) Validate(d *sdk.Diags) {
	c, err := r.config()
	if err != nil {
		d.Errorf(&r.Regex, "%v", err)
		return
	}
	switch c.Action {
	case relabel.Keep, relabel.Drop, relabel.LabelMap, relabel.LabelDrop, relabel.LabelKeep:
	case relabel.Replace, relabel.HashMod, relabel.Lowercase, relabel.Uppercase, relabel.KeepEqual, relabel.DropEqual:
		if r.TargetLabel == "" {
			d.Errorf(&r.TargetLabel, "action %q needs a target_label", r.Action)
			return
		}
	default:
		d.Errorf(&r.Action, "%q is no action: write replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase or uppercase", r.Action)
		return
	}
	if c.Action == relabel.HashMod && r.Modulus == 0 {
		d.Errorf(&r.Modulus, "action \"hashmod\" needs a modulus of at least 1")
		return
	}
	if len(r.SourceLabels) == 0 && (c.Action == relabel.Keep || c.Action == relabel.Drop) {
		d.Warnf(&r.SourceLabels, "action %q without source_labels matches the empty text: it keeps or drops everything alike", r.Action)
	}
	if err := c.Validate(model.UTF8Validation); err != nil {
		d.Errorf(r, "%v", err)
	}
}

func (r *Rule) config() (*relabel.Config, error) {
	c := &relabel.Config{
		Separator: r.Separator, Regex: relabel.DefaultRelabelConfig.Regex, Modulus: r.Modulus, TargetLabel: r.TargetLabel,
		Replacement: r.Replacement, Action: relabel.Action(r.Action), NameValidationScheme: model.UTF8Validation,
	}
	for _, name := range r.SourceLabels {
		c.SourceLabels = append(c.SourceLabels, model.LabelName(name))
	}
	if r.Regex == c.Regex.String() { // Prometheus tells "not written" from its default by the pointer
		return c, nil
	}
	var err error
	if c.Regex, err = relabel.NewRegexp(r.Regex); err != nil {
		return nil, fmt.Errorf("regex: %w", err)
	}
	return c, nil
}

// Rules are ready to be applied, by any number of goroutines.
type Rules struct{ configs []*relabel.Config }

// Compile makes rules ready. Its errors are those that Validate reports.
func Compile(rules []Rule) (Rules, error) {
	var rs Rules
	for i := range rules {
		c, err := rules[i].config()
		if err == nil {
			err = c.Validate(model.UTF8Validation)
		}
		if err == nil && !slices.Contains(actions, c.Action) {
			err = fmt.Errorf("%q is no relabel action", c.Action)
		}
		if err != nil {
			return Rules{}, sdk.At(&rules[i], err)
		}
		rs.configs = append(rs.configs, c)
	}
	return rs, nil
}

var actions = []relabel.Action{
	relabel.Replace, relabel.Keep, relabel.Drop, relabel.KeepEqual, relabel.DropEqual, relabel.HashMod,
	relabel.LabelMap, relabel.LabelDrop, relabel.LabelKeep, relabel.Lowercase, relabel.Uppercase,
}

// Len is the number of rules.
func (rs Rules) Len() int { return len(rs.configs) }

// Apply relabels; false means dropped. It leaves ls as it is.
func (rs Rules) Apply(ls sdk.Labels) (sdk.Labels, bool) {
	if len(rs.configs) == 0 {
		return ls, true
	}
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	w.scratch.Reset()
	for _, l := range ls {
		w.scratch.Add(l.Name, l.Value)
	}
	w.builder.Reset(w.scratch.Labels())
	if !relabel.ProcessBuilder(w.builder, rs.configs...) {
		return nil, false
	}
	out := make(sdk.Labels, 0, len(ls)+2)
	w.builder.Range(func(l labels.Label) { out = append(out, sdk.Label{Name: l.Name, Value: l.Value}) })
	slices.SortFunc(out, func(a, b sdk.Label) int { return cmp.Compare(a.Name, b.Name) })
	return out, true
}

// workspace is what one Apply needs; it is used again.
type workspace struct {
	scratch labels.ScratchBuilder
	builder *labels.Builder
}

var workspaces = sync.Pool{New: func() any {
	return &workspace{labels.NewScratchBuilder(16), labels.NewBuilder(labels.EmptyLabels())}
}}
