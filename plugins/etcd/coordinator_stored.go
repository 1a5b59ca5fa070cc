package main

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxStored bounds what is read of one key: more than a member's facts may have.
const maxStored = 64 << 10

// holder is the value of a lease's key: for people, who look with etcdctl. What decides is that the key is there.
type holder struct {
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Address string `json:"address"`
}

func (h holder) encode() string { return encode(h) }

// String names a holder in a status; what nobody of us wrote is somebody, too.
func (h holder) String() string {
	if h.Host == "" {
		return "somebody"
	}
	return fmt.Sprintf("%s (process %d)", h.Host, h.PID)
}

// readHolder reads a value; one that cannot be read has no names.
func readHolder(b []byte) (h holder) {
	if len(b) > maxStored || !utf8.Valid(b) || json.Unmarshal(b, &h) != nil || len(h.Host) > 255 {
		return holder{}
	}
	return h
}

// readMember reads what a member announced.
func readMember(b []byte) (m sdk.Member, err error) {
	if len(b) > maxStored {
		return m, fmt.Errorf("it has %d bytes, and at most %d are read", len(b), maxStored)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, err
	}
	return m, m.Check()
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(b)
}
