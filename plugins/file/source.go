package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Bounds of the source. Memory: maxFiles × (maxPending + readAtOnce) at the very most, and usually next to nothing.
const (
	maxFiles   = 1000      // followed at a time; more are left out, and said
	readAtOnce = 256 << 10 // bytes of a file before the others have their turn
	maxPending = 128 << 10 // a record is ended beyond this: what replaces bytes that are no UTF-8 may double it
	maxBatch   = 1000      // records that are emitted together
	pollEvery  = 250 * time.Millisecond
	findEvery  = 5 * time.Second
	idleAfter  = time.Second // a record of several lines is complete when nothing follows for so long
)

// SourceConfig is the block of the source.
type SourceConfig struct {
	Paths   []string `hcl:"paths" doc:"Files to follow: paths with *, ? and [a-z], from the root of the file system (/)."`
	Exclude []string `hcl:"exclude,optional" doc:"Patterns of the names of files to leave out. Default: *.gz, *.bz2, *.xz, *.zst and *.zip."`
	From    string   `hcl:"from,optional" default:"end" check:"oneof=end beginning" doc:"Where to begin in files that are there when the source opens for the first time. Files that come later are read from their beginning."`
	Format  string   `hcl:"format,optional" default:"text" check:"oneof=text json" doc:"text: a line is the text of a record; a time in RFC 3339 at its beginning is taken. json: an object a line, as zap, slog, zerolog, bunyan and logstash write them."`
	Starts  string   `hcl:"starts,optional" doc:"A regular expression (RE2) that the first line of each record matches, where records have several lines."`
	Level   string   `hcl:"level,optional" doc:"A regular expression (RE2) whose first group is the level, such as level=(\\\\w+). Default: the first word of the line that is the name of a level."`
}

// Validate checks paths and patterns.
func (c *SourceConfig) Validate(d *sdk.Diags) {
	if len(c.Paths) == 0 {
		d.Errorf(&c.Paths, "there is nothing to follow")
	}
	for i, p := range c.Paths {
		if _, err := filepath.Match(p, ""); err != nil {
			d.Errorf(&c.Paths[i], "a pattern is a path with *, ? and [a-z], and %q is none", p)
		} else if !filepath.IsAbs(p) {
			d.Errorf(&c.Paths[i], "%q does not begin at the root: the plugin's working directory is not yours", p)
		}
	}
	for i, p := range c.Exclude {
		if _, err := filepath.Match(p, ""); err != nil {
			d.Errorf(&c.Exclude[i], "a pattern is a name with *, ? and [a-z], and %q is none", p)
		}
	}
	if _, err := regexp.Compile(c.Starts); err != nil {
		d.Errorf(&c.Starts, "%v", err)
	}
	if r, err := regexp.Compile(c.Level); err != nil {
		d.Errorf(&c.Level, "%v", err)
	} else if c.Level != "" && r.NumSubexp() < 1 {
		d.Errorf(&c.Level, "it has no group (…) for the level")
	}
}

var archives = []string{"*.gz", "*.bz2", "*.xz", "*.zst", "*.zip"}

// source is an open component. Everything belongs to Stream.
type source struct {
	cfg    *SourceConfig
	host   sdk.Host
	parser parser

	files   map[string]*follower // by path
	leaving []*follower          // that were renamed or removed, until they are read to their end
	places  []place              // of the last checkpoint; nil: there was none, or they were looked for
	fresh   bool                 // there was none: the files that are there are not new
	many    bool                 // too many files, which was said

	batch *sdk.Batch
	in    int  // records in batch
	begun bool // a checkpoint was sent: after a restart, only what came since is new
}

func openSource(_ context.Context, cfg *SourceConfig, host sdk.Host) (*source, error) {
	s := &source{cfg: cfg, host: host, parser: newParser(cfg), files: map[string]*follower{}, fresh: true}
	if last := host.Checkpoint(); last != nil {
		if err := json.Unmarshal(last, &s.places); err != nil {
			return nil, fmt.Errorf("the checkpoint is damaged: %w", err)
		}
		s.fresh = false
	}
	return s, nil
}

