package main

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxAhead is how far in the future a point may be: the daemon refuses what is later.
const maxAhead = 10 * time.Minute

// Reasons for which a data point is refused. They become a label.
const (
	badAttributes = "invalid_labels"
	badName       = "invalid_name"
	badTime       = "invalid_time"
	badHistogram  = "invalid_histogram"
	noValue       = "no_value"
	noTemporality = "no_temporality"
	lateDelta     = "late_delta"   // not newer than the last one of its stream
	unlikeDelta   = "unlike_delta" // a delta that cannot be added up
	tooManySeries = "limit_series" // as the SDK counts it
)

// intake turns requests into batches, one at a time: the contexts, the running totals of deltas and the order of a series'
// samples are its.
type intake struct {
	cfg      *SourceConfig
	settings sdk.SourceSettings
	names    *names
	now      func() time.Time

	mu        sync.Mutex
	out       sdk.Emitter
	batch     *sdk.Batch
	resources map[string]*resource
	series    map[[2]uint64]*series
	seeds     [2]maphash.Seed
	minute    uint32
	retired   []sdk.Ref

	// of the request being read
	samples  []sample
	rejected map[string]int
	until    uint64 // ns: what is later is refused
	key      []byte
	counts   []uint64
	bounds   []float64
	undo     []before

	histograms []histogramSample
	examples   [][]byte // the exemplars of the point being read
	shown      []sdk.RefExemplar
}

// before is what a point was before a delta.
type before struct {
	point  *point
	last   uint64
	totals []float64
	total  *expHistogram
}

func newIntake(cfg *SourceConfig, settings sdk.SourceSettings) *intake {
	return &intake{
		cfg: cfg, settings: settings, names: newNames(cfg), now: time.Now,
		resources: map[string]*resource{}, series: map[[2]uint64]*series{}, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
}

// start connects the intake to the daemon; what it knows of its senders outlives a Stream that has to begin again.
func (in *intake) start(out sdk.Emitter) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.out = out
	if in.batch == nil {
		in.batch = out.Batch()
	}
}

// take reads a request and emits its samples. It gives the points that were refused by reason. errMalformed means that
// nothing was taken, and so does sdk.ErrFull. ctx is that of the stream: once begun, a request is not left half emitted
// because its sender went away.
func (in *intake) take(ctx context.Context, request []byte) (rejected map[string]int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.out.Emit(sdk.WithoutWaiting(ctx), in.batch); err != nil { // nothing to send: asks whether there is room
		return nil, err
	}
	in.samples, in.rejected, in.until = in.samples[:0], nil, uint64(in.now().Add(maxAhead).UnixNano())
	in.undo, in.histograms, in.shown = in.undo[:0], in.histograms[:0], in.shown[:0]
	if err := in.request(request); err != nil {
		for _, u := range slices.Backward(in.undo) {
			u.point.last, u.point.totals, u.point.total = u.last, u.totals, u.total
		}
		return nil, err
	}
	in.fill()
	if cap(in.samples) > 1<<17 {
		in.samples = nil // a large request does not stay
	}
	rejected = maps.Clone(in.rejected)
	return rejected, in.out.Emit(ctx, in.batch)
}

// fill puts the samples into the batch. Those at the first one's time need none of their own, which is all of them where a
// request is one collection.
func (in *intake) fill() {
	b := in.batch
	if len(in.samples) > 0 {
		b.Time = time.UnixMilli(in.samples[0].ms)
	} else if len(in.histograms) > 0 {
		b.Time = time.UnixMilli(in.histograms[0].ms)
	}
	for _, s := range in.samples {
		if s.ms == in.samples[0].ms {
			b.Put(s.ref, s.value)
		} else {
			b.PutAt(s.ref, s.value, time.UnixMilli(s.ms))
		}
	}
	for _, s := range in.histograms {
		b.PutHistogramAt(s.ref, s.h, time.UnixMilli(s.ms))
	}
	for _, e := range in.shown {
		b.PutExemplar(e.Ref, e.Exemplar)
	}
	clear(in.histograms) // the batch's now
	clear(in.shown)
	clear(in.examples[:cap(in.examples)]) // parts of the request
	for reason, n := range in.rejected {
		b.Reject(reason, n)
	}
}

func (in *intake) reject(reason string, n int) {
	if in.rejected == nil {
		in.rejected = map[string]int{}
	}
	in.rejected[reason] += n
}

// define gives labels a ref, the one that they have if they came before. "" or the reason why not.
func (in *intake) define(ls sdk.Labels, family *sdk.Family) (*series, string) {
	for name, v := range in.settings.Labels {
		had := ls.Get(name)
		ls = ls.Set(name, v)
		if had != "" && had != v {
			for name = "exported_" + name; ls.Get(name) != ""; {
				name = "exported_" + name
			}
			ls = ls.Set(name, had)
		}
	}
	if !ls.Valid() {
		return nil, badAttributes
	}
	var key [2]uint64
	for i := range key {
		var h maphash.Hash
		h.SetSeed(in.seeds[i])
		for _, l := range ls {
			h.WriteString(l.Name)
			h.WriteByte(0xff)
			h.WriteString(l.Value)
			h.WriteByte(0xff)
		}
		key[i] = h.Sum64()
	}
	s := in.series[key]
	if s == nil {
		ref := in.batch.Define(sdk.Series{Labels: ls, Family: family})
		if ref == sdk.NoRef {
			return nil, tooManySeries
		}
		s = &series{ref: ref, key: key}
		in.series[key] = s
	}
	s.users++
	return s, ""
}

func (in *intake) release(s *series) {
	if s == nil {
		return
	}
	if s.users--; s.users == 0 {
		delete(in.series, s.key)
		in.retired = append(in.retired, s.ref)
	}
}

// sweep is called every minute: it forgets the points that did not come for idle_timeout, and frees their series. Nothing
// is marked stale, as OTLP has its own way to say that a series ended.
func (in *intake) sweep(ctx context.Context) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.minute++
	idle := uint32(in.cfg.IdleTimeout / time.Minute)
	for key, r := range in.resources {
		for name, s := range r.scopes {
			for id, m := range s.metrics {
				for attributes, p := range m.points {
					if in.minute-p.used > idle {
						for _, s := range p.series {
							in.release(s)
						}
						delete(m.points, attributes)
					}
				}
				if len(m.points) == 0 {
					delete(s.metrics, id)
				}
			}
			if len(s.metrics) == 0 {
				delete(r.scopes, name)
			}
		}
		if len(r.scopes) == 0 {
			in.release(r.infoRef)
			delete(in.resources, key)
		}
	}
	if len(in.retired) > 0 {
		in.batch.Retire(in.retired...)
		in.retired = nil
		in.out.Emit(sdk.WithoutWaiting(ctx), in.batch) // or with the next request
	}
}
