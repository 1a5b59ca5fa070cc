package main

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
	"github.com/magpie-monitoring/magpie/sdk"
)

// rewriter turns a page in the protobuf format — metric families of io.prometheus.client, each behind its length — into
// text, which is then read as every page is: compared with the last one as long as only values change. The text is the text
// format with the UNIT lines and exemplars of OpenMetrics, all times in ms, and H and a number where a value is a native
// histogram: the index of one that stands beside the text. Only the rewriter writes it: see parser.rewrittenValue.
//
// Memory: the text may have as many bytes as body_size_limit, a native histogram 10,000 buckets; what is longer fails the
// page. Nothing nests, and no length in a message is believed before its bytes are there.
type rewriter struct {
	out        []byte
	limit      int
	whole      bool // native histograms are wanted
	classic    bool // also the classic buckets of those
	histograms []*sdk.Histogram

	// The family and the metric at hand.
	name   string
	bare   bool // the name needs no quotes
	kind   uint64
	labels []byte // as text, a comma behind each
	time   int64
	timed  bool
	values protobuf.Message // of the metric: the message that holds its values
	native nativeFields
	failed error
}

// Types of io.prometheus.client.MetricType.
const (
	protoCounter = iota
	protoGauge
	protoSummary
	protoUntyped
	protoHistogram
	protoGaugeHistogram
)

var protoTypes = [...]string{"counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram"}

// Wire types, for the tags of fields: number<<3 | wire type.
const (
	asVarint  = protobuf.Varint
	asFixed64 = protobuf.Fixed64
	asBytes   = protobuf.Bytes
)

// errProtobuf says that a page is none.
var errProtobuf = protobuf.ErrMalformed

// rewritten is the text of a page in the protobuf format.
func (w *workspace) rewritten(page []byte, cfg *Config) ([]byte, error) {
	r := &w.rewriter
	r.out, r.limit, r.classic, r.whole = r.out[:0], int(cfg.BodySizeLimit), cfg.AlwaysScrapeClassicHistograms, cfg.ScrapeNativeHistograms
	err := r.rewrite(page)
	return r.out, err
}

// rewrite appends the text of a page to r.out.
func (r *rewriter) rewrite(page []byte) error {
	r.histograms, r.failed = nil, nil // those of the last page belong to its batch
	for len(page) > 0 {
		family, n := protowire.ConsumeBytes(page)
		if n < 0 {
			return errProtobuf
		}
		page = page[n:]
		if err := r.family(family); err != nil {
			return err
		}
	}
	return nil
}

// family writes the metadata lines of a family and its metrics. Fields come in any order.
func (r *rewriter) family(b []byte) error {
	name, help, unit := "", "", ""
	metrics := 0
	r.kind = protoCounter
	m := protobuf.Read(b)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			name = string(m.Bytes)
		case 2<<3 | asBytes:
			help = string(m.Bytes)
		case 3<<3 | asVarint:
			r.kind = m.Bits
		case 4<<3 | asBytes:
			metrics++
		case 5<<3 | asBytes:
			unit = string(m.Bytes)
		}
	}
	switch {
	case m.Err != nil:
		return m.Err
	case metrics == 0:
		return nil
	case name == "" || !utf8.ValidString(name):
		return fmt.Errorf("%w: %.50q is no metric name", errProtobuf, name)
	case !utf8.ValidString(help) || !utf8.ValidString(unit):
		return fmt.Errorf("%w: the help or the unit of %.50q is not UTF-8", errProtobuf, name)
	case r.kind >= uint64(len(protoTypes)):
		return fmt.Errorf("%w: %.50q has the type %d", errProtobuf, name, r.kind)
	}
	r.name, r.bare = name, isBare(name)
	r.metadata("HELP", help)
	if unit != "" {
		r.metadata("UNIT", unit)
	}
	r.metadata("TYPE", protoTypes[r.kind])
	for m = protobuf.Read(b); m.Next(); {
		if m.Tag == 4<<3|asBytes {
			if err := r.metric(m.Bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// isBare reports whether a name stands without quotes in the text format.
func isBare(name string) bool {
	for i := range len(name) {
		if bit := class[name[i]]; i == 0 && bit&nameFirst == 0 || bit&nameRest == 0 {
			return false
		}
	}
	return true
}

func (r *rewriter) metadata(what, text string) {
	r.out = append(append(append(r.out, "# "...), what...), ' ')
	if r.bare {
		r.out = append(r.out, r.name...)
	} else {
		r.out = append(escaped(append(r.out, '"'), r.name, true), '"')
	}
	r.out = append(escaped(append(r.out, ' '), text, false), '\n')
}

// escaped appends a text without newlines, and in quotes without quotes.
func escaped[T string | []byte](out []byte, text T, quotes bool) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\\':
			out = append(out, '\\', '\\')
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '"' && quotes:
			out = append(out, '\\', '"')
		default:
			out = append(out, c)
		}
	}
	return out
}

