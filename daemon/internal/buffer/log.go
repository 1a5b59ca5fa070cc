// Package buffer is the durable log between sources and sinks: one log for all pipelines, a cursor for each of them.
//
// What is appended becomes durable by group commit (one fsync for everything of the last 20 ms or 1 MiB) and only then is
// reported to the source as such, and shown to cursors. A segment is deleted when every cursor has passed it. FORMAT.md
// draws the bytes.
//
//	log.go      append, group commit, rotation, deletion
//	cursor.go   reading and committing
//	segment.go  files and records
//
// The log knows of its payloads only whether they hold definitions: at the start of each segment it asks for the
// definitions in use (Options.Carry), so that every suffix of the log can be read alone.
package buffer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// MaxRecord bounds a record's payload.
const MaxRecord = 2 << 20

const (
	commitBytes = 1 << 20 // unsynced bytes that are not made to wait
	cursorsFile = "cursors"
)

// Options of a log.
type Options struct {
	SegmentBytes int64         // a segment is ended beyond this; default 64 MiB
	MaxBytes     int64         // of the whole log: beyond it the oldest segment goes, whoever still needs it; default 8 GiB
	Sync         time.Duration // the longest wait for an fsync; 0: at every append; < 0: never
	Carry        func(add func(frames []byte))
	Lost         func(cursor string, samples uint64) // a cursor's unread samples were deleted for want of room
}

// Log is an open log. Memory: the cursors, and what waits for an fsync is on disk already.
type Log struct {
	dir string
	o   Options
	id  uint64

	mu       sync.Mutex
	segments []*segment
	current  *segment // the last one, if we started it
	next     uint64   // position of the next record
	durable  uint64
	unsynced int64
	waiting  []waiting
	failed   error // an append or fsync that failed: cleared by a new segment
	cursors  map[string]*Cursor
	dirty    bool // cursors differ from their file
	lost     bool // the cursors' file was lost or damaged
	changed  chan struct{}
	damaged  uint64
	closed   bool

	wake  chan struct{}
	hurry chan struct{}
	stop  chan struct{}
	done  sync.WaitGroup
}

// waiting is an append that is not durable yet.
type waiting struct {
	position uint64
	done     func(error)
}

