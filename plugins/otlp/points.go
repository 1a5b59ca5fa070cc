package main

import (
	"math"
	"slices"
	"strconv"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
	"github.com/magpie-monitoring/magpie/sdk"
)

// noRecordedValue is the flag of a point that says only that its series has ended.
const noRecordedValue = 1

// data is what the three kinds of data points have in common.
type data struct {
	time  uint64 // ns
	flags uint64
	noSum bool // a histogram without a sum: the second of its series has no sample
}

// pointTags are the tags of what all kinds of data points have, each under numbers of its own; but for the time, which is 3.
type pointTags struct{ attributes, exemplars, flags uint64 }

// tagsOf are those of a kind.
func tagsOf(k kind) pointTags {
	switch k {
	case histogram:
		return pointTags{9<<3 | asBytes, 8<<3 | asBytes, 10<<3 | asVarint}
	case exponential:
		return pointTags{1<<3 | asBytes, 11<<3 | asBytes, 10<<3 | asVarint}
	case summary:
		return pointTags{7<<3 | asBytes, 0, 8<<3 | asVarint}
	}
	return pointTags{7<<3 | asBytes, 5<<3 | asBytes, 8<<3 | asVarint}
}

// begin forgets the point before.
func (in *intake) begin() {
	in.key, in.examples, in.counts, in.bounds = in.key[:0], in.examples[:0], in.counts[:0], in.bounds[:0]
}

// field takes what m has of the common fields. The attributes as they came are the key under which a point is known; the
// length keeps them apart.
func (d *data) field(in *intake, of *pointTags, m *protobuf.Message) {
	switch m.Tag {
	case of.attributes:
		in.key = append(in.key, byte(len(m.Bytes)>>16), byte(len(m.Bytes)>>8), byte(len(m.Bytes)))
		in.key = append(in.key, m.Bytes...)
	case 3<<3 | asFixed64:
		d.time = m.Bits
	case of.exemplars:
		in.examples = append(in.examples, m.Bytes)
	case of.flags:
		d.flags = m.Bits
	}
}

// number reads a NumberDataPoint.
func (in *intake) number(at *place, raw []byte) error {
	var d data
	var v float64
	has := false
	in.begin()
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 4<<3 | asFixed64:
			v, has = m.Float(), true
		case 6<<3 | asFixed64:
			v, has = float64(int64(m.Bits)), true
		default:
			d.field(in, &at.tags, &m)
		}
	}
	if m.Err != nil {
		return errMalformed
	}
	if !has && d.flags&noRecordedValue == 0 {
		in.reject(noValue, 1)
		return nil
	}
	p, err := in.pointOf(at, &d, raw, nil)
	if p == nil {
		return err
	}
	if !in.put(at, p, &d, v) || at.kind == gauge || len(in.examples) == 0 {
		return nil
	}
	return in.exemplars(p, nil)
}

// histogram reads a HistogramDataPoint with explicit bounds.
func (in *intake) histogram(at *place, raw []byte) error {
	var d data
	var count uint64
	var sum float64
	hasSum := false
	in.begin()
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 4<<3 | asFixed64:
			count = m.Bits
		case 5<<3 | asFixed64:
			sum, hasSum = m.Float(), true
		case 6<<3 | asFixed64:
			in.counts = append(in.counts, m.Bits)
		case 6<<3 | asBytes:
			in.counts = appendFixed(in.counts, &m)
		case 7<<3 | asFixed64:
			in.bounds = append(in.bounds, m.Float())
		case 7<<3 | asBytes:
			for _, bits := range appendFixed(nil, &m) {
				in.bounds = append(in.bounds, math.Float64frombits(bits))
			}
		default:
			d.field(in, &at.tags, &m)
		}
	}
	if m.Err != nil {
		return errMalformed
	}
	if !wellFormed(in.bounds, in.counts) {
		in.reject(badHistogram, 1)
		return nil
	}
	in.bounds = append(in.bounds, math.Inf(1))
	if len(in.counts) == 0 {
		in.counts = append(in.counts, count)
	}
	p, err := in.pointOf(at, &d, raw, in.bounds)
	if p == nil {
		return err
	}
	values := make([]float64, 0, 64) // on the stack, as a rule
	values = append(values, float64(count), sum)
	total := uint64(0)
	for _, n := range in.counts[:len(in.counts)-1] {
		total += n
		values = append(values, float64(total))
	}
	values = append(values, float64(count)) // +Inf
	d.noSum = !hasSum
	if !in.put(at, p, &d, values...) || len(in.examples) == 0 {
		return nil
	}
	return in.exemplars(p, p.edges)
}

// appendFixed reads a packed list of fixed64.
func appendFixed(list []uint64, m *protobuf.Message) []uint64 {
	if len(m.Bytes)%8 != 0 {
		m.Err = errMalformed
		return list
	}
	for b := m.Bytes; len(b) > 0; b = b[8:] {
		list = append(list, uint64(b[0])|uint64(b[1])<<8|uint64(b[2])<<16|uint64(b[3])<<24|uint64(b[4])<<32|uint64(b[5])<<40|uint64(b[6])<<48|uint64(b[7])<<56)
	}
	return list
}

