package plugintest

import (
	"context"
	"slices"
	"sync"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// What the daemon's side does to a component, and what may go wrong there.

// Room is how many bytes of a source may be on the way without an acknowledgement: with Room(1) and Hold, a source that has emitted
// once waits, or gets sdk.ErrFull. Without it there is room for 8 MiB.
func Room(bytes int) Option { return func(o *opening) { o.room = bytes } }

// acks are a source's acknowledgements, which may be held.
type acks struct {
	mu   sync.Mutex
	send func(seq uint64)
	held bool
	cut  bool   // what is still on the way comes no more
	last uint64 // while they are held
}

// take takes a packet and acknowledges it; false: the connection is cut.
func (a *acks) take(seq uint64, put func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut {
		return false
	}
	put()
	if a.last = seq; !a.held {
		a.send(seq)
	}
	return true
}

// Hold has no packet of a source acknowledged until release is called: a disk that is slow, or gone. What waits in Flush waits, and
// is durable with release; with Cut it never is.
func (p *Component) Hold() (release func()) {
	a := &p.acks
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = true
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.held = false; a.last > 0 && !a.cut {
			a.send(a.last)
		}
	}
}

// Cut cuts the component's connections in the middle of whatever it does: the daemon is gone. To a source, Emit and Flush are
// errors from then on. A sink's Write is cancelled, and Write of the test returns nil: call it from the server that the sink is
// talking to; Redeliver and Write then go on with a new connection.
func (p *Component) Cut() {
	p.acks.mu.Lock()
	p.acks.cut = true
	p.acks.mu.Unlock()
	p.cut()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sink != nil {
		p.sink.end()
	}
}

// receive takes the packets of a source and acknowledges them.
func (p *Component) receive() {
	ctx, cancel := context.WithCancel(p.t.Context())
	p.cut = cancel
	p.t.Cleanup(cancel)
	stream, err := p.Conn.Produce(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	p.acks.send = func(seq uint64) { stream.Send(&wire.Down{Message: &wire.Down_Ack{Ack: &wire.Ack{Seq: seq}}}) }
	go func() {
		defer p.packets.end()
		for {
			var raw wire.Raw
			if err := stream.RecvMsg(&raw); err != nil {
				return
			}
			buf := raw.Materialize()
			packet, err := wire.ParsePacket(slices.Clone(buf.ReadOnlyData()))
			buf.Free()
			if err != nil {
				p.t.Errorf("the source sent what is no packet: %v", err)
				return
			}
			if !p.acks.take(packet.LastSeq, func() { p.packets.put(packet.Frames) }) {
				return
			}
		}
	}()
}
