package main

import (
	"maps"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// table is all that was heard, by what the lines say. Memory: at most limit series, and four times as many keys, each
// of at most a line.
type table struct {
	rules []rule
	shape shape
	limit int

	keys   map[string]*series // as lines write them
	series map[string]*series // by name and labels
	order  []*series          // as they were first heard: batches that list the same in the same order are small
	kinds  map[string]kind    // of the metric names in use

	key      []byte
	sample   sample
	now      time.Time
	lines    uint64
	taken    [kinds]uint64
	faults   map[string]uint64
	lastLine string // that was refused, or its beginning
	lastWhy  string
}

func newTable(rules []rule, s shape, limit int) *table {
	return &table{
		rules: rules, shape: s, limit: limit, keys: map[string]*series{}, series: map[string]*series{}, kinds: map[string]kind{},
		faults: map[string]uint64{},
	}
}

// line takes one line in, without its end.
func (t *table) line(line []byte) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) == 0 {
		return
	}
	t.lines++
	head, rest, fault := split(line)
	if fault != "" {
		t.refuse(line, fault)
		return
	}
	s := &t.sample
	s.head = head
	for more := rest; more != nil; {
		if more, fault = s.next(more); fault != "" {
			t.refuse(line, fault)
			continue
		}
		known, fault := t.find(s)
		if fault != "" {
			t.refuse(line, fault)
			continue
		}
		known.heard = t.now
		values := s.values
		for value := values; values != nil; {
			if s.kind == set {
				value, values = values, nil
			} else {
				value, values = nextValue(values)
			}
			if fault := known.take(value, s.rate); fault != "" {
				t.refuse(line, fault)
			} else {
				t.taken[s.kind]++
			}
		}
	}
}

// refuse counts what was not taken. That an agent sends events too is no mistake.
func (t *table) refuse(line []byte, fault string) {
	t.faults[fault]++
	if fault != notCollected {
		t.lastLine, t.lastWhy = string(line[:min(len(line), 200)]), fault
	}
}

// find finds the series that a measurement belongs to; one that was seen before costs one look-up.
func (t *table) find(s *sample) (*series, string) {
	t.key = appendKey(t.key[:0], s)
	if known := t.keys[string(t.key)]; known != nil {
		return known, ""
	}
	if s.kind != set { // what is nonsense makes no series
		first, _ := nextValue(s.values)
		if v, ok := number(first); !ok {
			return nil, badValue
		} else if v < 0 && s.kind == counter {
			return nil, negative
		}
	}
	id, fault := identify(s.head, s.tags)
	if fault != "" {
		return nil, fault
	}
	id, sh, keep := apply(t.rules, id, s.kind, t.shape)
	known := &series{kind: s.kind, shape: sh, dropped: true}
	if keep {
		if known, fault = t.open(id, s.kind, sh); fault != "" {
			return nil, fault
		}
	}
	if len(t.keys) >= 4*max(t.limit, 1000) {
		clear(t.keys) // they come again
	}
	t.keys[string(t.key)] = known
	return known, ""
}

// open finds or makes the series of a name, a type and labels. A name has one type: a second one would make nonsense of both.
func (t *table) open(id identity, k kind, sh shape) (*series, string) {
	if id.name == "" {
		return nil, badName
	}
	if first, used := t.kinds[id.name]; used && first != k {
		return nil, conflicting
	}
	id.labels = id.labels.Set(sdk.NameLabel, id.name)
	if !id.labels.Valid() {
		return nil, malformed
	}
	name := id.labels.String()
	if s := t.series[name]; s != nil {
		return s, ""
	}
	if t.limit > 0 && len(t.series) >= t.limit {
		return nil, overLimit
	}
	s := &series{name: id.name, labels: id.labels, kind: k, shape: sh, fresh: true, undefined: true}
	switch {
	case k != timer && k != distribution:
	case sh.timers == classicHistogram:
		s.buckets = make([]float64, len(sh.buckets)+1)
	case sh.timers == nativeHistogram:
		s.native = &native{}
	}
	t.kinds[id.name], t.series[name] = k, s
	t.order = append(t.order, s)
	return s, ""
}

// write puts everything into a batch, and forgets what was not heard for its ttl. before is when that was done last.
func (t *table) write(b *sdk.Batch, now, before time.Time) {
	gone := func(s *series) bool { return s.shape.ttl > 0 && now.Sub(s.heard) > s.shape.ttl }
	forgotten := false
	for _, s := range t.order {
		if gone(s) {
			b.Retire(s.live()...)
			forgotten = true
			continue
		}
		s.write(b, before)
	}
	if !forgotten {
		return
	}
	t.order = slices.DeleteFunc(t.order, gone)
	maps.DeleteFunc(t.series, func(_ string, s *series) bool { return gone(s) })
	maps.DeleteFunc(t.keys, func(_ string, s *series) bool { return gone(s) })
	clear(t.kinds)
	for _, s := range t.order {
		t.kinds[s.name] = s.kind
	}
}

// detach makes all series be defined anew, for a batch that does not know them.
func (t *table) detach() {
	for _, s := range t.order {
		s.refs, s.undefined = nil, true
	}
}

// live are the refs that the series has.
func (s *series) live() (refs []sdk.Ref) {
	for _, ref := range s.refs {
		if ref < sdk.NoRef-1 {
			refs = append(refs, ref)
		}
	}
	return refs
}
