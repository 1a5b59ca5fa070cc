package cluster

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"
)

func (m *member) database() string { return filepath.Join(m.dir, "member", "snap", "db") }

// rot changes a letter of the newest value that holds a text, in the database of a stopped member, as a bad disk does: the checksum
// of nothing covers it. Twice it is as before.
func (m *member) rot(text string) error {
	db, err := bbolt.Open(m.database(), 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		cursor := b.Cursor()
		for k, v := cursor.Last(); k != nil; k, v = cursor.Prev() {
			if at := bytes.Index(bytes.ToLower(v), []byte(text)); at >= 0 {
				changed := slices.Clone(v)
				changed[at] ^= 0x20
				return b.Put(slices.Clone(k), changed)
			}
		}
		return errors.New("the value is not there")
	})
}

// damage changes bytes of a file and returns what puts them back.
func damage(path string, change func([]byte) error) (undo func() error, err error) {
	before, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	after := slices.Clone(before)
	if err := change(after); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, after, 0o600); err != nil {
		return nil, err
	}
	return func() error { return os.WriteFile(path, before, 0o600) }, nil
}

// noDatabase overwrites both of the database's first pages, which say what the file is.
func (m *member) noDatabase() (undo func() error, err error) {
	return damage(m.database(), func(b []byte) error {
		clear(b[:min(len(b), 2*os.Getpagesize())])
		return nil
	})
}

// badLog flips a bit in a record in the middle of what is written in the newest file of the log.
func (m *member) badLog() (undo func() error, err error) {
	files, err := filepath.Glob(filepath.Join(m.dir, "member", "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, errors.New("there is no log"))
	}
	slices.Sort(files)
	return damage(files[len(files)-1], func(b []byte) error {
		at := bytes.Index(b, []byte(logged)) // an entry's data, which its record's checksum covers
		if at < 0 {
			return errors.New("the log does not hold what was written")
		}
		b[at] ^= 1
		return nil
	})
}

// logged is a value that the log is known to hold.
const logged = "a value that a log of raft holds"
