// Package clock is time that is told in two ways: by the machine, and by somebody who moves it. What waits on a clock that is moved by
// hand is called by who moves it, in the order in which it is due: days pass in a moment, and in the same way each time.
package clock

import (
	"sync"
	"time"
)

// A Clock tells the time, and calls at a time.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f after d, as time.AfterFunc does.
	AfterFunc(d time.Duration, f func()) Timer
	// Go calls f while its caller goes on; wg waits for it.
	Go(wg *sync.WaitGroup, f func())
}

// A Timer is what AfterFunc gives.
type Timer interface {
	Stop() bool
	Reset(d time.Duration) bool
}

// Machine is the machine's clock.
type Machine struct{}

// Now is the time, with a monotonic reading.
func (Machine) Now() time.Time { return time.Now() }

// AfterFunc is that of package time.
func (Machine) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// Go starts a goroutine.
func (Machine) Go(wg *sync.WaitGroup, f func()) { wg.Go(f) }

// Manual is a clock that is moved by hand. Its methods, and what it calls, are of one goroutine.
type Manual struct {
	now    time.Time
	timers []*timer // that are set, in the order in which they were
}

type timer struct {
	clock *Manual
	at    time.Time
	f     func()
}

// NewManual makes a clock that stands at a time.
func NewManual(now time.Time) *Manual { return &Manual{now: now} }

// Now is the time that it was moved to.
func (m *Manual) Now() time.Time { return m.now }

// AfterFunc sets a timer.
func (m *Manual) AfterFunc(d time.Duration, f func()) Timer {
	t := &timer{clock: m, f: f}
	t.Reset(d)
	return t
}

// Go calls f when the clock is moved or settled next: wg has nothing to wait for.
func (m *Manual) Go(_ *sync.WaitGroup, f func()) { m.AfterFunc(0, f) }

// MoveTo calls what is due before a time, each at its own, and then it is that time.
func (m *Manual) MoveTo(t time.Time) {
	m.run(func(at time.Time) bool { return at.Before(t) })
	if t.After(m.now) {
		m.now = t
	}
}

// Settle calls what is due now.
func (m *Manual) Settle() {
	m.run(func(at time.Time) bool { return !at.After(m.now) })
}

func (m *Manual) run(due func(at time.Time) bool) {
	for {
		var next *timer
		for _, t := range m.timers {
			if due(t.at) && (next == nil || t.at.Before(next.at)) {
				next = t
			}
		}
		if next == nil {
			return
		}
		next.Stop()
		if next.at.After(m.now) {
			m.now = next.at
		}
		next.f()
	}
}

// Stop reports whether the timer was set.
func (t *timer) Stop() bool {
	for i, other := range t.clock.timers {
		if other == t {
			t.clock.timers = append(t.clock.timers[:i], t.clock.timers[i+1:]...)
			return true
		}
	}
	return false
}

// Reset sets the timer, and reports whether it was.
func (t *timer) Reset(d time.Duration) bool {
	was := t.Stop()
	t.at = t.clock.now.Add(max(d, 0))
	t.clock.timers = append(t.clock.timers, t)
	return was
}

var _, _ Clock = Machine{}, (*Manual)(nil)
