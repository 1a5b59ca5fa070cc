package main

import (
	"hash/maphash"
	"sort"
	"strconv"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// series is a metric with its labels, and what was heard of it.
type series struct {
	name    string
	labels  sdk.Labels
	kind    kind
	shape   shape
	dropped bool // by a mapping
	heard   time.Time

	value    float64 // a counter's total, a gauge's value
	sum      float64
	count    float64
	buckets  []float64 // each by itself
	native   *native
	window   sketch // since the last flush
	distinct map[uint64]struct{}

	refs      []sdk.Ref // in the order of write
	undefined bool      // not all of them name a series: there was no room
	fresh     bool      // not written yet
}

// setLimit bounds what is kept of one set between two flushes: 8 bytes a value, and some for the map.
const setLimit = 100_000

var seed = maphash.MakeSeed()

// take takes one measurement in; the fault says why it was refused.
func (s *series) take(value []byte, rate float64) (fault string) {
	if s.dropped {
		return ""
	}
	if s.kind == set {
		return s.add(value)
	}
	v, ok := number(value)
	if !ok {
		return badValue
	}
	switch s.kind {
	case counter:
		if v < 0 {
			return negative
		}
		s.value += v / rate
	case gauge:
		if value[0] == '+' || value[0] == '-' {
			v += s.value
		}
		s.value = v
	case timer:
		s.observe(v/1000, 1/rate)
	case distribution:
		s.observe(v, 1/rate)
	}
	return ""
}

func (s *series) observe(v, weight float64) {
	s.sum += v * weight
	s.count += weight
	switch s.shape.timers {
	case classicHistogram:
		s.buckets[sort.SearchFloat64s(s.shape.buckets, v)] += weight
	case nativeHistogram:
		s.native.add(v, weight)
	}
	if s.shape.timers == summary || s.shape.minMax {
		s.window.add(v, weight)
	}
}

func (s *series) add(value []byte) (fault string) {
	h := maphash.Bytes(seed, value)
	if _, known := s.distinct[h]; known {
		return ""
	}
	if len(s.distinct) == setLimit {
		return setFull
	}
	if s.distinct == nil {
		s.distinct = map[uint64]struct{}{}
	}
	s.distinct[h] = struct{}{}
	return ""
}

// define gives the series' lines in the output their refs, those again that found no room before.
func (s *series) define(b *sdk.Batch) {
	i := 0
	s.undefined = false
	put := func(suffix string, family *sdk.Family, label, value string) {
		if i == len(s.refs) {
			s.refs = append(s.refs, sdk.NoRef)
		}
		if s.refs[i] == sdk.NoRef {
			labels := make(sdk.Labels, len(s.labels), len(s.labels)+6)
			copy(labels, s.labels)
			if label != "" {
				labels = labels.Set(label, value)
			}
			s.refs[i] = b.Define(sdk.Series{Labels: labels.Set(sdk.NameLabel, s.name+suffix), Family: family})
			s.undefined = s.undefined || s.refs[i] == sdk.NoRef
		}
		i++
	}
	switch s.kind {
	case counter:
		put("", &sdk.Family{Name: s.name, Type: sdk.CounterType}, "", "")
		return
	case gauge, set:
		put("", &sdk.Family{Name: s.name, Type: sdk.GaugeType}, "", "")
		return
	}
	family := &sdk.Family{Name: s.name, Type: sdk.SummaryType}
	if s.shape.timers != summary {
		family.Type = sdk.HistogramType
	}
	if s.shape.timers == nativeHistogram {
		put("", family, "", "")
	} else {
		put("_sum", family, "", "")
		put("_count", family, "", "")
	}
	switch s.shape.timers {
	case classicHistogram:
		for _, bound := range s.shape.buckets {
			put("_bucket", family, "le", strconv.FormatFloat(bound, 'g', -1, 64))
		}
		put("_bucket", family, "le", "+Inf")
	case summary:
		for _, q := range s.shape.quantiles {
			put("", family, "quantile", strconv.FormatFloat(q, 'g', -1, 64))
		}
	}
	if s.shape.minMax {
		put("_min", &sdk.Family{Name: s.name + "_min", Type: sdk.GaugeType}, "", "")
		put("_max", &sdk.Family{Name: s.name + "_max", Type: sdk.GaugeType}, "", "")
	}
}

// write puts the series into a batch. What counts begins with a 0 at the time of the flush before: rate
// and increase then see what was heard first.
func (s *series) write(b *sdk.Batch, before time.Time) {
	if s.undefined {
		s.define(b)
	}
	next := 0
	level := func(v float64) {
		b.Put(s.refs[next], v)
		next++
	}
	total := func(v float64) {
		if s.fresh {
			b.PutAt(s.refs[next], 0, before.Add(time.Millisecond))
		}
		level(v)
	}
	switch s.kind {
	case counter:
		total(s.value)
	case gauge:
		level(s.value)
	case set:
		level(float64(len(s.distinct)))
		clear(s.distinct)
	default:
		s.writeObserved(b, before, level, total, &next)
	}
	s.fresh = false
}

// writeObserved puts what timers and distributions become into a batch.
func (s *series) writeObserved(b *sdk.Batch, before time.Time, level, total func(float64), next *int) {
	if s.shape.timers == nativeHistogram {
		if s.fresh {
			b.PutHistogramAt(s.refs[0], (&native{fractional: s.native.fractional}).histogram(0, 0), before.Add(time.Millisecond))
		}
		b.PutHistogram(s.refs[0], s.native.histogram(s.count, s.sum))
		*next++
	} else {
		total(s.sum)
		total(s.count)
	}
	if s.shape.timers == classicHistogram {
		n := 0.0
		for _, in := range s.buckets {
			n += in
			total(n)
		}
	}
	if s.window.count == 0 {
		return
	}
	if s.shape.timers == summary {
		for _, q := range s.shape.quantiles {
			level(s.window.quantile(q))
		}
	}
	if s.shape.minMax {
		level(s.window.min)
		level(s.window.max)
	}
	s.window.empty()
}
