package plugintest

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// queue holds what came from a source until the test looks: however much that is, the source is not held up.
type queue struct {
	mu      sync.Mutex
	packets [][]byte
	ended   bool
	changed chan struct{} // has an entry after each change
}

func newQueue() *queue { return &queue{changed: make(chan struct{}, 1)} }

func (q *queue) put(frames []byte) { q.change(func() { q.packets = append(q.packets, frames) }) }
func (q *queue) end()              { q.change(func() { q.ended = true }) }

func (q *queue) change(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// take is the first that came; nil: none is here.
func (q *queue) take() (frames []byte, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.packets) == 0 {
		return nil, q.ended
	}
	frames, q.packets = q.packets[0], q.packets[1:]
	return frames, false
}

// next waits for a packet.
func (q *queue) next(within time.Duration) ([]byte, error) {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		frames, ended := q.take()
		if frames != nil {
			return frames, nil
		}
		if ended {
			return nil, errors.New("the source's stream has ended")
		}
		select {
		case <-q.changed:
		case <-timeout.C:
			return nil, fmt.Errorf("nothing came for %v", within)
		}
	}
}

// patience is how long a test waits for what should come. Where the time is that of a bubble (package testing/synctest, whose clock
// begins with the year 2000) waiting costs nothing, and the next thing may be due in a day.
func patience() time.Duration {
	if time.Now().Before(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
		return 31 * 24 * time.Hour
	}
	return 30 * time.Second
}
