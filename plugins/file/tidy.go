package main

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// keepTidy compresses rotated files and removes the oldest: first what a crash left, then whenever there is a new one.
func (s *sink) keepTidy(ctx context.Context) {
	for {
		if err := s.tidyUp(ctx); err != nil && ctx.Err() == nil {
			s.host.Fail(err)
			s.host.Log().Warn("rotated files could not be looked after", "path", s.cfg.Path, "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-s.tidy:
		}
	}
}

// rotated is what rotate appends to the path, and what compression does.
var rotated = regexp.MustCompile(`^\.\d{8}T\d{6}\.\d{3}Z(-\d+)?(\.gz)?$`)

func (s *sink) tidyUp(ctx context.Context) error {
	dir, base := filepath.Split(s.cfg.Path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var all []string // the oldest first
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), base)
		switch {
		case !ok || !e.Type().IsRegular():
		case rotated.MatchString(suffix):
			all = append(all, e.Name())
		case strings.HasSuffix(suffix, ".gz.part") && rotated.MatchString(strings.TrimSuffix(suffix, ".part")):
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name()))) // of a crash
		}
	}
	slices.SortFunc(all, byTime)
	if n := len(all) - s.cfg.Keep; s.cfg.Keep > 0 && n > 0 {
		for _, name := range all[:n] {
			err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}
		all = all[n:]
	}
	for _, name := range all {
		if s.cfg.Compress && !strings.HasSuffix(name, ".gz") && ctx.Err() == nil {
			err = errors.Join(err, compress(ctx, filepath.Join(dir, name)))
		}
	}
	return err
}

// byTime orders rotated files: by time, and by number where there are several of one millisecond.
func byTime(a, b string) int {
	key := func(name string) (string, int) {
		name = strings.TrimSuffix(name, ".gz")
		at, number, _ := strings.Cut(name[strings.LastIndexByte(name, 'T'):], "-")
		n := 0
		for _, c := range number {
			n = n*10 + int(c-'0')
		}
		return name[:strings.LastIndexByte(name, 'T')] + at, n
	}
	ta, na := key(a)
	tb, nb := key(b)
	if c := strings.Compare(ta, tb); c != 0 {
		return c
	}
	return na - nb
}

// compress makes path.gz of a file. The file goes when that is on the disk.
func compress(ctx context.Context, path string) (err error) {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	part := path + ".gz.part"
	to, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			to.Close()
			os.Remove(part)
		}
	}()
	z := gzip.NewWriter(to)
	if _, err := io.Copy(z, until{ctx, from}); err != nil {
		return err
	}
	if err := errors.Join(z.Close(), to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(part, path+".gz"), syncDir(path)); err != nil {
		return err
	}
	return errors.Join(os.Remove(path), syncDir(path))
}

// until reads until ctx ends.
type until struct {
	ctx  context.Context
	from io.Reader
}

func (u until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.from.Read(b)
}
