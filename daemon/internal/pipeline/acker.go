package pipeline

import (
	"context"
	"sync"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// acker tells a process how far its packets are durable: the newest number only, one message for many packets.
type acker struct {
	to    wire.PacketStream
	abort context.CancelCauseFunc

	mu   sync.Mutex
	seq  uint64
	wake chan struct{}
}

func newAcker(ctx context.Context, to wire.PacketStream, abort context.CancelCauseFunc) *acker {
	a := &acker{to: to, abort: abort, wake: make(chan struct{}, 1)}
	go a.run(ctx)
	return a
}

// durable says that the packet seq is durable, or why it cannot become so: then nothing behind it is acknowledged either.
func (a *acker) durable(seq uint64, err error) {
	if err != nil {
		a.abort(err)
		return
	}
	a.mu.Lock()
	a.seq = max(a.seq, seq)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *acker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		a.mu.Lock()
		seq := a.seq
		a.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		if err := a.to.SendMsg(&wire.Down{Message: &wire.Down_Ack{Ack: &wire.Ack{Seq: seq}}}); err != nil {
			return
		}
	}
}
