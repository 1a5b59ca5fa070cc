package main

import (
	le "encoding/binary"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/magpie-monitoring/magpie/sdk"
)

// What is known of a component's series: everything of a data point but value and time is written once, when the series first
// comes, and copied from then on. Memory: the labels of each live series and some 150 bytes.

type origin struct {
	tracks  sdk.Table[*track]
	targets map[[2]string]*target
	touched []*target // of the request in the making
}

// target is a resource: a job and an instance.
type target struct {
	key     [2]string
	head    []byte // its Resource as field 1 of a ResourceMetrics
	streams map[streamKey]*stream
	touched []*stream
}

type streamKey struct {
	name string
	kind kind
}

// stream is a metric of a target.
type stream struct {
	key    streamKey
	target *target
	head   []byte // name and description
	tail   []byte // temporality and monotonicity, behind the points
	points []byte // of the request in the making, each as field 1 of a Gauge or a Sum
	users  int    // series
}

// track is a series.
type track struct {
	stream  *stream
	native  *stream // of histograms, if there are any
	labels  []byte  // as attributes of a data point
	start   int64   // of the counter, ms
	last    float64
	at      int64 // time of last
	defined bool
}

// Tags of fields that are written.
const (
	field1 = 1<<3 | byte(asBytes)
	field2 = 2<<3 | byte(asBytes)
)

// encodeFrom makes a request of the samples from one on, until it has the size; end is the first sample that it does not
// have. It has at least one, or else refused has: what cannot be sent at all.
func encodeFrom(in *sdk.Batch, from, limit int, examples map[int][]sdk.Exemplar) (request []byte, end int, refused []refusal) {
	var origins []*origin
	size, i := 0, 0
	for r := range in.Runs() {
		run := &in.Runs()[r]
		if i+len(run.Refs) <= from {
			i += len(run.Refs)
			continue
		}
		o := originOf(run.Origin)
		if len(o.touched) == 0 {
			origins = append(origins, o)
		}
		for k, ref := range run.Refs {
			if i >= from && size < limit {
				if end = i + 1; run.Histograms == nil {
					size += o.add(run.Origin, ref, run.Time(k), run.Values[k], examples[i])
				} else if grew, reason := o.addHistogram(run.Origin, ref, run.Time(k), run.Histograms[k], examples[i]); reason == "" {
					size += grew
				} else {
					refused = append(refused, refusal{i, i + 1, reason})
				}
			}
			i++
		}
		if size >= limit {
			break
		}
	}
	request = make([]byte, 0, size+size/8)
	for _, o := range origins {
		request = o.take(request)
	}
	return request, end, refused
}

func originOf(o *sdk.Origin) *origin {
	known, ok := o.Data.(*origin)
	if !ok {
		known = &origin{targets: map[[2]string]*target{}}
		o.Data = known
	}
	return known
}

// add puts a sample behind the others of its metric, and gives about how much the request grew.
func (o *origin) add(from *sdk.Origin, ref sdk.Ref, ms int64, v float64, examples []sdk.Exemplar) int {
	t := o.trackOf(from, ref)
	s := t.stream
	grew := o.touch(s)
	before := len(s.points)
	stale := math.Float64bits(v) == math.Float64bits(sdk.StaleNaN)
	exemplars := appendExemplars(nil, 5, examples)
	length := len(t.labels) + 9 + 9 + len(exemplars)
	if stale {
		length -= 9 - 2
	}
	if s.key.kind == counter {
		length += 9
	}
	s.points = protowire.AppendVarint(append(s.points, field1), uint64(length))
	s.points = append(s.points, t.labels...)
	if s.key.kind == counter {
		s.points = appendFixed64(s.points, 2, uint64(max(t.startAt(ms, v), 0))*1e6)
	}
	s.points = appendFixed64(s.points, 3, uint64(max(ms, 0))*1e6)
	if stale {
		s.points = append(s.points, 8<<3|byte(asVarint), noRecordedValue)
	} else {
		s.points = appendFixed64(s.points, 4, math.Float64bits(v))
	}
	s.points = append(s.points, exemplars...)
	return grew + len(s.points) - before
}

func (o *origin) trackOf(from *sdk.Origin, ref sdk.Ref) *track {
	known := o.tracks.Get(ref)
	if known == nil {
		o.tracks.Set(ref, o.define(from, ref))
		known = o.tracks.Get(ref)
	}
	return *known
}

// touch puts a metric into the request in the making, and gives about how much that grew.
func (o *origin) touch(s *stream) (grew int) {
	if len(s.points) > 0 {
		return 0
	}
	if len(s.target.touched) == 0 {
		o.touched = append(o.touched, s.target)
		grew = len(s.target.head) + 64
	}
	s.target.touched = append(s.target.touched, s)
	return grew + len(s.head) + 16
}

// startAt is when the counter began, as far as can be known: when it was first seen, or at the last sample before it fell.
func (t *track) startAt(ms int64, v float64) int64 {
	if math.IsNaN(v) {
		return min(t.start, ms)
	}
	switch {
	case !t.defined:
		t.start, t.defined = ms, true
	case ms > t.at && v < t.last:
		t.start = t.at
	}
	if ms >= t.at {
		t.at, t.last = ms, v
	}
	return min(t.start, ms)
}

func appendFixed64(b []byte, field byte, bits uint64) []byte {
	return le.LittleEndian.AppendUint64(append(b, field<<3|byte(asFixed64)), bits)
}

