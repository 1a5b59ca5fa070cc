package buffer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"net"
	"os"
	"slices"
)

// Cursor is one reader's place in the log. One goroutine reads; Commit may come from another.
type Cursor struct {
	log  *Log
	name string

	committed uint64 // under log.mu; everything up to here is done
	saved     uint64 // what the cursors' file says

	segment uint64 // first of the segment being read; 0: to be found
	offset  int64
	past    uint64 // what was committed when the reading started over
	read    uint64 // last position passed since then
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
	defer l.mu.Unlock()
	c := l.cursors[name]
	if c == nil {
		at := l.next - 1
		if l.lost {
			at = l.oldest() - 1
		}
		c = &Cursor{log: l, name: name, committed: at, saved: at}
		l.cursors[name] = c
		l.dirty = true
	}
	return c
}

func (l *Log) oldest() uint64 {
	if len(l.segments) == 0 {
		return l.next
	}
	return l.segments[0].first
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

// Remove forgets a cursor.
func (l *Log) Remove(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.cursors, name)
	l.dirty = true
}

// Rewind makes Next start over: first the definitions before the committed position, as records with Past set, then what
// is not committed.
func (c *Cursor) Rewind() { c.segment = 0 }

// Commit says that everything up to a position is done. It becomes durable within a second or so.
func (c *Cursor) Commit(position uint64) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	if position > c.committed {
		c.committed = position
		c.log.dirty = true
	}
}

// Committed is the position up to which everything is done.
func (c *Cursor) Committed() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.committed
}

// Lag is how many durable records are not committed.
func (c *Cursor) Lag() uint64 {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.log.durable - min(c.committed, c.log.durable)
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
		if left := end - min(end, max(c.committed+1, s.first)); left > 0 {
			n += int64(float64(s.size) * float64(left) / float64(end-s.first))
		}
	}
	return n
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
			c.log.mu.Lock()
			c.log.damaged++
			c.log.mu.Unlock()
			c.offset = s.resync(c.offset, end)
		case news:
			return r, nil
		}
	}
}

// readAt reads the record at the cursor's offset and passes it; news is false for what the reader has seen, or need not see.
func (c *Cursor) readAt(s *segment, end int64, alloc func(n int) []byte) (r Record, news bool, err error) {
	h, err := s.readHeader(c.offset, end)
	if err != nil {
		return r, false, err
	}
	carried := h.flags&flagCarried != 0
	r = Record{Position: h.position, Samples: int(h.samples), Defines: h.flags&flagDefines != 0, Past: carried || h.position <= c.past}
	if news = (h.position > c.read || carried && c.read == 0) && (r.Defines || !r.Past); news {
		r.Payload = alloc(int(h.length))
		if err := s.readPayload(c.offset, h, r.Payload); err != nil {
			return r, false, err
		}
	}
	c.offset += recordHeader + int64(h.length)
	if !carried {
		c.read = max(c.read, h.position)
	}
	return r, news, nil
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
			for _, candidate := range l.segments {
				if candidate.first <= c.committed+1 || candidate == l.segments[0] {
					c.segment = candidate.first
				}
			}
			c.offset, c.past, c.read = segmentHeader, c.committed, 0
		case c.offset+recordHeader <= l.segments[i].visible:
			return l.segments[i], l.segments[i].visible, nil, nil
		case i+1 < len(l.segments):
			c.segment, c.offset = l.segments[i+1].first, segmentHeader
		default:
			return nil, 0, l.changed, nil
		}
	}
}

// samplesFrom counts the samples of a segment's records from a position on.
func (s *segment) samplesFrom(position uint64) (n uint64) {
	for _, h := range s.records(s.size) {
		if h.position >= position && h.flags&flagCarried == 0 {
			n += uint64(h.samples)
		}
	}
	return n
}

const cursorsMagic = "MAGPIECU"

func (l *Log) loadCursors() error {
	b, err := os.ReadFile(l.cursorsPath())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	saved, err := parseCursors(b)
	if err != nil {
		l.lost = len(l.segments) > 0
		return nil
	}
	for name, position := range saved {
		position = min(max(position, l.oldest()-1), l.next-1)
		l.cursors[name] = &Cursor{log: l, name: name, committed: position, saved: position}
	}
	return nil
}

func parseCursors(b []byte) (map[string]uint64, error) {
	if len(b) < 12 || !bytes.HasPrefix(b, []byte(cursorsMagic)) || le.Uint32(b[8:]) != crc32.Checksum(b[12:], castagnoli) {
		return nil, errDamaged
	}
	var saved map[string]uint64
	return saved, json.Unmarshal(b[12:], &saved)
}

// saveCursors writes the cursors' file if it is out of date.
func (l *Log) saveCursors() error {
	l.mu.Lock()
	if !l.dirty {
		l.mu.Unlock()
		return nil
	}
	l.dirty = false
	at := map[string]uint64{}
	for name, c := range l.cursors {
		at[name] = c.committed
	}
	l.mu.Unlock()
	err := l.writeCursors(at)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.dirty = true
		return err
	}
	for name, position := range at {
		if c := l.cursors[name]; c != nil {
			c.saved = position
		}
	}
	return nil
}

func (l *Log) writeCursors(at map[string]uint64) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	b := append([]byte(cursorsMagic), 0, 0, 0, 0)
	le.PutUint32(b[8:], crc32.Checksum(text, castagnoli))
	temporary := l.cursorsPath() + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, text...))
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temporary, l.cursorsPath())
	}
	if err == nil {
		err = syncDir(l.dir)
	}
	return err
}
