package pipeline

import (
	"fmt"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// stream is what the daemon knows of one opening of a component: its definitions in use, as they came, and a hash of each
// live series' labels. Memory: about 9 B for the hash, 20 to 60 B for the definition and 4 B for its place in a layout a
// live series.
type stream struct {
	number  uint32
	address string
	limit   int
	grace   time.Duration // after which the series of a predecessor are stale even without a whole cycle

	mu       sync.Mutex // the log asks for the definitions while another source appends
	series   sdk.Table[uint64]
	families [][]byte
	defs     [][]byte
	layouts  map[uint32]layoutFrame
	retired  int
	parts    wire.Checkpoints
	marks    map[string]checkpoint
	leaving  int // retired in the log, which may not be durable yet
	opened   time.Time
	orphaned time.Time // its process is gone; zero: alive
	closed   bool
	samples  uint64
}

type layoutFrame struct {
	raw     []byte
	entries uint32
	durable []byte // what a segment that begins now must carry: raw may have replaced it in what is not durable yet
}

// maxMarks is how many checkpoints a stream may have, of wire.MaxCheckpoint bytes at most each.
const maxMarks = 4

// checkpoint is what a stream goes on with after a failure.
type checkpoint struct{ value, durable []byte }

func newStream(number uint32, address string, limit int, grace time.Duration) *stream {
	return &stream{number: number, address: address, limit: limit, grace: grace, layouts: map[uint32]layoutFrame{}, marks: map[string]checkpoint{}, opened: time.Now()}
}

// define takes note of a frame that defines something.
func (s *stream) define(f *wire.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Kind {
	case wire.Families:
		if _, err := f.Families(); err != nil {
			return err
		}
		s.families = append(s.families, append([]byte(nil), f.Raw...))
	case wire.Defs:
		series, err := f.Series()
		if err != nil {
			return err
		}
		if s.limit > 0 && s.series.Len()-s.leaving+len(series) > s.limit+s.limit/8+16 { // the SDK keeps the limit itself
			return fmt.Errorf("%s defines more series than its limit_series of %d", s.address, s.limit)
		}
		for i := range series {
			s.series.Set(series[i].Ref, series[i].Labels.Hash())
		}
		s.defs = append(s.defs, append([]byte(nil), f.Raw...))
	case wire.Layout:
		for _, ref := range f.Refs() {
			if s.series.Get(sdk.Ref(ref)) == nil {
				return fmt.Errorf("%s uses ref %d, which it did not define", s.address, ref)
			}
		}
		old, known := s.layouts[f.Layout]
		if !known && len(s.layouts) > 1<<16 {
			return fmt.Errorf("%s has more than %d layouts", s.address, 1<<16)
		}
		s.layouts[f.Layout] = layoutFrame{append([]byte(nil), f.Raw...), f.N, old.durable}
	}
	return nil
}

// part takes a part of a checkpoint, and returns the whole one that it ends.
func (s *stream) part(f *wire.Frame) (key string, value []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, value, whole, err := s.parts.Add(f)
	if err != nil || !whole {
		return "", nil, err
	}
	if _, known := s.marks[key]; !known && len(s.marks) == maxMarks {
		return "", nil, fmt.Errorf("%s has more than %d checkpoints", s.address, maxMarks)
	}
	return key, value, nil
}

// mark makes a checkpoint the one that the stream goes on with.
func (s *stream) mark(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.marks[key]
	m.value = value
	s.marks[key] = m
}

// checkpoints are the values that the stream goes on with.
func (s *stream) checkpoints() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string][]byte, len(s.marks))
	for key, m := range s.marks {
		all[key] = m.value
	}
	return all
}

// settleMark says that the log holds a checkpoint durably.
func (s *stream) settleMark(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.marks[key]
	m.durable = value
	s.marks[key] = m
}

// layout is the frame that defined a layout last.
func (s *stream) layout(number uint32) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.layouts[number].raw
}

// settle says that the log holds a layout durably.
func (s *stream) settle(number uint32, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.layouts[number]
	l.durable = raw
	s.layouts[number] = l
}

// leave says that refs are retired in what was appended; retire follows once it is durable.
func (s *stream) leave(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving += n
}

// check refuses samples that nothing defines, and counts the others.
func (s *stream) check(f *wire.Frame) error {
	if f.Kind == wire.Histograms || f.Kind == wire.Exemplars || f.Kind == wire.Records { // no sink is to stumble over them
		if err := f.Check(); err != nil {
			return fmt.Errorf("%s: %w", s.address, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Kind == wire.Values {
		if l, ok := s.layouts[f.Layout]; !ok || l.entries != f.N {
			return fmt.Errorf("%s sends %d values for layout %d, which has %d", s.address, f.N, f.Layout, l.entries)
		}
	} else {
		for _, ref := range f.Refs() {
			if s.series.Get(sdk.Ref(ref)) == nil {
				return fmt.Errorf("%s uses ref %d, which it did not define", s.address, ref)
			}
		}
	}
	s.samples += uint64(f.Samples())
	return nil
}

// isOrphan reports whether the stream sends nothing any more, and may have a successor.
func (s *stream) isOrphan() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || !s.orphaned.IsZero()
}

func (s *stream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// retire forgets refs; when most of what was defined is retired, the definitions are written anew.
func (s *stream) retire(refs []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = max(s.leaving-len(refs), 0)
	for _, ref := range refs {
		if s.series.Delete(sdk.Ref(ref)) {
			s.retired++
		}
	}
	if s.retired > s.series.Len()+1024 {
		s.compact()
	}
}

func (s *stream) compact() {
	var live []wire.SeriesDef
	for _, raw := range s.defs {
		r := wire.Read(raw)
		if !r.Next() {
			continue
		}
		series, _ := r.Series()
		for _, d := range series {
			if s.series.Get(d.Ref) != nil {
				live = append(live, d)
			}
		}
	}
	s.defs, s.retired = nil, 0
	for len(live) > 0 {
		var raw []byte
		raw, live = wire.AppendDefs(nil, s.number, live)
		s.defs = append(s.defs, raw)
	}
}

// carry adds everything that a reader needs who has seen nothing of the stream. What is not durable yet may be among it, but
// for a layout or a checkpoint that replaces another: what comes before it needs the other.
func (s *stream) carry(add func([]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(wire.AppendStream(nil, s.number, s.address))
	for _, raw := range s.families {
		add(raw)
	}
	for _, raw := range s.defs {
		add(raw)
	}
	for _, l := range s.layouts {
		if l.durable != nil {
			add(l.durable)
		}
	}
	for key, m := range s.marks {
		if m.durable != nil {
			for r := wire.Read(wire.AppendCheckpoint(nil, s.number, key, m.durable)); r.Next(); {
				add(r.Raw)
			}
		}
	}
}

// live lists the refs that are defined, but for those whose labels others have.
func (s *stream) live(except map[uint64]struct{}) (refs []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.series.All(func(ref sdk.Ref, hash *uint64) bool {
		if _, ok := except[*hash]; !ok {
			refs = append(refs, uint32(ref))
		}
		return true
	})
	return refs
}

func (s *stream) hashes() map[uint64]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[uint64]struct{}, s.series.Len())
	s.series.All(func(_ sdk.Ref, hash *uint64) bool {
		all[*hash] = struct{}{}
		return true
	})
	return all
}
