package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// noted is one sample that goes in.
type noted struct {
	labels sdk.Labels
	at     int64
	value  float64
}

// rig is a derivation with an origin of its own.
type rig struct {
	testing.TB
	p      *processor
	work   *work
	out    *sdk.Batch
	made   map[sdk.Ref]sdk.Labels // what out's refs are
	origin *sdk.Origin
	series []sdk.Labels
	got    map[string]float64 // "name{labels} @ms"
	order  []string
	stale  int
	id     uint64
	drops  map[string]uint64
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	if cfg.MaxSeries == 0 {
		cfg.MaxSeries = 1000
	}
	p, err := open(t.Context(), &cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, p: p, got: map[string]float64{}, drops: map[string]uint64{}}
	r.start(nil)
	return r
}

// start goes on with a state, as after the death of the process: nothing but the state is known.
func (r *rig) start(state []byte) {
	r.Helper()
	d, err := r.p.Derive(state)
	if err != nil {
		r.Fatal(err)
	}
	r.work = d.(*work)
	r.work.now = func() time.Time { return time.UnixMilli(math.MaxInt64 / 2) }
	r.made = map[sdk.Ref]sdk.Labels{}
	r.out = sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
	r.origin = sdk.NewOrigin("source.test.main", func(ref sdk.Ref) (sdk.Series, bool) {
		return sdk.Series{Labels: slices.Clone(r.series[ref])}, true
	})
}

func (r *rig) ref(labels sdk.Labels) sdk.Ref {
	for i, l := range r.series {
		if l.Compare(labels) == 0 {
			return sdk.Ref(i)
		}
	}
	r.series = append(r.series, labels)
	return sdk.Ref(len(r.series) - 1)
}

func (r *rig) process(samples ...noted) {
	r.Helper()
	run := sdk.Run{Origin: r.origin}
	for _, s := range samples {
		run.Refs, run.Values, run.Times = append(run.Refs, r.ref(s.labels)), append(run.Values, s.value), append(run.Times, s.at)
	}
	r.id++
	in := sdk.ReadBatch(r.id, []sdk.Run{run})
	r.out.Time, r.out.Whole = time.Time{}, false
	if err := r.work.Process(r.Context(), in, r.out); err != nil {
		r.Fatal(err)
	}
	for reason, n := range in.Dropped() {
		r.drops[reason] += n
	}
	if r.out.Len() == 0 && !r.out.Whole {
		return
	}
	r.out.Seal(func(c *sdk.Columns) {
		for _, d := range c.Define {
			r.made[d.Ref] = d.Series.Labels
		}
		r.stale += len(c.Stale)
		for i, ref := range c.Run.Refs {
			key := fmt.Sprintf("%s @%d", r.made[ref], c.Run.Time(i))
			if _, twice := r.got[key]; twice {
				r.Errorf("%s was made twice", key)
			}
			r.got[key] = c.Run.Values[i]
			r.order = append(r.order, key)
		}
	})
}

func (r *rig) expect(key string, want float64) {
	r.Helper()
	if got, ok := r.got[key]; !ok || math.Abs(got-want) > 1e-9*math.Abs(want) {
		r.Errorf("%s is %v, %v; not %v\nall: %v", key, got, ok, want, r.order)
	}
}

func named(name string, pairs ...string) sdk.Labels {
	return sdk.NewLabels(append([]string{"__name__", name}, pairs...)...)
}

