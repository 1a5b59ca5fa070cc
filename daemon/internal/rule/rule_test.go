package rule

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/sdk"
)

// A world is what surrounds the rules: a store, a disk, a clock on the wall, and somebody who is told.
type world struct {
	mu      sync.Mutex
	holds   map[string][]sdk.Labels // what an expression gives, each with value 1
	fails   error                   // of queries
	down    error                   // of Ready
	noDisk  error
	step    time.Duration // by which the wall clock was set
	slow    time.Duration // a query takes
	told    []Alert
	written []Sample
	stores  []string // of written
	asked   []string
	disk    map[string][]byte
	saves   int
	log     bytes.Buffer
}

func newWorld() *world { return &world{holds: map[string][]sdk.Labels{}, disk: map[string][]byte{}} }

func (w *world) rules() *Rules {
	return New(Options{
		Query: w.query, Ready: func(string) error { return get(w, &w.down) },
		Write: func(_ context.Context, store string, samples []Sample) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.written = append(w.written, samples...)
			for _, s := range samples {
				w.stores = append(w.stores, store)
				w.asked = append(w.asked, "write "+s.Labels.Get(sdk.NameLabel))
			}
			return nil
		},
		Notify: func(alerts []Alert) { w.mu.Lock(); defer w.mu.Unlock(); w.told = append(w.told, alerts...) },
		Load:   func(key string) ([]byte, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.disk[key], nil },
		Save: func(key string, value []byte) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.saves++
			if w.noDisk != nil {
				return w.noDisk
			}
			if w.disk[key] = value; value == nil {
				delete(w.disk, key)
			}
			return nil
		},
		Keys: func() ([]string, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Sorted(maps.Keys(w.disk)), nil
		},
		ExternalURL: "http://magpie.example", Wall: w.wall,
		Log: hclog.New(&hclog.LoggerOptions{Output: &w.log, Mutex: &w.mu}),
	})
}

func (w *world) wall() time.Time { return time.Now().Add(get(w, &w.step)) }

func (w *world) query(ctx context.Context, store, expr string, at time.Time) (*sdk.Result, error) {
	w.mu.Lock()
	w.asked = append(w.asked, "query "+expr)
	slow, err := w.slow, w.fails
	result := &sdk.Result{Type: sdk.Vector}
	for _, ls := range w.holds[expr] {
		result.Series = append(result.Series, sdk.ResultSeries{Labels: ls, Points: []sdk.Point{{Time: at, Value: 1}}})
	}
	w.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		err = ctx.Err()
	}
	return result, err
}

func get[T any](w *world, p *T) T    { w.mu.Lock(); defer w.mu.Unlock(); return *p }
func set[T any](w *world, p *T, v T) { w.mu.Lock(); defer w.mu.Unlock(); *p = v }

// hold makes an expression give series with these instances.
func (w *world) hold(expr string, instances ...string) {
	var series []sdk.Labels
	for _, i := range instances {
		series = append(series, sdk.NewLabels(sdk.NameLabel, "m", "instance", i))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds[expr] = series
}

// since returns what was told since the last call, an entry for each alert and status.
func (w *world) since() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]bool{}
	for _, a := range w.told {
		seen[fmt.Sprintf("%s %s %s", a.Status, a.Labels["alertname"], a.Labels["instance"])] = true
	}
	w.told = nil
	return slices.Sorted(maps.Keys(seen))
}

func wantTold(t *testing.T, w *world, want ...string) {
	t.Helper()
	if got := w.since(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func groupOf(name string, rules ...Rule) Group {
	return Group{Name: name, File: "config.hcl", Store: "store.tsdb.main", Interval: 15 * time.Second, Rules: rules}
}

var highRule = Rule{Alert: "High", Expr: "high", For: time.Minute, Annotations: map[string]string{"summary": "{{ $labels.instance }} is high"}}

func mustSet(t *testing.T, r *Rules, groups ...Group) {
	t.Helper()
	if err := r.Set(groups); err != nil {
		t.Fatal(err)
	}
}

func TestAnAlertIsPendingThenFiringThenResolvedAndIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		r := w.rules()
		mustSet(t, r, groupOf("g", highRule))
		defer r.Stop()
		if s := r.Snapshot()[0].States[0]; s.State != "unknown" || s.Health != "unknown" {
			t.Errorf("before the first evaluation: %+v", s)
		}
		time.Sleep(50 * time.Second)
		s := r.Snapshot()[0].States[0]
		if s.State != "pending" || len(s.Active) != 1 || s.Active[0].Annotations["summary"] != "a is high" || s.Health != "ok" {
			t.Errorf("%+v", s)
		}
		wantTold(t, w)
		time.Sleep(40 * time.Second)
		if s := r.Snapshot()[0].States[0]; s.State != "firing" || s.Active[0].Labels.String() != `{alertname="High", instance="a"}` {
			t.Errorf("%+v", s)
		}
		first := get(w, &w.told)[0]
		if first.ValidFor != 4*time.Minute || !first.EndsAt.IsZero() || first.StartsAt.IsZero() || first.GeneratorURL != "http://magpie.example/graph?g0.expr=high&g0.tab=1" {
			t.Errorf("%+v", first)
		}
		time.Sleep(10 * time.Minute)
		if n := len(get(w, &w.told)); n < 7 || n > 11 {
			t.Errorf("told %d times in 10 minutes, want about every minute and a quarter", n)
		}
		wantTold(t, w, "firing High a")
		w.hold("high")
		time.Sleep(20 * time.Second)
		ended := get(w, &w.told)[0]
		if ended.EndsAt.IsZero() || !ended.StartsAt.Equal(first.StartsAt) {
			t.Errorf("%+v", ended)
		}
		if s := r.Snapshot()[0].States[0]; s.State != "inactive" || len(s.Active) != 0 {
			t.Errorf("%+v", s)
		}
		wantTold(t, w, "resolved High a")
		time.Sleep(20 * time.Minute)
		w.since()
		time.Sleep(5 * time.Minute)
		wantTold(t, w) // 15 minutes after its end it is forgotten
		if len(w.disk) != 0 {
			t.Error("an empty state stays on disk")
		}
	})
}

