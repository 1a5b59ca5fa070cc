package main

import (
	"fmt"
	"testing"
	"time"
)

func TestTargetsSpreadOverAGridOfTheInterval(t *testing.T) {
	t.Parallel()
	const interval = 15 * time.Second
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	for grid, want := range map[time.Duration]int{1500 * time.Millisecond: 10, 750 * time.Millisecond: 20} {
		points := map[time.Duration]int{}
		for i := range 3000 {
			key := fmt.Sprintf(`{instance="host-%d:9100", job="node"}`, i)
			next := nextOnGrid(key, interval, grid, now)
			if wait := next.Sub(now); wait <= 0 || wait > interval {
				t.Fatalf("target %d waits %s", i, wait)
			}
			points[time.Duration(next.UnixNano())%interval]++
			if again := nextOnGrid(key, interval, grid, next); again.Sub(next) != interval {
				t.Fatalf("target %d comes again after %s", i, again.Sub(next))
			}
			finer := nextOnGrid(key, interval, grid/2, next)
			if later := finer.Sub(next) % interval; later != 0 && later != grid/2 {
				t.Fatalf("on the next finer grid target %d is %s later", i, later)
			}
		}
		if len(points) != want {
			t.Errorf("%s: %d points in time, and there should be %d", grid, len(points), want)
		}
		for at, n := range points {
			if at%grid != 0 || n < 3000/want*2/3 || n > 3000/want*4/3 {
				t.Errorf("%s: %d targets at %s", grid, n, at)
			}
		}
	}
}

func TestTheGridIsFinerWithMoreTargetsButNotFinerThan50Milliseconds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		interval time.Duration
		targets  int
		want     time.Duration
	}{
		{15 * time.Second, 1, 1500 * time.Millisecond},
		{15 * time.Second, 200, 1500 * time.Millisecond},
		{15 * time.Second, 201, 750 * time.Millisecond},
		{15 * time.Second, 1000, 187500 * time.Microsecond},
		{15 * time.Second, 100_000, 50 * time.Millisecond},
		{time.Second, 10, 100 * time.Millisecond},
		{100 * time.Millisecond, 10, 50 * time.Millisecond},
		{20 * time.Millisecond, 10, 20 * time.Millisecond},
	} {
		if got := gridOf(c.interval, c.targets); got != c.want {
			t.Errorf("%d targets each %s: %s, want %s", c.targets, c.interval, got, c.want)
		}
	}
}

func TestSamplesHaveTheScheduledTimeUnlessTheScrapeIsLate(t *testing.T) {
	t.Parallel()
	scheduled := time.Unix(1000, 0)
	for late, aligned := range map[time.Duration]bool{0: true, 10 * time.Millisecond: true, 11 * time.Millisecond: false, -time.Millisecond: false, time.Hour: false} {
		if got := stampOf(scheduled, scheduled.Add(late), 15*time.Second); got.Equal(scheduled) != aligned && late != 0 {
			t.Errorf("%s late: %s", late, got)
		}
	}
	if got := stampOf(scheduled, scheduled.Add(5*time.Millisecond), 200*time.Millisecond); got.Equal(scheduled) {
		t.Error("5 ms of 200 are too late")
	}
}

func TestDueTakesTargetsInTheOrderOfTheirTime(t *testing.T) {
	t.Parallel()
	var s schedule
	start := time.Unix(1000, 0)
	for _, at := range []int{5, 1, 3, 2, 4} {
		s.add(&target{next: start.Add(time.Duration(at) * time.Second)})
	}
	var got []int
	for _, x := range s.due(start.Add(3 * time.Second)) {
		got = append(got, int(x.next.Sub(start).Seconds()))
	}
	if fmt.Sprint(got) != "[1 2 3]" || len(s) != 2 {
		t.Errorf("got %v, and %d wait", got, len(s))
	}
}

func TestManyTargetsBeginWithinASecond(t *testing.T) {
	t.Parallel()
	s := &source{}
	now := time.Unix(1000, 0)
	fresh := make([]*target, 10_000)
	for i := range fresh {
		fresh[i] = &target{}
	}
	s.start(fresh, now)
	if last := fresh[len(fresh)-1].next.Sub(now); last > time.Second || last == 0 {
		t.Errorf("the last begins after %s", last)
	}
	few := fresh[:64]
	s.start(few, now)
	if !few[63].next.Equal(now) {
		t.Error("64 targets do not begin at once")
	}
}

func TestATurnIsLeftOutWhileTheLastOneRuns(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	x := &target{endpoint: &endpoint{key: "x", interval: time.Second}, next: now}
	s := &source{cfg: &Config{}, targets: map[string]*target{"x": x}}
	s.schedule.add(x)
	if turns, _ := s.due(now); len(turns) != 1 || !x.busy {
		t.Fatalf("got %v", turns)
	}
	later := now.Add(10 * time.Second)
	if turns, _ := s.due(later); len(turns) != 0 || s.missed != 1 || !x.next.After(later) || x.next.Sub(later) > time.Second {
		t.Errorf("got %v; %d were left out, and the next is at %s", turns, s.missed, x.next)
	}
	if _, text := s.Health(); text != "targets: 1; scrapes left out because the one before still ran: 1" {
		t.Errorf("health says %q", text)
	}
	x.busy, x.removed = false, true
	if turns, _ := s.due(later.Add(time.Second)); len(turns) != 1 || !turns[0].last || len(s.schedule) != 0 || len(s.targets) != 0 {
		t.Errorf("at the end: %v", turns)
	}
}
