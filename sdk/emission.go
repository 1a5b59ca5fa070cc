package sdk

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// This file is where a batch meets the runtime (serve and the codec); authors of plugins need nothing of it.

// Definition is a series under its ref.
type Definition struct {
	Ref    Ref    // the number within the component
	Series Series // what it stands for
}

// Columns is what a source put into a batch, for the codec.
type Columns struct {
	Define  []Definition // new series
	Run     Run          // floats
	Stale   []Ref        // series that are gone at the batch's time
	Retire  []Ref        // refs that will not be used again
	Layouts []Layout     // the codec's: what it last told the other side about this batch's refs

	Checkpoint []byte   // nil: none
	Signals    *Signals // nil: there were never any

	times []int64 // memory of Run.Times, where it is not in use
}

// Layout is a list of refs that the other side knows under a number.
type Layout struct {
	ID   uint32 // its number
	Refs []Ref  // in order
}

// Scope is what the batches of one component share: labels, the allocation of refs, limits and counts.
type Scope struct {
	base     Labels
	instance bool // add the label instance
	host     string
	limit    int64
	next     atomic.Uint32
	live     atomic.Int64

	mu      sync.Mutex
	dropped map[string]uint64
	errors  map[Blame]uint64
	last    error
}

// NewScope makes the scope of a component. own: the plugin makes job, instance and the block's labels itself. instance is
// that of series that belong to no Target.
func NewScope(s SourceSettings, instance string, own bool) *Scope {
	sc := &Scope{host: instance, limit: int64(s.LimitSeries), instance: !own}
	if !own {
		for name, value := range s.Labels {
			sc.base = sc.base.Set(name, value)
		}
		sc.base = sc.base.Set("job", s.Job)
	}
	return sc
}

// Batch makes a batch for the component.
func (s *Scope) Batch() *Batch { return s.batch(s.host) }

func (s *Scope) batch(instance string) *Batch {
	base := slices.Clone(s.base)
	if s.instance && base.Get("instance") == "" {
		base = base.Set("instance", instance)
	}
	return &Batch{writing: writing{scope: s, base: base}}
}

func (s *Scope) allocate() Ref {
	if s.limit > 0 && s.live.Add(1) > s.limit {
		s.live.Add(-1)
		return NoRef
	}
	return Ref(s.next.Add(1) - 1)
}

func (s *Scope) free(n int) {
	if s.limit > 0 {
		s.live.Add(int64(-n))
	}
}

func (s *Scope) drop(reason string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped == nil {
		s.dropped = map[string]uint64{}
	}
	s.dropped[reason] += n
}

// Fail counts an error by whom it blames, and keeps it as the last one.
func (s *Scope) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errors == nil {
		s.errors = map[Blame]uint64{}
	}
	s.errors[AsProblem(err).Blame]++
	s.last = err
}

// Counts reports what was dropped by reason and failed by blame since the component opened, its live series, and the last
// error.
func (s *Scope) Counts() (dropped map[string]uint64, failed map[Blame]uint64, series int, last error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.dropped), maps.Clone(s.errors), int(s.live.Load()), s.last
}

var (
	up       = &Metric{Family: Family{Name: "up", Type: GaugeType, Help: "1 if the target was collected, 0 if that failed."}}
	duration = &Metric{Family: Family{Name: "scrape_duration_seconds", Type: GaugeType, Unit: "seconds", Help: "How long collecting the target took."}}
	scraped  = &Metric{Family: Family{Name: "scrape_samples_scraped", Type: GaugeType, Help: "The number of samples that the target gave."}}
)

// Attempt collects into the batch: it recovers panics, reports misuse of the batch, counts the error, and sets the target's
// own metrics.
func (b *Batch) Attempt(what string, collect func() error) {
	start := time.Now()
	err := Recover(what, collect)
	if b.misuse != nil {
		err, b.misuse = errors.Join(err, b.misuse), nil
	}
	if err != nil {
		b.scope.Fail(err)
	}
	if len(b.targets) > 0 {
		return // the targets have theirs
	}
	n := b.Len()
	alive := 1.0
	if err != nil {
		alive = 0
	}
	b.Set(up, alive)
	b.Set(duration, time.Since(start).Seconds())
	b.Set(scraped, float64(n))
}

