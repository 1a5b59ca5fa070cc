package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/storage"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestWhatIsWrittenCanBeQueried(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	b.Time = now
	b.Put(b.Define(series("up", "job", "a")), 1)
	b.Put(b.Define(series("up", "job", "b")), 0)
	b.PutAt(b.Define(series("late", "job", "b")), 7, now.Add(-time.Minute))
	o.written(3, map[string]uint64{})
	if got, want := o.ask(`up`, now), "up{job=\"a\"} 1\nup{job=\"b\"} 0"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := o.ask(`late offset 1m`, now); got != `late{job="b"} 7` {
		t.Error(got)
	}
}

func TestAStalenessMarkerEndsASeriesAtOnce(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	ref := b.Define(series("up"))
	b.PutAt(ref, 1, now.Add(-10*time.Second))
	o.written(1, map[string]uint64{})
	b.Time = now
	b.Stale(ref)
	o.written(1, map[string]uint64{})
	if got := o.ask(`up`, now.Add(-time.Second)); got != "up 1" {
		t.Errorf("before the marker: %q", got)
	}
	if got := o.ask(`up`, now); got != "" {
		t.Errorf("at the marker: %q", got)
	}
}

func TestEachRefusedSampleHasAReasonAndTheRestIsStored(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	for _, c := range []struct {
		name    string
		window  time.Duration
		fill    func(b *sdk.Batch, m sdk.Ref)
		stored  int
		dropped map[string]uint64
	}{
		{"another value at the same time", time.Hour, func(b *sdk.Batch, m sdk.Ref) { b.PutAt(m, 2, now) }, 1, map[string]uint64{"duplicate": 1}},
		{"the same value again", time.Hour, func(b *sdk.Batch, m sdk.Ref) { b.PutAt(m, 1, now) }, 2, map[string]uint64{}},
		{"another value twice in one batch", time.Hour, func(b *sdk.Batch, m sdk.Ref) {
			r := b.Define(series("other"))
			b.PutAt(r, 1, now)
			b.PutAt(r, 2, now)
			b.PutAt(r, 1, now)
		}, 3, map[string]uint64{"duplicate": 1}},
		{"older than the last, and no window", 0, func(b *sdk.Batch, m sdk.Ref) { b.PutAt(m, 1, now.Add(-time.Second)) }, 1, map[string]uint64{"out_of_order": 1}},
		{"backwards in one batch, and no window", 0, func(b *sdk.Batch, m sdk.Ref) {
			r := b.Define(series("other"))
			b.PutAt(r, 1, now)
			b.PutAt(r, 1, now.Add(-time.Second))
		}, 2, map[string]uint64{"out_of_order": 1}},
		{"older than the last, in the window", time.Hour, func(b *sdk.Batch, m sdk.Ref) { b.PutAt(m, 1, now.Add(-time.Second)) }, 2, map[string]uint64{}},
		{"older than the window", time.Minute, func(b *sdk.Batch, m sdk.Ref) { b.PutAt(m, 1, now.Add(-2*time.Minute)) }, 1, map[string]uint64{"too_old": 1}},
		{"before what is in memory, and no window", 0, func(b *sdk.Batch, m sdk.Ref) {
			b.PutAt(b.Define(series("other")), 1, now.Add(-24*time.Hour))
		}, 1, map[string]uint64{"out_of_bounds": 1}},
		{"far in the future", time.Hour, func(b *sdk.Batch, m sdk.Ref) {
			b.PutAt(m, 1, now.Add(time.Hour))
			b.PutAt(m, 1, now.AddDate(100, 0, 0))
		}, 1, map[string]uint64{"out_of_bounds": 2}},
		{"a series without a name", time.Hour, func(b *sdk.Batch, m sdk.Ref) {
			r := b.Define(sdk.Series{Labels: sdk.NewLabels("job", "x")})
			b.PutAt(r, 1, now)
			b.PutAt(r, 1, now.Add(time.Second))
		}, 1, map[string]uint64{"invalid_labels": 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := openStore(t, plugintest.Config{"out_of_order": c.window})
			b := o.Batch()
			m := b.Define(series("m"))
			b.PutAt(m, 1, now)
			o.written(1, map[string]uint64{})
			c.fill(b, m)
			b.PutAt(b.Define(series("rest")), 5, now)
			o.written(c.stored, c.dropped)
			if got := o.ask(`{__name__=~"m|rest"}`, now); got != "m 1\nrest 5" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestEveryValueKeepsItsBits(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	now := time.Now().Truncate(time.Second)
	b := o.Batch()
	values := []float64{0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN()}
	ref := b.Define(series("v"))
	for i, v := range values {
		b.PutAt(ref, v, now.Add(time.Duration(i)*time.Second))
	}
	o.written(len(values), map[string]uint64{})
	for i, v := range values {
		r, err := o.store.Query(t.Context(), sdk.Query{Expr: "v", Start: now.Add(time.Duration(i) * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Series[0].Points[0].Value; math.Float64bits(got) != math.Float64bits(v) {
			t.Errorf("%v came back as %v", v, got)
		}
	}
}

// A series leaves the database's memory when its samples are on disk; its old ref is worth nothing then.
func TestASeriesThatLeftTheDatabasesMemoryCanComeBack(t *testing.T) {
	t.Parallel()
	s := openDirectly(t, &Config{OutOfOrder: time.Hour, WALCompression: "snappy"})
	const gone, stays = 0, 1
	o := sdk.NewOrigin("source.test.main", func(ref sdk.Ref) (sdk.Series, bool) {
		return series([]string{"gone", "stays"}[ref], "a", "b"), true
	})
	put := func(at time.Time, v float64, refs ...sdk.Ref) {
		t.Helper()
		run := sdk.Run{Origin: o, Refs: refs, Base: at.UnixMilli()}
		for range refs {
			run.Values = append(run.Values, v)
		}
		b := sdk.ReadBatch(1, []sdk.Run{run})
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if dropped := b.Dropped(); dropped != nil {
			t.Fatalf("at %s: dropped %v", at, dropped)
		}
	}
	start := time.Now().Add(-10 * time.Hour)
	put(start, 1, gone, stays)
	for at := start.Add(time.Minute); at.Before(time.Now()); at = at.Add(time.Minute) {
		put(at, 1, stays)
	}
	db, before := s.front.Load().db, o.Data.(*origin).Get(gone).ref
	eventually(t, "one series is in memory, the other on disk", func() bool { return db.Head().NumSeries() == 1 && len(db.Blocks()) > 0 })

	now := time.Now().Truncate(time.Millisecond)
	put(now, 2, gone, stays)
	if after := o.Data.(*origin).Get(gone).ref; after == before {
		t.Errorf("the series came back under its old ref %d: it never left", before)
	}
	put(now.Add(time.Second), 3, gone, stays)
	for at, want := range map[time.Time]float64{start: 1, now: 2, now.Add(time.Second): 3} {
		r, err := s.Query(t.Context(), sdk.Query{Expr: `gone{a="b"}`, Start: at})
		if err != nil || len(r.Series) != 1 || r.Series[0].Points[0].Value != want {
			t.Errorf("at %s: %v, %v, want %v", at, r, err, want)
		}
	}
}

func TestRetiredSeriesFreeTheirMemory(t *testing.T) {
	t.Parallel()
	s := openDirectly(t, &Config{WALCompression: "none"})
	f := newFleet(1, 5000)
	f.next()
	if err := s.Write(t.Context(), sdk.ReadBatch(1, f.runs)); err != nil {
		t.Fatal(err)
	}
	o := f.runs[0].Origin
	known := o.Data.(*origin)
	if known.Len() != 5000 {
		t.Fatalf("%d series are known", known.Len())
	}
	s.Forget(o, f.runs[0].Refs[:4000])
	if known.Len() != 1000 {
		t.Errorf("%d series are known after 4,000 were retired", known.Len())
	}
	s.Forget(o, nil)
	if o.Data != nil {
		t.Errorf("an ended origin still holds %v", o.Data)
	}
	s.Forget(o, f.runs[0].Refs) // of what is not known any more
}

// The daemon delivers again what it has no acknowledgement of, to this process or to the next.
func TestABatchThatComesTwiceIsThereOnce(t *testing.T) {
	t.Parallel()
	for _, window := range []time.Duration{0, 2 * time.Hour} {
		dir := t.TempDir()
		cfg := &Config{Path: dir, OutOfOrder: window, WALCompression: "snappy"}
		f := newFleet(1, 10)
		first := f.at + 1000
		var batches []*sdk.Batch
		for range 3 {
			f.next()
			run := f.runs[0]
			run.Values = append([]float64(nil), run.Values...)
			batches = append(batches, sdk.ReadBatch(1, []sdk.Run{run}))
		}
		last := time.UnixMilli(f.at)
		dropped := 0
		for range 3 { // the first delivery, one to the same process, and one to the next
			s, err := open(t.Context(), cfg, bareHost{})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for _, b := range batches {
					if err := s.Write(t.Context(), b); err != nil {
						t.Fatal(err)
					}
					for reason, n := range b.Dropped() {
						if reason != "out_of_order" {
							t.Errorf("window %s: dropped as %s", window, reason)
						}
						dropped += int(n)
					}
				}
			}
			r, err := s.Query(t.Context(), sdk.Query{Expr: `sum(count_over_time({job="bench"}[1h]))`, Start: last})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Series[0].Points[0].Value; got != 30 {
				t.Errorf("window %s: %v samples, want 30 from %d on", window, got, first)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if window > 0 && dropped > 0 {
			t.Errorf("%d samples were dropped although the window is %s", dropped, window)
		}
	}
}

func TestAFullDiskRefusesWritesUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	cfg := Config{MinFree: 1 << 60, WALCompression: "none"}
	s := openDirectly(t, &cfg)
	f := newFleet(1, 10)
	f.next()
	batch := sdk.ReadBatch(1, f.runs)
	err := s.Write(t.Context(), batch)
	var p *sdk.Problem
	if !errors.As(err, &p) || p.Blame != sdk.BlameHost || p.Permanent || p.Fix == "" || !strings.Contains(err.Error(), "min_free") {
		t.Fatalf("%#v", err)
	}
	if status, text := s.Health(); status != sdk.Degraded || !strings.Contains(text, "min_free") {
		t.Errorf("health while full: %v, %s", status, text)
	}
	roomier := cfg
	roomier.MinFree = 0
	if err := s.Reconfigure(t.Context(), &roomier); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if status, text := s.Health(); status != sdk.OK || !strings.HasPrefix(text, "10 series") {
		t.Errorf("health afterwards: %v, %s", status, text)
	}
}

func TestWritesSideBySideOfSeveralPipelines(t *testing.T) {
	t.Parallel()
	s := openDirectly(t, &Config{WALCompression: "snappy"})
	const writers, cycles, each = 4, 20, 200
	errs := make(chan error, writers)
	for range writers {
		f := newFleet(1, each) // the same series for all of them, an origin each
		go func() {
			for range cycles {
				f.next()
				if err := s.Write(context.Background(), sdk.ReadBatch(1, f.runs)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if n := s.front.Load().db.Head().NumSeries(); n != each {
		t.Errorf("%d series, want %d", n, each)
	}
}

// The TSDB only counts out-of-order samples that it could not log.
func TestLateSamplesThatAreNotInTheirLogAreNotAcknowledged(t *testing.T) {
	t.Parallel()
	const name = "prometheus_tsdb_out_of_order_wbl_writes_failed_total"
	real := openDirectly(t, &Config{OutOfOrder: time.Hour, WALCompression: "none"}).front.Load().db
	metrics, err := real.metrics.Gather()
	if err != nil || !slices.ContainsFunc(metrics, func(m *dto.MetricFamily) bool { return m.GetName() == name }) {
		t.Fatalf("the database has no counter %s any more: %v", name, err)
	}
	db := &database{metrics: prometheus.NewRegistry()}
	failed := prometheus.NewCounter(prometheus.CounterOpts{Name: name})
	db.metrics.MustRegister(failed)
	s := &store{}
	if err := s.commit(db, &appending{app: fine{}, late: true}); err != nil {
		t.Error(err)
	}
	failed.Inc()
	if err := s.commit(db, &appending{app: fine{}}); err != nil {
		t.Errorf("nothing was late: %v", err)
	}
	if err := s.commit(db, &appending{app: fine{}, late: true}); err == nil || !s.doubtful.Load() {
		t.Errorf("%v, doubtful: %v", err, s.doubtful.Load())
	}
	if err := s.commit(db, &appending{app: fine{}}); !errors.Is(err, errOpening) {
		t.Errorf("behind a failed commit: %v", err)
	}
}

type fine struct{ storage.AppenderV2 }

func (fine) Commit() error { return nil }

func TestWhatIsDeliveredTwiceIsStoredOnce(t *testing.T) {
	t.Parallel()
	o := openStore(t, nil)
	b := o.Batch()
	ref := b.Define(series("a"))
	now := time.Now().Truncate(time.Second)
	for i := range 10 {
		b.PutAt(ref, float64(i), now.Add(time.Duration(i-10)*time.Second))
		o.Component.Write()
	}
	if ack := o.Redeliver(); ack.Stored+ack.Dropped["duplicate"]+ack.Dropped["out_of_order"] != 10 {
		t.Errorf("%v", ack)
	}
	if got := o.ask("count_over_time(a[1m])", now); got != " 10" && got != "{} 10" {
		t.Errorf("it has %q", got)
	}
}
