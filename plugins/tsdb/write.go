package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/magpie-monitoring/magpie/sdk"
)

// ahead is how far in the future a sample may be, as for Prometheus' scrapes: one sample of next year would make the
// database refuse every other.
const ahead = 10 * time.Minute

// Write stores a batch in one commit. An error means that nothing of it is acknowledged: the same batch comes again.
func (s *store) Write(ctx context.Context, in *sdk.Batch) error {
	err := s.write(ctx, in)
	if err != nil {
		s.trouble.Store(&trouble{err.Error()})
		return err
	}
	if s.trouble.Load() != nil {
		s.trouble.Store(nil)
	}
	return nil
}

func (s *store) write(ctx context.Context, in *sdk.Batch) error {
	if err := s.room(); err != nil {
		return err
	}
	if s.doubtful.Load() {
		if err := s.openAgain(ctx); err != nil {
			return err
		}
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	f := s.front.Load()
	switch {
	case s.closed:
		return errClosed
	case f == nil || s.doubtful.Load(): // another Write failed meanwhile
		return errOpening
	}
	a := appending{
		app: f.db.AppenderV2(ctx), in: in, families: &s.families, generation: s.generation,
		window: s.cfg.Load().OutOfOrder > 0, latest: time.Now().Add(ahead).UnixMilli(),
	}
	committed := false
	defer func() {
		if !committed { // what natives say was stored was not
			s.doubtful.Store(true)
			a.app.Rollback()
		}
	}()
	runs := in.Runs()
	for r := range runs {
		a.run(&runs[r])
	}
	if err := s.commit(f.db, &a); err != nil {
		return blameHost(fmt.Errorf("commit %d samples: %w", in.Len(), err))
	}
	committed = true
	if err := s.keepExemplars(f.db, in); err != nil {
		s.doubtful.Store(true)
		return blameHost(fmt.Errorf("commit exemplars: %w", err))
	}
	return nil
}

// appending is one Write on its way.
type appending struct {
	app        storage.AppenderV2
	in         *sdk.Batch
	families   *families
	generation uint64
	window     bool  // out-of-order samples are taken
	latest     int64 // Unix ms
	i          int   // the sample's place in the batch
	late       bool  // a sample may be out of order

	// The sample at hand, where it is a histogram: one of the two is set.
	whole *histogram.Histogram
	float *histogram.FloatHistogram
}

// run appends a stretch of samples by the refs that the database gave its series.
func (a *appending) run(run *sdk.Run) {
	known := natives(run.Origin, a.generation)
	for k, ref := range run.Refs {
		n := known.Get(ref)
		if n == nil {
			known.Set(ref, native{newest: math.MinInt64})
			n = known.Get(ref)
		}
		v, bits := 0.0, uint64(0)
		if run.Histograms != nil {
			a.whole, a.float = convert(run.Histograms[k])
			bits = mark(run.Histograms[k])
		} else {
			v = run.Values[k]
			bits = math.Float64bits(v)
		}
		if reason := a.sample(run.Origin, ref, n, run.Time(k), v, bits); reason != "" {
			a.in.Drop(a.i, reason)
		}
		a.i++
	}
	a.whole, a.float = nil, nil
}

// sample appends one sample; the reason says why it was not.
//
// What is not newer than the series' last sample is judged here where the TSDB would judge it in silence, at the commit,
// because the other sample is in the same batch.
func (a *appending) sample(o *sdk.Origin, ref sdk.Ref, n *native, t int64, v float64, bits uint64) (reason string) {
	switch {
	case t > a.latest:
		return "out_of_bounds"
	case t == n.newest && bits == n.value && n.ref != 0:
		return "" // it is stored already
	case t == n.newest && n.ref != 0:
		return "duplicate"
	case t < n.newest && !a.window:
		return "out_of_order"
	}
	stored, err := a.app.Append(n.ref, labels.EmptyLabels(), 0, t, v, a.whole, a.float, storage.AppendV2Options{})
	if err != nil {
		if stored, reason = a.first(o, ref, n, t, v, err); reason != "" {
			return reason
		}
	}
	if t < n.newest || n.newest == math.MinInt64 {
		a.late = true
	}
	n.ref = stored
	if t > n.newest {
		n.newest, n.value = t, bits
	}
	return ""
}

// first appends a sample of a series that the database does not know by its ref: a new one, or one that left its memory
// because its last sample is long on disk. err is what it says to the ref.
func (a *appending) first(o *sdk.Origin, ref sdk.Ref, n *native, t int64, v float64, err error) (stored storage.SeriesRef, reason string) {
	if !errors.Is(err, tsdb.ErrInvalidSample) {
		return 0, reasonOf(err)
	}
	if n.ref == invalid {
		return 0, "invalid_labels"
	}
	series, ok := o.Series(ref)
	if !ok {
		return 0, "unknown_series"
	}
	ls, ok := nativeLabels(series.Labels)
	if !ok {
		n.ref = invalid
		return 0, "invalid_labels"
	}
	a.families.add(series.Family)
	if stored, err = a.app.Append(0, ls, 0, t, v, a.whole, a.float, storage.AppendV2Options{}); err != nil {
		return 0, reasonOf(err)
	}
	return stored, ""
}

// reasonOf names why the TSDB refuses a sample.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, storage.ErrOutOfOrderSample):
		return "out_of_order"
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		return "duplicate"
	case errors.Is(err, storage.ErrTooOldSample):
		return "too_old"
	case errors.Is(err, storage.ErrOutOfBounds):
		return "out_of_bounds"
	case errors.Is(err, tsdb.ErrInvalidSample):
		return "invalid_labels"
	case errors.As(err, new(histogram.Error)):
		return "invalid_histogram"
	}
	return "rejected"
}

