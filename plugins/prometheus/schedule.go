package main

import (
	"container/heap"
	"hash/fnv"
	"math/bits"
	"time"
)

// schedule says which target is scraped when: at a phase of its interval that its identity decides, so that targets spread,
// on a grid, so that those that fall together wake the process and the daemon once.
type schedule []*target

// The points in time of an interval at which scrapes begin. Waking up costs as much as scraping a small page, here, in the
// daemon and in the store: a process that wakes at ten points of the interval spends 60 % of what it spends at thirty.
const (
	fewestPoints  = 10
	mostTogether  = 20 // targets at a point, on average; with more there are twice as many points
	finestGrid    = 50 * time.Millisecond
	goldenSection = 0x9e3779b97f4a7c15 // spreads what differs in the last bytes of a key over all bits
)

// gridOf is the distance of the points in time at which scrapes of an interval begin, where there are so many targets.
func gridOf(interval time.Duration, targets int) time.Duration {
	points := fewestPoints
	for targets > points*mostTogether {
		points *= 2
	}
	return min(interval, max(interval/time.Duration(points), finestGrid))
}

// nextOnGrid is the first time after now that is the phase of key into a multiple of the interval. On a grid twice as fine
// the phase is the same, or half of the coarser grid's distance later. It keeps now's monotonic reading: a clock that is set
// does not stop scrapes.
func nextOnGrid(key string, interval, grid time.Duration, now time.Time) time.Time {
	h := fnv.New64a()
	h.Write([]byte(key))
	point, _ := bits.Mul64(h.Sum64()*goldenSection, uint64(interval/grid))
	phase := time.Duration(point) * grid
	since := time.Duration(now.UnixNano()) % interval
	wait := (phase - since + interval) % interval
	if wait == 0 {
		wait = interval
	}
	return now.Add(wait)
}

// stampOf is the time of a scrape's samples: that of the schedule if it began in time, as Prometheus does, because regular
// times need less space; and when it began if not.
func stampOf(scheduled, began time.Time, interval time.Duration) time.Time {
	tolerance := min(interval/100, 10*time.Millisecond)
	if late := began.Round(0).Sub(scheduled.Round(0)); late >= 0 && late <= tolerance { // by the clock on the wall
		return scheduled.Round(0)
	}
	return began.Round(0)
}

// add puts a target in.
func (s *schedule) add(t *target) { heap.Push(s, t) }

// due takes out the targets whose time has come.
func (s *schedule) due(now time.Time) (list []*target) {
	for len(*s) > 0 && !(*s)[0].next.After(now) {
		list = append(list, heap.Pop(s).(*target))
	}
	return list
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].next.Before(s[j].next) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push appends.
func (s *schedule) Push(x any) { *s = append(*s, x.(*target)) }

// Pop takes the last.
func (s *schedule) Pop() any {
	old := *s
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return t
}