// Stream follows the files until ctx ends.
func (s *source) Stream(ctx context.Context, out sdk.Emitter) error {
	s.batch, s.in = out.Batch(), 0
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	defer s.close()
	var found time.Time
	for {
		if time.Since(found) >= findEvery {
			s.find()
			found = time.Now()
		}
		more := false
		for _, f := range s.all() {
			read, err := s.read(ctx, out, f)
			if err != nil {
				return nil // ctx has ended
			}
			more = more || read
		}
		s.settle()
		if err := s.emit(ctx, out); err != nil {
			return nil
		}
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *source) all() []*follower {
	all := slices.Clone(s.leaving)
	for _, f := range s.files {
		all = append(all, f)
	}
	return all
}

// find looks for files that match. A file that has another name now goes on where it was.
func (s *source) find() {
	s.settle()
	matches := map[string]bool{}
	for _, pattern := range s.cfg.Paths {
		paths, _ := filepath.Glob(pattern) // it was validated
		for _, p := range paths {
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && !s.excluded(p) {
				matches[p] = true
			}
		}
	}
	for path := range matches {
		if s.files[path] != nil {
			continue
		}
		if len(s.files) == maxFiles {
			if !s.many {
				s.host.Fail(fmt.Errorf("more than %d files match: the others are not followed", maxFiles))
			}
			s.many = true
			break
		}
		s.follow(path)
	}
	for _, at := range s.places { // what no path that matches leads to
		s.rest(at)
	}
	s.places, s.fresh = nil, false
	for _, f := range s.leaving {
		f.sought = true
	}
}

func (s *source) excluded(path string) bool {
	patterns := s.cfg.Exclude
	if patterns == nil {
		patterns = archives
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := filepath.Match(p, filepath.Base(path))
		return ok
	})
}

// follow begins with a file, or goes on where the last checkpoint has it, or where it was under another name.
func (s *source) follow(path string) {
	f, err := openFollower(path, path)
	if err != nil {
		s.host.Fail(sdk.Target(err))
		return
	}
	same := func(x *follower) bool { return os.SameFile(x.info, f.info) }
	for _, x := range s.files {
		if same(x) { // a link to it
			f.file.Close()
			return
		}
	}
	if i := slices.IndexFunc(s.leaving, same); i >= 0 {
		f.file.Close()
		s.files[path], s.leaving[i].left = s.leaving[i], false
		s.leaving = slices.Delete(s.leaving, i, i+1)
		return
	}
	if i := slices.IndexFunc(s.places, f.is); i >= 0 {
		f.name, f.offset = s.places[i].Path, s.places[i].Offset
		s.places = slices.Delete(s.places, i, i+1)
	} else if s.fresh && s.cfg.From == "end" {
		f.offset = f.lastLine()
	}
	s.files[path] = f
}

// rest follows what a file became that was renamed while nobody looked.
func (s *source) rest(at place) {
	dir := filepath.Dir(at.Path)
	siblings, _ := os.ReadDir(dir)
	for _, x := range siblings {
		name := filepath.Join(dir, x.Name())
		if info, err := x.Info(); err != nil || !info.Mode().IsRegular() || inode(info) != at.Inode || s.files[name] != nil {
			continue
		}
		f, err := openFollower(name, at.Path)
		if err != nil {
			continue
		}
		if !f.is(at) {
			f.file.Close()
			continue
		}
		f.offset, f.left = at.Offset, true
		s.leaving = append(s.leaving, f)
		return
	}
	s.host.Log().Warn("a file is gone: whatever came to its end while nobody read it is not told", "path", at.Path, "offset", at.Offset)
}

// settle looks whether paths lead to other files now, and forgets those that were left and are read.
func (s *source) settle() {
	for path, f := range s.files {
		switch now, err := os.Stat(path); {
		case err != nil && os.IsNotExist(err), err == nil && !os.SameFile(now, f.info):
			f.left, f.sought = true, false
			s.leaving = append(s.leaving, f)
			delete(s.files, path)
			if err == nil {
				s.follow(path) // from its beginning: it has no place
			}
		}
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(f *follower) bool {
		if f.done() {
			f.file.Close()
			return true
		}
		return false
	})
}

// read takes what is new in a file. more says that there is still more.
func (s *source) read(ctx context.Context, out sdk.Emitter, f *follower) (more bool, err error) {
	more, err = f.read(&s.parser, func(r sdk.Record) error {
		if f.ref == nil {
			ref := s.batch.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "log", "filename", f.name)})
			f.ref = &ref
		}
		s.batch.Log(*f.ref, r)
		if s.in++; s.in < maxBatch {
			return nil
		}
		return s.emit(ctx, out)
	})
	if err != nil && ctx.Err() == nil {
		s.host.Fail(sdk.Target(err))
		return false, nil
	}
	return more, ctx.Err()
}

// emit sends what was read, with where every file is.
func (s *source) emit(ctx context.Context, out sdk.Emitter) error {
	if s.in == 0 && s.begun {
		return nil
	}
	at := []place{}
	for _, f := range s.all() {
		at = append(at, f.place())
	}
	b, err := json.Marshal(at)
	if err != nil {
		return err
	}
	s.batch.Checkpoint(b)
	s.in, s.begun = 0, true
	return out.Emit(ctx, s.batch)
}

func (s *source) close() {
	for _, f := range s.all() {
		f.file.Close()
	}
}

var (
	_ sdk.Streamer  = (*source)(nil)
	_ sdk.Validator = (*SourceConfig)(nil)
)
