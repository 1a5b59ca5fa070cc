package sdk

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Ref names a series within its component.
type Ref uint32

// NoRef names no series: what Define gives when the component is over its limit_series. Samples set with it are counted
// as dropped.
const NoRef Ref = math.MaxUint32

// badRef is given for labels that the wire does not take.
const badRef = NoRef - 1

// Limits of a series, as the wire has them.
const (
	maxLabels = 256
	maxName   = 1 << 10
	maxValue  = 64 << 10
	maxSeries = 256 << 10
)

// StaleNaN is the value of a staleness marker, bit for bit Prometheus' (model/value.StaleNaN).
var StaleNaN = math.Float64frombits(0x7ff0000000000002)

// Batch is the unit that flows. A source sets samples in it; a sink reads them. It is valid only during the call that it
// is handed to, unless an Emitter made it, and is used by one goroutine at a time.
type Batch struct {
	// Time is when samples set without a time of their own were taken. The SDK sets it before each Collect; a Streamer
	// may set it before each Emit (zero: the time of Emit).
	Time time.Time

	// Whole says that each emission lists everything there is: a series that was in the last one and is not in this goes
	// stale. It holds for a Collector's batches; a Streamer may set it.
	Whole bool

	writing
	reading
}

// writing is the half of a batch that a source fills.
type writing struct {
	scope   *Scope
	base    Labels // job, instance and the component's labels
	columns Columns
	tracked []Ref // what the last whole emission listed
	sets    map[*Metric]map[string]*entry
	byHash  map[uint64][]*entry
	key     []byte
	cycle   uint32
	misuse  error

	mu      sync.Mutex // of targets: they may be collected side by side
	targets map[string]*Batch
	used    bool             // this cycle, as a target
	owned   map[Ref]struct{} // of a target: all its refs, to be retired with it
}

// entry is a series in a batch's dictionary.
type entry struct {
	ref    Ref
	labels Labels // nil where the metric and its label values are the key
	cycle  uint32 // when it was last set
}

// forgetAfter is how many emissions a series may be absent before its ref is retired.
const forgetAfter = 16

// Set sets a declared metric; labels are the values of its label names, in order. A wrong number of them is an error that
// names the metric and fails the Collect.
func (b *Batch) Set(m *Metric, v float64, labels ...string) {
	if len(labels) != len(m.LabelNames) {
		if b.misuse == nil {
			// a copy, so that the caller's labels need not be on the heap
			b.misuse = fmt.Errorf("metric %s has %d labels %q, and was set with %d values %q", m.Name, len(m.LabelNames), m.LabelNames, len(labels), slices.Clone(labels))
		}
		return
	}
	b.key = b.key[:0]
	for _, l := range labels {
		b.key = append(append(b.key, l...), 0xff)
	}
	e := b.sets[m][string(b.key)]
	if e == nil {
		e = b.setFirst(m, labels)
	}
	e.cycle = b.cycle
	b.Put(e.ref, v)
}

func (b *Batch) setFirst(m *Metric, values []string) *entry {
	ls := make(Labels, 0, len(values)+1+len(b.base))
	ls = ls.Set(NameLabel, m.Name)
	for i, n := range m.LabelNames {
		ls = ls.Set(n, values[i])
	}
	e := &entry{ref: b.Define(Series{ls, &m.Family})}
	if e.ref >= badRef {
		return e // asked again next time: there may be room then
	}
	if b.sets == nil {
		b.sets = map[*Metric]map[string]*entry{}
	}
	if b.sets[m] == nil {
		b.sets[m] = map[string]*entry{}
	}
	b.sets[m][string(b.key)] = e
	return e
}

// Series returns the ref of a series, defining it on first use. Where the caller can remember the ref, Define is cheaper.
func (b *Batch) Series(s Series) Ref {
	h := s.Labels.Hash()
	for _, e := range b.byHash[h] {
		if e.labels.Compare(s.Labels) == 0 {
			e.cycle = b.cycle
			return e.ref
		}
	}
	own := slices.Clone(s.Labels) // Define may change what it is given
	ref := b.Define(s)
	if ref < badRef {
		if b.byHash == nil {
			b.byHash = map[uint64][]*entry{}
		}
		b.byHash[h] = append(b.byHash[h], &entry{ref, own, b.cycle})
	}
	return ref
}

