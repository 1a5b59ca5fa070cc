package main

import (
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxAhead is how far in the future a sample's own time may be, in ms, as in Prometheus (scrape.maxAheadTime). Later ones
// are dropped: they would keep a store from taking what comes after.
const maxAhead = 10 * 60 * 1000

// commit puts what read found into the batch, whose Time is that of the scrape, marks what has gone, and learns the page.
// With track, samples with a time of their own go stale as others do.
func (m *memory) commit(w *workspace, b *sdk.Batch, track bool) {
	for i, s := range w.fresh {
		m.series[w.known+i].ref = b.Define(s)
	}
	latest := b.Time.UnixMilli() + maxAhead
	times, shapes := w.times, w.shapes
	for i, id := range w.ids {
		if id < 0 { // overfull
			b.Put(sdk.NoRef, w.values[i])
			continue
		}
		s := &m.series[id]
		var h *sdk.Histogram
		if len(shapes) > 0 && shapes[0].sample == i {
			h, shapes = shapes[0].Histogram, shapes[1:]
		}
		if len(times) == 0 || times[0].sample != i {
			if s.timed = false; h != nil {
				b.PutHistogram(s.ref, h)
			} else {
				b.Put(s.ref, w.values[i])
			}
			continue
		}
		own := times[0]
		times = times[1:]
		switch {
		case own.t > latest:
		case h != nil:
			b.PutHistogramAt(s.ref, h, time.UnixMilli(own.t))
		default:
			b.PutAt(s.ref, w.values[i], time.UnixMilli(own.t))
		}
		if own.again {
			continue
		}
		if track && own.t <= latest {
			s.timed = false
		} else if !s.timed {
			s.timed = true
			m.gone(b, s)
		}
	}
	m.exemplars(w, b)
	if w.recorded {
		m.learn(w, b)
	}
	m.silent = false
	w.forget()
}

// gone marks a series as stale, unless it is so already.
func (m *memory) gone(b *sdk.Batch, s *known) {
	if !m.silent && s.ref != sdk.NoRef {
		b.Stale(s.ref)
	}
}

// learn takes the recorded page over: what was not on it is gone, and series are numbered in the page's order.
func (m *memory) learn(w *workspace, b *sdk.Batch) {
	for _, l := range m.lines {
		if l.series < 0 {
			continue
		}
		s := &m.series[l.series]
		if s.seen == m.pages {
			continue
		}
		s.seen = m.pages // once, however many lines there were
		if !s.timed {
			m.gone(b, s)
		}
		b.Retire(s.ref)
		delete(m.sent, s.ref)
	}
	m.full, m.room = m.renumber(w)
	m.lines, m.text = fit(m.lines, w.lines), fit(m.text, w.text)
	m.format, m.multiline = w.format, w.multiline
}

// renumber moves the series of the recorded lines into a table in their order, and puts the numbers into the lines. Those
// that got no ref lose their place: full says that there are some, room that a series was tried again and got one.
func (m *memory) renumber(w *workspace) (full, room bool) {
	w.series = w.series[:0]
	number := append(w.number[:0], make([]int32, len(m.series))...) // one more than the new index, 0: none yet
	w.number = number
	for i := range w.lines {
		l := &w.lines[i]
		id := l.series
		if id <= repeated {
			id = repeated - id
		}
		if id < 0 {
			full = full || id == overfull
			continue
		}
		if m.series[id].ref == sdk.NoRef {
			l.series, full = overfull, true
			continue
		}
		if number[id] == 0 {
			w.series = append(w.series, m.series[id])
			number[id] = int32(len(w.series))
		}
		if l.series <= repeated {
			l.series = repeated - (number[id] - 1)
		} else {
			l.series = number[id] - 1
		}
	}
	room = full && len(w.fresh) > 0 && m.series[len(m.series)-1].ref != sdk.NoRef
	m.series = fit(m.series, w.series)
	return full, room
}

// absent marks everything as stale: the scrape failed, or the page is empty. The series keep their refs.
func (m *memory) absent(b *sdk.Batch) {
	for i := range m.series {
		if s := &m.series[i]; !s.timed {
			m.gone(b, s)
		}
	}
	m.silent = true
}

// end marks everything as stale and frees the refs: the target is no more.
func (m *memory) end(b *sdk.Batch) {
	m.absent(b)
	for _, s := range m.series {
		if s.ref != sdk.NoRef {
			b.Retire(s.ref)
		}
	}
	*m = memory{}
}

// rollback forgets what read found on a page that failed.
func (m *memory) rollback(w *workspace) {
	m.series = m.series[:w.known]
	w.forget()
}

// forget drops what belongs to the page that was read, and buffers that few pages need.
func (w *workspace) forget() {
	clear(w.fresh)
	w.fresh = w.fresh[:0]
	clear(w.lines)
	w.lines = w.lines[:0]
	clear(w.shapes)
	w.rewriter.histograms = nil
	w.page = nil
	if len(w.byText) > mostIndexed {
		w.byText = nil
	}
	if len(w.byLabels) > mostIndexed {
		w.byLabels = nil
	}
	if cap(w.body) > mostKept {
		w.body = nil
	}
	if cap(w.rewriter.out) > mostKept {
		w.rewriter.out = nil
	}
	if cap(w.text) > mostKept || cap(w.ids) > mostKept/8 {
		w.text, w.lines, w.series, w.number, w.ids, w.values, w.times = nil, nil, nil, nil, nil, nil, nil
	}
}

// What a workspace keeps for the next page.
const (
	mostKept    = 8 << 20
	mostIndexed = 1 << 16
)

// fit copies src into dst's memory if that is large enough and not much too large.
func fit[T any](dst, src []T) []T {
	if n := len(src); cap(dst) < n || cap(dst) > n+n/4+64 {
		dst = make([]T, 0, n+n/16)
	}
	old := dst
	dst = append(dst[:0], src...)
	if len(old) > len(dst) {
		clear(old[len(dst):])
	}
	return dst
}