func TestEachFunctionGivesWhatItSays(t *testing.T) {
	var cfg Config
	cfg.Window = 10 * time.Second
	for _, f := range strings.Fields("sum avg min max count increase rate quantile") {
		cfg.Outputs = append(cfg.Outputs, Output{Name: f, Select: "__name__ = 'm'", Function: f, Quantile: 0.5, By: []string{"job"}})
	}
	r := newRig(t, cfg)
	a, b := named("m", "job", "x", "i", "1"), named("m", "job", "x", "i", "2")
	r.process(
		noted{a, 1000, 5}, noted{b, 1000, 100},
		noted{a, 4000, 7}, noted{b, 4000, 110},
		noted{a, 8000, 2}, noted{b, 8000, 130}, // a was reset
		noted{named("other"), 8000, 1},
	)
	if len(r.got) > 0 {
		t.Fatalf("a window that is open gave %v", r.order)
	}
	r.process(noted{a, 10000, 6})
	for key, want := range map[string]float64{"sum": 132, "avg": 59, "min": 2, "max": 130, "count": 6, "increase": 2 + 2 + 30, "rate": 3.4} {
		r.expect(named(key, "job", "x").String()+" @10000", want)
	}
	median := r.got[named("quantile", "job", "x").String()+" @10000"]
	if median < 7*0.99 || median > 100*1.01 {
		t.Errorf("the median of 2 5 7 100 110 130 is %v", median)
	}
	if r.drops["unselected"] != 1 || len(r.drops) != 1 {
		t.Errorf("dropped: %v", r.drops)
	}
}

func TestWhatCannotCountIsDroppedByReason(t *testing.T) {
	r := newRig(t, Config{Window: time.Second, Lateness: 2 * time.Second, MaxSeries: 4, Outputs: []Output{
		{Name: "grown", Select: "__name__ = 'c'", Function: "increase", By: []string{"i"}},
	}})
	c := named("c", "i", "1")
	r.process(noted{c, 10_000, 1}, noted{c, 10_000, 2}, noted{c, 9_500, 2}, noted{c, 10_100, math.NaN()}, noted{c, 10_100, sdk.StaleNaN})
	r.process(noted{c, 15_000, 4}, noted{c, 3_000, 4})
	r.process(noted{named("c", "i", "2"), 15_000, 1}, noted{named("c", "i", "3"), 15_000, 1})
	want := map[string]uint64{"out_of_order": 2, "nan": 1, "late": 1, "max_series": 1}
	if fmt.Sprint(r.drops) != fmt.Sprint(want) {
		t.Errorf("dropped %v, not %v", r.drops, want)
	}
}

func TestASampleOfTheFutureClosesNothingBeforeItsTime(t *testing.T) {
	r := newRig(t, Config{Window: time.Second, Outputs: []Output{{Name: "n", Select: "__name__ = 'm'", Function: "count"}}})
	r.work.now = func() time.Time { return time.UnixMilli(4900) }
	m := named("m")
	r.process(noted{m, 4500, 1}, noted{m, 500_000, 1})
	r.process(noted{m, 4600, 1}, noted{m, 5100, 1})
	r.work.now = func() time.Time { return time.UnixMilli(6000) }
	r.process(noted{m, 5200, 1})
	r.expect(named("n").String()+" @5000", 2)
	r.expect(named("n").String()+" @6000", 2)
}

func TestSeriesThatAreNotMadeAnyMoreGoStale(t *testing.T) {
	r := newRig(t, Config{Window: time.Second, Outputs: []Output{{Name: "n", Select: "__name__ = 'm'", Function: "count", By: []string{"i"}}}})
	r.process(noted{named("m", "i", "1"), 100, 1}, noted{named("m", "i", "2"), 100, 1})
	r.process(noted{named("m", "i", "1"), 1100, 1})
	r.process(noted{named("m", "i", "1"), 2100, 1})
	if r.stale != 1 {
		t.Errorf("%d went stale", r.stale)
	}
}