// metric writes the lines of one metric.
func (r *rewriter) metric(b []byte) error {
	r.labels, r.timed, r.values = r.labels[:0], false, protobuf.Message{}
	m := protobuf.Read(b)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			var err error
			if r.labels, err = appendLabel(r.labels, m.Bytes); err != nil {
				return err
			}
		case 6<<3 | asVarint:
			r.time, r.timed = int64(m.Bits), m.Bits != 0 // as Prometheus does: 0 is no time
		case fieldOf[r.kind]<<3 | asBytes:
			r.values = protobuf.Read(m.Bytes)
		}
	}
	if m.Err != nil {
		return m.Err
	}
	if r.timed && r.time < 0 {
		return fmt.Errorf("%w: %.50q has a time before 1970", errProtobuf, r.name)
	}
	switch r.kind {
	case protoSummary:
		r.summary()
	case protoHistogram, protoGaugeHistogram:
		r.histogram()
	default:
		r.single()
	}
	if r.values.Err != nil {
		return r.values.Err
	}
	return r.failed
}

// fieldOf is the field of a metric that holds the values of its type.
var fieldOf = [...]uint64{protoCounter: 3, protoGauge: 2, protoSummary: 4, protoUntyped: 5, protoHistogram: 7, protoGaugeHistogram: 7}

// appendLabel writes a LabelPair.
func appendLabel(out, pair []byte) ([]byte, error) {
	var name, value []byte
	m := protobuf.Read(pair)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			name = m.Bytes
		case 2<<3 | asBytes:
			value = m.Bytes
		}
	}
	if m.Err == nil && (len(name) == 0 || !utf8.Valid(name)) {
		return out, fmt.Errorf("%w: %.50q is no label name", errProtobuf, name)
	}
	out = append(escaped(append(out, '"'), name, true), `"="`...)
	return append(escaped(out, value, true), `",`...), m.Err
}

// line writes a sample up to its value; suffix and label are its own. What is too long ends the page.
func (r *rewriter) line(suffix, label string, bound float64) bool {
	if len(r.out)+len(r.labels)+len(r.name) > r.limit {
		r.failed = fmt.Errorf("%w: as text the page has %s or more", errBodySize, sdk.Bytes(r.limit))
	}
	if r.failed != nil {
		return false
	}
	if r.bare {
		r.out = append(append(r.out, r.name...), suffix...)
		if len(r.labels) == 0 && label == "" {
			r.out = append(r.out, ' ')
			return true
		}
		r.out = append(r.out, '{')
	} else {
		r.out = append(append(escaped(append(r.out, `{"`...), r.name, true), suffix...), `",`...)
	}
	r.out = append(r.out, r.labels...)
	if label != "" {
		r.out = append(append(r.out, label...), `="`...)
		r.out = append(appendBound(r.out, bound), '"')
	}
	r.out = append(r.out, "} "...)
	return true
}

