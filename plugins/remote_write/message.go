package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// message reads the fields of a protobuf message one after another. After a mistake in the bytes every read gives nothing,
// and err says what it was.
type message struct {
	b    []byte
	kind int // of the field at hand
	err  error
}

var errTruncated = errors.New("a field reaches beyond the end of its message")

// next goes to the next field; false at the end.
func (m *message) next() (field int, ok bool) {
	if m.err != nil || len(m.b) == 0 {
		return 0, false
	}
	key := m.varint()
	if m.kind = int(key & 7); m.err == nil && key>>3 == 0 {
		m.err = errors.New("a field has the number 0")
	}
	return int(min(key>>3, math.MaxInt32)), m.err == nil
}

func (m *message) varint() uint64 {
	v, n := binary.Uvarint(m.b)
	if n <= 0 {
		m.err, m.b = errTruncated, nil
		return 0
	}
	m.b = m.b[n:]
	return v
}

// number reads a field that is a varint.
func (m *message) number() uint64 {
	if !m.is(varintType) {
		return 0
	}
	return m.varint()
}

// zigzag reads a field of type sint32 or sint64.
func (m *message) zigzag() int64 { return unzigzag(m.number()) }

func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// double reads a field of 64 bits.
func (m *message) double() float64 {
	if !m.is(fixed64Type) {
		return 0
	}
	return math.Float64frombits(m.fixed64())
}

func (m *message) fixed64() uint64 {
	if len(m.b) < 8 {
		m.err, m.b = errTruncated, nil
		return 0
	}
	v := binary.LittleEndian.Uint64(m.b)
	m.b = m.b[8:]
	return v
}

// bytes reads a field of bytes, text or a message; they are those of the message.
func (m *message) bytes() []byte {
	if !m.is(bytesType) {
		return nil
	}
	n := m.varint()
	if m.err != nil || n > uint64(len(m.b)) {
		m.err, m.b = errTruncated, nil
		return nil
	}
	v := m.b[:n:n]
	m.b = m.b[n:]
	return v
}

// inner begins to read a field that is a message.
func (m *message) inner() message { return message{b: m.bytes()} }

// done takes over what was wrong with an inner message.
func (m *message) done(inner *message) {
	if m.err == nil && inner.err != nil {
		m.err = inner.err
	}
}

// numbers reads a repeated field of varints, packed or not.
func (m *message) numbers(each func(uint64)) {
	if m.kind == varintType {
		each(m.varint())
		return
	}
	packed := m.inner()
	for packed.err == nil && len(packed.b) > 0 {
		each(packed.varint())
	}
	m.done(&packed)
}

// doubles reads a repeated field of 64 bits, packed or not.
func (m *message) doubles(each func(float64)) {
	if m.kind == fixed64Type {
		each(math.Float64frombits(m.fixed64()))
		return
	}
	packed := m.inner()
	for packed.err == nil && len(packed.b) > 0 {
		each(math.Float64frombits(packed.fixed64()))
	}
	m.done(&packed)
}

// skip passes a field that nobody knows.
func (m *message) skip() {
	switch m.kind {
	case varintType:
		m.varint()
	case fixed64Type:
		m.fixed64()
	case bytesType:
		m.bytes()
	case fixed32Type:
		if len(m.b) < 4 {
			m.err, m.b = errTruncated, nil
			return
		}
		m.b = m.b[4:]
	default:
		m.err = fmt.Errorf("a field has the wire type %d", m.kind)
	}
}

func (m *message) is(kind int) bool {
	if m.err == nil && m.kind != kind {
		m.err = fmt.Errorf("a field has the wire type %d, and should have %d", m.kind, kind)
	}
	return m.err == nil
}