// Define gives a series a ref of its own, to be used with this batch until it is retired. The SDK adds the labels job and
// instance and those of the block; a label of the same name in s becomes exported_<name>. The labels of s belong to the
// batch from here on. Labels that are not Valid give a ref that names nothing, and their samples are counted as
// dropped.
func (b *Batch) Define(s Series) Ref {
	if !s.Labels.Valid() {
		return badRef
	}
	ref := b.scope.allocate()
	if ref == NoRef {
		return ref
	}
	for _, l := range b.base {
		name := l.Name
		if v := s.Labels.Get(name); v != "" {
			exported := "exported_" + name
			for s.Labels.Get(exported) != "" {
				exported = "exported_" + exported
			}
			s.Labels = s.Labels.Set(exported, v)
		}
		s.Labels = s.Labels.Set(name, l.Value)
	}
	b.columns.Define = append(b.columns.Define, Definition{ref, s})
	if b.owned != nil {
		b.owned[ref] = struct{}{}
	}
	return ref
}

// Put adds a sample taken at the batch's Time.
func (b *Batch) Put(ref Ref, v float64) {
	c := &b.columns
	if ref >= badRef {
		b.refuse(ref)
		return
	}
	c.Run.Refs = append(c.Run.Refs, ref)
	c.Run.Values = append(c.Run.Values, v)
	if c.Run.Times != nil {
		c.Run.Times = append(c.Run.Times, ownTime)
	}
}

func (b *Batch) refuse(ref Ref) {
	if ref == NoRef {
		b.scope.drop("limit_series", 1)
	} else {
		b.scope.drop("invalid_labels", 1)
	}
}

// ownTime stands in a times column for the batch's Time until the batch is sealed.
const ownTime = math.MinInt64

// PutAt adds a sample with a time of its own. Such samples do not go stale by being absent.
func (b *Batch) PutAt(ref Ref, v float64, t time.Time) {
	c := &b.columns
	if ref >= badRef {
		b.refuse(ref)
		return
	}
	if c.Run.Times == nil {
		c.Run.Times = slices.Grow(c.times[:0], len(c.Run.Refs)+1)
		for range c.Run.Refs {
			c.Run.Times = append(c.Run.Times, ownTime)
		}
	}
	c.Run.Refs = append(c.Run.Refs, ref)
	c.Run.Values = append(c.Run.Values, v)
	c.Run.Times = append(c.Run.Times, t.UnixMilli())
}

// Stale marks series as gone at the batch's Time, but keeps their refs.
func (b *Batch) Stale(refs ...Ref) { b.columns.Stale = append(b.columns.Stale, refs...) }

// Retire frees refs that will not be used again.
func (b *Batch) Retire(refs ...Ref) {
	b.columns.Retire = append(b.columns.Retire, refs...)
	b.scope.free(len(refs))
	for _, ref := range refs {
		delete(b.owned, ref)
	}
}

// maxCheckpoint bounds what Checkpoint takes.
const maxCheckpoint = 1 << 20

// Checkpoint says where the source is, with what the batch holds: it becomes durable together with that, or not at all. The
// next opening of the component finds the last one in Host.Checkpoint, and goes on from there without a gap and without
// telling anything twice; only of a batch of more than 16,384 samples a part may come again. At most 1 MiB; the value
// belongs to the batch.
func (b *Batch) Checkpoint(value []byte) {
	if len(value) > maxCheckpoint {
		b.misuse = fmt.Errorf("a checkpoint of %d bytes, and the most is %d", len(value), maxCheckpoint)
		b.scope.Fail(b.misuse)
		return
	}
	b.columns.Checkpoint = value
}

// Reject counts n samples that came to a source and were not taken, by reason: a few fixed words, which become a label.
func (b *Batch) Reject(reason string, n int) { b.scope.drop(reason, uint64(n)) }

// Target collects one of several targets of a component. Its series carry instance = address, and its `up`, duration and
// number of samples are set after collect returns; an error sets `up` to 0 and is the target's alone. A target that is
// not collected in a cycle goes stale. Safe to call side by side for different addresses; it recovers panics.
func (b *Batch) Target(address string, collect func(t *Batch) error) {
	b.mu.Lock()
	t := b.targets[address]
	if t == nil {
		if b.targets == nil {
			b.targets = map[string]*Batch{}
		}
		t = b.scope.batch(strings.ToValidUTF8(address, "�"))
		t.owned = map[Ref]struct{}{}
		b.targets[address] = t
	}
	t.used = true
	b.mu.Unlock()
	t.Time = b.Time
	t.Attempt(address, func() error { return collect(t) })
}

// Len is the number of samples in the batch.
func (b *Batch) Len() int {
	if b.scope == nil {
		return b.length
	}
	n := len(b.columns.Run.Refs)
	if s := b.columns.Signals; s != nil {
		n += len(s.Run.Refs) + len(s.Records)
	}
	return n
}

