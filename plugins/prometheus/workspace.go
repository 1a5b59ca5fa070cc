package main

import (
	"hash/maphash"

	"github.com/magpie-monitoring/magpie/sdk"
)

// workspace is what reading one page needs. There are as many as processors, used again and again, whatever the number of
// targets: see slots.
type workspace struct {
	parser
	unzip      unzip
	body       []byte // the page, decompressed
	honorTimes bool

	// Samples in the page's order, as indexes into the memory's series.
	ids    []int32
	values []float64
	times  []ownTime

	// What few samples have.
	rewriter rewriter
	shapes   []shape
	examples []found

	total   int // samples on the page
	kept    int // of these, left by metric_relabel
	samples int // of these, not repeated
	added   int // series that are new
	parsed  int // lines that were parsed in full
	tries   int // lines over limit_series that may be tried again

	// The page as it is recorded, until the memory takes it over.
	text      []byte
	lines     []line
	multiline bool
	known     int // series of the memory before this page
	fresh     []sdk.Series
	recorded  bool

	// Where texts and labels are, built when something is not where it was expected.
	byText        map[uint64]int32 // a line of the last page, or ^ a line of this one
	byLabels      map[uint64]int32 // a series
	textIndexed   bool
	labelsIndexed bool
	hash          uint64 // of the text that was looked for last

	// For numbering series anew.
	series []known
	number []int32
}

// ownTime is the time of a sample that has one of its own.
type ownTime struct {
	sample int   // index into ids
	t      int64 // Unix ms
	again  bool  // not the first of its series on the page
}

// shape is a sample that is a native histogram.
type shape struct {
	sample int // index into ids
	*sdk.Histogram
}

// open sets a page to be read.
func (w *workspace) open(page []byte, f format, honorTimes bool) {
	w.page, w.pos, w.format, w.honorTimes = page, 0, f, honorTimes
	w.begin(noState)
	w.ids, w.values, w.times = w.ids[:0], w.values[:0], w.times[:0]
	w.shapes, w.examples = w.shapes[:0], w.examples[:0]
	w.total, w.kept, w.samples, w.added, w.parsed = 0, 0, 0, 0, 0
	w.fresh, w.recorded = w.fresh[:0], false
}

// behindMatch reads the value behind a head that is that of the last page; false means that the head has to be parsed in
// full: its end may be taken for the start of a value, as in a-1, or there is none.
func (w *workspace) behindMatch() (sampleValue, bool) {
	if class[w.page[w.pos-1]]&nameRest != 0 {
		return sampleValue{}, false
	}
	v, err := w.value()
	return v, err == nil
}

// put adds a sample.
func (w *workspace) put(series int32, v sampleValue) {
	w.total++
	if series == dropped {
		return
	}
	w.kept++
	v.timed = v.timed && w.honorTimes
	again := series <= repeated
	if again {
		if !v.timed {
			return // the first of the same time wins
		}
		series = repeated - series
	}
	w.samples++
	if v.timed {
		w.times = append(w.times, ownTime{len(w.ids), v.t, again})
	}
	if v.shape > 0 {
		w.shapes = append(w.shapes, shape{len(w.ids), w.rewriter.histograms[v.shape-1]})
	}
	for _, e := range w.found {
		e.sample = len(w.ids)
		w.examples = append(w.examples, e)
	}
	w.ids = append(w.ids, series)
	w.values = append(w.values, v.v)
}

// beginRecord starts recording behind n lines that are those of the last page.
func (w *workspace) beginRecord(m *memory, n int) {
	w.recorded = true
	w.lines = append(w.lines[:0], m.lines[:n]...)
	w.text = append(w.text[:0], m.text[:startOf(m.lines, n)]...)
	w.multiline = m.multiline
	w.begin(m.before(n))
	w.textIndexed, w.labelsIndexed = false, false
	for _, l := range w.lines {
		if l.series >= 0 {
			m.series[l.series].seen = m.pages
		}
	}
}

// add records a line.
func (w *workspace) add(text []byte, series int32, s *state) {
	w.text = append(w.text, text...)
	w.lines = append(w.lines, line{uint32(len(w.text)), series, s})
}

func (w *workspace) textOf(n int) []byte { return w.text[startOf(w.lines, n):w.lines[n].end] }

// seed makes hashes that no target can foresee.
var seed = maphash.MakeSeed()

// indexText indexes the last page's lines by their heads, the first of equal ones.
func (w *workspace) indexText(m *memory) {
	if w.textIndexed {
		return
	}
	w.textIndexed = true
	if w.byText == nil {
		w.byText = make(map[uint64]int32, len(m.lines))
	}
	clear(w.byText)
	for i := len(m.lines) - 1; i >= 0; i-- {
		w.byText[hashText(headOf(m.textOf(i)), m.lines[i].state.last)] = int32(i)
	}
}

// indexLabels indexes the memory's series by their labels.
func (w *workspace) indexLabels(m *memory) {
	if w.labelsIndexed {
		return
	}
	w.labelsIndexed = true
	if w.byLabels == nil {
		w.byLabels = make(map[uint64]int32, len(m.series))
	}
	clear(w.byLabels)
	for i := range m.series {
		w.byLabels[m.series[i].labels] = int32(i)
	}
}

// hashText hashes a head and the type by which its labels were read.
func hashText(head []byte, last sdk.MetricType) uint64 {
	return maphash.Bytes(seed, head) ^ uint64(last)*0x9e3779b97f4a7c15
}

func hashLabels(ls sdk.Labels) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, l := range ls {
		h.WriteString(l.Name)
		h.WriteByte(0xff) // which UTF-8 has not
		h.WriteString(l.Value)
		h.WriteByte(0xff)
	}
	return h.Sum64()
}
