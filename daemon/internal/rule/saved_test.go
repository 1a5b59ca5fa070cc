package rule

import (
	"math"
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
		g := newGroup(w.rules(), groupOf("g", highRule))
		g.ctx = t.Context()
		g.load()
		w.hold("high", "a")
		g.iterate(g.clock.now())
		for _, a := range g.rules[0].alerts {
			if a.Status < inactive || a.Status > firing {
				t.Errorf("%+v", a)
			}
		}
	})
}
