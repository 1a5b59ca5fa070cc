package main

import (
	"bytes"
	"errors"
	"math"
	"slices"

	"github.com/magpie-monitoring/magpie/sdk"
)

// request is what a sender sent, read as a whole before any of it is used. Texts are those of the message. Its memory is at
// most budgetFactor times the largest message, whatever the message says.
type request struct {
	series     []received
	labels     []pair // of series
	examples   []pair // labels of exemplars
	points     []point
	histograms []histogramAt
	exemplars  []exemplar
	families   []sdk.Family // 1.0
	symbols    [][]byte     // 2.0
	budget     int
}

// received is one TimeSeries: ranges of the request's slices.
type received struct {
	labels, points, histograms, exemplars span
	about                                 about  // 2.0
	wrong                                 string // why none of it can be used
}

// about is the metadata of a series.
type about struct {
	kind       sdk.MetricType
	help, unit []byte
}

type span struct{ from, to int }

type pair struct{ name, value []byte }

type point struct {
	t int64
	v float64
}

type histogramAt struct {
	t int64
	*sdk.Histogram
}

type exemplar struct {
	labels span
	point
}

// budgetFactor is how much more memory than its message a request may take.
const budgetFactor = 4

var errTooMuch = errors.New("the message says more than its size allows")

// spend accounts for memory before it is used.
func (q *request) spend(m *message, n int) bool {
	if q.budget -= n; q.budget < 0 && m.err == nil {
		m.err = errTooMuch
	}
	return m.err == nil
}

// reset keeps the memory for the next request.
func (q *request) reset(limit int) {
	clear(q.histograms)
	*q = request{
		series: q.series[:0], labels: q.labels[:0], examples: q.examples[:0], points: q.points[:0], histograms: q.histograms[:0], exemplars: q.exemplars[:0],
		families: q.families[:0], symbols: q.symbols[:0], budget: budgetFactor * limit,
	}
}

// decode reads a message of a version of the protocol.
func (q *request) decode(protocol int, body []byte) error {
	if protocol == 2 {
		return q.decode2(body)
	}
	m := message{b: body}
	for {
		field, ok := m.next()
		if !ok {
			return m.err
		}
		inner := message{}
		switch field {
		case 1:
			inner = m.inner()
			q.timeSeries(&inner, 1)
		case 3:
			inner = m.inner()
			q.metadata(&inner)
		default:
			m.skip()
		}
		m.done(&inner)
	}
}

// decode2 reads the symbols first: protobuf lets them come last.
func (q *request) decode2(body []byte) error {
	m := message{b: body}
	for {
		field, ok := m.next()
		if !ok {
			break
		}
		if field != 4 {
			m.skip()
		} else if q.spend(&m, 24) {
			q.symbols = append(q.symbols, m.bytes())
		}
	}
	if m.err == nil && len(q.symbols) > 0 && len(q.symbols[0]) > 0 {
		m.err = errors.New("the first symbol is not the empty text")
	}
	if m.err != nil {
		return m.err
	}
	m = message{b: body}
	for {
		field, ok := m.next()
		if !ok {
			return m.err
		}
		if field != 5 {
			m.skip()
			continue
		}
		inner := m.inner()
		q.timeSeries(&inner, 2)
		m.done(&inner)
	}
}

// The fields of a TimeSeries: the versions number them differently.
const (
	otherField = iota
	labelsField
	samplesField
	exemplarsField
	histogramsField
	metadataField
)

var seriesFields = [...][6]int{
	1: {1: labelsField, 2: samplesField, 3: exemplarsField, 4: histogramsField},
	2: {1: labelsField, 2: samplesField, 3: histogramsField, 4: exemplarsField, 5: metadataField},
}

