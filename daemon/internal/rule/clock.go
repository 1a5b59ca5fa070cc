package rule

import (
	"fmt"
	"sync"
	"time"
)

const (
	// stepTolerance is how far the wall clock may be from the steady line before it counts as set.
	stepTolerance = 2 * time.Second
	// lookback is how far a query looks for a sample: after it, the hole that a clock set forward left is out of sight.
	lookback = 5 * time.Minute
)

// clock tells two times. All durations (For, intervals, retention) are measured on the steady line: where the wall clock
// stood at start, moved on by the monotonic clock. What others see (timestamps of queries and samples, times of alerts) is
// wall time: the steady line plus an offset, which changes only when someone sets the wall clock.
//
// Setting the clock makes data lie for a while, so evaluation then waits. Forward by D: the store has nothing for the last
// D; wait for D, at most the lookback. Backward: queries would answer with the past, and stores refuse new samples as old;
// wait until the wall clock has passed the last evaluation.
type clock struct {
	wall  func() time.Time
	start time.Time // every steady time is this one plus a duration, so that it has a monotonic reading

	mu     sync.Mutex
	offset time.Duration
	latest time.Time // wall time of the newest evaluation
	settle time.Time // steady; no evaluation before it
}

func newClock(wall func() time.Time) *clock {
	c := &clock{wall: wall, start: time.Now()}
	c.offset = wall().Sub(c.start.Round(0))
	return c
}

// now is the steady time.
func (c *clock) now() time.Time { return c.start.Add(time.Since(c.start)) }

// show makes wall time of steady time; zero stays zero.
func (c *clock) show(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return t.Round(0).Add(c.offset).UTC()
}

// steady makes steady time of wall time; zero stays zero.
func (c *clock) steady(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.start.Add(t.Sub(c.start.Round(0).Add(c.offset)))
}

// check looks whether the wall clock was set, and says why evaluation has to wait.
func (c *clock) check() error {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if step := c.wall().Sub(now.Round(0).Add(c.offset)); step.Abs() > stepTolerance {
		c.offset += step
		if step > 0 {
			c.settle = now.Add(min(step, lookback))
		}
	}
	if wait := c.settle.Sub(now); wait > 0 {
		return fmt.Errorf("the clock was set forward: evaluation goes on in %v, when there is data for the new time", wait.Round(time.Second))
	}
	if now.Round(0).Add(c.offset).Before(c.latest) {
		return fmt.Errorf("the clock was set back: evaluation goes on after %s", c.latest.Format(time.RFC3339))
	}
	return nil
}

// evaluated remembers the wall time of an evaluation.
func (c *clock) evaluated(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.latest) {
		c.latest = at
	}
}
