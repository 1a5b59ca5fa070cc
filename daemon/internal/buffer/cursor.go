package buffer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
)

// Cursor is one reader's place in the log. One goroutine reads; Commit may come from another.
type Cursor struct {
	log  *Log
	name string

	// under log.mu
	began     mark   // where it was made
	until     mark   // another cursor goes on behind it; zero: none does
	committed mark   // everything up to here is done
	saved     uint64 // what the cursors' file says
	passed    []step // read since the reading started over, and not committed
	damaged   uint64 // samples that were passed over because they could not be read

	segment uint64 // first of the segment being read; 0: to be found
	again   bool   // the reading is to start over
	offset  int64
	past    uint64 // what was committed when the reading started over
	read    mark   // last record passed since then
}

// step is a record that was read, with the samples before it that could not be, or the end of what was deleted unread.
type step struct {
	mark
	damaged uint64
	lost    uint64 // counted already
}

// Record is a record as a cursor reads it.
type Record struct {
	Position uint64
	Samples  int
	Payload  []byte
	Defines  bool // the payload holds definitions
	Past     bool // before the cursor's place: only its definitions are news
}

// Cursor returns the cursor of a name at its place; a new one starts behind the newest record, or at the oldest if the
// places of all cursors were lost.
func (l *Log) Cursor(name string) *Cursor {
	l.mu.Lock()
	c := l.cursors[name]
	if c != nil {
		l.mu.Unlock()
		return c
	}
	at := mark{l.next - 1, l.samples}
	if l.lost {
		at = l.oldest()
	}
	c = &Cursor{log: l, name: name, began: at, committed: at, saved: at.position}
	l.cursors[name] = c
	l.dirty = true
	l.mu.Unlock()
	l.saveCursors() // one that a crash forgets would start again behind what came meanwhile
	return c
}

// oldest is the place before the oldest record.
func (l *Log) oldest() mark {
	if len(l.segments) == 0 {
		return mark{l.next - 1, l.samples}
	}
	return mark{l.segments[0].first - 1, l.segments[0].before}
}

// Cursors lists the names of all cursors.
func (l *Log) Cursors() (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.cursors {
		names = append(names, name)
	}
	return names
}

// Read reads the record at a position that is still in the log; define is told the payloads before it that hold definitions in
// use.
func (l *Log) Read(position uint64, define func(payload []byte)) ([]byte, error) {
	l.mu.Lock()
	segments := slices.Clone(l.segments)
	l.mu.Unlock()
	for i, s := range segments {
		if s.first > position || i+1 < len(segments) && segments[i+1].first <= position {
			continue
		}
		for at, h := range s.records(s.visible) {
			here := h.position == position && h.flags&flagCarried == 0
			if !here && h.flags&flagDefines == 0 {
				continue
			}
			payload := make([]byte, h.length)
			err := s.readPayload(at, h, payload)
			if here {
				return payload, err
			}
			if err == nil {
				define(payload)
			}
		}
	}
	return nil, fmt.Errorf("record %d is not in the log", position)
}

// Remove forgets a cursor.
func (l *Log) Remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.cursors, name)
	l.dirty = true
}

// Rename gives a cursor that nobody reads now another name, and its place with it. Where that name is in use, both stay.
func (l *Log) Rename(from, to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.cursors[from]; c != nil && l.cursors[to] == nil {
		delete(l.cursors, from)
		l.cursors[to], c.name, l.dirty = c, to, true
	}
}

// Rewind makes Next start over: first the definitions before the committed position, as records with Past set, then what
// is not committed.
func (c *Cursor) Rewind() { c.segment, c.again = 0, true }

// Commit says that everything up to a position is done. It becomes durable within a second, or five where little flows.
func (c *Cursor) Commit(position uint64) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if position > c.committed.position {
		c.pass(mark{position, c.committed.samples})
		c.log.dirty = true
		c.log.steps.Add(1)
	}
}

// Mark is the place of a position that was read and not committed, as Restore takes it.
func (c *Cursor) Mark(position uint64) (samples uint64) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	samples = c.committed.samples
	for _, s := range c.passed {
		if s.position <= position {
			samples = max(samples, s.samples)
		}
	}
	return samples
}

// Restore moves the cursor forward to a place that is known from elsewhere to be done.
func (c *Cursor) Restore(position, samples uint64) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if position > c.committed.position && position < c.log.next {
		c.pass(mark{position, max(samples, c.committed.samples)})
		c.log.dirty = true
	}
}

// pass takes a place for done, with the samples as far as they were read.
func (c *Cursor) pass(to mark) {
	for len(c.passed) > 0 && c.passed[0].position <= to.position {
		c.damaged += c.passed[0].damaged
		to.samples = max(to.samples, c.passed[0].samples)
		c.passed = c.passed[1:]
	}
	c.committed = to
}

// Committed is the position up to which everything is done.
func (c *Cursor) Committed() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.committed.position
}

// Until says that another cursor goes on from the place where it was made: what is behind that is not waited for by this one.
// nil: no other does any more.
func (c *Cursor) Until(other *Cursor) (position uint64) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if c.until = (mark{}); other != nil {
		c.until = other.began
	}
	return c.until.position
}

// Follow moves the cursor to where another is, forward.
func (c *Cursor) Follow(other *Cursor) {
	c.log.mu.Lock()
	to := other.committed
	c.log.mu.Unlock()
	c.Restore(to.position, to.samples)
}

// end is the place up to which it is to read.
func (c *Cursor) end() mark {
	if c.until.position > 0 {
		return c.until
	}
	return c.log.durable
}

// Lag is how many durable records are not committed.
func (c *Cursor) Lag() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.end().position - min(c.committed.position, c.end().position)
}

