package main

import (
	"strings"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"

	"github.com/magpie-monitoring/magpie/sdk"
)

// families are the metric families of which series were stored since the start, for /metadata and /targets/metadata. One
// entry for each distinct name, type, unit and help; they stay when their series go, since the data does. What is beyond
// the limits is not kept: at most 50,000 entries of at most some 1.3 KiB, 65 MiB in the worst case; with the usual 2,000
// entries of 150 bytes it is 0.3 MiB.
type families struct {
	mu      sync.RWMutex
	byName  map[string][]scrape.MetricMetadata
	entries int
}

const (
	maxFamilies = 50_000
	maxVariants = 8    // entries of one name: targets that disagree about it
	maxName     = 256  // bytes of a name; longer ones have no entry
	maxHelp     = 1024 // bytes of a help text; the rest is cut off
)

func (f *families) add(family *sdk.Family) {
	if family == nil || family.Name == "" || len(family.Name) > maxName {
		return
	}
	m := scrape.MetricMetadata{MetricFamily: family.Name, Type: model.MetricType(family.Type.String()), Unit: cut(family.Unit, maxName), Help: cut(family.Help, maxHelp)}
	f.mu.RLock()
	wanted := f.wants(m)
	f.mu.RUnlock()
	if !wanted {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.wants(m) {
		return
	}
	if f.byName == nil {
		f.byName = map[string][]scrape.MetricMetadata{}
	}
	m.MetricFamily, m.Unit, m.Help = strings.Clone(m.MetricFamily), strings.Clone(m.Unit), strings.Clone(m.Help)
	f.byName[m.MetricFamily] = append(f.byName[m.MetricFamily], m)
	f.entries++
}

func (f *families) wants(m scrape.MetricMetadata) bool {
	known := f.byName[m.MetricFamily]
	if f.entries == maxFamilies || len(known) == maxVariants {
		return false
	}
	for _, k := range known {
		if k == m {
			return false
		}
	}
	return true
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") // a rune may be cut in two
}

// targets are pseudo-targets that stand for the families: web/api/v1 knows metadata of targets only, and one entry a
// name and target. Target i has the entries i of all names.
func (f *families) targets() map[string][]*scrape.Target {
	var all []*scrape.Target
	for i := range maxVariants {
		t := scrape.NewTarget(labels.EmptyLabels(), nil, nil, nil)
		t.SetMetadataStore(variant{f, i})
		all = append(all, t)
	}
	return map[string][]*scrape.Target{"": all}
}

// variant is the metadata of one pseudo-target.
type variant struct {
	*families
	i int
}

func (v variant) ListMetadata() (all []scrape.MetricMetadata) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, entries := range v.byName {
		if v.i < len(entries) {
			all = append(all, entries[v.i])
		}
	}
	return all
}

func (v variant) GetMetadata(name string) (scrape.MetricMetadata, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if entries := v.byName[name]; v.i < len(entries) {
		return entries[v.i], true
	}
	return scrape.MetricMetadata{}, false
}

func (v variant) LengthMetadata() int { return len(v.ListMetadata()) }

// SizeMetadata is bytes of text.
func (v variant) SizeMetadata() (n int) {
	for _, m := range v.ListMetadata() {
		n += len(m.MetricFamily) + len(m.Type) + len(m.Unit) + len(m.Help)
	}
	return n
}
