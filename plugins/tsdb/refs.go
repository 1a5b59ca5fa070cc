package main

import (
	"math"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/magpie-monitoring/magpie/sdk"
)

// native is what is kept of a series: 24 bytes. Its labels are in the database's head, which has to have them in any case.
type native struct {
	ref    storage.SeriesRef // 0: not known yet; invalid: never to be stored
	newest int64             // time of the newest sample that was stored since the series was first seen here, Unix ms
	value  uint64            // its value's bits, or the mark of a histogram
}

// invalid is the ref of a series that cannot be stored.
const invalid = storage.SeriesRef(math.MaxUint64)

// origin is what is kept of a component whose samples come in, in sdk.Origin.Data.
type origin struct {
	sdk.Table[native]
	generation uint64
}

// natives gives an origin's table, empty if what it held is of an earlier opening of the database.
func natives(o *sdk.Origin, generation uint64) *origin {
	known, ok := o.Data.(*origin)
	if !ok || known.generation != generation {
		known = &origin{generation: generation}
		o.Data = known
	}
	return known
}

// Forget frees what is kept of series that will not come again.
func (s *store) Forget(o *sdk.Origin, refs []sdk.Ref) {
	if refs == nil {
		o.Data = nil
	}
	if known, ok := o.Data.(*origin); ok {
		for _, ref := range refs {
			known.Delete(ref)
		}
	}
}

// builders are reused: a label set is built in the memory of the last one and copied once.
var builders = sync.Pool{New: func() any { b := labels.NewScratchBuilder(16); return &b }}

// nativeLabels makes the TSDB's labels, one string for all of them. They come sorted; false if they name no metric or
// one of them twice.
func nativeLabels(ls sdk.Labels) (labels.Labels, bool) {
	b := builders.Get().(*labels.ScratchBuilder)
	defer builders.Put(b)
	b.Reset()
	named := false
	for i, l := range ls {
		if i > 0 && ls[i-1].Name >= l.Name || l.Value == "" {
			return labels.EmptyLabels(), false
		}
		named = named || l.Name == sdk.NameLabel
		b.Add(l.Name, l.Value)
	}
	return b.Labels(), named
}
