package pipeline

import (
	"context"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Recorder is a source of the daemon's own, such as the output of a group of rules.
type Recorder struct {
	in      *Ingest
	scope   *sdk.Scope
	batch   *sdk.Batch
	packer  *wire.Packer
	encoder *wire.Encoder
	number  uint32
}

// Record opens a source of the daemon's own under an address and a fresh number. What an earlier run recorded there and
// this one has not after grace goes stale.
func (in *Ingest) Record(number uint32, address string, grace time.Duration) *Recorder {
	in.Open(number, address, 0, grace)
	scope := sdk.NewScope(sdk.SourceSettings{}, "", true)
	return &Recorder{
		in: in, scope: scope, batch: scope.Batch(), packer: wire.NewPacker(0, time.Hour, 1<<40), encoder: wire.NewEncoder(number), number: number,
	}
}

// Sample is a value to be recorded.
type Sample struct {
	Series    sdk.Series
	Value     float64
	Histogram *sdk.Histogram // nil: Value
}

// Write appends samples of one time and returns the position of the log behind which they are durable.
func (r *Recorder) Write(ctx context.Context, at time.Time, samples []Sample) (position uint64, err error) {
	r.batch.Time = at
	for _, s := range samples {
		if ref := r.batch.Series(s.Series); s.Histogram != nil {
			r.batch.PutHistogram(ref, s.Histogram)
		} else {
			r.batch.Put(ref, s.Value)
		}
	}
	if _, err := r.packer.Fill(ctx, true, false, func(p *wire.Packer) {
		r.batch.Seal(func(c *sdk.Columns) { r.encoder.Encode(p, c) })
	}); err != nil {
		return 0, err
	}
	for last := r.packer.Cut(); ; {
		raw, err := r.packer.Next(ctx)
		if err != nil {
			return 0, err
		}
		buf := raw.Materialize()
		packet, err := wire.ParsePacket(buf.ReadOnlyData())
		if err == nil {
			position, err = r.in.keep(ctx, packet)
		}
		buf.Free()
		if err != nil {
			return 0, err
		}
		if r.packer.Ack(packet.LastSeq); packet.LastSeq == last {
			return position, nil
		}
	}
}

// keep takes a packet of the daemon's own and waits until it is durable.
func (in *Ingest) keep(ctx context.Context, packet wire.PacketView) (uint64, error) {
	c, err := in.check(packet.Frames, 0)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	entry := buffer.Entry{Payload: packet.Frames, Samples: c.samples, Defines: c.defines}
	if err := in.appendPatiently(ctx, func(err error) { c.settle(err); done <- err }, entry); err != nil {
		return 0, err
	}
	in.log.Hurry()
	select {
	case err := <-done:
		return in.log.Durable(), err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Close ends the source: what it recorded goes stale.
func (r *Recorder) Close() {
	r.in.mu.Lock()
	s := r.in.streams[r.number]
	r.in.mu.Unlock()
	if s != nil {
		r.in.end(s, nil)
	}
}
