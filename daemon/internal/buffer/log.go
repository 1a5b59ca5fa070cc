// Package buffer is the durable log between sources and sinks: one log for all pipelines, a cursor for each of them.
//
// What is appended becomes durable by group commit (one write and one fsync for everything of the last 20 ms or 1 MiB) and
// only then is reported to the source as such, and shown to cursors. A segment is deleted when every cursor has durably
// passed it. FORMAT.md draws the bytes.
//
//	log.go      open, append, deletion, close
//	commit.go   group commit: segments are begun, sealed after a failed fsync, and tried again
//	cursor.go   reading and committing
//	cursors.go  the cursors' file
//	segment.go  files and records
//	damage.go   what cannot be read is put aside and counted
//	reserve.go  room for cursors and state on a disk that is full
//	inspect.go  a log that nobody has open: what is in it, and its repair
//
// The log knows of its payloads only whether they hold definitions: at the start of each segment it asks for the
// definitions in use (Options.Carry), so that every suffix of the log can be read alone.
//
// Whatever the disk does, an append is either told that it is durable, which it is told only after an fsync without an
// error, or it waits: while the disk refuses, what was taken stays in memory (at most 8 MiB and one append) and Append takes
// no more.
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
	"sync/atomic"
	"time"
)

// MaxRecord bounds a record's payload.
const MaxRecord = 2 << 20

const (
	commitBytes = 1 << 20 // undurable bytes that are not made to wait
	maxPending  = 8 << 20 // beyond it, Append waits for the disk
)

// Options of a log.
type Options struct {
	SegmentBytes int64         // a segment is ended beyond this; default 64 MiB
	MaxBytes     int64         // of the whole log: beyond it the oldest segment goes, whoever still needs it; default 8 GiB
	ReserveBytes int64         // kept free for cursors and state when the disk is full; default none
	Sync         time.Duration // the longest wait for an fsync; 0: at every append; < 0: never
	// Carry adds the definitions in use. It is asked before an append is written, and may tell of what is not appended yet,
	// but must not leave out, or replace, what anything that is not yet durable needs.
	Carry   func(add func(frames []byte))
	Lost    func(cursor string, samples uint64)       // a cursor's unread samples were deleted for want of room
	Trouble func(text string, err error)              // what people should know: damage, a disk that refuses, its recovery
	open    func(path string, flag int) (file, error) // tests put faults here
}

// Log is an open log. Memory: the cursors, and what waits for an fsync: twice 8 MiB and one append at most.
type Log struct {
	dir  string
	o    Options
	id   uint64
	seed uint32

	mu       sync.Mutex
	segments []*segment
	next     uint64 // position of the next record
	samples  uint64 // in all records before it, since the log began
	durable  mark
	pending  batch // appended and not written
	failed   error // why the last commit failed: nothing is taken until one succeeds
	failures uint64
	cursors  map[string]*Cursor
	dirty    bool // cursors differ from their file
	lost     bool // the cursors' file was lost or damaged
	changed  chan struct{}
	damaged  uint64
	closed   bool

	saving  sync.Mutex // one writer of the cursors' file
	reserve reserve

	steps atomic.Int64 // of cursors since they were saved last

	// of the goroutine that commits
	current *segment // the last one, if we began it and may append to it
	free    []byte   // memory for the next batch

	wake  chan struct{}
	hurry chan struct{}
	stop  chan struct{}
	done  sync.WaitGroup
}

// mark is a place in the log: a position, and the samples up to and with it.
type mark struct{ position, samples uint64 }

// batch is what is committed at once.
type batch struct {
	bytes   []byte
	first   mark // before it
	last    mark
	waiting []func(error)
}

