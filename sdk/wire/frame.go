// Package wire is the contract between daemon and plugins in bytes: the gRPC service of magpie.proto, generated, and the
// columnar frames that FORMAT.md draws.
//
// A source's side fills a Packer through an Encoder for each component; a sink's side reads with a Decoder. The daemon
// between them looks at frame headers and definitions only and passes sample columns on as they are: through a Translator
// where a pipeline changes labels or leaves sources out.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// HeaderSize is the size of a frame's header.
const HeaderSize = 32

// MaxPacket bounds a packet, MaxFrame a frame.
const (
	MaxPacket = 1 << 20
	MaxFrame  = MaxPacket - packetHeader
)

// FrameKind is what a frame holds.
type FrameKind uint8

// The kinds of frames; see FORMAT.md.
const (
	Defs FrameKind = iota + 1
	Layout
	Values
	Cols
	Stale
	Retire
	Checkpoint
	Families
	Stream
	End
	Histograms
	Exemplars
	Records
)

// Flags of a frame.
const (
	FlagAbsent = 0x01 // a bitmap of absent entries precedes the values
	FlagTimes  = 0x02 // times follow the values
	FlagCycle  = 0x80 // the last frame of a source's whole cycle
)

// Header is a frame's header without its length.
type Header struct {
	Kind   FrameKind
	Flags  uint8
	Stream uint32
	Layout uint32
	N      uint32
	Span   uint32
	Base   int64
}

var le = binary.LittleEndian

// put writes the header of a frame of so many bytes.
func (h *Header) put(b []byte, length int) {
	le.PutUint32(b, uint32(length))
	b[4], b[5], b[6], b[7] = byte(h.Kind), h.Flags, 0, 0
	le.PutUint32(b[8:], h.Stream)
	le.PutUint32(b[12:], h.Layout)
	le.PutUint32(b[16:], h.N)
	le.PutUint32(b[20:], h.Span)
	le.PutUint64(b[24:], uint64(h.Base))
}

// Frame is a frame as it lies in a packet.
type Frame struct {
	Header
	Raw  []byte // the whole frame
	Body []byte
}

// Reader walks the frames of a packet:
//
//	for r := wire.Read(frames); r.Next(); { use r.Frame }
//
// and then asks r.Err.
type Reader struct {
	Frame
	Err  error
	rest []byte
}

// Read starts a walk.
func Read(frames []byte) Reader { return Reader{rest: frames} }

var errFrame = errors.New("malformed frame")

// Next moves to the next frame. It checks the header and that the body is as long as n says.
func (r *Reader) Next() bool {
	if len(r.rest) == 0 || r.Err != nil {
		return false
	}
	b := r.rest
	if len(b) < HeaderSize {
		return r.fail("%d bytes left, and a header has %d", len(b), HeaderSize)
	}
	length := le.Uint32(b)
	if length < HeaderSize || length%8 != 0 || uint64(length) > uint64(len(b)) || length > MaxFrame {
		return r.fail("its length is %d with %d bytes left", length, len(b))
	}
	r.Frame = Frame{
		Header: Header{
			Kind: FrameKind(b[4]), Flags: b[5], Stream: le.Uint32(b[8:]), Layout: le.Uint32(b[12:]),
			N: le.Uint32(b[16:]), Span: le.Uint32(b[20:]), Base: int64(le.Uint64(b[24:])),
		},
		Raw:  b[:length:length],
		Body: b[HeaderSize:length:length],
	}
	r.rest = b[length:]
	if need := bodySize(r.Kind, r.Flags, r.N); need > uint64(len(r.Body)) {
		return r.fail("kind %d with %d entries needs %d bytes and has %d", r.Kind, r.N, need, len(r.Body))
	}
	return true
}

func (r *Reader) fail(format string, args ...any) bool {
	r.Err = fmt.Errorf("%w: "+format, append([]any{errFrame}, args...)...)
	return false
}

// bodySize is the least size of a body of n entries.
func bodySize(kind FrameKind, flags uint8, n uint32) uint64 {
	c := uint64(n)
	refs := (4*c + 7) &^ 7
	size := uint64(0)
	switch kind {
	case Layout, Stale, Retire:
		return refs
	case Values:
		size = 8 * c
		if flags&FlagAbsent != 0 {
			size += (c + 63) / 64 * 8
		}
	case Cols:
		size = refs + 8*c
	case Defs:
		return 3 * c
	case Families:
		return 5 * c
	case Histograms:
		size = refs + leastEntry*c
	case Exemplars:
		size = refs + leastExemplar*c
	case Records:
		size = refs + leastRecord*c
	default:
		return 0
	}
	if flags&FlagTimes != 0 {
		size += refs
	}
	return size
}

// Refs are the refs of a LAYOUT, COLUMNS, STALE, RETIRE, HISTOGRAMS, EXEMPLARS or RECORDS frame, in place.
func (f *Frame) Refs() []uint32 { return u32s(f.Body[:4*f.N]) }

// parts cuts a VALUES or COLUMNS frame: values in place, times or nil, and the bitmap of absent entries or nil.
func (f *Frame) parts() (values []float64, times []uint32, absent []uint64) {
	b, n := f.Body, int(f.N)
	if f.Kind == Cols {
		b = b[(4*n+7)&^7:]
	} else if f.Flags&FlagAbsent != 0 {
		words := (n + 63) / 64
		absent, b = u64s(b[:8*words]), b[8*words:]
	}
	values, b = f64s(b[:8*n]), b[8*n:]
	if f.Flags&FlagTimes != 0 {
		times = u32s(b[:4*n])
	}
	return values, times, absent
}

// PutRefs writes the refs of a frame over those in a copy of its body.
func PutRefs(body []byte, refs []uint32) {
	for i, ref := range refs {
		le.PutUint32(body[4*i:], ref)
	}
}

// Absent reports whether entry i of a VALUES frame is marked as absent.
func (f *Frame) Absent(i int) bool {
	if f.Flags&FlagAbsent == 0 {
		return false
	}
	_, _, absent := f.parts()
	return absent[i/64]>>(i%64)&1 != 0
}

// Samples is how many samples a frame holds, histograms, records and staleness markers among them. Exemplars are none.
func (f *Frame) Samples() int {
	switch f.Kind {
	case Cols, Stale, Histograms, Records:
		return int(f.N)
	case Values:
		if f.Flags&FlagAbsent == 0 {
			return int(f.N)
		}
		_, _, absent := f.parts()
		return int(f.N) - countBits(absent, int(f.N))
	}
	return 0
}

// Address is the component of a STREAM frame.
func (f *Frame) Address() string {
	d := cursor{b: f.Body}
	return d.text(maxValue)
}

// The casts below read columns in place. Frames are 8-byte aligned in a packet, and buffers are aligned by the allocator;
// where a transport hands over an unaligned buffer, ParsePacket copies it once.

func u32s(b []byte) []uint32 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(unsafe.Pointer(&b[0])), len(b)/4)
}

func u64s(b []byte) []uint64 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), len(b)/8)
}

func f64s(b []byte) []float64 {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*float64)(unsafe.Pointer(&b[0])), len(b)/8)
}

func pad8(n int) int { return (n + 7) &^ 7 }

// spanOf is the span between two times for a header, and whether it fits.
func spanOf(base, last int64) (uint32, bool) {
	d := last - base
	return uint32(d), d >= 0 && d <= math.MaxUint32
}
