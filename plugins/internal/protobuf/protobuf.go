// Package protobuf reads protobuf messages in place: for what comes in such numbers that the memory which generated code takes
// for each of them would cost more than all the rest.
//
//	m := protobuf.Read(bytes)
//	for m.Next() {
//		switch m.Tag {
//		case 1<<3 | protobuf.Bytes:
//			name = string(m.Bytes)
//		case 2<<3 | protobuf.Fixed64:
//			value = m.Float()
//		}
//	}
//	return m.Err
//
// No length is believed before its bytes are there. A field that has another wire type than expected is met under another tag,
// and so ignored, as protobuf's own decoder does.
//
// # How it is tested
//
// What protobuf's own code writes is read, and a fuzz target compares with protobuf's own reading; the plugins that use it
// compare whole messages with generated code.
package protobuf

import (
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed says that the bytes are no message.
var ErrMalformed = errors.New("broken protobuf")

// Wire types: the low bits of a tag.
const (
	Varint  = uint64(protowire.VarintType)
	Fixed64 = uint64(protowire.Fixed64Type)
	Bytes   = uint64(protowire.BytesType)
)

// Message walks the fields of a message.
type Message struct {
	rest []byte

	Tag   uint64 // of the field at hand: its number << 3 | its wire type
	Bits  uint64 // of a varint or of 64 bits
	Bytes []byte // of bytes, a text or a message: those of the message that is read
	Err   error  // what is wrong, which ends the walk
}

// Read begins before the first field.
func Read(message []byte) Message { return Message{rest: message} }

// Next goes to the next field; false at the end, or where the bytes are no message.
func (m *Message) Next() bool {
	if len(m.rest) == 0 || m.Err != nil {
		return false
	}
	n := 1
	if m.Tag = uint64(m.rest[0]); m.Tag >= 0x80 {
		m.Tag, n = protowire.ConsumeVarint(m.rest)
	}
	if n < 0 || m.Tag>>3 == 0 || m.Tag>>3 > uint64(protowire.MaxValidNumber) {
		m.Err = ErrMalformed
		return false
	}
	m.rest = m.rest[n:]
	switch m.Tag & 7 {
	case Varint:
		m.Bits, n = protowire.ConsumeVarint(m.rest)
	case Fixed64:
		m.Bits, n = protowire.ConsumeFixed64(m.rest)
	case Bytes:
		m.Bytes, n = protowire.ConsumeBytes(m.rest)
	default:
		n = protowire.ConsumeFieldValue(protowire.Number(m.Tag>>3), protowire.Type(m.Tag&7), m.rest)
	}
	if n < 0 {
		m.Err = ErrMalformed
		return false
	}
	m.rest = m.rest[n:]
	return true
}

// Float is a field of 64 bits as a double.
func (m *Message) Float() float64 { return math.Float64frombits(m.Bits) }
