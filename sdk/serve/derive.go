package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// What a processor took is saved, with its state and output, after so many bytes of packets, or after a while. The daemon's
// window is larger than saveBytes; a small state is saved no more often than it is worth.
const (
	saveBytes = 1 << 20
	saveEvery = 2 * time.Second
)

// derivation is the work on one pipeline: as a Writer it is fed like a sink.
type derivation struct {
	*feed
	work    sdk.Derivation
	out     *sdk.Batch
	encoder *wire.Encoder
	packer  *wire.Packer // of what was not saved yet
	sent    uint64       // its last packet that was
	number  uint32
	state   bool // there was one
	panicks context.CancelCauseFunc
}

// derive lets a processor work on what comes, and sends what it makes of it.
func (f *feed) derive(ctx context.Context, cancel context.CancelCauseFunc, deriver sdk.Deriver) error {
	number, err := numberOf(f.stream, wire.DerivesKey)
	if err != nil {
		return err
	}
	packets, failed := receive(ctx, f.stream, 1)
	state, err := stateFrom(packets)
	if err != nil {
		return err
	}
	d := &derivation{
		feed: f, number: number, state: state != nil, panicks: cancel,
		out: sdk.NewScope(sdk.SourceSettings{}, "", true).Batch(), encoder: wire.NewEncoder(number), packer: wire.NewPacker(0, time.Hour, 1<<40),
	}
	f.writer = d
	err = sdk.Recover("Derive", func() (err error) {
		d.work, err = deriver.Derive(state)
		return err
	})
	if err != nil {
		f.component.fail(err)
		return status.Error(codes.Aborted, err.Error())
	}
	timer := time.NewTimer(saveEvery)
	defer timer.Stop()
	for unsaved := 0; ; {
		select {
		case raw, ok := <-packets:
			if !ok {
				return ended(failed)
			}
			unsaved += raw.Data.Len()
			if err := f.take(ctx, raw, nil); err != nil {
				return err
			}
			if unsaved < saveBytes {
				continue
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			timer.Reset(saveEvery)
			if unsaved == 0 {
				continue
			}
		}
		if err := d.save(ctx); err != nil {
			f.component.fail(err)
			return status.Error(codes.Aborted, err.Error())
		}
		unsaved = 0
	}
}

// stateFrom reads what the daemon sends first.
func stateFrom(packets <-chan *wire.Raw) (state []byte, err error) {
	var parts wire.Checkpoints
	for raw := range packets {
		buf := raw.Materialize()
		packet, err := wire.ParsePacket(buf.ReadOnlyData())
		whole := false
		for r := wire.Read(packet.Frames); err == nil && r.Next(); err = errors.Join(err, r.Err) {
			if r.Kind != wire.Checkpoint {
				err = errors.New("the stream of a processor begins with its state")
				break
			}
			_, state, whole, err = parts.Add(&r.Frame)
		}
		buf.Free()
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		if whole && len(state) == 0 {
			state = nil
		}
		if whole {
			return state, nil
		}
	}
	return nil, nil
}

// Write lets the processor work on a batch and encodes what it set. A panic leaves nobody knows what behind: it ends the
// stream, and another derivation goes on from the last state.
func (d *derivation) Write(ctx context.Context, in *sdk.Batch) error {
	d.out.Time, d.out.Whole = time.Time{}, false
	err := sdk.Recover("Process", func() error { return d.work.Process(ctx, in, d.out) })
	var panicked *sdk.Panic
	if errors.As(err, &panicked) {
		d.component.fail(err)
		d.panicks(status.Error(codes.Aborted, err.Error()))
	}
	if err != nil || d.out.Len() == 0 && !d.out.Whole {
		return err
	}
	_, err = d.packer.Fill(ctx, true, d.out.Whole, func(p *wire.Packer) {
		d.out.Seal(func(columns *sdk.Columns) { d.encoder.Encode(p, columns) })
	})
	return err
}

// Forget tells a processor that keeps something by ref.
func (d *derivation) Forget(o *sdk.Origin, refs []sdk.Ref) {
	if f, ok := d.work.(sdk.Forgetter); ok {
		f.Forget(o, refs)
	}
}

// save sends the output, the state and the acknowledgement, which the daemon keeps together.
func (d *derivation) save(ctx context.Context) error {
	var state []byte
	if err := sdk.Recover("Snapshot", func() (err error) {
		state, err = d.work.Snapshot()
		return err
	}); err != nil {
		return err
	}
	if len(state) > wire.MaxCheckpoint {
		return fmt.Errorf("the state of %s has %d bytes, and at most %d are kept: fewer series, or shorter windows", d.component.address, len(state), wire.MaxCheckpoint)
	}
	for last := d.packer.Cut(); d.sent < last; {
		raw, err := d.packer.Next(ctx)
		if err != nil {
			return err
		}
		buf := raw.Materialize()
		packet, err := wire.ParsePacket(buf.ReadOnlyData())
		if err == nil {
			d.sent = packet.LastSeq
			d.packer.Ack(d.sent)
			err = d.derived(packet.Frames)
		}
		buf.Free()
		if err != nil {
			return err
		}
	}
	if d.state = d.state || state != nil; d.state {
		for r := wire.Read(wire.AppendCheckpoint(nil, d.number, wire.StateKey, state)); r.Next(); {
			if err := d.derived(r.Raw); err != nil {
				return err
			}
		}
	}
	return d.acknowledge()
}

func (d *derivation) derived(frames []byte) error {
	return d.stream.Send(&wire.Up{Message: &wire.Up_Derived{Derived: frames}})
}