// Buffered is how many durable samples are not committed: of all streams, whether the reader wants them or not.
func (c *Cursor) Buffered() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.end().samples - min(c.committed.samples, c.end().samples)
}

// Damaged is how many samples were passed over because they could not be read.
func (c *Cursor) Damaged() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.damaged
}

// Backlog is about how many bytes of the log are not committed: whole segments exactly, of the first one its part of records.
func (c *Cursor) Backlog() (n int64) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range l.segments {
		end := l.next
		if i+1 < len(l.segments) {
			end = l.segments[i+1].first
		}
		if c.until.position > 0 {
			end = max(s.first, min(end, c.until.position+1))
		}
		if left := end - min(end, max(c.committed.position+1, s.first)); left > 0 {
			n += int64(float64(s.size) * float64(left) / float64(max(1, end-s.first)))
		}
	}
	return n
}

// Has reports whether there is a cursor of a name.
func (l *Log) Has(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursors[name] != nil
}

// Next waits for the next record. alloc gives the memory for its payload. The error is ctx's, or net.ErrClosed.
func (c *Cursor) Next(ctx context.Context, alloc func(n int) []byte) (Record, error) {
	for {
		s, end, wait, err := c.place()
		if err != nil {
			return Record{}, err
		}
		if s == nil {
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return Record{}, ctx.Err()
			}
		}
		r, news, err := c.readAt(s, end, alloc)
		switch {
		case errors.Is(err, os.ErrClosed): // the segment was deleted under us
			c.segment = 0
		case err != nil:
			c.skip(s, end)
		case news:
			return r, nil
		}
	}
}

// skip passes over what cannot be read: a record whose header is whole, or everything up to the next whole header.
func (c *Cursor) skip(s *segment, end int64) {
	from := c.offset
	if h, err := s.readHeader(from, end); err == nil {
		c.offset += h.size()
	} else {
		c.offset = s.resync(from, end)
	}
	c.log.damage(s, from, c.offset)
}

// readAt reads the record at the cursor's offset and passes it; news is false for what the reader has seen, or need not see.
func (c *Cursor) readAt(s *segment, end int64, alloc func(n int) []byte) (r Record, news bool, err error) {
	h, err := s.readHeader(c.offset, end)
	if err != nil {
		return r, false, err
	}
	carried := h.flags&flagCarried != 0
	r = Record{Position: h.position, Samples: int(h.samples), Defines: h.flags&flagDefines != 0, Past: carried || h.position <= c.past}
	if news = (h.position > c.read.position || carried && c.read.position == 0) && (r.Defines || !r.Past); news {
		r.Payload = alloc(int(h.length))
		if err := s.readPayload(c.offset, h, r.Payload); err != nil {
			return r, false, err
		}
	}
	c.offset += h.size()
	if !carried && h.position > c.read.position && !c.note(h) {
		news = false
	}
	return r, news, nil
}

// reached is the last place that was read, or passed otherwise.
func (c *Cursor) reached() mark {
	if n := len(c.passed); n > 0 {
		return c.passed[n-1].mark
	}
	return c.committed
}

// lose says that the log's records up to a place are deleted for want of room. What the reader has may still be committed.
func (c *Cursor) lose(end mark) {
	at := c.reached()
	if at.position >= end.position {
		return
	}
	n := end.samples - min(at.samples, end.samples)
	if c.passed = append(c.passed, step{mark: end, lost: n}); len(c.passed) == 1 {
		c.pass(end)
		c.log.dirty = true
	}
	if c.log.o.Lost != nil {
		c.log.o.Lost(c.name, n)
	}
}

// startOver forgets what was read and not committed. What of it is deleted is lost now.
func (c *Cursor) startOver() {
	oldest := c.log.oldest()
	n := oldest.samples - min(c.committed.samples, oldest.samples)
	for _, s := range c.passed {
		n -= min(s.lost, n)
	}
	c.passed, c.again = nil, false
	if c.committed.position >= oldest.position {
		return
	}
	c.committed = oldest
	c.log.dirty = true
	if n > 0 && c.log.o.Lost != nil {
		c.log.o.Lost(c.name, n)
	}
}

// note takes a record for read, unless it was deleted meanwhile and counts as lost. What is missing in the count of samples
// before it could not be read.
func (c *Cursor) note(h header) bool {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.read = h.last()
	if h.position <= c.past {
		return true
	}
	reached := c.reached()
	if h.position <= reached.position {
		return false
	}
	c.passed = append(c.passed, step{mark: h.last(), damaged: h.before - min(reached.samples, h.before)})
	return true
}

// place finds the segment to read from and how far it may be read; s nil: wait, nothing is to be read now.
func (c *Cursor) place() (s *segment, end int64, wait chan struct{}, err error) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.closed {
			return nil, 0, nil, net.ErrClosed
		}
		i := slices.IndexFunc(l.segments, func(s *segment) bool { return s.first == c.segment })
		switch {
		case len(l.segments) == 0:
			return nil, 0, l.changed, nil
		case i < 0: // at the start, or where our segment was deleted: the last one that begins at or before what is not done
			if c.again {
				c.startOver()
			}
			at := c.reached().position
			for _, candidate := range l.segments {
				if candidate.first <= at+1 || candidate == l.segments[0] {
					c.segment = candidate.first
				}
			}
			c.offset, c.past, c.read = segmentHeader, at, mark{}
		case c.offset+recordHeader <= l.segments[i].visible:
			return l.segments[i], l.segments[i].visible, nil, nil
		case i+1 < len(l.segments):
			c.segment, c.offset = l.segments[i+1].first, segmentHeader
		default:
			return nil, 0, l.changed, nil
		}
	}
}
