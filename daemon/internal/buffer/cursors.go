package buffer

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

const (
	cursorsFile  = "cursors"
	cursorsMagic = "MAGPIECU"
)

// place is a cursor's in its file.
type place struct {
	Position uint64 `json:"position"`
	Samples  uint64 `json:"samples"`

	Began        uint64 `json:"began,omitempty"`
	BeganSamples uint64 `json:"began_samples,omitempty"`
}

// loadCursors finds the cursors' places. No position is used twice, even if the records of the newest ones are gone: sinks
// would take what comes under it for known.
func (l *Log) loadCursors() error {
	b, err := os.ReadFile(l.cursorsPath())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	saved, bad := parseCursors(b)
	if bad != nil {
		l.lost = len(l.segments) > 0
		if err == nil {
			l.o.Trouble("the places of the cursors are lost: sinks get again what is in the log", bad)
		}
		return nil
	}
	for name, p := range saved {
		at := mark{p.Position, p.Samples}
		if oldest := l.oldest(); len(l.segments) > 0 && at.position < oldest.position {
			at = oldest
		}
		l.next, l.samples = max(l.next, at.position+1), max(l.samples, at.samples)
		l.cursors[name] = &Cursor{log: l, name: name, began: mark{p.Began, p.BeganSamples}, committed: at, saved: at.position}
	}
	return nil
}

func parseCursors(b []byte) (map[string]place, error) {
	if len(b) < 12 || !bytes.HasPrefix(b, []byte(cursorsMagic)) || le.Uint32(b[8:]) != crc32.Checksum(b[12:], castagnoli) {
		return nil, errDamaged
	}
	var saved map[string]place
	return saved, json.Unmarshal(b[12:], &saved)
}

// saveCursors writes the cursors' file if it is out of date.
func (l *Log) saveCursors() error {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	if !l.dirty {
		l.mu.Unlock()
		return nil
	}
	l.dirty = false
	at := map[string]place{}
	for name, c := range l.cursors {
		at[name] = place{c.committed.position, c.committed.samples, c.began.position, c.began.samples}
	}
	l.mu.Unlock()
	err := l.writeCursors(at)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		l.reserve.release()
		err = l.writeCursors(at)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.dirty = true
		return err
	}
	for name, p := range at {
		if c := l.cursors[name]; c != nil {
			c.saved = p.Position
		}
	}
	return nil
}

func (l *Log) writeCursors(at map[string]place) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	b := append([]byte(cursorsMagic), 0, 0, 0, 0)
	le.PutUint32(b[8:], crc32.Checksum(text, castagnoli))
	temporary := l.cursorsPath() + ".new"
	f, err := l.o.open(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = io.NewOffsetWriter(f, 0).Write(append(b, text...))
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
		err = l.syncDir()
	}
	return err
}

func (l *Log) cursorsPath() string { return filepath.Join(l.dir, cursorsFile) }
