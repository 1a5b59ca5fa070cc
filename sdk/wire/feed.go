package wire

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Feed makes packets of batches on the spot, for who feeds sinks, stores and processors of samples and is no pipeline: tests,
// and the command line. What is to be sent is set in Batch and packed.
type Feed struct {
	Batch *sdk.Batch
	Last  uint64 // the number of the last packet: an acknowledgement that reaches it is of everything

	encoder *Encoder
	packer  *Packer
}

// NewFeed makes a feed of a stream, whose first packet says the address.
func NewFeed(stream uint32, address string) *Feed {
	f := &Feed{Batch: sdk.NewScope(sdk.SourceSettings{}, "", true).Batch(), encoder: NewEncoder(stream), packer: NewPacker(1, time.Hour, 1<<40)}
	f.packer.Add(AppendStream(nil, stream, address))
	return f
}

// Pack empties the batch into packets, which stay what they are.
func (f *Feed) Pack() (packets []*Packet) {
	f.packer.Fill(context.Background(), true, false, func(p *Packer) {
		f.Batch.Seal(func(c *sdk.Columns) { f.encoder.Encode(p, c) })
	})
	for last := f.packer.Cut(); f.Last < last; f.Last++ {
		raw, err := f.packer.Next(context.Background())
		if err != nil {
			panic(err) // it is there: nobody else takes it
		}
		buf, packet := raw.Materialize(), new(Packet)
		if err := proto.Unmarshal(buf.ReadOnlyData(), packet); err != nil {
			panic(err) // it was just made
		}
		buf.Free()
		packets = append(packets, packet)
	}
	f.packer.Ack(f.Last)
	return packets
}
