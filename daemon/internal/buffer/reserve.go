package buffer

import (
	"math/rand/v2"
	"os"
	"sync"
)

const reserveFile = "reserve"

// reserve is a file that holds nothing but room: it is removed when the disk is full, so that cursors and the daemon's
// state can still be written, and made again before the log takes anything more.
type reserve struct {
	path string
	size int64

	mu   sync.Mutex
	held bool
}

// GiveWay gives the reserve up for something else that must be written; it is made again before the log takes anything more.
func (l *Log) GiveWay() { l.reserve.release() }

func (r *reserve) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	os.Remove(r.path)
	r.held = r.size == 0
}

// restore makes the reserve unless it is there, and reports whether it is.
func (r *reserve) restore() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held {
		return true
	}
	if info, err := os.Stat(r.path); r.size == 0 || err == nil && info.Size() == r.size {
		r.held = true
		return true
	}
	noise := make([]byte, r.size) // a file system may keep no room for zeros
	rand.NewChaCha8([32]byte{}).Read(noise)
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return false
	}
	_, err = f.Write(noise)
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(r.path)
	}
	r.held = err == nil
	return r.held
}
