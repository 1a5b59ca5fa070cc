package main

import (
	"container/heap"
	"hash/fnv"
	"time"
)

// schedule says which target is scraped when: at a phase of its interval that its identity decides, so that targets spread,
// on a grid, so that those that fall together wake the process and the daemon once.
type schedule []*target

// gridOf is the distance of the points in time at which scrapes of an interval begin.
func gridOf(interval time.Duration) time.Duration {
	return min(interval, max(interval/30, 50*time.Millisecond))
}

// nextOnGrid is the first time after now that is the phase of key into a multiple of the interval. It keeps now's monotonic
// reading: a clock that is set does not stop scrapes.
func nextOnGrid(key string, interval time.Duration, now time.Time) time.Time {
	grid := gridOf(interval)
	h := fnv.New64a()
	h.Write([]byte(key))
	phase := time.Duration(h.Sum64()%uint64(interval/grid)) * grid
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
