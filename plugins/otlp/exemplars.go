package main

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
	"github.com/magpie-monitoring/magpie/sdk"
)

// maxExemplarRunes is how long the labels of an exemplar may be together; OpenMetrics says so.
const maxExemplarRunes = 128

// exemplars reads the exemplars of the point that is read, as in.examples has them, and keeps those that are newer than
// what came before: an SDK repeats them. edges are the bounds of buckets, which the series of a histogram follow.
func (in *intake) exemplars(p *point, edges []float64) error {
	newest := p.shown
	for _, raw := range in.examples {
		e, at, err := readExemplar(raw)
		if err != nil {
			return err
		}
		if at <= p.shown || at > in.until {
			continue
		}
		newest = max(newest, at)
		s := p.series[0]
		if edges != nil {
			i, _ := slices.BinarySearch(edges, e.Value)
			s = p.series[2+min(i, len(edges)-1)]
		}
		in.shown = append(in.shown, sdk.RefExemplar{Ref: s.ref, Exemplar: e})
	}
	p.shown = newest
	return nil
}

func readExemplar(raw []byte) (e sdk.Exemplar, at uint64, err error) {
	var trace, span string
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 2<<3 | asFixed64:
			at = m.Bits
		case 3<<3 | asFixed64:
			e.Value = m.Float()
		case 6<<3 | asFixed64:
			e.Value = float64(int64(m.Bits))
		case 4<<3 | asBytes:
			span = idText(m.Bytes, 8)
		case 5<<3 | asBytes:
			trace = idText(m.Bytes, 16)
		}
	}
	if m.Err != nil {
		return e, 0, errMalformed
	}
	list, err := readAttributes(raw, 7<<3|asBytes)
	if err != nil {
		return e, 0, err
	}
	runes := 0
	for _, l := range [2]sdk.Label{{Name: "trace_id", Value: trace}, {Name: "span_id", Value: span}} {
		if l.Value != "" {
			runes += len(l.Name) + len(l.Value)
			e.Labels = e.Labels.Set(l.Name, l.Value)
		}
	}
	for _, a := range list {
		runes += utf8.RuneCountInString(a.key) + utf8.RuneCountInString(a.value)
	}
	if runes <= maxExemplarRunes {
		for _, a := range list {
			e.Labels = e.Labels.Set(a.key, a.value)
		}
	}
	e.Time = time.UnixMilli(int64(at / 1e6))
	return e, at, nil
}

// idText is an id in hex. OTLP's JSON has ids in hex where protobuf's JSON has base64: read as that, they are half as long
// again, and written as that, they are what came.
func idText(id []byte, size int) string {
	switch len(id) {
	case size:
		return hex.EncodeToString(id)
	case size / 2 * 3:
		if text := base64.StdEncoding.EncodeToString(id); isHex(text) {
			return text
		}
	}
	return ""
}

func isHex(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil
}
