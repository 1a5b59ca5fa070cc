package main

import (
	"errors"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
)

// errMalformed is the answer to bytes that are no protobuf.
var errMalformed = errors.New("the request is no OTLP metrics request in protobuf")

// Wire types as the low bits of a tag.
const (
	asVarint  = protobuf.Varint
	asFixed64 = protobuf.Fixed64
	asBytes   = protobuf.Bytes
)

// errOf says whether the reading ended well.
func errOf(m *protobuf.Message) error {
	if m.Err != nil {
		return errMalformed
	}
	return nil
}
