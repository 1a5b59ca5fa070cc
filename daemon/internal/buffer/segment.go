package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	segmentMagic  = "MAGPIELG"
	headerCopy    = 40
	segmentHeader = 2 * headerCopy // twice the same: one of them survives damage
	recordMagic   = 0x3252474d     // "MGR2"
	recordHeader  = 40
	version       = 2

	flagDefines = 1
	flagCarried = 2
)

var (
	le           = binary.LittleEndian
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	errDamaged   = errors.New("damaged record")
	errNoSegment = errors.New("not a segment of this version")
)

// file is what the log needs of a file.
type file interface {
	io.ReaderAt
	io.WriterAt
	Stat() (os.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

func openFile(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// segment is one file of the log. Only the last one is appended to.
type segment struct {
	first   uint64 // position of its first record that is not carried
	before  uint64 // samples in the log before that
	id      uint64 // of the log
	seed    uint32 // of its checksums: what a source sends cannot look like a record
	path    string
	file    file
	size    int64
	carried int64           // of it, the header and the definitions at its start; known where we began it
	visible int64           // how far cursors may read: what is durable
	known   map[int64]int64 // damage that was counted: from, to; under the log's mutex
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d", first))
}

// appendHeader appends the segment's header.
func (s *segment) appendHeader(b []byte) []byte {
	from := len(b)
	b = append(b, segmentMagic...)
	b = le.AppendUint32(b, version)
	b = le.AppendUint32(b, s.seed)
	b = le.AppendUint64(b, s.id)
	b = le.AppendUint64(b, s.before)
	b = le.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
	b = le.AppendUint32(b, 0)
	return append(b, b[from:]...)
}

func (s *segment) readHeaderCopy(b []byte) bool {
	s.seed, s.id, s.before = le.Uint32(b[12:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	return string(b[:8]) == segmentMagic && le.Uint32(b[8:]) == version && le.Uint32(b[32:]) == crc32.Checksum(b[:32], castagnoli)
}

// openSegment opens a file as a segment; an errNoSegment is a file that is none, whatever is in it.
func openSegment(open func(string, int) (file, error), path string, flag int) (s *segment, err error) {
	first, err := strconv.ParseUint(filepath.Base(path), 10, 64)
	if err != nil || first == 0 {
		return nil, fmt.Errorf("%s: %w", path, errNoSegment)
	}
	s = &segment{first: first, path: path}
	if s.file, err = open(path, flag); err != nil {
		return nil, err
	}
	var b [segmentHeader]byte
	info, err := s.file.Stat()
	if err == nil {
		s.size, s.visible = info.Size(), info.Size()
		_, err = s.file.ReadAt(b[:], 0)
	}
	if err == nil && (s.readHeaderCopy(b[:headerCopy]) || s.readHeaderCopy(b[headerCopy:])) {
		return s, nil
	}
	s.file.Close()
	return nil, fmt.Errorf("%s: %w", path, errNoSegment)
}

// header is a record's header.
type header struct {
	length   uint32
	position uint64
	before   uint64 // samples in the log before this record
	samples  uint32
	flags    uint32
	crc      uint32 // of header and payload
}

// appendTo appends the header and its payload to b.
func (h *header) appendTo(b []byte, seed uint32, payload []byte) []byte {
	from := len(b)
	b = le.AppendUint32(b, recordMagic)
	b = le.AppendUint32(b, h.length)
	b = le.AppendUint64(b, h.position)
	b = le.AppendUint64(b, h.before)
	b = le.AppendUint32(b, h.samples)
	b = le.AppendUint32(b, h.flags)
	sum := crc32.Update(seed, castagnoli, b[from:])
	b = le.AppendUint32(b, sum)
	b = le.AppendUint32(b, crc32.Update(sum, castagnoli, payload))
	return append(b, payload...)
}

func (h *header) read(b []byte, seed uint32) bool {
	if le.Uint32(b) != recordMagic || le.Uint32(b[32:]) != crc32.Update(seed, castagnoli, b[:32]) {
		return false
	}
	h.length, h.position, h.before = le.Uint32(b[4:]), le.Uint64(b[8:]), le.Uint64(b[16:])
	h.samples, h.flags, h.crc = le.Uint32(b[24:]), le.Uint32(b[28:]), le.Uint32(b[36:])
	return h.length <= MaxRecord && h.length%8 == 0
}

func (h *header) size() int64 { return recordHeader + int64(h.length) }

// last is the place behind the record.
func (h *header) last() mark { return mark{h.position, h.before + uint64(h.samples)} }

// readHeader reads the header at an offset. io.EOF: the segment ends here, or in the middle of a header.
// io.ErrUnexpectedEOF: it ends in the middle of the record.
func (s *segment) readHeader(at, end int64) (h header, err error) {
	if at+recordHeader > end {
		return h, io.EOF
	}
	var b [recordHeader]byte
	if _, err := s.file.ReadAt(b[:], at); err != nil {
		return h, err
	}
	if !h.read(b[:], s.seed) {
		return h, errDamaged
	}
	if at+h.size() > end {
		return h, io.ErrUnexpectedEOF
	}
	return h, nil
}

// readPayload reads and checks a record's payload.
func (s *segment) readPayload(at int64, h header, into []byte) error {
	// The first part of the checksum is the header's own, which stands before the whole one.
	b := make([]byte, 0, recordHeader)
	if _, err := s.file.ReadAt(into, at+recordHeader); err != nil {
		return err
	}
	again := header{length: h.length, position: h.position, before: h.before, samples: h.samples, flags: h.flags}
	b = again.appendTo(b, s.seed, nil)
	if crc32.Update(le.Uint32(b[32:]), castagnoli, into) != h.crc {
		return errDamaged
	}
	return nil
}

// records visits the records before end with their offsets, and passes over damaged headers.
func (s *segment) records(end int64) iter.Seq2[int64, header] {
	return func(yield func(int64, header) bool) {
		for at := int64(segmentHeader); at < end; {
			h, err := s.readHeader(at, end)
			if err != nil {
				at = s.resync(at, end)
				continue
			}
			if !yield(at, h) {
				return
			}
			at += h.size()
		}
	}
}

// resync finds the next whole header behind damage; end if there is none.
func (s *segment) resync(at, end int64) int64 {
	buf := make([]byte, 64<<10)
	var magic [4]byte
	le.PutUint32(magic[:], recordMagic)
	for at += 8; at+recordHeader <= end; {
		n, _ := s.file.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
		if n < recordHeader {
			at += 4096 // it cannot be read
			continue
		}
		for i := 0; i+recordHeader <= n; i += 8 {
			var h header
			if bytes.Equal(buf[i:i+4], magic[:]) && h.read(buf[i:], s.seed) && at+int64(i)+h.size() <= end {
				return at + int64(i)
			}
		}
		at += int64(n-recordHeader)/8*8 + 8
	}
	return end
}

// stretch is a part of a segment that is no whole record.
type stretch struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	Torn bool  `json:"torn"` // it is what a write leaves that did not end
}

// scan reads a segment, with payloads or without: whole is called for each whole record, and what is between them is returned.
func (s *segment) scan(payloads bool, whole func(at int64, h header, payload []byte) error) (bad []stretch, err error) {
	var buf []byte
	for at := int64(segmentHeader); at < s.size; {
		h, err := s.readHeader(at, s.size)
		next := at + h.size()
		if err == nil {
			if payloads {
				buf = slices.Grow(buf[:0], int(h.length))[:h.length]
				err = s.readPayload(at, h, buf)
			}
			if err == nil {
				if err := whole(at, h, buf); err != nil {
					return bad, err
				}
				at = next
				continue
			}
		} else {
			next = s.resync(at, s.size)
		}
		torn := next == s.size && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || s.zeros(at))
		if n := len(bad); n > 0 && bad[n-1].To == at {
			bad[n-1].To = next
		} else {
			bad = append(bad, stretch{at, next, torn})
		}
		at = next
	}
	return bad, nil
}

// zeros reports whether there is nothing but zeros from an offset on: a file that grew, and whose data did not come.
func (s *segment) zeros(at int64) bool {
	buf := make([]byte, 4096)
	for ; at < s.size; at += int64(len(buf)) {
		n, _ := s.file.ReadAt(buf[:min(int64(len(buf)), s.size-at)], at)
		if n == 0 || len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return false
		}
	}
	return true
}

// tail is what repairTail found.
type tail struct {
	last    mark // of the last whole record
	cut     bool
	damaged bool // what was cut was more than a write that did not end
}

// repairTail cuts the segment behind its last whole record, and reports the damage before that.
func (s *segment) repairTail(damage func(s *segment, from, to int64)) (t tail, err error) {
	t.last = mark{s.first - 1, s.before}
	bad, err := s.scan(true, func(_ int64, h header, _ []byte) error {
		if h.flags&flagCarried == 0 && h.position > t.last.position {
			t.last = h.last()
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	for _, b := range bad {
		if !b.Torn {
			damage(s, b.From, b.To)
		}
	}
	if n := len(bad); n > 0 && bad[n-1].To == s.size {
		t.cut, t.damaged = true, !bad[n-1].Torn
		s.size, s.visible = bad[n-1].From, bad[n-1].From
		if err := s.file.Truncate(s.size); err != nil {
			return t, err
		}
		return t, s.file.Sync()
	}
	return t, nil
}

// segmentPaths lists a directory's segments in order.
func segmentPaths(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if len(e.Name()) == 20 && strings.Trim(e.Name(), "0123456789") == "" {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}