// appendBound writes a bucket's or a quantile's number as OpenMetrics does.
func appendBound(out []byte, v float64) []byte {
	switch {
	case v == 1:
		return append(out, "1.0"...)
	case v == 0:
		return append(out, "0.0"...)
	case v == -1:
		return append(out, "-1.0"...)
	}
	at := len(out)
	out = appendNumber(out, v)
	for _, c := range out[at:] {
		if c == 'e' || c == '.' || c == 'I' || c == 'N' {
			return out
		}
	}
	return append(out, ".0"...)
}

func appendNumber(out []byte, v float64) []byte {
	return strconv.AppendFloat(out, v, 'g', -1, 64)
}

// value ends a line with a value, a time and exemplars.
func (r *rewriter) value(v float64, exemplars ...protobuf.Message) {
	if whole := int64(v); v == float64(whole) && whole != 0 && whole < 1<<53 && whole > -1<<53 {
		r.out = strconv.AppendInt(r.out, whole, 10)
	} else {
		r.out = appendNumber(r.out, v)
	}
	r.ending(exemplars)
}

func (r *rewriter) ending(exemplars []protobuf.Message) {
	if r.timed {
		r.out = strconv.AppendInt(append(r.out, ' '), r.time, 10)
	}
	for _, e := range exemplars {
		if e.Bytes != nil {
			r.failed = errors.Join(r.failed, r.appendExemplar(e.Bytes))
		}
	}
	r.out = append(r.out, '\n')
}

// appendExemplar writes an exemplar behind a value: # {labels} value, and perhaps a time.
func (r *rewriter) appendExemplar(b []byte) (err error) {
	r.out = append(r.out, " # {"...)
	v, ms, timed := 0.0, int64(0), false
	m := protobuf.Read(b)
	for m.Next() && err == nil {
		switch m.Tag {
		case 1<<3 | asBytes:
			r.out, err = appendLabel(r.out, m.Bytes)
		case 2<<3 | asFixed64:
			v = m.Float()
		case 3<<3 | asBytes:
			ms, timed, err = timeOf(m.Bytes)
		}
	}
	r.out = appendNumber(append(r.out, "} "...), v)
	if timed && ms >= 0 {
		r.out = strconv.AppendInt(append(r.out, ' '), ms, 10)
	}
	return errors.Join(err, m.Err)
}

// timeOf reads a google.protobuf.Timestamp as ms.
func timeOf(b []byte) (ms int64, timed bool, err error) {
	m := protobuf.Read(b)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asVarint:
			ms += int64(m.Bits) * 1000
		case 2<<3 | asVarint:
			ms += int64(int32(m.Bits)) / 1_000_000
		}
	}
	return ms, true, m.Err
}

// single writes a counter, a gauge or an untyped metric.
func (r *rewriter) single() {
	v := 0.0
	var example protobuf.Message
	for r.values.Next() {
		switch r.values.Tag {
		case 1<<3 | asFixed64:
			v = r.values.Float()
		case 2<<3 | asBytes:
			example = r.values
		}
	}
	if r.kind != protoCounter {
		example = protobuf.Message{}
	}
	if r.line("", "", 0) {
		r.value(v, example)
	}
}

// summary writes count and sum, then the quantiles.
func (r *rewriter) summary() {
	var count uint64
	sum, all := 0.0, r.values
	for r.values.Next() {
		switch r.values.Tag {
		case 1<<3 | asVarint:
			count = r.values.Bits
		case 2<<3 | asFixed64:
			sum = r.values.Float()
		}
	}
	if !r.line("_count", "", 0) {
		return
	}
	r.value(float64(count))
	if r.line("_sum", "", 0) {
		r.value(sum)
	}
	for all.Next() && r.failed == nil {
		if all.Tag != 3<<3|asBytes {
			continue
		}
		q, v := 0.0, 0.0
		m := protobuf.Read(all.Bytes)
		for m.Next() {
			switch m.Tag {
			case 1<<3 | asFixed64:
				q = m.Float()
			case 2<<3 | asFixed64:
				v = m.Float()
			}
		}
		if r.failed = m.Err; m.Err == nil && r.line("", "quantile", q) {
			r.value(v)
		}
	}
}
