// Package state keeps small durable facts: alert states, the notification log, what components remember, the
// configuration that was last applied. Each fact is a file of its own, replaced whole: written new with a checksum,
// fsynced, renamed, directory fsynced. A fact that is damaged on disk is set aside and reported as absent.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// MaxValue bounds one fact.
const MaxValue = 64 << 20

// Store is a directory of facts, in buckets.
type Store struct {
	dir string
	mu  sync.Mutex // one write at a time: facts are few and small
	Bad func(bucket, key string, err error)

	Full func() // the disk is: makes room for one more try; nil: there is nothing to give up
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Open opens a directory of facts. bad is told of facts that were set aside as damaged.
func Open(dir string, bad func(bucket, key string, err error)) (*Store, error) {
	return &Store{dir: dir, Bad: bad}, os.MkdirAll(dir, 0o700)
}

// path is where a fact lies: its key, escaped so that it is one name that no file system minds.
func (s *Store) path(bucket, key string) string {
	name := "=" + url.QueryEscape(key)
	if len(name) > 200 {
		name = fmt.Sprintf("%s-%08x", name[:180], crc32.Checksum([]byte(key), castagnoli))
	}
	return filepath.Join(s.dir, bucket, name)
}

// Get reads a fact; nil where there is none.
func (s *Store) Get(bucket, key string) ([]byte, error) {
	path := s.path(bucket, key)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b) < 4 || binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		os.Rename(path, path+".damaged")
		if s.Bad != nil {
			s.Bad(bucket, key, fmt.Errorf("the checksum of %s is wrong: it was set aside as %s.damaged", path, filepath.Base(path)))
		}
		return nil, nil
	}
	return b[4:], nil
}

// Put replaces a fact; it is durable when Put returns.
func (s *Store) Put(bucket, key string, value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("a fact of %d bytes, and the most is %d", len(value), MaxValue)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.path(bucket, key)
	err := write(path, value)
	if errors.Is(err, syscall.ENOSPC) && s.Full != nil {
		s.Full()
		err = write(path, value)
	}
	return err
}

func write(path string, value []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	sum := binary.LittleEndian.AppendUint32(nil, crc32.Checksum(value, castagnoli))
	_, err = f.Write(append(sum, value...))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		os.Remove(path + ".new")
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Keys lists the facts of a bucket, sorted; those with keys too long for a file name are left out.
func (s *Store) Keys(bucket string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, bucket))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var keys []string
	for _, e := range entries {
		if key, err := url.QueryUnescape(strings.TrimPrefix(e.Name(), "=")); err == nil && filepath.Base(s.path(bucket, key)) == e.Name() {
			keys = append(keys, key)
		}
	}
	return keys, err
}

// Delete removes a fact.
func (s *Store) Delete(bucket, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := os.Remove(s.path(bucket, key))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
