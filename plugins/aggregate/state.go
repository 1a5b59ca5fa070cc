package main

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"fmt"
	"maps"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/store"

	"github.com/magpie-monitoring/magpie/sdk"
)

// The state of a derivation, as gob writes it.
type savedWork struct {
	Latest  int64
	Closed  int64
	Outputs map[string]savedOutput // by their key
}

type savedOutput struct {
	Counters []savedPoint
	Cells    []savedCell
}

type savedPoint struct {
	Series uint64
	Time   int64
	Value  float64
}

type savedCell struct {
	Window   int64
	Labels   sdk.Labels
	Count    uint64
	Sum      float64
	Min, Max float64
	Last     []savedPoint
	Sketch   []byte
}

// Snapshot gives everything that is held.
func (w *work) Snapshot() ([]byte, error) {
	s := savedWork{Latest: w.latest, Closed: w.closed, Outputs: map[string]savedOutput{}}
	for _, o := range w.outputs {
		kept := savedOutput{Counters: save(o.counters)}
		for _, number := range sorted(o.open) {
			for _, key := range sorted(o.open[number]) {
				c := o.open[number][key]
				cell := savedCell{Window: number, Labels: c.labels, Count: c.count, Sum: c.sum, Min: c.min, Max: c.max, Last: save(c.last)}
				if c.sketch != nil {
					c.sketch.Encode(&cell.Sketch, false)
				}
				kept.Cells = append(kept.Cells, cell)
			}
		}
		s.Outputs[o.key(w.p.cfg.Window)] = kept
	}
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(s)
	return b.Bytes(), err
}

// restore goes on with a state; what belongs to outputs that are no more is left out.
func (w *work) restore(state []byte) error {
	var s savedWork
	if err := gob.NewDecoder(bytes.NewReader(state)).Decode(&s); err != nil {
		return fmt.Errorf("the state cannot be read: %w", err)
	}
	same := false
	for _, o := range w.outputs {
		kept, ok := s.Outputs[o.key(w.p.cfg.Window)]
		if !ok {
			continue
		}
		same = true
		o.counters = load(kept.Counters)
		w.size += len(o.counters)
		for _, k := range kept.Cells {
			c := o.cell(k.Window, group{key: k.Labels.String(), labels: k.Labels})
			c.count, c.sum, c.min, c.max = k.Count, k.Sum, k.Min, k.Max
			if o.Function == "sum" {
				c.last = load(k.Last)
			}
			w.size += 1 + len(c.last)
			if k.Sketch != nil {
				sketch, err := ddsketch.DecodeDDSketch(k.Sketch, func() store.Store { return store.NewCollapsingLowestDenseStore(maxBins) }, nil)
				if err != nil {
					return fmt.Errorf("the state cannot be read: %w", err)
				}
				c.sketch = sketch
			}
		}
	}
	if same { // otherwise the windows have other lengths, or nothing of them is left
		w.latest, w.closed = s.Latest, s.Closed
	}
	return nil
}

func save(points map[uint64]point) (list []savedPoint) {
	for _, series := range sorted(points) {
		list = append(list, savedPoint{series, points[series].Time, points[series].Value})
	}
	return list
}

func load(list []savedPoint) map[uint64]point {
	points := make(map[uint64]point, len(list))
	for _, p := range list {
		points[p.Series] = point{p.Time, p.Value}
	}
	return points
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
