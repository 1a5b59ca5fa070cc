package buffer

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// What cannot be read is never served: it is skipped, counted once, and copied aside for whoever wants to know what it was.

const (
	quarantineDir   = "quarantine"
	quarantineBytes = 64 << 20 // beyond it, what was put aside first goes
)

// damage takes note of a stretch of a segment that holds no whole record.
func (l *Log) damage(s *segment, from, to int64) {
	l.mu.Lock()
	if _, counted := s.known[from]; counted {
		l.mu.Unlock()
		return
	}
	if s.known == nil {
		s.known = map[int64]int64{}
	}
	s.known[from] = to
	l.damaged++
	l.mu.Unlock()
	name := fmt.Sprintf("%s-%d", filepath.Base(s.path), from)
	err := l.quarantine(name, func(path string) error { return copyStretch(path, s.file, from, to) })
	l.o.Trouble(fmt.Sprintf("the log is damaged: %d bytes at %d of %s are skipped, and put aside as %s", to-from, from, s.path, name), err)
}

// putAsideWhole moves a file away that bears a segment's name and is none.
func (l *Log) putAsideWhole(path string, why error) {
	l.damaged++
	err := l.quarantine(filepath.Base(path), func(to string) error { return os.Rename(path, to) })
	l.o.Trouble(fmt.Sprintf("the log is damaged: %v: it is put aside in %s", why, filepath.Join(l.dir, quarantineDir)), err)
}

// quarantine puts something aside under a name, unless it is there already.
func (l *Log) quarantine(name string, put func(path string) error) error {
	dir := filepath.Join(l.dir, quarantineDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := put(path); err != nil {
		return err
	}
	files := quarantined(l.dir)
	for i, n := 0, total(files); n > quarantineBytes && i < len(files)-1; i++ {
		os.Remove(filepath.Join(dir, files[i].Name()))
		n -= files[i].Size()
	}
	return nil
}

// quarantined lists what was put aside, the oldest first.
func quarantined(dir string) (files []fs.FileInfo) {
	entries, _ := os.ReadDir(filepath.Join(dir, quarantineDir))
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	return files
}

func total(files []fs.FileInfo) (n int64) {
	for _, f := range files {
		n += f.Size()
	}
	return n
}

func copyStretch(path string, from io.ReaderAt, at, end int64) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(from, at, end-at))
	if e := to.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}
