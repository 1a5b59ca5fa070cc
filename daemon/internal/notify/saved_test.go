package notify

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestARestartRepeatsNothingAndForgetsNothing(t *testing.T) {
	restart := func(w *world, n *Notifier) *Notifier {
		n.Stop()
		w.taken()
		n = w.notifier()
		mustRoute(w.t, n, simple("r"))
		return n
	}
	run(t, "after delivery", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a"), firing("High b")})
		time.Sleep(time.Minute)
		w.want("r firing: Higha Highb")
		n = restart(w, n)
		defer n.Stop()
		time.Sleep(time.Hour)
		n.Put([]Alert{firing("High a")})
		time.Sleep(2 * time.Hour)
		w.want()
		time.Sleep(time.Hour + 6*time.Minute) // the repeat interval goes on over the restart
		w.want("r firing: Higha Highb")
		n.Put([]Alert{resolved("High a"), resolved("High b")})
		time.Sleep(6 * time.Minute)
		w.want("r resolved: Higha- Highb-")
	})
	run(t, "in the group wait", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		time.Sleep(10 * time.Second)
		n = restart(w, n)
		defer n.Stop()
		time.Sleep(31 * time.Second)
		w.want("r firing: Higha")
	})
	run(t, "killed between delivery and log", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		time.Sleep(31 * time.Second)
		key := w.attempts()[0].note.IdempotencyKey
		n.Stop()
		w.set(func() { w.disk = w.atSend })
		w.taken()
		n = w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		time.Sleep(time.Minute)
		if len(w.attempts()) != 1 || w.attempts()[0].note.IdempotencyKey != key {
			t.Errorf("not the same message again: %v", w.attempts())
		}
	})
	run(t, "while the receiver is down", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		w.set(func() { w.fails["r"] = errors.New("down") })
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		first := w.attempts()[0].note
		n.Put([]Alert{resolved("High a"), firing("High b")})
		time.Sleep(time.Minute)
		n.Put([]Alert{resolved("High b"), firing("High c")})
		n = restart(w, n)
		time.Sleep(10 * time.Minute)
		n = restart(w, n)
		defer n.Stop()
		w.set(func() { clear(w.fails) })
		time.Sleep(6 * time.Minute)
		if again := w.attempts()[0].note; again.IdempotencyKey != first.IdempotencyKey || again.Text != first.Text || !again.Alerts[0].StartsAt.Equal(first.Alerts[0].StartsAt) {
			t.Errorf("%+v\n%+v", again, first)
		}
		w.want("r firing: Higha", "r firing: Highc Higha- Highb-")
	})
	run(t, "nothing is sent before routes are known", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		w.set(func() { w.fails["r"] = errors.New("down") })
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		n.Stop()
		w.set(func() { clear(w.fails) })
		w.taken()
		n = w.notifier()
		defer n.Stop()
		n.Put([]Alert{firing("High b")})
		time.Sleep(time.Hour)
		w.want()
		mustRoute(t, n, simple("r"))
		time.Sleep(time.Second)
		w.want("r firing: Higha", "r firing: Higha Highb")
	})
	run(t, "what nobody renews after it", func(t *testing.T, w *world) {
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		a := firing("High a")
		a.ValidFor = 4 * time.Minute
		n.Put([]Alert{a})
		time.Sleep(time.Minute)
		n.Stop()
		w.taken()
		time.Sleep(time.Hour)
		n = w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		time.Sleep(time.Minute)
		w.want()
		time.Sleep(6 * time.Minute)
		w.want("r resolved: Higha-")
	})
}

func TestADiskThatFailsIsSaidAndStopsNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.noDisk = errors.New("no space left")
		n := w.notifier()
		defer n.Stop()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		time.Sleep(time.Minute)
		w.want("r firing: Higha")
		if s := n.Snapshot().SaveError; s != "no space left" || strings.Count(w.said(), s) != 1 {
			t.Errorf("%q\n%s", s, w.said())
		}
		w.set(func() { w.noDisk = nil })
		n.Put([]Alert{firing("High b")})
		if n.Snapshot().SaveError != "" || w.disk == nil {
			t.Error("not saved")
		}
		saves := w.count()
		for range 10 {
			n.Put([]Alert{firing("High a"), firing("High b"), resolved("High z")})
		}
		if w.count() != saves {
			t.Error("saved though nothing has changed")
		}
	})
}

func TestASavedStateThatCannotBeReadIsSaidAndStartsEmpty(t *testing.T) {
	w := newWorld(t)
	w.disk = []byte("garbage")
	n := w.notifier()
	defer n.Stop()
	if s := n.Snapshot(); s.Alerts != 0 || !strings.Contains(w.said(), "cannot be read") {
		t.Errorf("%+v\n%s", s, w.said())
	}
}

func FuzzRestore(f *testing.F) {
	w := newWorld(nil)
	n := w.notifier()
	n.SetRoute(simple("r"))
	w.set(func() { w.fails["r"] = errors.New("down") })
	n.Put([]Alert{firing("High a")})
	n.Stop()
	f.Add(w.disk)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		w := newWorld(t)
		w.disk = value
		n := w.notifier()
		mustRoute(t, n, simple("r"))
		n.Put([]Alert{firing("High a")})
		n.Snapshot()
		n.Stop()
	})
}
