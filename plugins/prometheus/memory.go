package main

import (
	"bytes"
	"fmt"
	"math"

	"github.com/magpie-monitoring/magpie/sdk"
)

// memory is what is kept of a target's last page, so that the next one is read by comparing: pages differ in their values,
// and seldom in anything else. It holds the text of the page without the values, cut into lines, each a sample with the
// comments above it.
//
// read goes along both. Where the text is the same, only the number is parsed. From the first difference on it records the
// page anew: a line that is not the one expected is parsed in full and looked up by its text, so that behind an inserted, a
// removed or a moved line the rest is compared again; only a text that the last page did not have makes a series.
//
// Memory: the page's text without values, 16 B a line, 24 B a series; beside it the target's batch keeps 20 B a series.
type memory struct {
	format format
	text   []byte // of all lines, and behind them what follows the last sample
	lines  []line
	series []known
	pages  uint32 // read so far: what known.seen is compared with
	silent bool   // every series is marked as stale, since the last scrape failed or was empty
	sent   map[sdk.Ref]lastExemplar

	multiline bool // a label value held a newline: lines are not looked up by their text
	full      bool // some lines are over limit_series
	room      bool // those of them that were tried again got refs
}

// line is a sample of a page.
type line struct {
	end    uint32 // of its text: it starts where the line before ends
	series int32  // index into series, or one of the values below
	state  *state // metadata in force
}

// What line.series says where it is no index.
const (
	dropped  = -1 // by metric_relabel
	overfull = -2 // it has no ref, because of limit_series
	repeated = -3 // and below: repeated - index, a series that the page has had already
)

// known is a series of a target.
type known struct {
	labels uint64 // hash of its labels, seeded: series of one target with equal hashes are taken for the same
	ref    sdk.Ref
	seen   uint32 // the last recorded page that had it
	timed  bool   // its last sample had a time of its own, so that it does not go stale by being absent
}

// lookAhead is how many lines of the last page are tried before all of them are indexed.
const lookAhead = 8

// read reads the page in w. What it found is in w until commit or forget; an error fails the page as a whole.
func (m *memory) read(w *workspace, s *shaping) error {
	m.pages++
	w.known = len(m.series)
	if w.tries = 0; m.full {
		if w.tries = 1; m.room {
			w.tries = math.MaxInt
		}
	}
	n, same := 0, false
	if w.format == m.format && len(m.text) > 0 {
		n, same = m.match(w)
	}
	if !same {
		if err := m.record(w, s, n); err != nil {
			return w.tell(err)
		}
	}
	if s.limits.samples > 0 && w.samples > s.limits.samples {
		return errSampleLimit
	}
	return nil
}

// match compares from the start of the page. It returns how many lines are the same, and whether that is the whole page;
// the position is behind them.
func (m *memory) match(w *workspace) (int, bool) {
	page, pos, at, fast := w.page, 0, 0, 0
	defer func() {
		w.pos = pos
		w.total, w.kept, w.samples = w.total+fast, w.kept+fast, w.samples+fast
	}()
	for n := range m.lines {
		l := &m.lines[n]
		to := pos + int(l.end) - at
		if to > len(page) || string(page[pos:to]) != string(m.text[at:l.end]) {
			return n, false
		}
		at = int(l.end)
		v, k := quickFloat(page[to:])
		if end := to + k; k > 0 && l.series >= 0 && page[to-1] == ' ' && end < len(page) && page[end] == '\n' {
			w.ids = append(w.ids, l.series)
			w.values = append(w.values, v)
			pos = end + 1
			fast++
			continue
		}
		if l.series == overfull && w.tries > 0 {
			return n, false
		}
		w.pos = to
		v2, ok := w.behindMatch()
		if !ok {
			return n, false
		}
		w.put(l.series, v2)
		pos = w.pos
	}
	return len(m.lines), string(page[pos:]) == string(m.text[at:])
}

// record reads on from the position, behind n lines that matched, and records the page.
func (m *memory) record(w *workspace, s *shaping, n int) error {
	w.beginRecord(m, n)
	for next := n; ; {
		from := w.pos
		if m.expect(w, next) {
			next++
			continue
		}
		w.pos = from
		ok, err := w.head()
		if err != nil {
			return err
		}
		if !ok {
			w.text = append(w.text, w.page[from:]...)
			return nil
		}
		w.parsed++
		if next, err = m.parse(w, s, from, next); err != nil {
			return err
		}
	}
}

