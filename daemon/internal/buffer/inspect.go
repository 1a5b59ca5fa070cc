package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Report is what a log on disk holds. It is read without changing anything, and while a daemon writes it may be out of date
// at its end.
type Report struct {
	ID         string           `json:"id"`
	Bytes      int64            `json:"bytes"`
	First      uint64           `json:"first_position"`
	Last       uint64           `json:"last_position"`
	Samples    uint64           `json:"samples"` // since the log was begun
	Segments   []SegmentReport  `json:"segments"`
	Cursors    []CursorReport   `json:"cursors"`
	Problem    string           `json:"cursors_problem,omitempty"` // why the cursors cannot be read
	Quarantine QuarantineReport `json:"quarantine"`
	Reserve    int64            `json:"reserve_bytes"`
	Repairs    []string         `json:"repairs"` // what Repair would do
}

// SegmentReport is one segment.
type SegmentReport struct {
	Name    string    `json:"name"`
	Bytes   int64     `json:"bytes"`
	First   uint64    `json:"first_position"`
	Last    uint64    `json:"last_position"`
	Records uint64    `json:"records"`
	Carried uint64    `json:"carried"` // records of definitions that it begins with
	Samples uint64    `json:"samples"`
	Damage  []stretch `json:"damage"`
	Problem string    `json:"problem,omitempty"` // it is no segment
}

// CursorReport is one reader.
type CursorReport struct {
	Name     string `json:"name"`
	Position uint64 `json:"position"`
	Records  uint64 `json:"lag_records"`
	Samples  uint64 `json:"lag_samples"`
}

// QuarantineReport is what was put aside.
type QuarantineReport struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Damaged reports whether something cannot be read that is more than a write that did not end.
func (r *Report) Damaged() bool {
	return r.Problem != "" || slices.ContainsFunc(r.Segments, func(s SegmentReport) bool {
		return s.Problem != "" || slices.ContainsFunc(s.Damage, func(d stretch) bool { return !d.Torn })
	})
}

// Inspect looks at a log; whole also reads every payload and checks it.
func Inspect(dir string, whole bool) (*Report, error) {
	paths, err := segmentPaths(dir)
	if err != nil {
		return nil, err
	}
	r := &Report{Segments: []SegmentReport{}, Cursors: []CursorReport{}, Repairs: []string{}}
	end := mark{}
	for _, path := range paths {
		s, err := inspectSegment(path, whole)
		if err != nil {
			return nil, err
		}
		r.segment(s, &end)
	}
	for _, name := range leftovers(dir) {
		r.Repairs = append(r.Repairs, fmt.Sprintf("remove %s, which was not finished", name))
	}
	files := quarantined(dir)
	r.Quarantine = QuarantineReport{len(files), total(files)}
	if info, err := os.Stat(filepath.Join(dir, reserveFile)); err == nil {
		r.Reserve = info.Size()
	}
	return r, r.cursors(dir, end)
}

func leftovers(dir string) (names []string) {
	left, _ := filepath.Glob(filepath.Join(dir, "*.new"))
	for _, path := range left {
		names = append(names, filepath.Base(path))
	}
	return names
}

// segment adds a segment to the report, and says what repairing it would be.
func (r *Report) segment(s *inspected, end *mark) {
	if r.First == 0 {
		r.First = s.First
	}
	r.Segments = append(r.Segments, s.SegmentReport)
	r.Bytes += s.Bytes
	if s.Problem != "" {
		r.Repairs = append(r.Repairs, fmt.Sprintf("put %s aside as a whole: it is no segment", s.Name))
		return
	}
	r.ID = fmt.Sprintf("%016x", s.id)
	if s.end.position > end.position {
		*end = s.end
	}
	r.Last, r.Samples = end.position, end.samples
	for _, d := range s.Damage {
		what := "put aside %d bytes at %d of %s that cannot be read, and write the segment without them"
		if d.Torn {
			what = "cut %d bytes at %d of %s, a write that did not end"
		}
		r.Repairs = append(r.Repairs, fmt.Sprintf(what, d.To-d.From, d.From, s.Name))
	}
}

