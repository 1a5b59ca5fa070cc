package plugintest

import (
	"context"

	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// sinkStream is the test's end of Consume.
type sinkStream struct {
	*wire.Feed
	stream grpc.BidiStreamingClient[wire.Packet, wire.Up]
	end    context.CancelFunc
	sent   []*wire.Packet
}

// Batch returns a batch to be filled for Write: its series carry only the labels that they are defined with.
func (p *Component) Batch() *sdk.Batch {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sink == nil {
		p.sink = &sinkStream{Feed: wire.NewFeed(7, "source.test.main")}
		p.consume()
	}
	return p.sink.Batch
}

// consume opens the stream to a sink, or to a processor of samples, which is told its state first.
func (p *Component) consume() {
	p.t.Helper()
	derives := uint32(0)
	if p.derives {
		derives = p.Number
	}
	ctx, end := context.WithCancel(p.t.Context())
	stream, err := p.Conn.Consume(ctx, p.Number, derives)
	if err == nil && p.derives {
		err = stream.Send(&wire.Packet{Frames: wire.AppendCheckpoint(nil, p.Number, wire.StateKey, p.left)})
	}
	if err != nil {
		end()
		p.t.Fatal(err)
	}
	p.sink.stream, p.sink.end = stream, end
}

// Write sends the batch that Batch returned to the sink and waits for the acknowledgement of all of it; it is nil if the connection
// is cut before (Cut). A processor of samples acknowledges what it has worked on every two seconds, which pass in a moment in a
// bubble; what it made comes with Next and Came, and its state with Checkpoint.
func (p *Component) Write() *wire.SinkAck {
	p.t.Helper()
	p.Batch()
	packets := p.sink.Pack()
	p.sink.sent = append(p.sink.sent, packets...)
	return p.deliver(packets)
}

// Redeliver sends everything that was written once more, under the same IDs and on a new connection, as a daemon does that died
// before it had kept the acknowledgements: what is not to be stored, or told, twice.
func (p *Component) Redeliver() *wire.SinkAck {
	p.t.Helper()
	if p.derives {
		p.t.Fatal("a processor of samples is never handed samples twice: open another one From its Checkpoint")
	}
	p.Batch()
	p.Cut()
	p.mu.Lock()
	p.consume()
	p.mu.Unlock()
	return p.deliver(p.sink.sent)
}

// deliver sends packets and waits until all that was ever sent is acknowledged; nil: the connection was cut.
func (p *Component) deliver(packets []*wire.Packet) *wire.SinkAck {
	p.t.Helper()
	p.mu.Lock()
	stream, last := p.sink.stream, p.sink.Last
	p.mu.Unlock()
	total := &wire.SinkAck{Dropped: map[string]uint64{}}
	for _, packet := range packets {
		if err := stream.Send(packet); err != nil {
			break // Recv says why
		}
	}
	for total.Position < last {
		up, err := stream.Recv()
		if err != nil && stream.Context().Err() != nil {
			return nil
		}
		if err != nil {
			p.t.Fatalf("the sink ended its stream: %v", err)
		}
		if frames := up.GetDerived(); frames != nil {
			p.packets.put(wire.Aligned(frames))
		}
		if ack := up.GetAck(); ack != nil {
			total.Position = ack.Position
			total.Stored += ack.Stored
			for reason, n := range ack.Dropped {
				total.Dropped[reason] += n
			}
		}
	}
	return total
}