func TestARemovedRuleResolvesItsAlertsAtOnceAndUnchangedOnesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		other := Rule{Alert: "Other", Expr: "high"}
		stays := Rule{Alert: "Stays", Expr: "high"}
		r := w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", highRule, other), groupOf("gone", Rule{Alert: "Gone", Expr: "high"}), groupOf("same", stays))
		time.Sleep(3 * time.Minute)
		since := r.Snapshot()
		iterations := since[2].Iterations
		w.since()

		changed := highRule
		changed.Expr = "other expression"
		w.hold("other expression", "a")
		mustSet(t, r, groupOf("g", changed), groupOf("same", stays))
		wantTold(t, w, "resolved Gone a", "resolved Other a")
		now := r.Snapshot()
		if !now[0].States[0].Active[0].ActiveAt.Equal(since[0].States[0].Active[0].ActiveAt) {
			t.Error("a changed expression lost the state of the rule")
		}
		if now[1].Iterations < iterations {
			t.Error("an unchanged group was started anew")
		}
		time.Sleep(2 * time.Minute)
		wantTold(t, w, "firing High a", "firing Stays a")
		if len(w.disk) != 2 {
			t.Errorf("on disk: %q", slices.Sorted(maps.Keys(w.disk)))
		}
	})
}

func TestSeriesOfARemovedGroupGoStaleUnlessARenamedOneWritesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		r := w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", Rule{Record: "kept", Expr: "high"}, Rule{Record: "gone", Expr: "high"}))
		time.Sleep(time.Minute)
		mustSet(t, r, groupOf("renamed", Rule{Record: "kept", Expr: "high"}))
		removed := w.wall()
		time.Sleep(time.Minute)
		var stale []string
		for _, s := range get(w, &w.written) {
			if math.Float64bits(s.Value) == math.Float64bits(sdk.StaleNaN) {
				stale = append(stale, s.Labels.String())
				if !s.Time.Equal(removed) {
					t.Errorf("stale at %v, want the time of the removal %v", s.Time, removed)
				}
			}
		}
		if !slices.Equal(stale, []string{`gone{instance="a"}`}) {
			t.Errorf("stale: %q", stale)
		}
	})
}

func TestAGroupThatMovesToAnotherStoreLeavesNoLiveSeriesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		r := w.rules()
		defer r.Stop()
		g := groupOf("g", Rule{Record: "kept", Expr: "high"})
		mustSet(t, r, g)
		time.Sleep(time.Minute)
		g.Store = "store.tsdb.other"
		mustSet(t, r, g)
		time.Sleep(time.Minute)
		var stale []string
		for i, s := range get(w, &w.written) {
			if math.Float64bits(s.Value) == math.Float64bits(sdk.StaleNaN) {
				stale = append(stale, w.stores[i]+" "+s.Labels.String())
			}
		}
		if !slices.Equal(stale, []string{`store.tsdb.main kept{instance="a"}`}) {
			t.Errorf("stale: %q", stale)
		}
	})
}

func TestARuleIsAskedAfterTheOneBeforeItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("a", "1")
		w.hold("b", "1")
		r := w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", Rule{Record: "first", Expr: "a"}, Rule{Record: "second", Expr: "b"}))
		time.Sleep(20 * time.Second)
		if got := get(w, &w.asked); !slices.Equal(got[:4], []string{"query a", "write first", "query b", "write second"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestGroupsSpreadOverTheIntervalAndKeepTheirSlotOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWorld().rules()
		phases := map[time.Duration]bool{}
		for i := range 50 {
			g := newGroup(r, groupOf(fmt.Sprint("g", i)))
			slot := g.clock.show(g.firstSlot())
			if wait := time.Until(slot); wait <= 0 || wait > g.Interval {
				t.Errorf("the first slot is in %v", wait)
			}
			phases[slot.Sub(slot.Truncate(g.Interval)).Round(time.Second)] = true
			time.Sleep(7 * time.Second)
			if again := g.clock.show(g.firstSlot()); again.Sub(slot)%g.Interval != 0 {
				t.Errorf("%v and %v are not on one grid", slot, again)
			}
		}
		if len(phases) < 10 {
			t.Errorf("only %d phases", len(phases))
		}
	})
}

func TestTwoGroupsOfOneIdentityAreRefused(t *testing.T) {
	r := newWorld().rules()
	defer r.Stop()
	if err := r.Set([]Group{groupOf("g"), groupOf("g")}); err == nil || !strings.Contains(err.Error(), `two groups are named "g"`) {
		t.Error(err)
	}
	if err := r.Set([]Group{{Name: "g"}}); err == nil || !strings.Contains(err.Error(), "has no interval") {
		t.Error(err)
	}
	if len(r.Snapshot()) != 0 {
		t.Error("a refused set changed something")
	}
}