// Open opens a log, cuts a torn tail, and starts a segment of its own.
func Open(dir string, o Options) (*Log, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 30
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &Log{
		dir: dir, o: o, next: 1, cursors: map[string]*Cursor{}, changed: make(chan struct{}),
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if err := l.load(); err != nil {
		l.closeFiles()
		return nil, err
	}
	l.done.Go(l.commitLoop)
	return l, nil
}

func (l *Log) load() error {
	paths, err := segmentPaths(l.dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		s, id, err := openSegment(path)
		if err != nil {
			return err
		}
		l.segments, l.id = append(l.segments, s), id
	}
	if n := len(l.segments); n > 0 {
		last, err := l.segments[n-1].repairTail()
		if err != nil {
			return err
		}
		l.next = last + 1
	}
	if l.id == 0 {
		l.id = rand.Uint64() | 1
	}
	l.durable = l.next - 1
	return l.loadCursors()
}

// ID names this log: positions mean nothing in another one.
func (l *Log) ID() uint64 { return l.id }

// Definitions visits the payloads of the last segment that hold definitions: what was in use when the log was closed.
func (l *Log) Definitions(visit func(payload []byte)) {
	if len(l.segments) == 0 {
		return
	}
	s := l.segments[len(l.segments)-1]
	for at, h := range s.records(s.visible) {
		if payload := make([]byte, h.length); h.flags&flagDefines != 0 && s.readPayload(at, h, payload) == nil {
			visit(payload)
		}
	}
}

// Append writes a record and calls done once it is durable, or cannot become so. defines says that the payload holds
// definitions. The payload is not kept. After an error nothing was written, and done is not called.
func (l *Log) Append(payload []byte, samples int, defines bool, done func(error)) error {
	l.mu.Lock()
	err := l.append(payload, samples, defines)
	if err == nil {
		l.waiting = append(l.waiting, waiting{l.next - 1, done})
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

func (l *Log) append(payload []byte, samples int, defines bool) error {
	if l.closed {
		return net.ErrClosed
	}
	if len(payload) > MaxRecord || len(payload)%8 != 0 {
		return fmt.Errorf("a record of %d bytes: at most %d, a multiple of 8", len(payload), MaxRecord)
	}
	if err := l.room(); err != nil {
		return err
	}
	h := header{length: uint32(len(payload)), position: l.next, samples: uint32(samples)}
	if defines {
		h.flags = flagDefines
	}
	if err := l.write(h, payload); err != nil {
		l.failed = err
		return err
	}
	l.next++
	return nil
}

// room makes sure that the last segment can take a record: a new one at the start, after a failure, and when it is full.
func (l *Log) room() error {
	if l.current != nil && l.failed == nil && l.current.size < l.o.SegmentBytes {
		return nil
	}
	if l.current != nil && l.failed == nil {
		if err := l.sync(l.current); err != nil {
			return err
		}
		l.current.visible = l.current.size
	}
	if n := len(l.segments); n > 0 && l.segments[n-1].first == l.next { // nothing but carried definitions in it: make it anew
		l.segments[n-1].file.Close()
		l.segments = l.segments[:n-1]
	}
	s, err := createSegment(l.dir, l.next, l.id)
	if err != nil {
		return err
	}
	l.segments = append(l.segments, s)
	l.current, l.failed = s, nil
	if l.o.Carry != nil {
		l.o.Carry(func(frames []byte) {
			if err == nil {
				err = l.write(header{length: uint32(len(frames)), position: l.next - 1, flags: flagDefines | flagCarried}, frames)
			}
		})
	}
	if err != nil {
		l.failed = err
		return err
	}
	l.makeRoom()
	return nil
}

func (l *Log) sync(s *segment) error {
	if l.o.Sync < 0 {
		return nil
	}
	return s.file.Sync()
}

func (l *Log) write(h header, payload []byte) error {
	s := l.current
	var b [recordHeader]byte
	h.put(b[:], payload)
	buffers := net.Buffers{b[:], payload}
	if _, err := s.file.Seek(s.size, 0); err != nil {
		return err
	}
	n, err := buffers.WriteTo(s.file)
	if err != nil {
		if n > 0 {
			s.file.Truncate(s.size)
		}
		return err
	}
	s.size += n
	l.unsynced += n
	return nil
}

// commitLoop makes appends durable, many at a time.
func (l *Log) commitLoop() {
	saved := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		case <-l.hurry:
			l.commit()
		case <-l.wake:
			l.linger()
			l.commit()
		}
		if time.Since(saved) >= time.Second {
			saved = time.Now()
			l.saveCursors()
			l.deletePassed()
		}
	}
}

// linger waits for company, unless there is much to sync already.
func (l *Log) linger() {
	for deadline := time.Now().Add(l.o.Sync); ; {
		l.mu.Lock()
		enough := l.unsynced >= commitBytes
		l.mu.Unlock()
		wait := time.Until(deadline)
		if enough || wait <= 0 {
			return
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-l.wake:
		case <-l.hurry:
			deadline = time.Time{}
		case <-l.stop:
		}
		t.Stop()
		select {
		case <-l.stop:
			return
		default:
		}
	}
}

// commit syncs what was appended and tells who waits.
func (l *Log) commit() {
	l.mu.Lock()
	if len(l.waiting) == 0 {
		l.mu.Unlock()
		return
	}
	told := l.waiting
	l.waiting, l.unsynced = nil, 0
	s, size := l.current, l.current.size
	l.mu.Unlock()
	err := l.sync(s)
	l.mu.Lock()
	if err != nil {
		l.failed = err // never retried on this segment: the next append starts another
	} else {
		l.durable, s.visible = told[len(told)-1].position, max(s.visible, size)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	for _, w := range told {
		w.done(err)
	}
}

// deletePassed removes the segments that every cursor has durably passed.
func (l *Log) deletePassed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	least := l.durable
	for _, c := range l.cursors {
		least = min(least, c.saved)
	}
	for len(l.segments) > 1 && l.segments[1].first <= least+1 {
		l.deleteFirst()
	}
}

// makeRoom removes the oldest segments beyond MaxBytes and says what cursors lost by it.
func (l *Log) makeRoom() {
	for len(l.segments) > 2 && l.size() > l.o.MaxBytes {
		gone := l.segments[0]
		end := l.segments[1].first
		for _, c := range l.cursors {
			if c.committed+1 < end && l.o.Lost != nil {
				l.o.Lost(c.name, gone.samplesFrom(c.committed+1))
			}
			c.committed = max(c.committed, end-1)
		}
		l.deleteFirst()
	}
}

func (l *Log) deleteFirst() {
	s := l.segments[0]
	l.segments = slices.Delete(l.segments, 0, 1)
	os.Remove(s.path)
	s.file.Close()
}

func (l *Log) size() (n int64) {
	for _, s := range l.segments {
		n += s.size
	}
	return n
}

// Hurry asks for what was appended to become durable at once: somebody waits for it.
func (l *Log) Hurry() {
	select {
	case l.hurry <- struct{}{}:
	default:
	}
}

// Durable is the position of the newest durable record.
func (l *Log) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Stats describe a log.
type Stats struct {
	Bytes    int64
	Segments int
	Records  uint64 // between the oldest kept and the newest
	Damaged  uint64 // stretches that were skipped
}

// Stats returns the log's sizes.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := Stats{Bytes: l.size(), Segments: len(l.segments), Damaged: l.damaged}
	if len(l.segments) > 0 {
		st.Records = l.next - l.segments[0].first
	}
	return st
}

// Close makes everything durable and closes the files.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	l.done.Wait()
	l.commit()
	err := l.saveCursors()
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return errors.Join(err, l.closeFiles())
}

func (l *Log) closeFiles() (err error) {
	for _, s := range l.segments {
		err = errors.Join(err, s.file.Close())
	}
	return err
}

func (l *Log) cursorsPath() string { return filepath.Join(l.dir, cursorsFile) }