// define finds out what a series is. The labels job and instance are its resource, the others its attributes.
func (o *origin) define(from *sdk.Origin, ref sdk.Ref) *track {
	def, _ := from.Series(ref)
	name, key := "", [2]string{}
	t := &track{}
	for _, l := range def.Labels {
		switch l.Name {
		case sdk.NameLabel:
			name = l.Value
		case "job":
			key[0] = l.Value
		case "instance":
			key[1] = l.Value
		default:
			t.labels = appendAttribute(t.labels, 7, l.Name, l.Value)
		}
	}
	at := o.targets[key]
	if at == nil {
		at = &target{key: key, head: resourceHead(key), streams: map[streamKey]*stream{}}
		o.targets[key] = at
	}
	t.stream = at.stream(streamKey{name, kindOf(name, def.Family)}, def.Family)
	return t
}

// stream finds or makes a metric, for one more user.
func (at *target) stream(key streamKey, f *sdk.Family) *stream {
	s := at.streams[key]
	if s == nil {
		s = newStream(key, at, f)
		at.streams[key] = s
	}
	s.users++
	return s
}

// release forgets a stream without series, and a target without streams.
func (o *origin) release(s *stream) {
	if s.users--; s.users > 0 {
		return
	}
	delete(s.target.streams, s.key)
	if len(s.target.streams) == 0 {
		delete(o.targets, s.target.key)
	}
}

// kindOf is what a series is sent as. Counters are monotonic sums. The series of histograms and summaries are sent one by
// one: quantiles as gauges, the others as sums that are not monotonic, since receivers add _total to the names of those that
// are.
func kindOf(name string, f *sdk.Family) kind {
	if f == nil {
		return gauge
	}
	switch f.Type {
	case sdk.CounterType:
		if !strings.HasSuffix(name, "_created") {
			return counter
		}
	case sdk.HistogramType, sdk.SummaryType:
		if name != f.Name && !strings.HasSuffix(name, "_created") {
			return upDown
		}
	}
	return gauge
}

func newStream(key streamKey, at *target, f *sdk.Family) *stream {
	s := &stream{key: key, target: at}
	s.head = protowire.AppendString(append(s.head, field1), key.name)
	if f != nil && f.Help != "" {
		s.head = protowire.AppendString(append(s.head, field2), f.Help)
	}
	switch key.kind {
	case counter:
		s.tail = []byte{2<<3 | byte(asVarint), 2, 3<<3 | byte(asVarint), 1}
	case upDown, histogram, exponential:
		s.tail = []byte{2<<3 | byte(asVarint), 2}
	}
	return s
}

// appendAttribute writes a KeyValue with a text.
func appendAttribute(b []byte, field byte, name, value string) []byte {
	text := 1 + protowire.SizeBytes(len(value))
	b = protowire.AppendVarint(append(b, field<<3|byte(asBytes)), uint64(1+protowire.SizeBytes(len(name))+1+protowire.SizeBytes(text)))
	b = protowire.AppendString(append(b, field1), name)
	b = protowire.AppendVarint(append(b, field2), uint64(text))
	return protowire.AppendString(append(b, field1), value)
}

func resourceHead(key [2]string) []byte {
	var inner []byte
	for i, name := range [2]string{"service.name", "service.instance.id"} {
		if key[i] != "" {
			inner = appendAttribute(inner, 1, name, key[i])
		}
	}
	return protowire.AppendBytes([]byte{field1}, inner)
}

// scopeHead is the InstrumentationScope as field 1 of a ScopeMetrics.
var scopeHead = protowire.AppendBytes([]byte{field1},
	protowire.AppendString(append(protowire.AppendString([]byte{field1}, "magpie"), field2), version))

// take writes what was added as ResourceMetrics, and empties it.
func (o *origin) take(request []byte) []byte {
	for _, at := range o.touched {
		size := len(scopeHead)
		for _, s := range at.touched {
			size += 1 + protowire.SizeBytes(s.length())
		}
		request = protowire.AppendVarint(append(request, field1), uint64(len(at.head)+1+protowire.SizeBytes(size)))
		request = append(request, at.head...)
		request = protowire.AppendVarint(append(request, field2), uint64(size))
		request = append(request, scopeHead...)
		for _, s := range at.touched {
			request = s.take(request)
		}
		at.touched = at.touched[:0]
	}
	o.touched = o.touched[:0]
	return request
}

func (s *stream) length() int {
	return len(s.head) + 1 + protowire.SizeBytes(len(s.points)+len(s.tail))
}

// take writes the metric as field 2 of a ScopeMetrics.
func (s *stream) take(request []byte) []byte {
	request = protowire.AppendVarint(append(request, field2), uint64(s.length()))
	request = append(request, s.head...)
	data := byte(7<<3) | byte(asBytes)
	switch s.key.kind {
	case gauge:
		data = 5<<3 | byte(asBytes)
	case histogram:
		data = 9<<3 | byte(asBytes)
	case exponential:
		data = 10<<3 | byte(asBytes)
	}
	request = protowire.AppendVarint(append(request, data), uint64(len(s.points)+len(s.tail)))
	request = append(append(request, s.points...), s.tail...)
	if s.points = s.points[:0]; cap(s.points) > 64<<10 {
		s.points = nil // a large one does not stay
	}
	return request
}
