package buffer

import (
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
	segmentHeader = 24
	recordMagic   = 0x3152474d // "MGR1"
	recordHeader  = 32
	version       = 1

	flagDefines = 1
	flagCarried = 2
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errDamaged = errors.New("damaged record")
)

// segment is one file of the log. Only the last one is appended to.
type segment struct {
	first   uint64 // position of its first record that is not carried
	path    string
	file    *os.File
	size    int64
	visible int64 // how far cursors may read: what is durable
}

// header is a record's header.
type header struct {
	length   uint32
	position uint64
	samples  uint32
	flags    uint16
	crc      uint32
}

func (h *header) put(b []byte, payload ...[]byte) {
	le.PutUint32(b, recordMagic)
	le.PutUint32(b[4:], h.length)
	le.PutUint64(b[8:], h.position)
	le.PutUint32(b[16:], h.samples)
	le.PutUint16(b[20:], h.flags)
	le.PutUint16(b[22:], 0)
	sum := crc32.Update(0, castagnoli, b[:24])
	for _, p := range payload {
		sum = crc32.Update(sum, castagnoli, p)
	}
	le.PutUint32(b[24:], sum)
	le.PutUint32(b[28:], 0)
}

func (h *header) read(b []byte) bool {
	h.length, h.position = le.Uint32(b[4:]), le.Uint64(b[8:])
	h.samples, h.flags, h.crc = le.Uint32(b[16:]), le.Uint16(b[20:]), le.Uint32(b[24:])
	return le.Uint32(b) == recordMagic && h.length <= MaxRecord && h.length%8 == 0
}

func createSegment(dir string, first, id uint64) (*segment, error) {
	s := &segment{first: first, path: filepath.Join(dir, fmt.Sprintf("%020d", first)), size: segmentHeader, visible: segmentHeader}
	var err error
	if s.file, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, err
	}
	b := append([]byte(segmentMagic), make([]byte, 16)...)
	le.PutUint32(b[8:], version)
	le.PutUint64(b[16:], id)
	if _, err = s.file.Write(b); err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

func openSegment(path string) (s *segment, id uint64, err error) {
	first, err := strconv.ParseUint(filepath.Base(path), 10, 64)
	if err != nil {
		return nil, 0, err
	}
	s = &segment{first: first, path: path}
	if s.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		return nil, 0, err
	}
	var b [segmentHeader]byte
	info, err := s.file.Stat()
	if err == nil {
		s.size, s.visible = info.Size(), info.Size()
		_, err = s.file.ReadAt(b[:], 0)
	}
	if err != nil || string(b[:8]) != segmentMagic || le.Uint32(b[8:]) != version {
		s.file.Close()
		return nil, 0, fmt.Errorf("%s is not a segment of the log (version %d): move it away to go on without it", path, version)
	}
	return s, le.Uint64(b[16:]), nil
}

// readHeader reads the header at an offset. io.EOF: the segment ends here, or in the middle of a header.
func (s *segment) readHeader(at, end int64) (h header, err error) {
	if at+recordHeader > end {
		return h, io.EOF
	}
	var b [recordHeader]byte
	if _, err := s.file.ReadAt(b[:], at); err != nil {
		return h, err
	}
	if !h.read(b[:]) {
		return h, errDamaged
	}
	if at+recordHeader+int64(h.length) > end {
		return h, errDamaged
	}
	return h, nil
}

// records visits the records before end with their offsets, and passes over what is damaged.
func (s *segment) records(end int64) iter.Seq2[int64, header] {
	return func(yield func(int64, header) bool) {
		for at := int64(segmentHeader); ; {
			h, err := s.readHeader(at, end)
			switch {
			case errors.Is(err, errDamaged):
				at = s.resync(at, end)
				continue
			case err != nil || !yield(at, h):
				return
			}
			at += recordHeader + int64(h.length)
		}
	}
}

// readPayload reads and checks a record's payload.
func (s *segment) readPayload(at int64, h header, into []byte) error {
	if _, err := s.file.ReadAt(into, at+recordHeader); err != nil {
		return err
	}
	var b [recordHeader]byte
	h.put(b[:], into)
	if le.Uint32(b[24:]) != h.crc {
		return errDamaged
	}
	return nil
}

// resync finds the next whole record behind damage; end if there is none.
func (s *segment) resync(at, end int64) int64 {
	for at += 8; at+recordHeader <= end; at += 8 {
		h, err := s.readHeader(at, end)
		if err != nil {
			continue
		}
		if s.readPayload(at, h, make([]byte, h.length)) == nil {
			return at
		}
	}
	return end
}

// repairTail cuts the segment behind its last whole record and returns that record's position (first−1 if it has none).
func (s *segment) repairTail() (last uint64, err error) {
	last = s.first - 1
	at, end := int64(segmentHeader), s.size
	buf := make([]byte, 0, 64<<10)
	whole := at
	for at < end {
		h, err := s.readHeader(at, end)
		if err == nil {
			buf = slices.Grow(buf[:0], int(h.length))[:h.length]
			err = s.readPayload(at, h, buf)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if !errors.Is(err, errDamaged) {
				return last, err
			}
			at = s.resync(at, end)
			continue
		}
		at += recordHeader + int64(h.length)
		whole, last = at, max(last, h.position)
	}
	if whole == s.size {
		return last, nil
	}
	s.size, s.visible = whole, whole
	if err := s.file.Truncate(whole); err != nil {
		return last, err
	}
	return last, s.file.Sync()
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

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
