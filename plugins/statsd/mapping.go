package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/names"
	"github.com/magpie-monitoring/magpie/sdk"
)

// Mapping is a mapping block: what names become. Names and meanings are those of statsd_exporter's mapping file.
type Mapping struct {
	Match      string            `hcl:"match,label" doc:"The name as it is sent; * stands for one part between dots, and is $1, $2, … in name and labels."`
	MatchType  string            `hcl:"match_type,optional" default:"glob" check:"oneof=glob regex" doc:"How to read the match: with *, or as a regular expression (RE2) that must match the whole name, whose groups are $1, $2, …"`
	MetricType string            `hcl:"match_metric_type,optional" check:"oneof=counter gauge timer distribution set" doc:"Only metrics of this type. Default: all."`
	Action     string            `hcl:"action,optional" default:"map" check:"oneof=map drop" doc:"drop: what matches is not collected."`
	Name       string            `hcl:"name,optional" doc:"Name of the metric. Default: the name as it is sent, with underscores."`
	Labels     map[string]string `hcl:"labels,optional" doc:"Labels of the metric; they stand before tags of the same name."`
	Timers     string            `hcl:"timers,optional" check:"oneof=summary histogram native" doc:"What timers and distributions become. Default: as the block says."`
	Quantiles  []float64         `hcl:"quantiles,optional" doc:"Quantiles of a summary. Default: as the block says."`
	Buckets    []float64         `hcl:"buckets,optional" doc:"Upper bounds of a histogram's buckets. Default: as the block says."`
	TTL        *time.Duration    `hcl:"ttl,optional" check:"min=0s" doc:"As ttl of the block, for what matches."`
}

func (m *Mapping) validate(d *sdk.Diags) {
	r, err := m.compile(nil)
	if err != nil {
		d.Errorf(&m.Match, "%v", err)
		return
	}
	if m.Action == "drop" {
		if m.Name != "" || len(m.Labels) > 0 {
			d.Warnf(m, "what this mapping says of name and labels is not used, since it drops what matches")
		}
		return
	}
	check := func(field any, template string) {
		for _, ref := range reference.FindAllStringSubmatch(template, -1) {
			if n := groupOf(ref); n > r.match.NumSubexp() {
				d.Errorf(field, "%s: the match has %d parts to refer to", ref[0], r.match.NumSubexp())
			}
		}
	}
	check(&m.Name, m.Name)
	for name, value := range m.Labels {
		if name == "" || labelName(name) != name {
			d.Errorf(&m.Labels, "%q cannot be the name of a label", name)
		}
		check(&m.Labels, value)
	}
	checkShape(d, &m.Quantiles, m.Quantiles, &m.Buckets, m.Buckets)
}

// checkShape checks quantiles and buckets.
func checkShape(d *sdk.Diags, atQuantiles any, quantiles []float64, atBuckets any, buckets []float64) {
	for _, q := range quantiles {
		if !(q >= 0 && q <= 1) {
			d.Errorf(atQuantiles, "a quantile is between 0 and 1, and %v is not", q)
		}
	}
	if len(buckets) > maxBuckets {
		d.Errorf(atBuckets, "at most %d buckets", maxBuckets)
	}
	if !slices.IsSorted(buckets) || len(slices.Compact(slices.Clone(buckets))) != len(buckets) {
		d.Errorf(atBuckets, "the bounds must rise")
	}
}

// What timers and distributions can become.
const (
	summary          = "summary"
	classicHistogram = "histogram"
	nativeHistogram  = "native"
)

// shape is how a series is kept and shown.
type shape struct {
	timers    string // and distributions: what they become
	quantiles []float64
	buckets   []float64
	minMax    bool
	ttl       time.Duration // 0: for ever
}

// rule is a mapping, ready for use.
type rule struct {
	*Mapping
	match *regexp.Regexp
	shape shape
}

// compile makes a rule; what the mapping does not say of shapes is as the block has it.
func (m *Mapping) compile(block *shape) (r rule, err error) {
	r.Mapping = m
	pattern := m.Match
	if m.MatchType != "regex" {
		pattern = strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `([^.]*)`)
	}
	if r.match, err = regexp.Compile("^(?:" + pattern + ")$"); err != nil {
		return r, fmt.Errorf("mapping %q: %w", m.Match, err)
	}
	if block == nil {
		return r, nil
	}
	r.shape = *block
	if m.Timers != "" {
		r.shape.timers = m.Timers
	}
	if m.Quantiles != nil {
		r.shape.quantiles = m.Quantiles
	}
	if m.Buckets != nil {
		r.shape.buckets = m.Buckets
	}
	if m.TTL != nil {
		r.shape.ttl = *m.TTL
	}
	return r, nil
}

// apply says what a metric becomes under the first rule that matches, and whether it is kept at all.
func apply(rules []rule, id identity, k kind, block shape) (identity, shape, bool) {
	for _, r := range rules {
		if r.MetricType != "" && r.MetricType != kindNames[k] {
			continue
		}
		parts := r.match.FindStringSubmatch(id.name)
		if parts == nil {
			continue
		}
		if r.Action == "drop" {
			return id, r.shape, false
		}
		if r.Name != "" {
			id.name = expand(r.Name, parts)
		}
		for name, value := range r.Labels {
			id.labels = id.labels.Set(name, expand(value, parts))
		}
		block = r.shape
		break
	}
	id.name = names.Metric(id.name)
	return id, block, true
}

var reference = regexp.MustCompile(`\$(?:(\d+)|\{(\d+)\})`)

// groupOf is the number in $1 or ${1}.
func groupOf(ref []string) (n int) {
	for _, c := range ref[1] + ref[2] {
		n = min(n*10+int(c-'0'), 1<<20)
	}
	return n
}

// expand puts the parts that a match found into a template. A number ends where the digits do: $1_total is part 1.
func expand(template string, parts []string) string {
	if !strings.Contains(template, "$") {
		return template
	}
	return reference.ReplaceAllStringFunc(template, func(ref string) string {
		if n := groupOf(reference.FindStringSubmatch(ref)); n < len(parts) {
			return parts[n]
		}
		return ""
	})
}
