package wire

import (
	"errors"
	"fmt"
	"math/bits"
	"unsafe"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that ours stands before
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// packetHeader is what stands before the frames in a packet that PutPacket wrote: epoch, last_seq, samples, pad, and the
// tag and length of frames, with a pad that makes it 32 bytes whatever that length is.
const packetHeader = 32

// PacketView is a Packet read in place.
type PacketView struct {
	Epoch   uint64
	LastSeq uint64
	Samples uint32
	Frames  []byte // 8-byte aligned
}

// PacketStream is the daemon's end of a process' Produce stream: it receives Raw and sends Down.
type PacketStream interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

var errPacket = errors.New("malformed packet")

// ParsePacket reads a Packet message.
func ParsePacket(b []byte) (p PacketView, err error) {
	if len(b) > MaxPacket {
		return p, fmt.Errorf("%w: %d bytes, and the most is %d", errPacket, len(b), MaxPacket)
	}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return p, errPacket
		}
		b = b[n:]
		switch {
		case number == 1 && kind == protowire.Fixed64Type:
			p.Epoch, n = protowire.ConsumeFixed64(b)
		case number == 2 && kind == protowire.Fixed64Type:
			p.LastSeq, n = protowire.ConsumeFixed64(b)
		case number == 3 && kind == protowire.Fixed32Type:
			p.Samples, n = protowire.ConsumeFixed32(b)
		case number == 15 && kind == protowire.BytesType:
			p.Frames, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return p, errPacket
		}
		b = b[n:]
	}
	p.Frames = Aligned(p.Frames)
	return p, nil
}

// Aligned is b, or a copy of it, at an address that columns can be read from.
func Aligned(b []byte) []byte {
	if len(b) == 0 || uintptr(unsafe.Pointer(&b[0]))%8 == 0 {
		return b
	}
	aligned := make([]uint64, (len(b)+7)/8)
	c := unsafe.Slice((*byte)(unsafe.Pointer(&aligned[0])), len(b))
	copy(c, b)
	return c
}

// putPacketHeader writes the 32 bytes before frames of so many bytes.
func putPacketHeader(b []byte, epoch, lastSeq uint64, samples uint32, frames int) {
	b = b[:0]
	b = protowire.AppendFixed64(protowire.AppendTag(b, 1, protowire.Fixed64Type), epoch)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 2, protowire.Fixed64Type), lastSeq)
	b = protowire.AppendFixed32(protowire.AppendTag(b, 3, protowire.Fixed32Type), samples)
	var zeros [8]byte
	pad := 6 - protowire.SizeVarint(uint64(frames))
	b = protowire.AppendBytes(protowire.AppendTag(b, 14, protowire.BytesType), zeros[:pad])
	protowire.AppendVarint(protowire.AppendTag(b, 15, protowire.BytesType), uint64(frames))
}

// PacketHeader is how many bytes before its frames a packet that SealPacket makes needs.
const PacketHeader = packetHeader

// SealPacket makes a packet of a pooled buffer whose frames begin at PacketHeader.
func SealPacket(buf *[]byte, epoch, lastSeq uint64, samples int) *Raw {
	putPacketHeader(*buf, epoch, lastSeq, uint32(samples), len(*buf)-packetHeader)
	return &Raw{mem.BufferSlice{mem.NewBuffer(buf, Pool)}}
}

// Raw is a message that is passed through as bytes.
type Raw struct{ Data mem.BufferSlice }

// Codec is gRPC's protobuf codec, but for *Raw, which it passes through; what goes over the wire is plain protobuf either
// way. It is given to connections and servers by option, not registered.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2("proto")} }

type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*Raw); ok {
		data := r.Data
		r.Data = nil
		return data, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if r, ok := v.(*Raw); ok {
		data.Ref()
		r.Data = data
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// Materialize takes the message of a Raw as one piece; Free the buffer when done with it.
func (r *Raw) Materialize() mem.Buffer {
	b := r.Data.MaterializeToBuffer(Pool)
	r.Data.Free()
	r.Data = nil
	return b
}

func countBits(words []uint64, n int) (set int) {
	for i, w := range words {
		if rest := n - i*64; rest < 64 {
			w &= 1<<rest - 1
		}
		set += bits.OnesCount64(w)
	}
	return set
}
