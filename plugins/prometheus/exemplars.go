package main

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// found is an exemplar behind a value.
type found struct {
	sample int // index into the workspace's ids
	labels span
	value  float64
	t      int64 // Unix ms
	timed  bool
}

// lastExemplar is what is kept of the exemplar of a series that was sent last: a page shows it until there is another.
type lastExemplar struct {
	t     int64 // its time, 0: it had none
	value float64
	hash  uint64 // of its labels, where it had no time
}

// notNewer compares exemplars of one series that have times, as Prometheus does: equal times are told apart by their values.
func (l lastExemplar) notNewer(e *found) bool {
	return cmp.Or(cmp.Compare(e.t, l.t), cmp.Compare(e.value, l.value)) <= 0
}

// maxExemplar bounds the text of an exemplar's labels: OpenMetrics lets it have 128 characters.
const maxExemplar = 4 << 10

// exemplars puts those into the batch that were not on an earlier page. Those that cannot be kept — labels that are too long,
// a time in the future — are left out.
func (m *memory) exemplars(w *workspace, b *sdk.Batch) {
	latest := b.Time.UnixMilli() + maxAhead
	if len(w.examples) > 1 { // those of one series by their times
		slices.SortStableFunc(w.examples, func(a, b found) int {
			return cmp.Or(cmp.Compare(a.sample, b.sample), cmp.Compare(a.t, b.t), cmp.Compare(a.value, b.value))
		})
	}
	for _, e := range w.examples {
		id := w.ids[e.sample]
		if id < 0 {
			continue
		}
		ref := m.series[id].ref
		if ref == sdk.NoRef || e.t < 0 || e.t > latest || e.labels.to-e.labels.from > maxExemplar {
			continue
		}
		last, known := m.sent[ref]
		this := lastExemplar{t: e.t, value: e.value}
		if !e.timed {
			this.hash = maphash.Bytes(seed, w.page[e.labels.from:e.labels.to])
		}
		if known && (e.timed && last.notNewer(&e) || !e.timed && this == last) {
			continue
		}
		if m.sent == nil {
			m.sent = map[sdk.Ref]lastExemplar{}
		}
		m.sent[ref] = this
		exemplar := sdk.Exemplar{Labels: w.exemplarLabels(e.labels), Value: e.value}
		if e.timed {
			exemplar.Time = time.UnixMilli(e.t)
		}
		b.PutExemplar(ref, exemplar)
	}
}

// exemplarLabels makes the labels of an exemplar whose text was checked when the page was read.
func (p *parser) exemplarLabels(text span) sdk.Labels {
	p.found = p.found[:0]
	p.exampleLabels = p.exampleLabels[:0]
	if _, err := p.braces(text.from, true); err != nil {
		return nil
	}
	ls := make(sdk.Labels, 0, len(p.exampleLabels))
	for _, l := range p.exampleLabels {
		ls = append(ls, sdk.Label{Name: unescape(p.page[l.name.from:l.name.to], true), Value: unescape(p.page[l.value.from:l.value.to], true)})
	}
	slices.SortFunc(ls, func(a, b sdk.Label) int { return strings.Compare(a.Name, b.Name) })
	return ls
}
