package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Queue bounds what waits in the log for one sink. The bytes are those of the log behind the cursor, whichever sources they
// came from.
type Queue struct {
	MaxBytes int64         // 0: whatever the log takes
	MaxAge   time.Duration // 0: no sample is too old
	Block    bool          // beyond MaxBytes the sources wait; otherwise the oldest samples are dropped
}

const (
	lookAgain  = time.Second     // at the queue of a sink that is not there, or takes nothing
	stuckAfter = 5 * time.Second // without an acknowledgement, a full queue takes back what the sink was sent
)

var errStuck = errors.New("the queue is full, and the sink takes nothing: what it was sent is taken back")

// overfull reports whether the oldest samples are to be dropped for want of room.
func (d *Delivery) overfull() bool {
	return d.Queue.MaxBytes > 0 && !d.Queue.Block && d.cursor.Backlog() > d.Queue.MaxBytes
}

// watch breaks the connection to a sink that acknowledges nothing while its queue overflows.
func (d *Delivery) watch(ctx context.Context, fail context.CancelCauseFunc) {
	if d.Queue.MaxBytes == 0 || d.Queue.Block {
		return
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		d.mu.Lock()
		silent := len(d.inFlight) > 0 && time.Since(d.behind) > stuckAfter
		d.mu.Unlock()
		if silent && d.overfull() {
			fail(errStuck)
			return
		}
	}
}

// Full reports whether the sources of a queue that blocks have to wait.
func (d *Delivery) Full() bool {
	return d.Queue.Block && d.Queue.MaxBytes > 0 && d.cursor.Backlog() > d.Queue.MaxBytes
}

// unwanted says why a record is not to be sent any more; "": it is.
func (d *Delivery) unwanted(r buffer.Record) string {
	switch {
	case r.Past:
		return ""
	case d.overfull():
		return "queue_full"
	case d.Queue.MaxAge > 0 && r.Samples > 0 && newest(r.Payload) < time.Now().Add(-d.Queue.MaxAge).UnixMilli():
		return "too_old"
	}
	return ""
}

// newest is the latest time of a record's samples, in Unix ms.
func newest(frames []byte) (at int64) {
	for r := wire.Read(frames); r.Next(); {
		if r.Frame.Samples() > 0 {
			at = max(at, r.Base+int64(r.Span))
		}
	}
	return at
}

// await connects. While the sink is not there, its queue is kept within its bounds.
func (d *Delivery) await(ctx context.Context) (Consumed, error) {
	if d.Queue.MaxBytes == 0 && d.Queue.MaxAge == 0 {
		return d.Connect(ctx, d.derives())
	}
	d.shed(ctx)
	var stream Consumed
	var err error
	connected := make(chan struct{})
	go func() {
		stream, err = d.Connect(ctx, d.derives())
		close(connected)
	}()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-connected:
			return stream, err
		case <-tick.C:
			d.shed(ctx)
		}
	}
}

// shed drops the oldest samples until the queue is within its bounds. Nobody else reads the cursor meanwhile.
func (d *Delivery) shed(ctx context.Context) {
	if d.cursor.Lag() == 0 || !d.overfull() && time.Now().Before(d.keep) {
		return
	}
	t := wire.Translator{Wants: d.Wants} // no processor need be there for this
	d.cursor.Rewind()
	var memory []byte
	for d.cursor.Lag() > 0 {
		r, err := d.cursor.Next(ctx, func(n int) []byte {
			if cap(memory) < n {
				memory = make([]byte, n)
			}
			return memory[:n]
		})
		if err != nil {
			return
		}
		reason := d.unwanted(r)
		if !r.Past && reason == "" && r.Samples > 0 {
			d.keep = time.UnixMilli(newest(r.Payload)).Add(d.Queue.MaxAge)
			if d.Queue.MaxAge == 0 {
				d.keep = time.Now().Add(time.Hour) // until then only the size is looked at
			}
			return
		}
		out, err := t.Translate(ctx, r.Payload, r.Samples, r.Defines, true)
		if err != nil {
			return // the same record will break delivery, and be told there
		}
		if !r.Past {
			d.skip(r.Position, losses(nil).with(reason, out.Skipped))
		}
	}
}
