package protobuf

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// some is a message with fields of every wire type, also such as nobody uses any more.
func some() (b []byte) {
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), 300)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 2, protowire.Fixed64Type), math.Float64bits(1.5))
	b = protowire.AppendString(protowire.AppendTag(b, 3, protowire.BytesType), "text")
	b = protowire.AppendFixed32(protowire.AppendTag(b, 4, protowire.Fixed32Type), 7)
	b = protowire.AppendTag(b, 5, protowire.StartGroupType)
	b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), 1)
	b = protowire.AppendTag(b, 5, protowire.EndGroupType)
	return protowire.AppendBytes(protowire.AppendTag(b, protowire.MaxValidNumber, protowire.BytesType), nil)
}

// told writes what is read.
func told(b []byte) string {
	var text []string
	m := Read(b)
	for m.Next() {
		switch m.Tag & 7 {
		case Varint:
			text = append(text, fmt.Sprintf("%d: %d", m.Tag>>3, m.Bits))
		case Fixed64:
			text = append(text, fmt.Sprintf("%d: %v", m.Tag>>3, m.Float()))
		case Bytes:
			text = append(text, fmt.Sprintf("%d: %q", m.Tag>>3, m.Bytes))
		default:
			text = append(text, fmt.Sprintf("%d", m.Tag>>3))
		}
	}
	if m.Err != nil {
		text = append(text, m.Err.Error())
	}
	return strings.Join(text, ", ")
}

func TestFieldsOfEveryKindAreRead(t *testing.T) {
	t.Parallel()
	if got, want := told(some()), `1: 300, 2: 1.5, 3: "text", 4, 5, 536870911: ""`; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for name, b := range map[string][]byte{
		"number 0": {0, 1}, "a number too large": {0x80, 0x80, 0x80, 0x80, 0x10, 1}, "a tag cut": {0x80}, "a varint cut": {1 << 3, 0x80}, "64 bits cut": {2<<3 | 1, 0, 0},
		"a length that lies": {3<<3 | 2, 0xff, 0xff, 0xff, 0xff, 0x0f, 1}, "a wire type that there is not": {3<<3 | 7}, "a group without an end": {5<<3 | 3, 1 << 3, 1},
	} {
		if got := told(b); got != ErrMalformed.Error() {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// FuzzNext: what is read is what protowire reads, field by field.
func FuzzNext(f *testing.F) {
	f.Add(some())
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rest := Read(b), b
		for m.Next() {
			number, kind, value, n := protowire.Number(0), protowire.Type(0), []byte(nil), 0
			if number, kind, n = protowire.ConsumeTag(rest); n >= 0 {
				size := protowire.ConsumeFieldValue(number, kind, rest[n:])
				if size < 0 {
					t.Fatalf("%x was read, and is no field", rest)
				}
				value, rest = rest[n:n+size], rest[n+size:]
			}
			if n < 0 || m.Tag != protowire.EncodeTag(number, kind) {
				t.Fatalf("tag %d, want %d of type %d", m.Tag, number, kind)
			}
			switch kind {
			case protowire.VarintType:
				if want, _ := protowire.ConsumeVarint(value); m.Bits != want {
					t.Fatalf("%d, want %d", m.Bits, want)
				}
			case protowire.BytesType:
				if want, _ := protowire.ConsumeBytes(value); string(m.Bytes) != string(want) {
					t.Fatalf("%q, want %q", m.Bytes, want)
				}
			}
		}
		if m.Err == nil && len(rest) > 0 || m.Err != nil && allFields(b) {
			t.Fatalf("ended with %v before %x", m.Err, rest)
		}
	})
}

// allFields says whether protowire reads a message to its end, with numbers that fields can have.
func allFields(b []byte) bool {
	for len(b) > 0 {
		number, _, n := protowire.ConsumeField(b)
		if n < 0 || number > protowire.MaxValidNumber {
			return false
		}
		b = b[n:]
	}
	return true
}
