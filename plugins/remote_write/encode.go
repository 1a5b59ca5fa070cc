package main

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Wire types of protobuf.
const (
	varintType  = 0
	fixed64Type = 1
	bytesType   = 2
	fixed32Type = 5
)

// encoder writes the messages of one shard, prometheus.WriteRequest of protocol 1.0 or io.prometheus.write.v2.Request of
// 2.0, sample by sample, into memory that it uses again: no allocation a float. Each sample is a TimeSeries of its own, as
// Prometheus sends them.
type encoder struct {
	protocol int
	texts    []string // of the symbols, as they were when the message began

	message []byte // the time series
	table   []byte // 2.0: the symbols
	local   []place
	round   uint32 // of local's entries that are of this message
	used    uint32 // symbols in this message
	refs    []byte
	extra   []byte // what a TimeSeries has beside a float
	whole   []byte
}

// place is a symbol's number in the message of a round.
type place struct{ round, number uint32 }

// begin starts a message.
func (e *encoder) begin(protocol int, texts []string) {
	e.protocol, e.texts = protocol, texts
	e.message, e.table = e.message[:0], e.table[:0]
	if protocol == 1 {
		return
	}
	if len(e.local) < len(texts) {
		e.local = make([]place, len(texts)+len(texts)/4)
	}
	if e.round++; e.round == 0 {
		clear(e.local)
		e.round = 1
	}
	e.used = 1
	e.table = append(e.table, 4<<3|bytesType, 0) // the first symbol is empty
}

// add appends a sample: a float, or a histogram; and exemplars of its series.
func (e *encoder) add(s *series, t int64, v float64, h *sdk.Histogram, exemplars []sdk.Exemplar) {
	sample := 10 + uvarintSize(int(t))
	size := 2 + sample
	e.extra = e.extra[:0]
	if h != nil || exemplars != nil {
		if e.signals(t, h, exemplars); h != nil {
			size = 0
		}
		size += len(e.extra)
	}
	b := e.message
	if e.protocol == 1 {
		b = append(b, 1<<3|bytesType)
		b = binary.AppendUvarint(b, uint64(len(s.labels)+size))
		b = append(b, s.labels...)
	} else {
		refs := e.refs[:0]
		for _, id := range s.refs {
			refs = binary.AppendUvarint(refs, uint64(e.symbol(id)))
		}
		e.refs = refs
		metadata := e.metadata(s.family)
		b = append(b, 5<<3|bytesType)
		b = binary.AppendUvarint(b, uint64(1+uvarintSize(len(refs))+len(refs)+size+metadata.size))
		b = append(b, 1<<3|bytesType)
		b = binary.AppendUvarint(b, uint64(len(refs)))
		b = append(b, refs...)
		b = metadata.append(b)
	}
	if h == nil {
		b = append(b, 2<<3|bytesType, byte(sample), 1<<3|fixed64Type)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		b = append(b, 2<<3|varintType)
		b = binary.AppendUvarint(b, uint64(t))
	}
	e.message = append(b, e.extra...)
}

// symbol is the number of a text in this message.
func (e *encoder) symbol(id uint32) uint32 {
	if id == 0 {
		return 0
	}
	p := &e.local[id]
	if p.round != e.round {
		*p = place{e.round, e.used}
		e.used++
		e.table = appendText(e.table, 4, e.texts[id])
	}
	return p.number
}

// metadata is the field of a TimeSeries of 2.0; the zero value is left out.
type metadata struct {
	kind       sdk.MetricType
	help, unit uint32
	size       int // with its tag and length; 0: none
}

func (e *encoder) metadata(f *family) (m metadata) {
	if f == nil {
		return m
	}
	m = metadata{kind: f.Type, help: e.symbol(f.help), unit: e.symbol(f.unit)}
	m.size = 2 + 2 + 1 + uvarintSize(int(m.help)) + 1 + uvarintSize(int(m.unit))
	return m
}

func (m *metadata) append(b []byte) []byte {
	if m.size == 0 {
		return b
	}
	b = append(b, 5<<3|bytesType, byte(m.size-2), 1<<3|varintType, kinds[m.kind], 3<<3|varintType)
	b = binary.AppendUvarint(b, uint64(m.help))
	b = append(b, 4<<3|varintType)
	return binary.AppendUvarint(b, uint64(m.unit))
}

// finish returns the message.
func (e *encoder) finish() []byte {
	if e.protocol == 1 {
		return e.message
	}
	e.whole = append(append(e.whole[:0], e.table...), e.message...)
	return e.whole
}

// kinds are the metric types as both protocols number them.
var kinds = [...]byte{
	sdk.Unknown: 0, sdk.CounterType: 1, sdk.GaugeType: 2, sdk.HistogramType: 3, sdk.GaugeHistogramType: 4, sdk.SummaryType: 5,
	sdk.InfoType: 6, sdk.StateSetType: 7,
}

// appendMetadata writes a family as the field 3 of 1.0's WriteRequest.
func appendMetadata(b []byte, f *sdk.Family) []byte {
	inner := []byte{1<<3 | varintType, kinds[f.Type]}
	inner = appendText(inner, 2, f.Name)
	inner = appendText(inner, 4, f.Help)
	if f.Unit != "" {
		inner = appendText(inner, 5, f.Unit)
	}
	b = append(b, 3<<3|bytesType)
	b = binary.AppendUvarint(b, uint64(len(inner)))
	return append(b, inner...)
}

func appendText(b []byte, field byte, text string) []byte {
	b = append(b, field<<3|bytesType)
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// uvarintSize is how many bytes a number takes; a negative one takes ten.
func uvarintSize(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }
