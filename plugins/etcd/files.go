package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/magpie-monitoring/magpie/sdk"
)

// What makes etcd stop as soon as it starts, and stands in its files: a database that is none (invalid database), and a log whose
// checksums are wrong (walpb: crc mismatch). The files of a running etcd are left alone: it has read them, and writes them.

// files looks into the files of a member that does not run.
func (d *place) files(dir string) {
	database := filepath.Join(dir, "member", "snap", "db")
	f, err := os.Open(database)
	if err != nil {
		return // the look at owners and modes says why
	}
	defer f.Close()
	// The member holds this lock while it runs. Who starts meanwhile waits for it, and we let go at once.
	if syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil {
		d.add(dir, "in use", "yes: its files are not read")
		return
	}
	syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	d.add(dir, "in use", "no")
	if err := lookAtDatabase(f); err != nil {
		d.broken("the database "+database+" is damaged: "+err.Error(), "etcd says: invalid database, or checksum error, and stops as soon as it starts.")
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "member", "wal", "*.wal"))
	slices.Sort(logs)
	for _, path := range logs[max(0, len(logs)-maxLogs):] {
		if err := lookAtLogFile(path); err != nil {
			d.broken("the log "+path+" is damaged: "+err.Error(), "etcd says: walpb: crc mismatch, or wal: max entry size limit exceeded, and stops as soon as it starts. A disk or a file system has changed what was written.")
			return
		}
	}
}

func (d *place) broken(title, text string) {
	d.damaged = append(d.damaged, trouble{sdk.Critical, title, text + " The other members have what it had: do not repair the file, replace the member.",
		"See what the kernel says of the disk before the member is given back to it", "dmesg -T | grep -iE 'i/o error|ext4|xfs|nvme|sd[a-z]' | tail", false})
}

// lookAtDatabase looks at the two pages at a database's head, one of which must be whole (bbolt: Meta.Validate).
func lookAtDatabase(f io.ReaderAt) error {
	const header, magic, size = 16, 0xED0CDAED, 64
	var first error
	for _, page := range []int64{int64(os.Getpagesize()), 0} {
		b := make([]byte, size)
		if _, err := f.ReadAt(b, page+header); err != nil {
			first = errors.New("it is too short to be one")
			continue
		}
		sum := fnv.New64a()
		sum.Write(b[:size-8])
		switch {
		case binary.NativeEndian.Uint32(b) != magic:
			first = errors.New("invalid database, it does not begin as one")
		case binary.NativeEndian.Uint64(b[size-8:]) != sum.Sum64():
			first = errors.New("checksum error in its first pages")
		default:
			return nil
		}
	}
	return first
}

// Bounds: the newest files of a log are read, of which etcd keeps five by default; a record is at most as long as its file, which etcd
// begins anew at 64 MiB.
const (
	maxLogs   = 5
	maxRecord = 256 << 20
)

func lookAtLogFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil // it was there a moment ago
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	err = lookAtLog(bufio.NewReaderSize(f, 256<<10), min(info.Size(), maxRecord))
	if errors.As(err, new(*fs.PathError)) {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// lookAtLog reads a file of the log as etcd does when it starts: a length with the padding in its highest byte, and a record with a
// checksum over it and all before it; zeros are room that is not written yet. An entry that a crash has torn is no damage:
// etcd cuts it off.
func lookAtLog(r io.Reader, size int64) error {
	const crcRecord = 4
	sum, at := uint32(0), int64(0)
	for {
		var length int64
		if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
			return torn(err)
		}
		if length == 0 {
			return nil
		}
		n, padding := length&(1<<56-1), int64(0)
		if length < 0 {
			padding = length >> 56 & 7
		}
		if n+padding > size-at-8 {
			return fmt.Errorf("the record at byte %d is longer than the file", at)
		}
		data := make([]byte, n+padding)
		if _, err := io.ReadFull(r, data); err != nil {
			return torn(err)
		}
		kind, crc, body, err := record(data[:n])
		switch {
		case err == nil && kind == crcRecord:
			sum = crc
		case err == nil && crc32.Update(sum, castagnoli, body) == crc:
			sum = crc
		case isTorn(data, at+8):
			return nil
		case err != nil:
			return fmt.Errorf("the record at byte %d is none: %w", at, err)
		default:
			return fmt.Errorf("crc mismatch in the record at byte %d", at)
		}
		at += 8 + n + padding
	}
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// isTorn reports whether a sector of a record was never written.
func isTorn(data []byte, at int64) bool {
	const sector = 512
	for len(data) > 0 {
		n := min(len(data), int(sector-at%sector))
		if len(bytes.Trim(data[:n], "\x00")) == 0 {
			return true
		}
		data, at = data[n:], at+int64(n)
	}
	return false
}

// record takes a record apart (walpb.Record).
func record(b []byte) (kind uint64, crc uint32, data []byte, err error) {
	for len(b) > 0 {
		field, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, 0, nil, protowire.ParseError(n)
		}
		b = b[n:]
		switch {
		case field == 1 && wire == protowire.VarintType:
			kind, n = protowire.ConsumeVarint(b)
		case field == 2 && wire == protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			crc = uint32(v)
		case field == 3 && wire == protowire.BytesType:
			data, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, wire, b)
		}
		if n < 0 {
			return 0, 0, nil, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return kind, crc, data, nil
}