// Panic is a recovered panic.
type Panic struct {
	Where string // the call that panicked
	Value any    // what panic was given
	Stack []byte // of the goroutine
}

func (p *Panic) Error() string { return fmt.Sprintf("panic in %s: %v", p.Where, p.Value) }

// Recover calls f and turns a panic into an error.
func Recover(where string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Panic{where, v, debug.Stack()}
		}
	}()
	return f()
}

// Seal ends a cycle of filling: it settles times, finds what went stale, and yields the columns of the batch and of its
// targets, each to be encoded and then released with Reset.
func (b *Batch) Seal(yield func(*Columns)) {
	for address, t := range b.targets {
		t.Whole = b.Whole
		if b.Whole && !t.used {
			t.Time = b.Time
			t.Retire(slices.Collect(maps.Keys(t.owned))...) // findStale marks them first
			delete(b.targets, address)
		}
		t.used = false
		t.sealOne(yield)
	}
	b.sealOne(yield)
}

func (b *Batch) sealOne(yield func(*Columns)) {
	c := &b.columns
	at := b.Time
	if at.IsZero() {
		at = time.Now()
	}
	c.Run.Base = at.UnixMilli()
	for i, t := range c.Run.Times {
		if t == ownTime {
			c.Run.Times[i] = c.Run.Base
		}
	}
	if c.Signals != nil {
		c.Signals.seal(c.Run.Base)
	}
	if b.Whole {
		b.findStale()
	}
	b.cycle++
	if b.cycle%forgetAfter == 0 {
		b.sweep()
	}
	yield(c)
	c.Reset()
}

// Reset empties the columns; what every batch needs keeps its memory, and the layouts stay.
func (c *Columns) Reset() {
	if c.Run.Times != nil {
		c.times = c.Run.Times[:0]
	}
	c.Checkpoint = nil
	c.Define, c.Stale, c.Retire = nil, c.Stale[:0], c.Retire[:0] // definitions come at first, and then rarely
	c.Run.Refs, c.Run.Values, c.Run.Times = c.Run.Refs[:0], c.Run.Values[:0], nil
	if c.Signals != nil {
		c.Signals.reset()
	}
}

// findStale marks what the last emission listed and this one does not.
func (b *Batch) findStale() {
	c := &b.columns
	now := c.listed() // only samples at the batch's own time are tracked
	if slices.Equal(b.tracked, now) {
		return
	}
	if len(b.tracked) > 0 {
		here := make(map[Ref]struct{}, len(now))
		for _, r := range now {
			here[r] = struct{}{}
		}
		for _, r := range b.tracked {
			if _, ok := here[r]; !ok {
				c.Stale = append(c.Stale, r)
			}
		}
	}
	b.tracked = append(b.tracked[:0], now...)
}

// sweep retires the series of the dictionary that were absent for forgetAfter emissions: it bounds a dictionary to what
// was seen in the last 2 × forgetAfter emissions.
func (b *Batch) sweep() {
	b.entries(func(e *entry) bool {
		if b.cycle-e.cycle <= forgetAfter {
			return true
		}
		b.Retire(e.ref)
		return false
	})
}

// entries visits the dictionary; visit says whether to keep an entry.
func (b *Batch) entries(visit func(*entry) bool) {
	for _, byKey := range b.sets {
		maps.DeleteFunc(byKey, func(_ string, e *entry) bool { return !visit(e) })
	}
	for h, es := range b.byHash {
		if es = slices.DeleteFunc(es, func(e *entry) bool { return !visit(e) }); len(es) == 0 {
			delete(b.byHash, h)
		} else {
			b.byHash[h] = es
		}
	}
}