// commit makes a Write durable against the death of the process. One at a time: behind a commit that failed none may
// succeed, for its samples are behind the torn place in the log.
func (s *store) commit(db *database, a *appending) error {
	s.commits.Lock()
	defer s.commits.Unlock()
	if s.doubtful.Load() {
		return errOpening
	}
	err := crashing(a.app.Commit)
	if err == nil && a.late {
		err = db.lateLogged()
	}
	if err != nil {
		s.doubtful.Store(true)
	}
	return err
}

// crashing ends the process where the TSDB panics: it does so when it cannot write a chunk, with locks of the head held,
// and everyone who touches those series afterwards would wait for ever. The log has all that was acknowledged.
func crashing(commit func() error) error {
	defer func() {
		if v := recover(); v != nil {
			stack := debug.Stack()
			go func() { panic(fmt.Sprintf("the database failed in a commit: %v\n%s", v, stack)) }()
			select {}
		}
	}()
	return commit()
}

// room refuses to write while less than min_free is free.
func (s *store) room() error {
	least := s.cfg.Load().MinFree
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &disk); err != nil {
		return fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	if free := sdk.Bytes(disk.Bavail) * sdk.Bytes(disk.Bsize); free < least {
		err := fmt.Errorf("%.1f MiB are free on the disk of %s, and min_free is %s", float64(free)/(1<<20), s.dir, least)
		return blameHost(sdk.Fix(err, "make room, or keep less with retention or retention_size"))
	}
	return nil
}

func blameHost(err error) error {
	p := sdk.AsProblem(err)
	p.Blame = sdk.BlameHost
	return p
}

// openAgain opens the database again after a failed commit, which leaves the log torn: the TSDB would go on writing
// behind the torn record and read only up to it after the next start.
func (s *store) openAgain(ctx context.Context) error {
	if err := s.shut(ctx); err != nil {
		return err
	}
	defer s.gate.Unlock()
	if s.closed {
		return errClosed
	}
	if !s.doubtful.Load() {
		return nil // another Write did it
	}
	if f := s.front.Swap(nil); f != nil {
		s.host.Log().Warn("a write failed: opening the database again, to cut its log at the last whole record")
		if err := f.db.close(); err != nil {
			s.host.Log().Warn("close after a failed write", "error", err)
		}
	}
	return s.openDatabase(ctx)
}