// timeSeries reads a TimeSeries.
func (q *request) timeSeries(m *message, protocol int) {
	s := received{
		labels: span{len(q.labels), len(q.labels)}, points: span{from: len(q.points)}, histograms: span{from: len(q.histograms)},
		exemplars: span{from: len(q.exemplars)},
	}
	fields := &seriesFields[protocol]
	for field, ok := m.next(); ok; field, ok = m.next() {
		kind := otherField
		if field < len(fields) {
			kind = fields[field]
		}
		switch kind {
		case labelsField:
			q.readLabels(m, &q.labels, protocol, &s.wrong)
		case samplesField:
			inner := m.inner()
			if q.spend(m, 16) {
				q.points = append(q.points, readPoint(&inner, 1, 2))
			}
			m.done(&inner)
		case histogramsField:
			inner := m.inner()
			q.histogram(&inner)
			m.done(&inner)
		case exemplarsField:
			inner := m.inner()
			q.exemplar(&inner, protocol)
			m.done(&inner)
		case metadataField:
			inner := m.inner()
			s.about = q.seriesMetadata(&inner, &s.wrong)
			m.done(&inner)
		default:
			m.skip()
		}
	}
	s.labels.to = len(q.labels)
	s.points.to, s.histograms.to, s.exemplars.to = len(q.points), len(q.histograms), len(q.exemplars)
	if s.wrong == "" {
		s.wrong = q.order(s.labels)
	}
	if q.spend(m, 160) {
		q.series = append(q.series, s)
	}
}

// readLabels reads one label (1.0) or the references of labels (2.0).
func (q *request) readLabels(m *message, into *[]pair, protocol int, wrong *string) {
	if protocol == 1 {
		inner := m.inner()
		var p pair
		for field, ok := inner.next(); ok; field, ok = inner.next() {
			switch field {
			case 1:
				p.name = inner.bytes()
			case 2:
				p.value = inner.bytes()
			default:
				inner.skip()
			}
		}
		m.done(&inner)
		q.label(m, into, p)
		return
	}
	var name []byte
	odd := false
	m.numbers(func(ref uint64) {
		text := q.symbol(ref, wrong)
		if odd {
			q.label(m, into, pair{name, text})
		}
		name, odd = text, !odd
	})
	if odd {
		*wrong = "a label has a name and no value"
	}
}

func (q *request) label(m *message, into *[]pair, p pair) {
	if len(p.value) == 0 && len(p.name) > 0 {
		return // as if it was not there
	}
	if q.spend(m, 48) {
		*into = append(*into, p)
	}
}

func (q *request) symbol(ref uint64, wrong *string) []byte {
	if ref >= uint64(len(q.symbols)) {
		*wrong = "a reference names no symbol"
		return nil
	}
	return q.symbols[ref]
}

