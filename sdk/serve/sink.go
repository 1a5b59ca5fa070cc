package serve

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// gatherAhead is how many packets may wait for a sink that gathers them.
const gatherAhead = 64

// consumed is the plugin's end of a Consume stream.
type consumed = grpc.BidiStreamingServer[wire.Packet, wire.Up]

// Consume feeds one Writer, or one Deriver, from one pipeline. One packet is read ahead while another is written, or many
// for a sink that gathers; the daemon's window bounds what is on the way.
func (s *Server) Consume(stream consumed) error {
	number, err := numberOf(stream, wire.ComponentKey)
	if err != nil {
		return err
	}
	c, err := s.component(number)
	if err != nil {
		return status.Error(codes.NotFound, err.Error())
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	closed := context.AfterFunc(c.life, func() { cancel(status.Error(codes.Unavailable, c.address+" was closed")) })
	defer closed()
	f := &feed{stream: stream, component: c, decoder: wire.NewDecoder()}
	if deriver, ok := c.open.Impl.(sdk.Deriver); ok {
		return f.derive(ctx, cancel, deriver)
	}
	var ok bool
	if f.writer, ok = c.open.Impl.(sdk.Writer); !ok {
		return status.Error(codes.Unimplemented, "not a sink")
	}
	ahead := 1
	if c.offer.Gathers > 0 {
		ahead = gatherAhead
	}
	packets, failed := receive(ctx, stream, ahead)
	for {
		raw, err := next(ctx, packets, failed)
		if raw == nil {
			return err
		}
		if err := f.take(ctx, raw, packets); err != nil {
			return err
		}
		if f.unsent++; len(packets) == 0 || f.unsent >= 8 { // with more coming, the ack may wait for a few
			if err := f.acknowledge(); err != nil {
				return err
			}
		}
	}
}

// next waits for a packet; nil: the stream has ended, or is to end.
func next(ctx context.Context, packets <-chan *wire.Raw, failed <-chan error) (*wire.Raw, error) {
	select {
	case raw, ok := <-packets:
		if !ok {
			return nil, ended(failed)
		}
		return raw, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// numberOf reads a number from the metadata of a stream.
func numberOf(stream consumed, key string) (uint32, error) {
	md, _ := metadata.FromIncomingContext(stream.Context())
	if len(md[key]) != 1 {
		return 0, status.Error(codes.InvalidArgument, "the metadata lacks "+key)
	}
	number, err := strconv.ParseUint(md[key][0], 10, 32)
	if err != nil {
		return 0, status.Error(codes.InvalidArgument, err.Error())
	}
	return uint32(number), nil
}

// receive reads packets ahead until the stream ends; failed then tells why.
func receive(ctx context.Context, stream consumed, ahead int) (packets chan *wire.Raw, failed chan error) {
	packets, failed = make(chan *wire.Raw, ahead), make(chan error, 1)
	go func() {
		defer close(packets)
		for {
			raw := new(wire.Raw)
			if err := stream.RecvMsg(raw); err != nil {
				failed <- err
				return
			}
			select {
			case packets <- raw:
			case <-ctx.Done():
				failed <- ctx.Err()
				return
			}
		}
	}()
	return packets, failed
}

func ended(failed <-chan error) error {
	if err := <-failed; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// feed is the state of one Consume.
type feed struct {
	stream    consumed
	component *component
	writer    sdk.Writer
	decoder   *wire.Decoder
	pending   wire.SinkAck // counted since the last ack was sent
	unsent    int
}

// take writes a packet, with those that came while the last one was written if the sink gathers.
func (f *feed) take(ctx context.Context, raw *wire.Raw, packets <-chan *wire.Raw) error {
	var (
		runs      []sdk.Run
		forgotten []wire.Forgotten
		samples   int
		last      uint64
	)
	for raw != nil {
		buf := raw.Materialize()
		defer buf.Free() // the runs use its memory
		packet, err := wire.ParsePacket(buf.ReadOnlyData())
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		more, gone, err := f.decoder.Decode(packet.Frames)
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		for i := range more {
			samples += len(more[i].Refs)
		}
		runs, forgotten, last = append(runs, more...), append(forgotten, gone...), packet.LastSeq
		if raw = nil; samples < f.component.offer.Gathers {
			select {
			case raw = <-packets: // nil: the stream has ended
			default:
			}
		}
	}
	if runs = f.taken(runs); len(runs) > 0 {
		if err := f.write(ctx, sdk.ReadBatch(last, runs)); err != nil {
			return err
		}
	}
	if forgetter, ok := f.writer.(sdk.Forgetter); ok {
		for _, gone := range forgotten {
			forgetter.Forget(gone.Origin, gone.Refs)
		}
	}
	wire.Forget(forgotten)
	f.pending.Position = last
	return nil
}

// acknowledge tells the daemon what was taken since it was told last.
func (f *feed) acknowledge() error {
	f.unsent = 0
	err := f.stream.Send(&wire.Up{Message: &wire.Up_Ack{Ack: &f.pending}})
	f.pending = wire.SinkAck{}
	return err
}

// taken leaves out what the sink did not say that it takes, and counts the histograms and records.
func (f *feed) taken(runs []sdk.Run) []sdk.Run {
	t := &f.component.offer
	return slices.DeleteFunc(runs, func(r sdk.Run) bool {
		reason := ""
		switch {
		case r.Histograms != nil && !t.Histograms:
			reason = "histograms"
		case r.Records != nil && !t.Logs:
			reason = "logs"
		default:
			return r.Exemplars != nil && !t.Exemplars
		}
		f.count(len(r.Refs), map[string]uint64{reason: uint64(len(r.Refs))})
		return true
	})
}

// write hands a batch to the Writer until it is stored or refused for good, and counts.
func (f *feed) write(ctx context.Context, batch *sdk.Batch) error {
	var pause backoff
	for troubled := false; ; {
		err := f.component.call("Write", func() error { return f.writer.Write(ctx, batch) })
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		dropped := batch.Dropped()
		if err == nil || sdk.AsProblem(err).Permanent {
			if err != nil {
				f.component.fail(err)
				dropped = map[string]uint64{"rejected": uint64(batch.Len())}
				f.pending.Refused = append(f.pending.Refused, &wire.Refusal{Position: batch.ID(), Text: err.Error()})
			}
			f.count(batch.Len(), dropped)
			if troubled {
				return f.stream.Send(&wire.Up{Message: &wire.Up_Trouble{Trouble: &wire.Problem{}}})
			}
			return nil
		}
		f.component.fail(err)
		troubled = true
		if err := f.stream.Send(&wire.Up{Message: &wire.Up_Trouble{Trouble: wire.ToProblem(err)}}); err != nil {
			return err
		}
		pause.wait(ctx, err)
	}
}

func (f *feed) count(n int, dropped map[string]uint64) {
	stored := uint64(n)
	for reason, k := range dropped {
		if f.pending.Dropped == nil {
			f.pending.Dropped = map[string]uint64{}
		}
		f.pending.Dropped[reason] += k
		stored -= k
	}
	f.pending.Stored += stored
}
