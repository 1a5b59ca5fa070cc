package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// file is what is needed of an *os.File; tests put faults before it.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Fd() uintptr
	Close() error
}

func openFile(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
}

// logFile is a file that lines are appended to. Up to size, it is whole and on the disk.
type logFile struct {
	path        string
	openmetrics bool
	open        func(string) (file, error)
	f           file
	lock        *os.File // beside the file: it stays while files come and go
	size        int64
	born        time.Time
	doubtful    bool // there may be something behind size, or the disk may not have what it said it has
	families    map[string]bool
}

const eof = "# EOF\n"

// openLog opens or makes a file, and cuts off what was left half written.
func openLog(path string, openmetrics bool, open func(string) (file, error)) (l *logFile, cut []byte, err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	l = &logFile{path: path, openmetrics: openmetrics, open: open}
	lock := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
	if l.lock, err = os.OpenFile(lock, os.O_RDWR|os.O_CREATE, 0o640); err != nil {
		return nil, nil, err
	}
	if err := syscall.Flock(int(l.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s is written by another process or component: %w", path, err), l.lock.Close())
	}
	if cut, err = l.begin(); err != nil {
		return nil, nil, errors.Join(err, l.close())
	}
	return l, cut, nil
}

// begin opens the file, and ends it behind its last whole line.
func (l *logFile) begin() (cut []byte, err error) {
	if l.f, err = l.open(l.path); err != nil {
		return nil, err
	}
	info, err := l.f.Stat()
	if err != nil {
		return nil, err
	}
	l.born = birth(l.f, info)
	l.families = map[string]bool{}
	if err := l.ours(); err != nil {
		return nil, err
	}
	if l.size, err = wholeLines(l.f, info.Size()); err != nil {
		return nil, err
	}
	if l.openmetrics && l.size >= int64(len(eof)) { // a rotation that did not come to its end
		tail := make([]byte, len(eof))
		if _, err := l.f.ReadAt(tail, l.size-int64(len(eof))); err != nil {
			return nil, err
		}
		if string(tail) == eof {
			l.size -= int64(len(eof))
		}
	}
	cut = make([]byte, min(info.Size()-l.size, 1<<20))
	if _, err := l.f.ReadAt(cut, l.size); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(cut) == eof {
		cut = nil
	}
	return cut, errors.Join(l.f.Truncate(l.size), l.f.Sync(), syncDir(l.path))
}

// ours refuses a file that this sink, in this format, cannot have begun.
func (l *logFile) ours() error {
	first := make([]byte, 1)
	n, err := l.f.ReadAt(first, 0)
	if n == 0 && errors.Is(err, io.EOF) || n == 1 && (first[0] == 0 || (first[0] == '{') != l.openmetrics) {
		return nil
	}
	return errors.Join(fmt.Errorf("%s holds something else already, and is left as it is", l.path), err)
}

// maxTail is how far behind the last acknowledged byte a crash can have left something: more than the largest batch.
const maxTail = 64 << 20

// wholeLines is where the last whole line ends. A machine's crash can leave zeros where data was not on the disk yet: what is
// behind them counts for nothing either.
func wholeLines(f io.ReaderAt, size int64) (int64, error) {
	const step = 1 << 20
	buf := make([]byte, step)
	end, found := size, false
	for at := size; at > 0 && size-at < maxTail; {
		n := min(step, at)
		at -= n
		piece := buf[:n]
		if _, err := f.ReadAt(piece, at); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.IndexByte(piece, 0); i >= 0 {
			piece, found = piece[:i], false
		}
		if i := bytes.LastIndexByte(piece, '\n'); i >= 0 && !found {
			end, found = at+int64(i)+1, true
		}
	}
	if !found && size > 0 {
		if size > maxTail {
			return 0, errors.New("the file has no line within its last 64 MiB: this sink has not written it")
		}
		return 0, nil
	}
	return end, nil
}

// append writes at the end, and returns when the disk has it. After an error the file is as it was, or doubtful.
func (l *logFile) append(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if _, err := l.f.WriteAt(text, l.size); err != nil {
		l.doubtful = true
		return errors.Join(fmt.Errorf("write: %w", err), l.mend())
	}
	if err := l.f.Sync(); err != nil {
		l.doubtful = true
		return fmt.Errorf("fsync: %w", err)
	}
	l.size += int64(len(text))
	return nil
}

// mend makes a doubtful file end at size again. It opens the file anew: after a failed fsync, the kernel does not say of this
// descriptor again what is not on the disk; what is written again, it takes as new.
func (l *logFile) mend() error {
	if !l.doubtful {
		return nil
	}
	if l.f != nil {
		l.f.Close()
		l.f = nil
	}
	f, err := l.open(l.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < l.size {
		err = fmt.Errorf("%s has %d bytes, and had %d: something else has changed it; it is gone on with", l.path, info.Size(), l.size)
		l.size = info.Size()
	}
	if err := errors.Join(err, f.Truncate(l.size), f.Sync(), syncDir(l.path)); err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.doubtful = f, false
	clear(l.families)
	return nil
}

// rotate renames the file and begins a new one.
func (l *logFile) rotate(now time.Time) error {
	if l.openmetrics {
		if err := l.append([]byte(eof)); err != nil {
			return err
		}
		l.size -= int64(len(eof)) // if the file is not renamed, it goes on there
	}
	to := l.path + "." + now.UTC().Format("20060102T150405.000Z")
	for n := 1; exists(to) || exists(to+".gz"); n++ {
		to = fmt.Sprintf("%s.%s-%d", l.path, now.UTC().Format("20060102T150405.000Z"), n)
	}
	if err := os.Rename(l.path, to); err != nil {
		l.doubtful = true
		return err
	}
	l.f.Close()
	l.f = nil
	if _, err := l.begin(); err != nil {
		l.size, l.doubtful = 0, true // of the new file, which mend opens
		return err
	}
	l.born = now
	return nil
}

func (l *logFile) close() error {
	var err error
	if l.f != nil {
		err = l.f.Close()
	}
	// a process that is being forked now may hold the descriptor too, until it runs its program
	return errors.Join(err, syscall.Flock(int(l.lock.Fd()), syscall.LOCK_UN), l.lock.Close())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// syncDir makes names in a file's directory durable.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
