package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/magpie-monitoring/magpie/plugins/internal/relabel"
	"github.com/magpie-monitoring/magpie/sdk"
)

// limits refuse a page that is not what its target was meant to be. 0: none.
type limits struct {
	samples, labels, nameLength, valueLength int
}

// The limits of the stream to the daemon, which hold whatever the configuration says.
const (
	maxLabels      = 256
	maxLabelName   = 1 << 10
	maxLabelValue  = 64 << 10
	maxSeriesBytes = 256 << 10
)

// shaping makes a target's series of what its page says, as Prometheus does: the target's labels, then metric_relabel,
// then the limits.
type shaping struct {
	target sdk.Labels // without the internal ones
	honor  bool       // the page's labels win over the target's
	rules  relabel.Rules
	limits limits
}

var (
	errNoName      = errors.New("metric_relabel left a series without __name__")
	errSampleLimit = errors.New("sample_limit exceeded")
)

// series builds the labels of the head that the parser has read; false means that metric_relabel drops it. An error fails
// the page.
func (s *shaping) series(p *parser) (ls sdk.Labels, keep bool, err error) {
	raw := p.rawLabels()
	ls = make(sdk.Labels, 0, len(raw)+len(s.target))
	twice := ""
	for i, l := range raw {
		if i > 0 && raw[i-1].Name == l.Name {
			twice = l.Name
		} else if l.Value != "" {
			ls = append(ls, l)
		}
	}
	ls, keep = s.rules.Apply(s.addTarget(ls, raw))
	if !keep || len(ls) == 0 {
		return nil, false, nil
	}
	if twice != "" {
		return nil, false, fmt.Errorf("the series %.100s has two labels %q", ls, twice)
	}
	return ls, true, s.check(ls)
}

// addTarget adds the target's labels. Where both have one, the page's wins with honor, and becomes exported_… without.
func (s *shaping) addTarget(ls, raw sdk.Labels) sdk.Labels {
	var clashes sdk.Labels
	for _, l := range s.target {
		if s.honor {
			if _, exposed := slices.BinarySearchFunc(raw, l.Name, func(l sdk.Label, name string) int { return strings.Compare(l.Name, name) }); exposed {
				continue
			}
		} else if v := ls.Get(l.Name); v != "" {
			clashes = append(clashes, sdk.Label{Name: l.Name, Value: v})
		}
		ls = ls.Set(l.Name, l.Value)
	}
	slices.SortStableFunc(clashes, func(a, b sdk.Label) int { return cmp.Compare(len(a.Name), len(b.Name)) })
	for _, l := range clashes {
		name := "exported_" + l.Name
		for ls.Get(name) != "" {
			name = "exported_" + name
		}
		ls = ls.Set(name, l.Value)
	}
	return ls
}

// check refuses labels that are not valid or beyond a limit.
func (s *shaping) check(ls sdk.Labels) error {
	metric := ls.Get(sdk.NameLabel)
	if metric == "" {
		return errNoName
	}
	if n, limit := len(ls), orAtMost(s.limits.labels, maxLabels); n > limit {
		return fmt.Errorf("label_limit exceeded: %.50s has %d labels, and the limit is %d", metric, n, limit)
	}
	size := 0
	for _, l := range ls {
		if !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return fmt.Errorf("the label %.50q of %.50q is not UTF-8", l.Name, metric)
		}
		if n, limit := len(l.Name), orAtMost(s.limits.nameLength, maxLabelName); n > limit {
			return fmt.Errorf("label_name_length_limit exceeded: %.50s has a label %.50s… of %d bytes, and the limit is %d", metric, l.Name, n, limit)
		}
		if n, limit := len(l.Value), orAtMost(s.limits.valueLength, maxLabelValue); n > limit {
			return fmt.Errorf("label_value_length_limit exceeded: the label %.50s of %.50s has %d bytes, and the limit is %d", l.Name, metric, n, limit)
		}
		size += len(l.Name) + len(l.Value)
	}
	if size > maxSeriesBytes {
		return fmt.Errorf("the labels of %.50s have %d bytes together, and at most %d can be sent", metric, size, maxSeriesBytes)
	}
	return nil
}

func orAtMost(limit, most int) int {
	if limit > 0 && limit < most {
		return limit
	}
	return most
}

// rawLabels are the labels of the head as the page has them, the name among them: sorted, and perhaps empty or twice.
func (p *parser) rawLabels() sdk.Labels {
	head := string(p.page[p.start:p.headEnd]) // one allocation for all
	text := func(s span) string {
		t := head[s.from-p.start : s.to-p.start]
		if strings.IndexByte(t, '\\') >= 0 {
			return unescape([]byte(t), true)
		}
		return t
	}
	ls := make(sdk.Labels, 0, len(p.labels)+1)
	ls = append(ls, sdk.Label{Name: sdk.NameLabel, Value: text(p.name)})
	for _, l := range p.labels {
		name, value := text(l.name), text(l.value)
		switch last := p.lastType(); {
		case last == sdk.HistogramType && name == "le", last == sdk.SummaryType && name == "quantile":
			value = canonical(value)
		}
		ls = append(ls, sdk.Label{Name: name, Value: value})
	}
	slices.SortStableFunc(ls, func(a, b sdk.Label) int { return strings.Compare(a.Name, b.Name) })
	return ls
}

// canonical writes a bucket's or a quantile's number as OpenMetrics does, "1.0" for "1", as Prometheus does since version
// 3: so the series is the same in both formats.
func canonical(value string) string {
	if f, err := strconv.ParseFloat(value, 64); err == nil {
		return labels.FormatOpenMetricsFloat(f)
	}
	return value
}