// Open opens a log, and cuts a torn tail. Damage never keeps it from opening.
func Open(dir string, o Options) (*Log, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 8 << 30
	}
	if o.open == nil {
		o.open = openFile
	}
	if o.Trouble == nil {
		o.Trouble = func(string, error) {}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &Log{
		dir: dir, o: o, next: 1, cursors: map[string]*Cursor{}, changed: make(chan struct{}), seed: rand.Uint32(),
		reserve: reserve{path: filepath.Join(dir, reserveFile), size: o.ReserveBytes},
		wake:    make(chan struct{}, 1), hurry: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if err := l.load(); err != nil {
		l.closeFiles()
		return nil, err
	}
	l.reserve.restore()
	l.done.Go(l.commitLoop)
	return l, nil
}

func (l *Log) load() error {
	l.removeLeftovers()
	paths, err := segmentPaths(l.dir)
	if err != nil {
		return err
	}
	for _, path := range paths {
		s, err := openSegment(l.o.open, path, os.O_RDWR)
		if errors.Is(err, errNoSegment) {
			l.putAsideWhole(path, err)
			continue
		}
		if err != nil {
			return err
		}
		l.segments, l.id = append(l.segments, s), s.id
	}
	anew := l.id == 0
	if n := len(l.segments); n > 0 {
		s := l.segments[n-1]
		tail, err := s.repairTail(l.damage)
		if err != nil {
			return err
		}
		l.next, l.samples = tail.last.position+1, tail.last.samples
		// What was cut may have been shown to sinks, which then would take what comes under its position for known.
		anew = tail.cut && (tail.damaged || l.o.Sync < 0)
	}
	if anew {
		l.id = rand.Uint64() | 1
	}
	err = l.loadCursors()
	l.durable = mark{l.next - 1, l.samples}
	return err
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

// Entry is a record to be appended.
type Entry struct {
	Payload []byte
	Samples int
	Defines bool
}

// Append takes a record and calls done once it is durable; done is told an error only if the log is closed before that.
// defines says that the payload holds definitions. The payload is not kept. After an error nothing was taken, and done is
// not called: the disk refuses, and it is worth trying again later, but for net.ErrClosed.
func (l *Log) Append(payload []byte, samples int, defines bool, done func(error)) error {
	return l.AppendTogether(done, Entry{payload, samples, defines})
}

// AppendTogether is Append for records that become durable together or not at all: a segment that holds the last of them
// holds them all.
func (l *Log) AppendTogether(done func(error), entries ...Entry) error {
	for _, e := range entries {
		if len(e.Payload) > MaxRecord || len(e.Payload)%8 != 0 {
			return fmt.Errorf("a record of %d bytes: at most %d, a multiple of 8", len(e.Payload), MaxRecord)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && l.failed == nil && len(l.pending.bytes) >= maxPending {
		changed := l.changed
		l.mu.Unlock()
		<-changed
		l.mu.Lock()
	}
	switch {
	case l.closed:
		return net.ErrClosed
	case l.failed != nil:
		return l.failed
	}
	l.appendAll(done, entries)
	return nil
}

// Insist takes records together even while the disk refuses: of the daemon's own, which are small, and without which what
// comes later makes no sense. done is told as by Append.
func (l *Log) Insist(done func(error), entries ...Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.appendAll(done, entries)
	}
}

func (l *Log) appendAll(done func(error), entries []Entry) {
	for i, e := range entries {
		last := done
		if i+1 < len(entries) {
			last = func(error) {}
		}
		l.append(e, last)
	}
}

func (l *Log) append(e Entry, done func(error)) {
	h := header{length: uint32(len(e.Payload)), position: l.next, before: l.samples, samples: uint32(e.Samples)}
	if e.Defines {
		h.flags = flagDefines
	}
	b := &l.pending
	if len(b.waiting) == 0 {
		b.first = mark{l.next - 1, l.samples}
	}
	b.bytes = h.appendTo(b.bytes, l.seed, e.Payload)
	l.next++
	l.samples += uint64(e.Samples)
	b.last = mark{h.position, l.samples}
	b.waiting = append(b.waiting, done)
	poke(l.wake)
}

// deletePassed removes the segments that every cursor has durably passed.
func (l *Log) deletePassed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	least := l.durable.position
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
		end := mark{l.segments[1].first - 1, l.segments[1].before}
		for _, c := range l.cursors {
			c.lose(end)
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
func (l *Log) Hurry() { poke(l.hurry) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Durable is the position of the newest durable record.
func (l *Log) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable.position
}

// Stats describe a log.
type Stats struct {
	Bytes    int64
	Segments int
	Records  uint64 // between the oldest kept and the newest
	Samples  uint64 // that ever became durable in this log
	Damaged  uint64 // stretches that were skipped since it was opened
	Failures uint64 // writes and fsyncs that failed since it was opened
	Problem  string // why the disk takes nothing now
}

// Stats returns the log's sizes.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := Stats{Bytes: l.size(), Segments: len(l.segments), Samples: l.durable.samples, Damaged: l.damaged, Failures: l.failures}
	if len(l.segments) > 0 {
		st.Records = l.next - l.segments[0].first
	}
	if l.failed != nil {
		st.Problem = l.failed.Error()
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
	err := l.commit()
	if err != nil {
		for _, done := range l.pending.waiting {
			done(err)
		}
	}
	err = errors.Join(err, l.saveCursors())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.announce()
	return errors.Join(err, l.closeFiles())
}

// announce wakes whoever waits for the log to change.
func (l *Log) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Log) closeFiles() (err error) {
	for _, s := range l.segments {
		err = errors.Join(err, s.file.Close())
	}
	return err
}
