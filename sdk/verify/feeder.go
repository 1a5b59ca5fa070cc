package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// feeder is a pipeline's end at a sink, a store or a processor of samples.
type feeder struct {
	s      *session
	stream grpc.BidiStreamingClient[wire.Packet, wire.Up]
	cancel context.CancelFunc
	*wire.Feed

	mu      sync.Mutex
	changed chan struct{}
	acks    []*wire.SinkAck
	trouble string // now; "": none
	derived int    // frames
	state   []byte
	faults  []string
	ended   error
}

const origin = 7 // the stream that what is fed comes from

// feed begins to feed a component. A processor of samples is handed its state.
func (s *session) feed(number uint32, state []byte) (*feeder, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	ctx = metadata.AppendToOutgoingContext(ctx, wire.ComponentKey, strconv.Itoa(int(number)))
	if s.t.Derives {
		ctx = metadata.AppendToOutgoingContext(ctx, wire.DerivesKey, strconv.Itoa(int(number+1000)))
	}
	stream, err := s.rpc.Consume(ctx)
	if err != nil {
		cancel()
		return nil, s.cause(err)
	}
	f := &feeder{s: s, stream: stream, cancel: cancel, Feed: wire.NewFeed(origin, "source.verify.main"), changed: make(chan struct{})}
	if s.t.Derives {
		var parts []byte
		parts = wire.AppendCheckpoint(parts, number+1000, wire.StateKey, state)
		if err := stream.Send(&wire.Packet{Frames: parts}); err != nil {
			cancel()
			return nil, s.cause(err)
		}
	}
	go f.receive(number + 1000)
	return f, nil
}

func (f *feeder) receive(derives uint32) {
	decoder := wire.NewDecoder()
	decoder.Decode(wire.AppendStream(nil, derives, "processor"))
	var parts wire.Checkpoints
	for {
		up, err := f.stream.Recv()
		f.mu.Lock()
		if err != nil {
			f.ended = err
		} else {
			f.s.hear(up)
			switch m := up.Message.(type) {
			case *wire.Up_Ack:
				f.acks = append(f.acks, m.Ack)
			case *wire.Up_Trouble:
				f.trouble = m.Trouble.Text
			case *wire.Up_Derived:
				f.derived++
				if len(m.Derived) > wire.MaxPacket {
					f.faults = keepSome(f.faults, fmt.Sprintf("derived frames of %d bytes, and the most is %d", len(m.Derived), wire.MaxPacket))
				}
				_, gone, err := decoder.Decode(wire.Aligned(m.Derived))
				wire.Forget(gone)
				if err != nil {
					f.faults = keepSome(f.faults, err.Error())
				}
				for r := wire.Read(wire.Aligned(m.Derived)); r.Next(); {
					if r.Kind == wire.Checkpoint {
						if _, value, whole, err := parts.Add(&r.Frame); err == nil && whole {
							f.state = value
						}
					}
				}
			}
		}
		close(f.changed)
		f.changed = make(chan struct{})
		f.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// pack makes the packets of what fill sets.
func (f *feeder) pack(fill func(b *sdk.Batch)) (packets []*wire.Packet, samples int) {
	fill(f.Batch)
	packets = f.Pack()
	for _, p := range packets {
		p.Pad = nil // its frames are then not aligned and copied when it comes: a sink that keeps batches is seen to grow
		samples += int(p.Samples)
	}
	return packets, samples
}

// send sends packets, as they were made.
func (f *feeder) send(packets []*wire.Packet) error {
	for _, p := range packets {
		if err := f.stream.Send(p); err != nil {
			return f.why(err)
		}
	}
	return nil
}

// why is what ended the stream.
func (f *feeder) why(err error) error {
	f.mu.Lock()
	ended := f.ended
	f.mu.Unlock()
	return f.s.cause(errors.Join(err, ended))
}

// wait waits until something holds; ok is false where the stream has ended or time has passed.
func (f *feeder) wait(within time.Duration, holds func() bool) bool {
	timeout := time.After(f.s.patient(within))
	for {
		f.mu.Lock()
		ok, changed, ended := holds(), f.changed, f.ended
		f.mu.Unlock()
		if ok || ended != nil {
			return ok
		}
		select {
		case <-changed:
		case <-timeout:
			return false
		case <-f.s.ctx.Done():
			return false
		}
	}
}

// counted is the sum of the acknowledgements.
type counted struct {
	position, stored uint64
	dropped          map[string]uint64
}

func (c counted) total() (n uint64) {
	n = c.stored
	for v := range maps.Values(c.dropped) {
		n += v
	}
	return n
}

func (f *feeder) count() (c counted) {
	c.dropped = map[string]uint64{}
	for _, a := range f.acks {
		c.position = max(c.position, a.Position)
		c.stored += a.Stored
		for reason, n := range a.Dropped {
			c.dropped[reason] += n
		}
	}
	return c
}

// acknowledged waits for the acknowledgement of everything up to a position.
func (f *feeder) acknowledged(position uint64) (counted, error) {
	ok := f.wait(8*time.Second, func() bool { return f.count().position >= position })
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.count()
	switch {
	case ok:
		return c, nil
	case f.ended != nil:
		return c, f.s.cause(fmt.Errorf("the stream ended at position %d of %d: %w", c.position, position, f.ended))
	case f.trouble != "":
		return c, fmt.Errorf("position %d of %d is acknowledged; its trouble is: %s", c.position, position, f.trouble)
	}
	return c, fmt.Errorf("position %d of %d is acknowledged, and nothing more comes", c.position, position)
}

// series is one of the series that sinks are sent.
func series(i int) sdk.Series {
	return sdk.Series{
		Labels: sdk.NewLabels(sdk.NameLabel, "verify_requests_total", "instance", "host:1", "job", "verify", "n", strconv.Itoa(i)),
		Family: &sdk.Family{Name: "verify_requests_total", Type: sdk.CounterType, Help: "Requests."},
	}
}

// some sets a value of n series at a time.
func some(b *sdk.Batch, n int, value float64, at time.Time) {
	b.Time = at
	for i := range n {
		b.Put(b.Series(series(i)), value+float64(i))
	}
}
