package rule

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

func TestARestartKeepsTheStateOfAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		slow := Rule{Alert: "Slow", Expr: "slow", For: 10 * time.Minute, Labels: map[string]string{"x": "\xff{{ $value }}"}}
		r := w.rules()
		mustSet(t, r, groupOf("g", highRule, slow), groupOf("other", Rule{Alert: "Gone", Expr: "high"}, Rule{Alert: "Stays", Expr: "high"}))
		time.Sleep(4 * time.Minute)
		w.hold("slow", "s") // seen by 16 evaluations, the first of them at 0: pending for about 4 minutes
		time.Sleep(4 * time.Minute)
		starts := r.Snapshot()[0].States[0].Active[0].ActiveAt
		r.Stop()
		w.since()
		time.Sleep(20 * time.Minute) // down: does not count as pending

		r = w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", highRule, slow), groupOf("other", Rule{Alert: "Stays", Expr: "high"}))
		wantTold(t, w, "resolved Gone a") // its rule was removed meanwhile
		s := r.Snapshot()[0].States
		if s[0].State != "firing" || !s[0].Active[0].ActiveAt.Equal(starts) || s[1].State != "pending" {
			t.Errorf("%+v", s)
		}
		time.Sleep(5 * time.Minute)
		wantTold(t, w, "firing High a", "firing Stays a")
		time.Sleep(2 * time.Minute)
		wantTold(t, w, "firing High a", "firing Slow s", "firing Stays a")
	})
}

// eachWay runs a test in which groups change while they run, and one in which they change while the daemon is down.
func eachWay(t *testing.T, test func(t *testing.T, w *world, change func(r *Rules, groups ...Group) *Rules)) {
	for name, change := range map[string]func(t *testing.T, w *world, r *Rules, groups ...Group) *Rules{
		"while they run": func(t *testing.T, w *world, r *Rules, groups ...Group) *Rules {
			mustSet(t, r, groups...)
			return r
		},
		"while it is down": func(t *testing.T, w *world, r *Rules, groups ...Group) *Rules {
			r.Stop()
			w.since()
			time.Sleep(20 * time.Minute)
			r = w.rules()
			mustSet(t, r, groups...)
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				test(t, w, func(r *Rules, groups ...Group) *Rules { return change(t, w, r, groups...) })
			})
		})
	}
}

func TestRulesThatMoveIntoAPackGoOnAsTheyWere(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, change func(r *Rules, groups ...Group) *Rules) {
		w.hold("high", "a")
		slow, stays, named := Rule{Alert: "Slow", Expr: "slow", For: 10 * time.Minute}, Rule{Alert: "Stays", Expr: "high"}, Rule{Alert: "Named", Expr: "high"}
		r := w.rules()
		mustSet(t, r, groupOf("config.hcl", highRule, stays, slow), groupOf("named", named))
		time.Sleep(2 * time.Minute)
		w.hold("slow", "s")
		time.Sleep(8 * time.Minute) // of its 10
		starts := r.Snapshot()[0].States[0].Active[0].ActiveAt
		w.since()

		loose, inPack := groupOf("pack.p.main.hcl", highRule, slow), groupOf("pack.p.named", named)
		loose.File, inPack.File, inPack.Was = "packs/p/main.hcl", "packs/p/main.hcl", []string{"named"}
		r = change(r, groupOf("config.hcl", stays), loose, inPack)
		defer func() { r.Stop() }()
		s := r.Snapshot()
		if high := s[1].States[0]; high.State != "firing" || !high.Active[0].ActiveAt.Equal(starts) || s[2].States[0].State != "firing" {
			t.Errorf("%+v", s)
		}
		time.Sleep(90 * time.Second)
		wantTold(t, w, "firing High a", "firing Named a", "firing Stays a")
		time.Sleep(90 * time.Second)
		wantTold(t, w, "firing High a", "firing Named a", "firing Slow s", "firing Stays a")
		if len(w.disk) != 3 || w.disk[saveKey("packs/p/main.hcl;pack.p.named")] == nil {
			t.Errorf("on disk: %q", slices.Sorted(maps.Keys(w.disk)))
		}
	})
}

