package main

import (
	"errors"
	"fmt"

	"github.com/prometheus/otlptranslator"

	"github.com/magpie-monitoring/magpie/sdk"
)

// kind is what a metric is, for its name and its type.
type kind byte

const (
	gauge kind = iota + 1
	counter
	upDown // a sum that is not monotonic
	histogram
	exponential
	summary
)

var namedAs = map[kind]otlptranslator.MetricType{
	gauge: otlptranslator.MetricTypeGauge, counter: otlptranslator.MetricTypeMonotonicCounter, upDown: otlptranslator.MetricTypeNonMonotonicCounter,
	histogram: otlptranslator.MetricTypeHistogram, exponential: otlptranslator.MetricTypeExponentialHistogram, summary: otlptranslator.MetricTypeSummary,
}

var typedAs = map[kind]sdk.MetricType{
	gauge: sdk.GaugeType, counter: sdk.CounterType, upDown: sdk.GaugeType, histogram: sdk.HistogramType, exponential: sdk.HistogramType, summary: sdk.SummaryType,
}

// names makes metric and label names as Prometheus' OTLP endpoint does, with its defaults.
type names struct {
	utf8    bool
	metric  otlptranslator.MetricNamer
	label   otlptranslator.LabelNamer
	unit    otlptranslator.UnitNamer
	promote map[string]bool
	all     bool // promote all resource attributes
}

func newNames(cfg *SourceConfig) *names {
	utf8 := cfg.Translation == "utf8"
	n := &names{
		utf8:   utf8,
		metric: otlptranslator.MetricNamer{WithMetricSuffixes: cfg.Suffixes, UTF8Allowed: utf8},
		//lint:ignore SA1019 it is what Prometheus does by default
		label:   otlptranslator.LabelNamer{UTF8Allowed: utf8, UnderscoreLabelSanitization: true, PreserveMultipleUnderscores: true},
		promote: map[string]bool{},
	}
	for _, name := range cfg.PromoteResourceAttributes {
		n.all = n.all || name == "*"
		n.promote[name] = true
	}
	return n
}

// family is what a metric becomes.
func (n *names) family(name, unit, help string, k kind) (*sdk.Family, error) {
	built, err := n.metric.Build(otlptranslator.Metric{Name: name, Unit: unit, Type: namedAs[k]})
	if err == nil && built == "" {
		err = errors.New("the metric has no name")
	}
	if err != nil {
		return nil, err
	}
	return &sdk.Family{Name: built, Type: typedAs[k], Unit: n.unit.Build(unit), Help: help}, nil
}

// labels makes labels of attributes, which are sorted by key. Where two keys become the same name, the values are joined
// with a semicolon.
func (n *names) labels(list []attribute, skip func(key string) bool) (ls sdk.Labels, err error) {
	if len(list) > maxAttributes {
		return nil, errTooMany
	}
	ls = make(sdk.Labels, 0, len(list)+4)
	for _, a := range list {
		if a.key == sdk.NameLabel || skip != nil && skip(a.key) {
			continue
		}
		name, err := n.label.Build(a.key)
		if err != nil {
			return nil, err
		}
		if had := ls.Get(name); had != "" && !n.utf8 {
			a.value = had + ";" + a.value
		}
		ls = ls.Set(name, a.value)
	}
	return ls, nil
}

// maxAttributes is how many attributes are looked at; a series may have fewer labels.
const maxAttributes = 1000

var errTooMany = fmt.Errorf("more than %d attributes", maxAttributes)

// identity are the attributes that become job and instance.
func identity(key string) bool {
	return key == "service.name" || key == "service.namespace" || key == "service.instance.id"
}