// reading is the half of a batch that a sink sees.
type reading struct {
	id      uint64
	runs    []Run
	length  int
	dropped map[int]string
}

// Run is a stretch of samples of one component, as columns: sample i is Values[i] of series Refs[i], or Histograms[i] or Records[i]
// where Values is nil. A run of exemplars has no samples. The columns belong to the batch.
type Run struct {
	Origin *Origin   // the component
	Refs   []Ref     // the series of each sample
	Values []float64 // floats; nil: histograms or records
	Base   int64     // Unix ms
	Times  []int64   // Unix ms; nil: all at Base

	Histograms []*Histogram  // nil: a run of floats, or of records
	Records    []*Record     // nil: a run of floats, or of histograms
	Exemplars  []RefExemplar // nil, or all that the run has
}

// Time is the time of sample i in Unix milliseconds.
func (r *Run) Time(i int) int64 {
	if r.Times == nil {
		return r.Base
	}
	return r.Times[i]
}

// Origin is a component whose samples a sink receives, from its opening to its end. Refs are small and dense within it.
type Origin struct {
	Address string // of the source, such as source.etcd.main
	Data    any    // the sink's own, such as its native references by Ref

	lookup func(Ref) (Series, bool)
	seen   map[Ref]*Series
}

// NewOrigin makes an origin for a decoder.
func NewOrigin(address string, lookup func(Ref) (Series, bool)) *Origin {
	return &Origin{Address: address, lookup: lookup}
}

// Series decodes the definition of a series; it makes new strings at every call.
func (o *Origin) Series(ref Ref) (Series, bool) { return o.lookup(ref) }

// Forgetter is an optional interface of sinks and Derivations: Forget is called between batches when series of an origin will not come
// again (refs nil: none of them), so that what was kept under their refs can be freed.
type Forgetter interface {
	Forget(o *Origin, refs []Ref)
}

// Forget drops what Samples has cached of refs (nil: all).
func (o *Origin) Forget(refs []Ref) {
	if refs == nil {
		o.seen = nil
	}
	for _, r := range refs {
		delete(o.seen, r)
	}
}

// Sample is one sample of a batch that a sink reads.
type Sample struct {
	*Series
	Value     float64    // where Histogram and Record are nil
	Time      time.Time  // when it was taken, to the millisecond
	Histogram *Histogram // nil: the sample is Value, as are the staleness markers of histograms
	Record    *Record    // of a sink that takes logs: a line of a log or an event
}

// ReadBatch makes a batch of what a decoder read. id is the position in the daemon's log, stable over replay.
func ReadBatch(id uint64, runs []Run) *Batch {
	b := &Batch{reading: reading{id: id, runs: runs}}
	for i := range runs {
		b.length += len(runs[i].Refs)
	}
	return b
}

// ID is the key for idempotence: the same samples come again under the same ID after a failure.
func (b *Batch) ID() uint64 { return b.id }

// Runs are the batch's columns, for sinks that are in a hurry. Sample i of Drop counts through all runs.
func (b *Batch) Runs() []Run { return b.runs }

// Samples ranges over all samples with their labels. Definitions are decoded once and kept with their origin.
func (b *Batch) Samples() iter.Seq2[int, Sample] {
	return func(yield func(int, Sample) bool) {
		i := 0
		for r := range b.runs {
			run := &b.runs[r]
			for k, ref := range run.Refs {
				s := Sample{Series: run.Origin.known(ref), Time: time.UnixMilli(run.Time(k))}
				switch {
				case run.Histograms != nil:
					s.Histogram = run.Histograms[k]
				case run.Records != nil:
					s.Record, s.Time = run.Records[k], run.Records[k].Time
				default:
					s.Value = run.Values[k]
				}
				if !yield(i, s) {
					return
				}
				i++
			}
		}
	}
}

// Drop rejects sample i for a reason such as "out_of_order"; the rest is acknowledged. Reasons are few fixed words: they
// become a label.
func (b *Batch) Drop(i int, reason string) {
	if b.dropped == nil {
		b.dropped = map[int]string{}
	}
	b.dropped[i] = reason
}

// Dropped counts the dropped samples by reason and clears them, for the acknowledgement.
func (b *Batch) Dropped() map[string]uint64 {
	if len(b.dropped) == 0 {
		return nil
	}
	n := map[string]uint64{}
	for _, reason := range b.dropped {
		n[reason]++
	}
	b.dropped = nil
	return n
}