// expect takes the line that comes next if it is the one that did so on the last page.
func (m *memory) expect(w *workspace, next int) bool {
	if next >= len(m.lines) || w.format != m.format || w.changed || w.now != m.before(next) {
		return false
	}
	text, l := m.textOf(next), m.lines[next]
	if !bytes.HasPrefix(w.page[w.pos:], text) || l.series == overfull && w.tries > 0 {
		return false
	}
	w.pos += len(text)
	v, ok := w.behindMatch()
	if ok {
		w.begin(l.state)
		w.add(text, m.take(w, l.series, v), l.state)
	}
	return ok
}

// parse takes the sample whose head was parsed in full; its text, with the comments above it, begins at from. It returns
// which line of the last page is expected next.
func (m *memory) parse(w *workspace, s *shaping, from, next int) (int, error) {
	text := w.page[from:w.pos]
	v, err := w.value()
	if err != nil {
		return next, err
	}
	series, like := int32(overfull), (*state)(nil)
	k, old := m.find(w, next)
	switch {
	case old:
		series, like, next = m.lines[k].series, m.lines[k].state, k+1
	case k >= 0:
		series, like = w.lines[k].series, w.lines[k].state
	case next < len(m.lines):
		like = m.lines[next].state
	}
	state, isNew := w.settle(like), k < 0
	if isNew || series == overfull && w.tries > 0 {
		if !isNew {
			w.tries--
		}
		if series, err = m.define(w, s, state); err != nil {
			w.total++
			return next, err
		}
	}
	w.add(text, m.take(w, series, v), state)
	if isNew && !w.multiline {
		w.byText[w.hash] = ^int32(len(w.lines) - 1)
	}
	return next, nil
}

// define finds the series of a text that is new by its labels, or makes one.
func (m *memory) define(w *workspace, s *shaping, st *state) (int32, error) {
	ls, keep, err := s.series(&w.parser)
	if err != nil {
		return 0, fmt.Errorf("line %d: %w", bytes.Count(w.page[:w.start], []byte{'\n'})+1, err)
	}
	if !keep {
		return dropped, nil
	}
	w.indexLabels(m)
	h := hashLabels(ls)
	if id, ok := w.byLabels[h]; ok {
		return id, nil
	}
	id := int32(len(m.series))
	w.byLabels[h] = id
	m.series = append(m.series, known{labels: h, ref: sdk.NoRef, timed: true})
	w.fresh = append(w.fresh, sdk.Series{Labels: ls, Family: st.familyOf(ls.Get(sdk.NameLabel))})
	if s.limits.samples == 0 || w.samples < s.limits.samples {
		w.added++
	}
	return id, nil
}

// take puts a sample of a page that is recorded, and returns what its line says: the first of a series on a page is told
// from another.
func (m *memory) take(w *workspace, series int32, v sampleValue) int32 {
	if series <= repeated {
		series = repeated - series
	}
	if series >= 0 {
		if s := &m.series[series]; s.seen == m.pages {
			series = repeated - series
		} else {
			s.seen = m.pages
		}
	}
	w.put(series, v)
	return series
}

// find looks for the head that was parsed: k is its line on the last page (old), or on this one, or -1. It tries the lines
// that are expected next first.
func (m *memory) find(w *workspace, next int) (k int, old bool) {
	head, last := w.page[w.lineStart:w.headEnd], w.lastType()
	w.multiline = w.multiline || bytes.IndexByte(head, '\n') >= 0
	if w.multiline {
		return -1, false
	}
	for k := next; k < min(next+lookAhead, len(m.lines)); k++ {
		if m.lines[k].state.last == last && bytes.Equal(headOf(m.textOf(k)), head) {
			return k, true
		}
	}
	w.indexText(m)
	w.hash = hashText(head, last)
	i, ok := w.byText[w.hash]
	switch {
	case !ok:
	case i >= 0 && m.lines[i].state.last == last && bytes.Equal(headOf(m.textOf(int(i))), head):
		return int(i), true
	case i < 0 && w.lines[^i].state.last == last && bytes.Equal(headOf(w.textOf(int(^i))), head):
		return int(^i), false
	}
	return -1, false
}

// headOf is a line's text without the comments above it.
func headOf(text []byte) []byte {
	if class[text[0]]&nameFirst != 0 {
		return text
	}
	return text[bytes.LastIndexByte(text, '\n')+1:]
}

// startOf is where the text of a line begins.
func startOf(lines []line, n int) uint32 {
	if n == 0 {
		return 0
	}
	return lines[n-1].end
}

func (m *memory) textOf(n int) []byte { return m.text[startOf(m.lines, n):m.lines[n].end] }

// before is the state above a line.
func (m *memory) before(n int) *state {
	if n == 0 {
		return noState
	}
	return m.lines[n-1].state
}
