package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// retryPause is how long after a failure the disk is tried again.
const retryPause = 500 * time.Millisecond

// Where little flows, the cursors are saved less often: an fsync each second would be much of all the work.
const (
	saveSoon  = time.Second
	saveLate  = 5 * time.Second
	manySteps = 16 // commits of cursors
)

// commitLoop makes appends durable, many at a time.
func (l *Log) commitLoop() {
	saved := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var retry <-chan time.Time // the last commit failed
	for {
		due := false
		select {
		case <-l.stop:
			return
		case <-tick.C:
		case <-retry:
			retry, due = nil, true
		case <-l.hurry:
			due = retry == nil
		case <-l.wake:
			if due = retry == nil; due {
				l.linger()
			}
		}
		if due && l.commit() != nil {
			retry = time.After(retryPause)
		}
		if since := time.Since(saved); since >= saveSoon && l.steps.Load() >= manySteps || since >= saveLate {
			saved = time.Now()
			l.steps.Store(0)
			l.saveCursors()
			l.deletePassed()
		}
	}
}

// linger waits for company, unless there is much to commit already.
func (l *Log) linger() {
	for deadline := time.Now().Add(l.o.Sync); ; {
		l.mu.Lock()
		enough := len(l.pending.bytes) >= commitBytes
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
			deadline = time.Time{}
		}
		t.Stop()
	}
}

// commit makes durable what was appended, and tells who waits. After an error it is all still pending.
func (l *Log) commit() error {
	l.mu.Lock()
	b := l.pending
	if len(b.waiting) == 0 {
		l.mu.Unlock()
		return nil
	}
	l.pending, l.free = batch{bytes: l.free[:0]}, nil
	l.mu.Unlock()

	s, size, err := l.put(&b)

	l.mu.Lock()
	before := l.failed
	if l.failed = err; err == nil {
		l.durable = b.last
		s.size, s.visible = size, size
		if s != l.current {
			l.adopt(s)
		}
	} else {
		l.failures++
		l.pending = b.followedBy(l.pending)
	}
	l.announce()
	l.mu.Unlock()

	switch {
	case err != nil && before == nil:
		l.o.Trouble("the log cannot be written: sources wait until it can", err)
	case err == nil && before != nil:
		l.o.Trouble("the log is written again: nothing was lost", nil)
	}
	if err != nil {
		return err
	}
	if cap(b.bytes) <= 4*commitBytes {
		l.free = b.bytes
	}
	for _, done := range b.waiting {
		done(nil)
	}
	return nil
}

// followedBy joins two batches.
func (b batch) followedBy(next batch) batch {
	if len(next.waiting) > 0 {
		b.bytes, b.waiting, b.last = append(b.bytes, next.bytes...), append(b.waiting, next.waiting...), next.last
	}
	return b
}

// adopt makes a new segment the one that is appended to.
func (l *Log) adopt(s *segment) {
	if n := len(l.segments); n > 0 && l.segments[n-1].first == s.first { // it had no record, and its file was replaced
		l.segments[n-1].file.Close()
		l.segments = l.segments[:n-1]
	}
	l.segments = append(l.segments, s)
	l.current = s
	l.makeRoom()
}

// put writes a batch behind the current segment's records, or into a new segment, and returns that segment and the size
// that it has then.
func (l *Log) put(b *batch) (s *segment, size int64, err error) {
	if !l.reserve.restore() {
		return nil, 0, fmt.Errorf("the disk is full: %w", syscall.ENOSPC)
	}
	s = l.current
	if s == nil || s.size >= max(l.o.SegmentBytes, 2*s.carried) { // definitions are at most half of what is written
		s, err = l.begin(b)
	} else if _, err = s.file.WriteAt(b.bytes, s.size); err != nil {
		if s.file.Truncate(s.size) != nil {
			l.seal()
		}
	} else if err = l.sync(s.file); err != nil {
		l.seal()
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		l.reserve.release()
	}
	if err != nil {
		return nil, 0, err
	}
	if s != l.current {
		return s, s.size, nil
	}
	return s, s.size + int64(len(b.bytes)), nil
}

// seal ends the current segment behind what is durable in it: after a failed fsync nobody knows what of the rest is on the
// disk, and a second fsync would not tell. What was not durable is still pending, and goes to the next segment.
func (l *Log) seal() {
	l.current.file.Truncate(l.current.size) // if it fails too: the records behind are in the next segment again, and read once
	l.current = nil
}

func (l *Log) sync(f file) error {
	if l.o.Sync < 0 {
		return nil
	}
	return f.Sync()
}

// begin makes a segment that holds the definitions in use and a batch. It gets its name once it is whole: a segment
// without a header, or without its definitions, is never seen.
func (l *Log) begin(b *batch) (s *segment, err error) {
	path := segmentPath(l.dir, b.first.position+1)
	f, err := l.o.open(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	s = &segment{first: b.first.position + 1, before: b.first.samples, id: l.id, seed: l.seed, path: path, file: f}
	w := &filler{file: f, buf: s.appendHeader(nil)}
	if l.o.Carry != nil {
		h := header{position: b.first.position, before: b.first.samples, flags: flagDefines | flagCarried}
		l.o.Carry(func(frames []byte) {
			h.length = uint32(len(frames))
			w.add(func(to []byte) []byte { return h.appendTo(to, l.seed, frames) })
		})
	}
	w.flush()
	s.carried = w.at
	if _, err = f.WriteAt(b.bytes, w.at); w.err != nil {
		err = w.err
	}
	if s.size = w.at + int64(len(b.bytes)); err == nil {
		err = l.sync(f)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = l.syncDir()
	}
	if err != nil {
		f.Close()
		os.Remove(path + ".new")
		if n := len(l.segments); n == 0 || l.segments[n-1].first != s.first {
			os.Remove(path) // if it was renamed; not the one that it replaces
		}
		return nil, err
	}
	return s, nil
}

func (l *Log) syncDir() error {
	d, err := l.o.open(l.dir, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer d.Close()
	return l.sync(d)
}

// filler writes a file from its start through a buffer.
type filler struct {
	file file
	buf  []byte
	at   int64
	err  error
}

func (w *filler) add(more func([]byte) []byte) {
	if w.buf = more(w.buf); len(w.buf) >= 256<<10 {
		w.flush()
	}
}

func (w *filler) flush() {
	if w.err == nil {
		_, w.err = w.file.WriteAt(w.buf, w.at)
	}
	w.at += int64(len(w.buf))
	w.buf = w.buf[:0]
}

func (l *Log) removeLeftovers() {
	for _, name := range leftovers(l.dir) {
		os.Remove(filepath.Join(l.dir, name))
	}
}
