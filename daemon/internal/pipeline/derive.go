package pipeline

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// A processor of samples reads the log like a sink, and what it makes of them goes into the log as a stream of its own. Its
// output, its state and its place in the log are appended together: whatever dies, every sample counts exactly once.

const (
	derivedGrace = 10 * time.Minute // after which series that a new derivation has not made are stale
	maxDerived   = 16 << 20         // of one processor's output and state that waits for the acknowledgement
)

// Derived is the stream that a delivery to a processor makes.
type Derived struct {
	In      *Ingest
	Address string                 // of the stream, for those who want it
	Number  func() (uint32, error) // for each connection one that was never used

	number uint32
	pieces [][]byte // came since the last acknowledgement
	size   int
}

// resume opens the stream under its new number and tells the processor the state that it goes on with.
func (d *Delivery) resume(ctx context.Context, to Consumed) error {
	v := d.Derive
	v.pieces, v.size = nil, 0
	for _, s := range v.In.of(v.Address) {
		v.In.Gone(s.number)
	}
	s := newStream(v.number, v.Address, 0, derivedGrace)
	durable := make(chan struct{})
	v.In.open(s, func() { close(durable) })
	v.In.log.Hurry()
	select { // what was appended before is durable then, too
	case <-durable:
	case <-ctx.Done():
		return ctx.Err()
	}
	marks := s.checkpoints()
	if at := marks[wire.CursorKey]; len(at) == 16 {
		d.cursor.Restore(binary.LittleEndian.Uint64(at), binary.LittleEndian.Uint64(at[8:]))
	}
	for r := wire.Read(wire.AppendCheckpoint(nil, v.number, wire.StateKey, marks[wire.StateKey])); r.Next(); {
		buf := wire.Pool.Get(wire.PacketHeader + len(r.Raw))
		copy((*buf)[wire.PacketHeader:], r.Raw)
		if err := to.SendMsg(wire.SealPacket(buf, d.id, d.cursor.Committed(), 0)); err != nil {
			return err
		}
	}
	return nil
}

// derives is the number of the stream that the delivery makes, 0 if it makes none.
func (d *Delivery) derives() uint32 {
	if d.Derive == nil {
		return 0
	}
	return d.Derive.number
}

// gather keeps a piece of a processor's output until the acknowledgement comes.
func (v *Derived) gather(frames []byte) error {
	if v.size += len(frames); v.size > maxDerived {
		return fmt.Errorf("the processor sent more than %d bytes without an acknowledgement", maxDerived)
	}
	v.pieces = append(v.pieces, wire.Aligned(frames))
	return nil
}

// commit makes durable what a processor made of everything up to a position.
func (d *Delivery) commit(ctx context.Context, position uint64) error {
	v := d.Derive
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	if position > last {
		return fmt.Errorf("the processor acknowledges position %d, which it was not sent", position)
	}
	at := binary.LittleEndian.AppendUint64(nil, position)
	at = binary.LittleEndian.AppendUint64(at, d.cursor.Mark(position))
	var all []*checked
	var entries []buffer.Entry
	for _, piece := range append(v.pieces, wire.AppendCheckpoint(nil, v.number, wire.CursorKey, at)) {
		c, err := v.In.check(piece, v.number)
		if err != nil {
			return err
		}
		all, entries = append(all, c), append(entries, c.entry())
	}
	v.pieces, v.size = nil, 0
	done := make(chan error, 1)
	err := v.In.appendPatiently(ctx, func(err error) {
		for _, c := range all {
			c.settle(err)
		}
		done <- err
	}, entries...)
	if err != nil {
		return err
	}
	for _, c := range all {
		c.appended()
		for _, s := range c.cycled {
			v.In.handOver(s)
		}
	}
	select {
	case err = <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