// The same samples, cut into batches anywhere and interrupted anywhere, give the same values: those of all at once.
func TestAStateGoesOnAsIfNothingHadHappened(t *testing.T) {
	cfg := Config{Window: 10 * time.Second, Lateness: 3 * time.Second, MaxSeries: 100_000}
	for _, f := range strings.Fields("sum avg min max count increase rate quantile") {
		cfg.Outputs = append(cfg.Outputs, Output{Name: f, Select: "__name__ =~ 'm.*', i != '3'", Function: f, Quantile: 0.9, By: []string{"job"}})
	}
	random := rand.New(rand.NewPCG(1, 2))
	var samples []noted
	for at := int64(0); at < 100_000; at += 700 {
		for i := range 8 {
			jitter := random.Int64N(2000)
			samples = append(samples, noted{named("m", "job", fmt.Sprint(i%3), "i", fmt.Sprint(i)), at + jitter, float64(random.IntN(1000)) / 8})
		}
	}
	once := newRig(t, cfg)
	for _, s := range samples {
		once.process(s)
	}
	if len(once.got) < 100 {
		t.Fatalf("only %d values", len(once.got))
	}
	for range 20 {
		r := newRig(t, cfg)
		for rest := samples; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(60))
			state, err := r.work.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			r.start(state)
			for _, s := range rest[:n] {
				r.process(s)
			}
			rest = rest[n:]
		}
		if len(r.got) != len(once.got) || fmt.Sprint(r.drops) != fmt.Sprint(once.drops) {
			t.Fatalf("%d values, not %d; dropped %v, not %v", len(r.got), len(once.got), r.drops, once.drops)
		}
		for key, want := range once.got {
			if math.Float64bits(r.got[key]) != math.Float64bits(want) {
				t.Fatalf("%s is %v, not %v", key, r.got[key], want)
			}
		}
	}
}

func TestAChangedOutputBeginsAnewAndOthersGoOn(t *testing.T) {
	cfg := Config{Window: time.Second, Outputs: []Output{
		{Name: "kept", Select: "__name__ = 'm'", Function: "count"}, {Name: "changed", Select: "__name__ = 'm'", Function: "count"},
	}}
	r := newRig(t, cfg)
	r.process(noted{named("m"), 100, 1})
	state, _ := r.work.Snapshot()
	cfg.Outputs = slices.Clone(cfg.Outputs)
	cfg.Outputs[1].Function, cfg.MaxSeries = "max", 1000
	p, _ := open(t.Context(), &cfg, nil)
	r.p = p
	r.start(state)
	r.process(noted{named("m"), 200, 7})
	r.process(noted{named("m"), 1200, 7})
	r.expect(named("kept").String()+" @1000", 2)
	r.expect(named("changed").String()+" @1000", 7)
}

func TestAConfigurationIsChecked(t *testing.T) {
	said := plugintest.Remarks(t, offer(), plugintest.Config{"window": time.Minute, "output": []plugintest.Config{
		{"name": "a", "select": "__name__ ~ 'x'", "function": "sum"},
		{"name": "a", "select": "__name__ =~ '('", "function": "quantile", "quantile": 7.0, "by": []string{"__name__"}},
	}})
	for _, want := range []string{"output[0].select", "output[1].select", "output[1].quantile", "output[1].by", "another output"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing is said of %s:\n%s", want, said)
		}
	}
}

func FuzzState(f *testing.F) {
	cfg := Config{Window: time.Second, MaxSeries: 1000, Outputs: []Output{{Name: "n", Select: "__name__ = 'm'", Function: "quantile", Quantile: 0.5}}}
	r := newRig(f, cfg)
	r.process(noted{named("m"), 100, 1})
	state, _ := r.work.Snapshot()
	f.Add(state)
	f.Fuzz(func(t *testing.T, state []byte) {
		if d, err := r.p.Derive(state); err == nil {
			d.(*work).Snapshot()
		}
	})
}

func BenchmarkProcess(b *testing.B) {
	cfg := Config{Window: time.Minute, MaxSeries: 100_000, Outputs: []Output{
		{Name: "r", Select: "__name__ = 'm'", Function: "rate", By: []string{"job"}}, {Name: "q", Select: "__name__ = 'm'", Function: "quantile", Quantile: 0.9, By: []string{"job"}},
	}}
	r := newRig(b, cfg)
	run := sdk.Run{Origin: r.origin}
	for i := range 5000 {
		run.Refs, run.Values = append(run.Refs, r.ref(named("m", "job", fmt.Sprint(i%10), "i", fmt.Sprint(i)))), append(run.Values, float64(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		run.Base += 1000
		if err := r.work.Process(b.Context(), sdk.ReadBatch(1, []sdk.Run{run}), r.out); err != nil {
			b.Fatal(err)
		}
		if r.out.Len() > 0 {
			r.out.Seal(func(*sdk.Columns) {})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/sample")
}