func (r *Report) cursors(dir string, end mark) error {
	b, err := os.ReadFile(filepath.Join(dir, cursorsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	saved, err := parseCursors(b)
	if err != nil {
		r.Problem = "the file is damaged: every reader will start at the oldest record"
		r.Repairs = append(r.Repairs, "put the file of cursors aside: every reader gets again what is in the log")
		return nil
	}
	for name, p := range saved {
		c := CursorReport{Name: name, Position: p.Position}
		if p.Position < end.position {
			c.Records = end.position - max(p.Position, r.First-1)
			c.Samples = end.samples - min(p.Samples, end.samples)
		}
		r.Cursors = append(r.Cursors, c)
	}
	slices.SortFunc(r.Cursors, func(a, b CursorReport) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// inspected is a segment that was looked at.
type inspected struct {
	SegmentReport
	id  uint64
	end mark
}

func inspectSegment(path string, whole bool) (*inspected, error) {
	i := &inspected{SegmentReport: SegmentReport{Name: filepath.Base(path), Damage: []stretch{}}}
	s, err := openSegment(openFile, path, os.O_RDONLY)
	if errors.Is(err, errNoSegment) {
		info, err := os.Stat(path)
		if err == nil {
			i.Bytes = info.Size()
		}
		i.Problem = "not a segment of this version"
		return i, err
	}
	if err != nil {
		return nil, err
	}
	defer s.file.Close()
	i.Bytes, i.First, i.id = s.size, s.first, s.id
	i.end = mark{s.first - 1, s.before}
	bad, err := s.scan(whole, func(_ int64, h header, _ []byte) error {
		if h.flags&flagCarried != 0 {
			i.Carried++
			return nil
		}
		i.Records++
		i.Samples += uint64(h.samples)
		i.Last, i.end = h.position, h.last()
		return nil
	})
	i.Damage = append(i.Damage, bad...)
	return i, err
}

// Repair makes a log whole that nobody has open: what Inspect lists under Repairs. It returns what it did.
func Repair(dir string) (done []string, err error) {
	before, err := Inspect(dir, true)
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, o: Options{open: openFile}}
	for _, s := range before.Segments {
		path := filepath.Join(dir, s.Name)
		switch {
		case s.Problem != "":
			err = l.quarantine(s.Name, func(to string) error { return os.Rename(path, to) })
		case len(s.Damage) > 0:
			err = l.rewrite(path)
		}
		if err != nil {
			return nil, fmt.Errorf("repairing %s: %w", path, err)
		}
	}
	if before.Problem != "" {
		if err := l.quarantine(cursorsFile, func(to string) error { return os.Rename(l.cursorsPath(), to) }); err != nil {
			return nil, err
		}
	}
	l.removeLeftovers()
	return before.Repairs, l.syncDir()
}

// rewrite writes a segment without what cannot be read in it.
func (l *Log) rewrite(path string) error {
	s, err := openSegment(openFile, path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer s.file.Close()
	f, err := openFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer f.Close()
	w := &filler{file: f, buf: make([]byte, segmentHeader)}
	bad, err := s.scan(true, func(_ int64, h header, payload []byte) error {
		w.add(func(to []byte) []byte { return h.appendTo(to, s.seed, payload) })
		return w.err
	})
	w.flush()
	for _, d := range bad {
		if err == nil && !d.Torn {
			err = l.quarantine(fmt.Sprintf("%s-%d", filepath.Base(path), d.From), func(to string) error { return copyStretch(to, s.file, d.From, d.To) })
			s.id = rand.Uint64() | 1 // the positions of what was damaged at its end may be used again
		}
	}
	if err = errors.Join(err, w.err); err == nil {
		_, err = f.WriteAt(s.appendHeader(nil), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	return err
}

// Range writes positions as people read them.
func (s *SegmentReport) Range() string {
	if s.Last < s.First || s.Records == 0 {
		return "-"
	}
	return fmt.Sprintf("%d-%d", s.First, s.Last)
}

// Note says in words what is wrong with a segment; "" if nothing is.
func (s *SegmentReport) Note() string {
	notes := []string{}
	if s.Problem != "" {
		notes = append(notes, s.Problem)
	}
	for _, d := range s.Damage {
		what := "damaged"
		if d.Torn {
			what = "torn"
		}
		notes = append(notes, fmt.Sprintf("%s: %d bytes at %d", what, d.To-d.From, d.From))
	}
	return strings.Join(notes, "; ")
}
