package sdk

import (
	"iter"
	"slices"
	"time"
)

// Exemplar is an example of what a series counts, such as the trace of one request.
type Exemplar struct {
	Labels Labels    // trace_id and the like, sorted
	Value  float64   // of the observation
	Time   time.Time // zero: the batch's
}

// maxExemplar bounds the labels of an exemplar: OpenMetrics has 128 characters, and stores may keep no more.
const maxExemplar = 4 << 10

// Signals is what a batch holds beside floats; a source without any has none.
type Signals struct {
	Run       Run           // of histograms
	Exemplars []RefExemplar // of series of the batch
	Records   []RefRecord   // lines of logs, and events
}

// RefExemplar is an exemplar of a series. Its labels and its value are not those of the series.
type RefExemplar struct {
	Ref Ref // of the series
	Exemplar
}

func (c *Columns) signals() *Signals {
	if c.Signals == nil {
		c.Signals = &Signals{}
	}
	return c.Signals
}

// PutHistogram adds a histogram taken at the batch's Time. It is not to be changed until the batch is emitted. One that is
// not valid is counted as dropped.
func (b *Batch) PutHistogram(ref Ref, h *Histogram) { b.putHistogram(ref, h, ownTime) }

// PutHistogramAt adds a histogram with a time of its own. Such samples do not go stale by being absent.
func (b *Batch) PutHistogramAt(ref Ref, h *Histogram, t time.Time) {
	b.putHistogram(ref, h, t.UnixMilli())
}

func (b *Batch) putHistogram(ref Ref, h *Histogram, t int64) {
	if ref >= badRef {
		b.refuse(ref)
		return
	}
	if h.Validate() != nil {
		b.scope.drop("invalid_histogram", 1)
		return
	}
	run := &b.columns.signals().Run
	run.Refs = append(run.Refs, ref)
	run.Histograms = append(run.Histograms, h)
	run.Times = append(run.Times, t)
}

// PutExemplar adds an exemplar to a series of the batch. Exemplars are no samples: none of the counts of samples has them,
// but for those that are dropped as "invalid_exemplar" because of their labels.
func (b *Batch) PutExemplar(ref Ref, e Exemplar) {
	if ref >= badRef {
		return // its sample is counted
	}
	if !e.valid() {
		b.scope.drop("invalid_exemplar", 1)
		return
	}
	s := b.columns.signals()
	s.Exemplars = append(s.Exemplars, RefExemplar{ref, e})
}

func (e *Exemplar) valid() bool { return sortedWithin(e.Labels, maxExemplar) }

// seal settles times.
func (s *Signals) seal(base int64) {
	s.Run.Base = base
	for i, t := range s.Run.Times {
		if t == ownTime {
			s.Run.Times[i] = base
		}
	}
	for i := range s.Exemplars {
		if e := &s.Exemplars[i]; e.Time.IsZero() {
			e.Time = time.UnixMilli(base)
		}
	}
	for i := range s.Records {
		if r := &s.Records[i]; r.Time.IsZero() {
			r.Time = time.UnixMilli(base)
		}
	}
}

func (s *Signals) reset() {
	clear(s.Run.Histograms)
	clear(s.Exemplars)
	clear(s.Records)
	s.Run.Refs, s.Run.Histograms, s.Run.Times = s.Run.Refs[:0], s.Run.Histograms[:0], s.Run.Times[:0]
	s.Exemplars, s.Records = s.Exemplars[:0], s.Records[:0]
}

// atBase are the refs of the samples at the batch's own time.
func (r *Run) atBase() []Ref {
	if r.Times == nil {
		return r.Refs
	}
	var refs []Ref
	for i, t := range r.Times {
		if t == r.Base {
			refs = append(refs, r.Refs[i])
		}
	}
	return refs
}

// listed are the refs that the batch lists: what the next whole one has to list again.
func (c *Columns) listed() []Ref {
	refs := c.Run.atBase()
	if c.Signals != nil && len(c.Signals.Run.Refs) > 0 {
		refs = append(slices.Clip(refs), c.Signals.Run.atBase()...)
	}
	return refs
}

// Exemplars ranges over the exemplars of a batch that a sink reads, with their series.
func (b *Batch) Exemplars() iter.Seq2[*Series, Exemplar] {
	return func(yield func(*Series, Exemplar) bool) {
		for r := range b.runs {
			run := &b.runs[r]
			for _, e := range run.Exemplars {
				if !yield(run.Origin.known(e.Ref), e.Exemplar) {
					return
				}
			}
		}
	}
}

// known is a series' definition, decoded once and kept.
func (o *Origin) known(ref Ref) *Series {
	s := o.seen[ref]
	if s == nil {
		def, _ := o.lookup(ref)
		s = &def
		if o.seen == nil {
			o.seen = map[Ref]*Series{}
		}
		o.seen[ref] = s
	}
	return s
}
