package main

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/sdk"
)

// place is how far a file was read. A file is known again by its inode and by how it begins.
type place struct {
	Path   string
	Inode  uint64
	Offset int64  // of the first byte that was not told
	Head   int    // bytes at its beginning, at most 256
	Sum    uint32 // CRC-32 of them
}

const headSize = 256

// follower reads a file to its end, and on from there.
type follower struct {
	name    string // the path under which it is told
	file    *os.File
	info    os.FileInfo // when it was opened
	offset  int64       // of the first byte that was not told
	buf     []byte      // from there on, as far as it was read
	lines   int         // bytes of buf that are whole lines of the record in the making
	changed time.Time   // when it was last seen to grow
	left    bool        // no path that matches leads to it any more
	sought  bool        // that was looked for since
	head    int
	sum     uint32
	ref     *sdk.Ref
}

func openFollower(path, name string) (*follower, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &follower{name: name, file: file, info: info, changed: time.Now()}, nil
}

// is reports whether this is the file that was read so far.
func (f *follower) is(at place) bool {
	now, err := f.file.Stat()
	if err != nil || inode(now) != at.Inode || now.Size() < at.Offset || at.Head > headSize {
		return false
	}
	sum, err := f.beginning(at.Head)
	return err == nil && sum == at.Sum
}

func (f *follower) beginning(n int) (uint32, error) {
	b := make([]byte, n)
	_, err := f.file.ReadAt(b, 0)
	return crc32.ChecksumIEEE(b), err
}

func (f *follower) place() place {
	if n := int(min(headSize, f.offset)); n != f.head {
		if sum, err := f.beginning(n); err == nil {
			f.head, f.sum = n, sum
		}
	}
	return place{f.name, inode(f.info), f.offset, f.head, f.sum}
}

// lastLine is where the last line begins, which may not be whole.
func (f *follower) lastLine() int64 {
	b := make([]byte, 64<<10)
	for end := f.info.Size(); end > 0; {
		from := max(0, end-int64(len(b)))
		n, _ := f.file.ReadAt(b[:end-from], from)
		if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
			return from + int64(i) + 1
		}
		end = from
	}
	return 0
}

// done reports whether a file that was left has been told to its end.
func (f *follower) done() bool {
	return f.left && f.sought && len(f.buf) == 0 && time.Since(f.changed) > idleAfter
}

// read takes what is new, at most readAtOnce, and gives what has become whole. more says that there may be more.
func (f *follower) read(p *parser, give func(sdk.Record) error) (more bool, err error) {
	info, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	if info.Size() < f.offset+int64(len(f.buf)) { // it was truncated, and is written anew
		f.offset, f.buf, f.lines, f.head = 0, nil, 0, 0
	}
	old := len(f.buf)
	f.buf = append(f.buf, make([]byte, readAtOnce)...)
	n, err := f.file.ReadAt(f.buf[old:], f.offset+int64(old))
	f.buf = f.buf[:old+n]
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if n > 0 {
		f.changed = time.Now()
	}
	if err := f.cut(p, give); err != nil {
		return false, err
	}
	if len(f.buf) == 0 {
		f.buf = nil
	}
	return n == readAtOnce, nil
}

// cut gives the records that are whole.
func (f *follower) cut(p *parser, give func(sdk.Record) error) error {
	tell := func(n int) error {
		text := bytes.TrimRight(f.buf[:n], "\r\n")
		r := p.record(text)
		f.buf, f.offset = f.buf[n:], f.offset+int64(n)
		f.lines = 0
		if len(text) == 0 {
			return nil
		}
		return give(r)
	}
	for {
		i := bytes.IndexByte(f.buf[f.lines:], '\n')
		line := f.lines + i + 1 // where it ends
		switch {
		case f.lines == 0 && (i < 0 && len(f.buf) > maxPending || i >= 0 && line > maxPending+2): // a line that is too long for one record
			n := maxPending
			for n > maxPending-utf8.UTFMax && !utf8.RuneStart(f.buf[n]) {
				n--
			}
			if err := tell(n); err != nil {
				return err
			}
		case i < 0:
			if idle := time.Since(f.changed) > idleAfter; idle && f.left && len(f.buf) > 0 {
				return tell(len(f.buf))
			} else if f.lines > 0 && (idle || len(f.buf) > maxPending) {
				if err := tell(f.lines); err != nil {
					return err
				}
				continue
			}
			return nil
		case p.starts == nil:
			if err := tell(line); err != nil {
				return err
			}
		case f.lines > 0 && (line > maxPending || p.starts.Match(f.buf[f.lines:line])):
			if err := tell(f.lines); err != nil {
				return err
			}
		default:
			f.lines = line
		}
	}
}