// wellFormed is the protocol's rule: a bucket more than bounds, which rise; or neither buckets nor bounds.
func wellFormed(bounds []float64, counts []uint64) bool {
	if len(counts) != len(bounds)+1 && len(counts)+len(bounds) > 0 {
		return false
	}
	for i, b := range bounds {
		if math.IsNaN(b) || math.IsInf(b, 1) || i > 0 && b <= bounds[i-1] {
			return false
		}
	}
	return true
}

// summary reads a SummaryDataPoint.
func (in *intake) summary(at *place, raw []byte) error {
	var d data
	values := make([]float64, 2, 32)
	in.begin()
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 4<<3 | asFixed64:
			values[0] = float64(m.Bits)
		case 5<<3 | asFixed64:
			values[1] = m.Float()
		case 6<<3 | asBytes:
			var quantile, v float64
			q := protobuf.Read(m.Bytes)
			for q.Next() {
				switch q.Tag {
				case 1<<3 | asFixed64:
					quantile = q.Float()
				case 2<<3 | asFixed64:
					v = q.Float()
				}
			}
			if q.Err != nil {
				m.Err = q.Err
			}
			in.bounds = append(in.bounds, quantile)
			values = append(values, v)
		default:
			d.field(in, &at.tags, &m)
		}
	}
	if m.Err != nil {
		return errMalformed
	}
	p, err := in.pointOf(at, &d, raw, in.bounds)
	if p == nil {
		return err
	}
	in.put(at, p, &d, values...)
	return nil
}

// pointOf finds the stream that a data point belongs to, or makes it; nil where the point is refused. edges are the bounds of
// buckets or the quantiles, nil for a number.
func (in *intake) pointOf(at *place, d *data, raw []byte, edges []float64) (*point, error) {
	if d.time == 0 || d.time > in.until {
		in.reject(badTime, 1)
		return nil, nil
	}
	p := at.metric.points[string(in.key)]
	if p == nil || !slices.Equal(p.edges, edges) {
		old := p
		ls, err := in.labelsOf(at, raw)
		if err == errMalformed {
			return nil, err
		}
		reason := badAttributes
		if err == nil {
			p, reason = in.newPoint(at, ls, edges)
		}
		if reason != "" {
			in.reject(reason, 1)
			return nil, nil
		}
		if old != nil {
			for _, s := range old.series {
				in.release(s) // after the new ones were made, which may be the same
			}
			p.last, p.shown = old.last, old.shown
		}
		at.metric.points[string(in.key)] = p
	}
	p.used = in.minute
	at.resource.latest = max(at.resource.latest, d.time)
	return p, nil
}

// newPoint defines the series of a stream of data points: all, or none and why.
func (in *intake) newPoint(at *place, ls sdk.Labels, edges []float64) (*point, string) {
	p := &point{edges: slices.Clone(edges)}
	name := at.metric.family.Name
	add := func(name, label, value string) string {
		own := append(make(sdk.Labels, 0, len(ls)+3), ls...).Set(sdk.NameLabel, name)
		if label != "" {
			own = own.Set(label, value)
		}
		s, reason := in.define(own, at.metric.family)
		if reason == "" {
			p.series = append(p.series, s)
		}
		return reason
	}
	reason := ""
	if at.kind != histogram && at.kind != summary {
		reason = add(name, "", "")
	} else {
		label, suffix := "le", "_bucket"
		if at.kind == summary {
			label, suffix = "quantile", ""
		}
		if reason = add(name+"_count", "", ""); reason == "" {
			reason = add(name+"_sum", "", "")
		}
		for i := 0; i < len(edges) && reason == ""; i++ {
			reason = add(name+suffix, label, edgeText(edges[i]))
		}
	}
	if reason != "" {
		for _, s := range p.series {
			in.release(s)
		}
		return nil, reason
	}
	return p, ""
}

func edgeText(edge float64) string {
	if math.IsInf(edge, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(edge, 'f', -1, 64)
}

// put adds a point's values, one for each of its series; false: it is refused.
func (in *intake) put(at *place, p *point, d *data, values ...float64) bool {
	ms := int64(d.time / 1e6)
	if d.flags&noRecordedValue != 0 {
		for i := range values {
			values[i] = sdk.StaleNaN
		}
	} else if at.delta {
		if reason := in.addUp(p, d.time, values); reason != "" {
			in.reject(reason, 1)
			return false
		}
	}
	for i, s := range p.series {
		if i != 1 || !d.noSum {
			in.samples = append(in.samples, sample{s.ref, values[i], ms})
		}
	}
	return true
}

// addUp adds a delta to the totals of its stream, and puts the totals in its place. A point that is not newer than the last
// one is refused: it is one that came already, or too late to be told from it. Totals begin at zero with the stream, which
// those who read the counter see as a restart.
func (in *intake) addUp(p *point, time uint64, values []float64) (reason string) {
	if time <= p.last {
		return lateDelta
	}
	for _, v := range values {
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return unlikeDelta
		}
	}
	in.undo = append(in.undo, before{p, p.last, slices.Clone(p.totals), p.total})
	if p.totals == nil {
		p.totals = make([]float64, len(values))
	}
	for i := range values {
		p.totals[i] += values[i]
		values[i] = p.totals[i]
	}
	p.last = time
	return ""
}