func TestPacksOfTheSameRulesAreNotMistakenForEachOther(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, change func(r *Rules, groups ...Group) *Rules) {
		w.hold("a", "a")
		w.hold("b", "b")
		in := func(pack, expr string, was ...string) Group {
			g := groupOf(pack+".g", Rule{Alert: "High", Expr: expr, For: time.Minute})
			g.File, g.Was = "packs/p/main.hcl", was
			return g
		}
		r := w.rules()
		mustSet(t, r, in(`pack.p["a"]`, "a"), in(`pack.p["b"]`, "b"))
		time.Sleep(5 * time.Minute)
		w.since()
		r = change(r, in("pack.x", "a", `pack.p["a"].g`), in("pack.a", "b", `pack.p["b"].g`))
		defer func() { r.Stop() }()
		time.Sleep(2 * time.Minute)
		wantTold(t, w, "firing High a", "firing High b")
	})
}

// Killed between the two writes of a move, or moved by a daemon that left the old one where it was.
func TestWhatAMoveLeftOnDiskIsNoEndOfWhatFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		r := w.rules()
		mustSet(t, r, groupOf("g", highRule))
		time.Sleep(5 * time.Minute)
		r.Stop()
		w.disk[saveKey("config.hcl;before")] = w.disk[saveKey("config.hcl;g")]
		w.since()
		r = w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", highRule))
		time.Sleep(time.Minute)
		wantTold(t, w, "firing High a")
		if len(w.disk) != 1 {
			t.Errorf("on disk: %q", slices.Sorted(maps.Keys(w.disk)))
		}
	})
}

func TestWhatARemovedGroupFiredResolves(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, change func(r *Rules, groups ...Group) *Rules) {
		w.hold("high", "a")
		r := w.rules()
		mustSet(t, r, groupOf("g", highRule), groupOf("gone", Rule{Alert: "Gone", Expr: "high"}))
		time.Sleep(5 * time.Minute)
		w.since()
		r = change(r, groupOf("g", highRule))
		defer func() { r.Stop() }()
		wantTold(t, w, "resolved Gone a")
		if len(w.disk) != 1 {
			t.Errorf("on disk: %q", slices.Sorted(maps.Keys(w.disk)))
		}
	})
}

func TestARestartForgetsWhatWasPendingTooLongAgo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		r := w.rules()
		mustSet(t, r, groupOf("g", highRule))
		time.Sleep(30 * time.Second)
		r.Stop()
		time.Sleep(61 * time.Minute)
		r = w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", highRule))
		if s := r.Snapshot()[0].States[0]; s.State != "unknown" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAClockSetBackWhileDownStopsNoAlertFromFiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		r := w.rules()
		mustSet(t, r, groupOf("g", highRule))
		time.Sleep(2 * time.Minute)
		r.Stop()
		set(w, &w.step, -24*time.Hour)
		w.since()
		r = w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", highRule))
		time.Sleep(20 * time.Second)
		wantTold(t, w, "firing High a")
		if s := r.Snapshot()[0].States[0]; s.State != "firing" {
			t.Errorf("%+v", s)
		}
	})
}

func TestASavedStateThatCannotBeReadIsSaidAndStartsEmpty(t *testing.T) {
	for name, value := range map[string][]byte{"garbage": []byte("garbage"), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.disk[saveKey("config.hcl;g")] = value
				r := w.rules()
				defer r.Stop()
				mustSet(t, r, groupOf("g", highRule))
				if !strings.Contains(w.log.String(), "they start anew") || r.Snapshot()[0].States[0].State != "unknown" {
					t.Error(w.log.String())
				}
			})
		})
	}
}

func FuzzRestore(f *testing.F) {
	w := newWorld()
	g := newGroup(w.rules(), groupOf("g", highRule))
	g.rules[0].alerts["x"] = &alert{Status: firing, Labels: sdk.NewLabels("a", "b"), ActiveAt: g.clock.now(), FiredAt: g.clock.now(), Value: math.NaN()}
	g.rules[0].alerts["y"] = &alert{Status: pending, ActiveAt: g.clock.now()}
	g.dirty = true
	g.save()
	f.Add(w.disk[saveKey(g.key)])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		w := newWorld()
		w.disk[saveKey("config.hcl;g")] = value
		r := w.rules()
		g := newGroup(r, groupOf("g", highRule))
		g.ctx = t.Context()
		follow(r.saved(alone(g)), alone(g))
		w.hold("high", "a")
		g.iterate(g.clock.now())
		for _, a := range g.rules[0].alerts {
			if a.Status < inactive || a.Status > firing {
				t.Errorf("%+v", a)
			}
		}
	})
}
