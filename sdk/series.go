package sdk

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// NameLabel is the label that holds a series' metric name.
const NameLabel = "__name__"

// Label is a Name and a Value, both UTF-8.
type Label struct{ Name, Value string }

// Labels are sorted by name, without duplicates and without empty values.
type Labels []Label

// NewLabels makes labels from name, value, name, value, …; the last of two equal names wins.
func NewLabels(pairs ...string) Labels {
	ls := make(Labels, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		ls = ls.Set(pairs[i], pairs[i+1])
	}
	return ls
}

// Get returns the value of a label, "" where there is none.
func (ls Labels) Get(name string) string {
	if i, ok := ls.find(name); ok {
		return ls[i].Value
	}
	return ""
}

// Set returns the labels with one set, or removed if the value is empty. It may change ls in place.
func (ls Labels) Set(name, value string) Labels {
	i, ok := ls.find(name)
	switch {
	case ok && value == "":
		return slices.Delete(ls, i, i+1)
	case ok:
		ls[i].Value = value
	case value != "":
		ls = slices.Insert(ls, i, Label{name, value})
	}
	return ls
}

// Map is the labels as a map, never nil.
func (ls Labels) Map() map[string]string {
	m := make(map[string]string, len(ls))
	for _, l := range ls {
		m[l.Name] = l.Value
	}
	return m
}

// Compare orders labels by their names and values.
func (ls Labels) Compare(other Labels) int {
	return slices.CompareFunc(ls, other, func(a, b Label) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
}

// String prints labels as PromQL writes a series: name{label="value", …}.
func (ls Labels) String() string {
	var b strings.Builder
	b.WriteString(ls.Get(NameLabel))
	sep := "{"
	for _, l := range ls {
		if l.Name == NameLabel {
			continue
		}
		b.WriteString(sep + l.Name + `="` + labelEscaper.Replace(l.Value) + `"`)
		sep = ", "
	}
	if sep == ", " {
		b.WriteByte('}')
	}
	return b.String()
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (ls Labels) find(name string) (int, bool) {
	return slices.BinarySearchFunc(ls, name, func(l Label, n string) int { return strings.Compare(l.Name, n) })
}

// Valid reports whether the wire takes the labels: UTF-8, names not empty, at most 224 of them, 1 KiB a name, 64 KiB a value
// and 256 KiB in all.
func (ls Labels) Valid() bool {
	size := 0
	for _, l := range ls {
		size += len(l.Name) + len(l.Value)
		if l.Name == "" || len(l.Name) > maxName || len(l.Value) > maxValue || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return false
		}
	}
	return len(ls) <= maxLabels-32 && size <= maxSeries // room for the labels of the block
}

// Hash is FNV-1a over names and values, each ended by 0xff, which UTF-8 text cannot hold.
func (ls Labels) Hash() uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for _, l := range ls {
		for _, s := range [2]string{l.Name, l.Value} {
			for i := range len(s) {
				h = (h ^ uint64(s[i])) * prime
			}
			h = (h ^ 0xff) * prime
		}
	}
	return h
}

// MetricType is what a metric family is, as the Prometheus and OpenMetrics formats name it.
type MetricType uint8

// The metric types, in the order of the wire contract.
const (
	Unknown MetricType = iota
	GaugeType
	CounterType
	HistogramType
	SummaryType
	InfoType
	StateSetType
	GaugeHistogramType
)

var metricTypes = [...]string{"unknown", "gauge", "counter", "histogram", "summary", "info", "stateset", "gaugehistogram"}

// String is the type's name in the text formats.
func (t MetricType) String() string {
	if int(t) < len(metricTypes) {
		return metricTypes[t]
	}
	return metricTypes[Unknown]
}

// MarshalText writes the type's name, for JSON.
func (t MetricType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a type's name.
func (t *MetricType) UnmarshalText(b []byte) error {
	*t = MetricType(max(0, slices.Index(metricTypes[:], string(b))))
	return nil
}

// Family is what the series of one metric share: its name without suffixes such as _bucket, its type, unit and help.
type Family struct {
	Name string     `json:"name"`           // without suffixes such as _bucket
	Type MetricType `json:"type"`           // what its samples are
	Unit string     `json:"unit,omitempty"` // seconds, bytes, …; the name ends in it
	Help string     `json:"help,omitempty"` // a sentence for people
}

// Series is one line in the world: its labels, the name among them, and the family that it belongs to (nil: unknown).
type Series struct {
	Labels Labels  // the name among them
	Family *Family // nil: unknown
}

// Metric is a declared metric: documented, typed, with fixed label names. Declare metrics as package variables.
type Metric struct {
	Family
	LabelNames []string `json:"labels,omitempty"` // those that Set is given values for
}

var declared struct {
	sync.Mutex
	metrics []*Metric
}

// Gauge declares a metric that goes up and down. The name ends in the unit (http_latency_seconds).
func Gauge(name, help string, labels ...string) *Metric {
	return declare(name, help, GaugeType, labels)
}

// Counter declares a metric that only grows, but for resets. The name ends in _total, or in what the exporter that people
// know calls it.
func Counter(name, help string, labels ...string) *Metric {
	return declare(name, help, CounterType, labels)
}

// Untyped declares a metric whose source does not say what it is.
func Untyped(name, help string, labels ...string) *Metric {
	return declare(name, help, Unknown, labels)
}

func declare(name, help string, t MetricType, labels []string) *Metric {
	m := &Metric{Family{Name: name, Type: t, Help: help}, labels}
	declared.Lock()
	defer declared.Unlock()
	declared.metrics = append(declared.metrics, m)
	return m
}

// Declared lists the metrics that this binary declares, by name: the metric catalogue in Describe.
func Declared() []*Metric {
	declared.Lock()
	defer declared.Unlock()
	ms := slices.Clone(declared.metrics)
	slices.SortFunc(ms, func(a, b *Metric) int { return strings.Compare(a.Name, b.Name) })
	return ms
}
