package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
)

// After an outage a sink gets the oldest samples first, and those of now when it has all others. One that takes samples in any
// order gets a second delivery meanwhile, from the end of the log: the first goes on up to where the second began, and then
// takes over where the second is.

// aheadAfter is how old a sample is for which those of now do not wait.
const aheadAfter = 30 * time.Second

var errCaughtUp = errors.New("the backlog is done")

// ahead is the second delivery.
type ahead struct {
	*Delivery
	from uint64 // it began behind this
	stop func()
}

// Ahead names the cursor of the second delivery of a cursor.
func Ahead(key string) string { return key + " (ahead)" }

// goAhead begins a second delivery, or goes on with it.
func (d *Delivery) goAhead() {
	r := d.Route
	r.Key, r.AnyOrder, r.Queue = Ahead(d.Key), false, Queue{}
	a := &ahead{Delivery: NewDelivery(d.log, r)}
	a.from = d.cursor.Until(a.cursor)
	ctx, cancel := context.WithCancel(d.life)
	done := make(chan struct{})
	a.stop = func() { cancel(); <-done }
	d.mu.Lock()
	d.ahead = a
	d.mu.Unlock()
	go func() {
		a.Run(ctx)
		close(done)
	}()
}

// stale reports whether a record is so old that those of now should not wait for it.
func stale(r buffer.Record) bool {
	return !r.Past && r.Samples > 0 && newest(r.Payload) < time.Now().Add(-aheadAfter).UnixMilli()
}

// takeOver waits until everything before the second delivery is acknowledged, ends it, and goes on from there.
func (d *Delivery) takeOver(ctx context.Context) error {
	d.mu.Lock()
	for len(d.inFlight) > 0 {
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		d.mu.Lock()
	}
	a := d.ahead
	d.mu.Unlock()
	a.stop()
	d.cursor.Follow(a.cursor)
	d.cursor.Until(nil)
	d.mu.Lock()
	d.ahead = nil
	d.mu.Unlock()
	d.Resume(a.Delivery)
	d.log.Remove(a.Key)
	return errCaughtUp
}

// current is the second delivery, nil if there is none.
func (d *Delivery) current() *ahead {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ahead
}
