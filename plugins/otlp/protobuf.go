package main

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed is the answer to bytes that are no protobuf.
var errMalformed = errors.New("the request is no OTLP metrics request in protobuf")

// Wire types as the low bits of a tag.
const (
	asVarint  = uint64(protowire.VarintType)
	asFixed64 = uint64(protowire.Fixed64Type)
	asBytes   = uint64(protowire.BytesType)
)

// message reads the fields of a protobuf message in place, without memory of its own. A field that has another wire type
// than expected is met under another tag, and so ignored as protobuf's own decoder does.
type message struct {
	rest []byte

	tag   uint64 // field number << 3 | wire type
	bits  uint64 // of a varint or a fixed64
	bytes []byte // of a length-delimited field
	bad   bool
}

// next reads a field; false at the end, or with bad set where the bytes are no message.
func (m *message) next() bool {
	if len(m.rest) == 0 || m.bad {
		return false
	}
	n := 1
	if m.tag = uint64(m.rest[0]); m.tag >= 0x80 {
		m.tag, n = protowire.ConsumeVarint(m.rest)
	}
	if n < 0 || m.tag>>3 == 0 || m.tag>>3 > uint64(protowire.MaxValidNumber) {
		m.bad = true
		return false
	}
	m.rest = m.rest[n:]
	switch m.tag & 7 {
	case asVarint:
		m.bits, n = protowire.ConsumeVarint(m.rest)
	case asFixed64:
		m.bits, n = protowire.ConsumeFixed64(m.rest)
	case asBytes:
		m.bytes, n = protowire.ConsumeBytes(m.rest)
	default:
		n = protowire.ConsumeFieldValue(protowire.Number(m.tag>>3), protowire.Type(m.tag&7), m.rest)
	}
	if n < 0 {
		m.bad = true
		return false
	}
	m.rest = m.rest[n:]
	return true
}

// err says whether the reading ended well.
func (m *message) err() error {
	if m.bad {
		return errMalformed
	}
	return nil
}
