package clock

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestAManualClockCallsInOrderAndEachAtItsTime(t *testing.T) {
	begin := time.Unix(100, 0)
	c := NewManual(begin)
	var said []string
	say := func(what string) func() {
		return func() { said = append(said, what+" "+c.Now().Sub(begin).String()) }
	}
	c.AfterFunc(2*time.Second, say("second"))
	c.AfterFunc(time.Second, func() {
		say("first")()
		c.AfterFunc(500*time.Millisecond, say("between"))
		c.Go(nil, say("beside"))
	})
	stopped := c.AfterFunc(time.Second, say("stopped"))
	repeated := c.AfterFunc(5*time.Second, say("moved"))
	c.AfterFunc(3*time.Second, say("on time"))
	if !stopped.Stop() || stopped.Stop() || !repeated.Reset(2*time.Second) {
		t.Error("Stop and Reset say whether a timer was set")
	}
	c.MoveTo(begin.Add(3 * time.Second))
	want := []string{"first 1s", "beside 1s", "between 1.5s", "second 2s", "moved 2s"}
	if !slices.Equal(said, want) {
		t.Errorf("%q", said)
	}
	c.MoveTo(begin) // never back
	c.Settle()
	if last := said[len(said)-1]; last != "on time 3s" || !c.Now().Equal(begin.Add(3*time.Second)) {
		t.Errorf("%q at %v", last, c.Now())
	}
	if repeated.Stop() || repeated.Reset(time.Hour) {
		t.Error("it was called")
	}
}

func TestTheMachinesClockGoes(t *testing.T) {
	var wg sync.WaitGroup
	c, called := Machine{}, make(chan time.Time)
	c.AfterFunc(time.Millisecond, func() { called <- c.Now() })
	if at := <-called; time.Since(at) < 0 {
		t.Error(at)
	}
	done := false
	c.Go(&wg, func() { done = true })
	if wg.Wait(); !done {
		t.Error("Wait does not wait")
	}
}