// order sorts labels, and says what is wrong with them.
func (q *request) order(at span) string {
	ls := q.labels[at.from:at.to]
	byName := func(a, b pair) int { return bytes.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(ls, byName) {
		slices.SortFunc(ls, byName)
	}
	named := false
	for i, l := range ls {
		if i > 0 && bytes.Equal(ls[i-1].name, l.name) {
			return "a label comes twice"
		}
		named = named || string(l.name) == sdk.NameLabel
	}
	if !named {
		return "the series has no name"
	}
	return ""
}

func readPoint(m *message, value, timestamp int) (p point) {
	for field, ok := m.next(); ok; field, ok = m.next() {
		switch field {
		case value:
			p.v = m.double()
		case timestamp:
			p.t = int64(m.number())
		default:
			m.skip()
		}
	}
	return p
}

func (q *request) exemplar(m *message, protocol int) {
	e := exemplar{labels: span{from: len(q.examples)}}
	wrong := ""
	for field, ok := m.next(); ok; field, ok = m.next() {
		switch field {
		case 1:
			q.readLabels(m, &q.examples, protocol, &wrong)
		case 2:
			e.v = m.double()
		case 3:
			e.t = int64(m.number())
		default:
			m.skip()
		}
	}
	e.labels.to = len(q.examples)
	if wrong == "" && q.spend(m, 32) {
		slices.SortFunc(q.examples[e.labels.from:], func(a, b pair) int { return bytes.Compare(a.name, b.name) })
		q.exemplars = append(q.exemplars, e)
	}
}

// histogram reads a native histogram; what is wrong with it is found when it is put into a batch.
func (q *request) histogram(m *message) {
	if !q.spend(m, 320) {
		return
	}
	h := histogramAt{Histogram: &sdk.Histogram{}}
	count := func(into *[]float64) func(float64) {
		return func(v float64) {
			if h.Float = true; q.spend(m, 16) {
				*into = append(*into, v)
			}
		}
	}
	delta := func(into *[]float64) func(uint64) {
		last := int64(0)
		return func(v uint64) {
			if last += unzigzag(v); q.spend(m, 16) {
				*into = append(*into, float64(last))
			}
		}
	}
	negative, positive := delta(&h.Negative), delta(&h.Positive)
	for field, ok := m.next(); ok; field, ok = m.next() {
		switch field {
		case 1:
			h.Count = float64(m.number())
		case 2:
			h.Count, h.Float = m.double(), true
		case 3:
			h.Sum = m.double()
		case 4:
			h.Schema = int32(m.zigzag())
		case 5:
			h.ZeroThreshold = m.double()
		case 6:
			h.ZeroCount = float64(m.number())
		case 7:
			h.ZeroCount, h.Float = m.double(), true
		case 8:
			q.bucketSpan(m, &h.NegativeSpans)
		case 9:
			m.numbers(negative)
		case 10:
			m.doubles(count(&h.Negative))
		case 11:
			q.bucketSpan(m, &h.PositiveSpans)
		case 12:
			m.numbers(positive)
		case 13:
			m.doubles(count(&h.Positive))
		case 14:
			h.Reset = sdk.ResetHint(min(m.number(), math.MaxUint8))
		case 15:
			h.t = int64(m.number())
		case 16:
			m.doubles(func(v float64) {
				if q.spend(m, 16) {
					h.Custom = append(h.Custom, v)
				}
			})
		default:
			m.skip()
		}
	}
	q.histograms = append(q.histograms, h)
}

func (q *request) bucketSpan(m *message, into *[]sdk.Span) {
	inner := m.inner()
	var s sdk.Span
	for field, ok := inner.next(); ok; field, ok = inner.next() {
		switch field {
		case 1:
			s.Offset = int32(inner.zigzag())
		case 2:
			s.Length = uint32(min(inner.number(), math.MaxUint32))
		default:
			inner.skip()
		}
	}
	m.done(&inner)
	if q.spend(m, 16) {
		*into = append(*into, s)
	}
}

// typeOf is a metric type by its number in both protocols.
func typeOf(number uint64) sdk.MetricType {
	return sdk.MetricType(max(0, slices.Index(kinds[:], byte(min(number, math.MaxUint8)))))
}

// metadata reads a MetricMetadata of 1.0.
func (q *request) metadata(m *message) {
	var f sdk.Family
	size := len(m.b)
	for field, ok := m.next(); ok; field, ok = m.next() {
		switch field {
		case 1:
			f.Type = typeOf(m.number())
		case 2:
			f.Name = string(m.bytes())
		case 4:
			f.Help = string(m.bytes())
		case 5:
			f.Unit = string(m.bytes())
		default:
			m.skip()
		}
	}
	if q.spend(m, 64+size) {
		q.families = append(q.families, f)
	}
}

// seriesMetadata reads the Metadata of a series of 2.0.
func (q *request) seriesMetadata(m *message, wrong *string) (a about) {
	for field, ok := m.next(); ok; field, ok = m.next() {
		switch field {
		case 1:
			a.kind = typeOf(m.number())
		case 3:
			a.help = q.symbol(m.number(), wrong)
		case 4:
			a.unit = q.symbol(m.number(), wrong)
		default:
			m.skip()
		}
	}
	return a
}
