package rule

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

func TestAStoreThatIsDownOrFailsResolvesNothingAndIsSaidOnce(t *testing.T) {
	for name, fault := range map[string]func(w *world, err error){
		"not ready":     func(w *world, err error) { set(w, &w.down, err) },
		"query failing": func(w *world, err error) { set(w, &w.fails, err) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.hold("high", "a")
				r := w.rules()
				mustSet(t, r, groupOf("g", highRule))
				defer r.Stop()
				time.Sleep(2 * time.Minute)
				wantTold(t, w, "firing High a")
				w.hold("high") // what the store would answer if it were asked: nothing
				fault(w, errors.New("no route to store"))
				for range 6 { // it is told on well within its ValidFor of 4 minutes
					time.Sleep(2 * time.Minute)
					wantTold(t, w, "firing High a")
				}
				if n := strings.Count(w.log.String(), "no route to store"); n != 1 {
					t.Errorf("said %d times:\n%s", n, w.log.String())
				}
				s := r.Snapshot()[0]
				if name == "not ready" && (s.Skipped != 48 || s.SkipReason != "no route to store") || name != "not ready" && s.States[0].Health != "err" {
					t.Errorf("%+v", s)
				}
				fault(w, nil)
				time.Sleep(20 * time.Second)
				wantTold(t, w, "resolved High a")
				if s := r.Snapshot()[0]; s.SkipReason != "" || s.States[0].LastError != "" {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestAClockThatIsSetNotifiesOfNothing(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour, 10 * time.Second, -10 * time.Second} {
		t.Run(step.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.hold("high", "a")
				r := w.rules()
				long := Rule{Alert: "Long", Expr: "long", For: 30 * time.Minute}
				mustSet(t, r, groupOf("g", highRule, long))
				defer r.Stop()
				w.hold("long", "b")
				time.Sleep(2 * time.Minute)
				starts := get(w, &w.told)[0].StartsAt
				wantTold(t, w, "firing High a")
				set(w, &w.step, step)
				if step.Abs() >= time.Hour {
					w.hold("high") // the store has nothing at the new time, or the past
				}
				time.Sleep(4 * time.Minute)
				w.hold("high", "a")
				time.Sleep(10 * time.Minute)
				for _, a := range get(w, &w.told) {
					if !a.StartsAt.Equal(starts.Add(step)) && !a.StartsAt.Equal(starts) {
						t.Errorf("starts at %v", a.StartsAt)
					}
				}
				wantTold(t, w, "firing High a")
				set(w, &w.step, 0) // and set to what it was
				time.Sleep(step.Abs() + 30*time.Minute)
				wantTold(t, w, "firing High a", "firing Long b")
				w.hold("high")
				time.Sleep(90 * time.Second)
				wantTold(t, w, "firing Long b", "resolved High a")
			})
		})
	}
}

func TestADiskThatFailsIsSaidOnceAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		w.noDisk = errors.New("no space left")
		r := w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", highRule))
		time.Sleep(5 * time.Minute)
		wantTold(t, w, "firing High a")
		if s := r.Snapshot()[0].SaveError; s != "no space left" || strings.Count(w.log.String(), s) != 1 {
			t.Errorf("%q\n%s", s, w.log.String())
		}
		set(w, &w.noDisk, nil)
		time.Sleep(20 * time.Second)
		if r.Snapshot()[0].SaveError != "" || len(w.disk) != 1 {
			t.Error("not saved")
		}
		before := get(w, &w.saves)
		time.Sleep(10 * time.Minute)
		if get(w, &w.saves) != before {
			t.Error("saved though nothing changes")
		}
	})
}

func TestWhatFiresIsToldOnWhileOtherRulesOfItsGroupHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.hold("high", "a")
		r := w.rules()
		defer r.Stop()
		rules := []Rule{highRule}
		for i := range 8 {
			rules = append(rules, Rule{Alert: fmt.Sprint("Hangs", i), Expr: "x"})
		}
		mustSet(t, r, groupOf("g", rules...))
		time.Sleep(2 * time.Minute)
		set(w, &w.slow, time.Hour) // each ends after the rule timeout of 2 minutes
		w.since()
		for range 5 {
			time.Sleep(4*time.Minute - time.Second)
			wantTold(t, w, "firing High a")
		}
	})
}

func TestEvaluationsThatTakeTooLongAreMissedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slow = 40 * time.Second // 2 of 3 slots pass meanwhile
		r := w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", highRule))
		time.Sleep(10*time.Minute + 5*time.Second)
		s := r.Snapshot()[0]
		if s.Iterations < 38 || s.Iterations > 41 || s.Missed < s.Iterations*3/5 || s.Missed > s.Iterations*7/10 || s.EvaluationTime != 40*time.Second {
			t.Errorf("%+v", s)
		}
	})
}

func TestAResultWithTooManySeriesIsAnErrorOfItsRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.holds["high"] = make([]sdk.Labels, maxSeries+1)
		r := w.rules()
		defer r.Stop()
		mustSet(t, r, groupOf("g", highRule))
		time.Sleep(20 * time.Second)
		if s := r.Snapshot()[0].States[0]; s.Health != "err" || !strings.Contains(s.LastError, "aggregate") || s.Failures == 0 {
			t.Errorf("%+v", s)
		}
	})
}
