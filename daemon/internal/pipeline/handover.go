package pipeline

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// When a component is opened anew — its process died, the daemon was restarted, its configuration changed — its series go
// on under new refs. What the old opening knew and the new one does not define again goes stale once the new one has told
// everything: after its first whole cycle, or, for sources without cycles, after their grace.

// patience is how long the series of a source whose process is gone wait for it to come back.
const patience = time.Minute

// maxOrphans bounds the streams of one address that wait for a successor to tell everything: each segment of the log carries
// their definitions, and a daemon that dies again and again leaves one each time.
const maxOrphans = 3

// maxStale is how many refs one STALE frame holds.
const maxStale = 32 << 10

// Gone says that the streams of these numbers will send nothing more, and that successors may come.
func (in *Ingest) Gone(numbers ...uint32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, n := range numbers {
		if s := in.streams[n]; s != nil {
			s.mu.Lock()
			if s.orphaned.IsZero() {
				s.orphaned = time.Now()
			}
			s.closed = true
			s.mu.Unlock()
		}
	}
}

// Retire ends all streams of an address: it is no longer configured.
func (in *Ingest) Retire(address string) {
	for _, s := range in.of(address) {
		in.end(s, nil)
	}
}

// RetireOthers ends the streams that an earlier run left open for what is no longer configured.
func (in *Ingest) RetireOthers(configured func(address string) bool) {
	in.mu.Lock()
	var gone []*stream
	for _, s := range in.streams {
		if !configured(s.address) {
			gone = append(gone, s)
		}
	}
	in.mu.Unlock()
	for _, s := range gone {
		in.end(s, nil)
	}
}

// Move says that an address is called otherwise now: what its old streams knew goes over to the new ones.
func (in *Ingest) Move(from, to string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.moved[from] = to
}

// now is what an address is called now; in.mu is held.
func (in *Ingest) now(address string) string {
	if to, moved := in.moved[address]; moved {
		return to
	}
	return address
}

func (in *Ingest) of(address string) (all []*stream) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.streams {
		if in.now(s.address) == address {
			all = append(all, s)
		}
	}
	return all
}

// handOver ends the predecessors of a stream that has told everything.
func (in *Ingest) handOver(successor *stream) {
	var here map[uint64]struct{}
	for _, s := range in.orphansBefore(successor) {
		if here == nil {
			here = successor.hashes()
		}
		in.end(s, here)
	}
}

// orphansBefore are the predecessors of a stream that send nothing any more, the oldest first.
func (in *Ingest) orphansBefore(successor *stream) (all []*stream) {
	for _, s := range in.of(successor.address) {
		if s.number < successor.number && s.isOrphan() {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *stream) int { return cmp.Compare(a.number, b.number) })
	return all
}

// thin ends the oldest of too many predecessors: what none of the newer ones knows goes stale.
func (in *Ingest) thin(successor *stream) {
	orphans := in.orphansBefore(successor)
	for len(orphans) > maxOrphans {
		newer := map[uint64]struct{}{}
		for _, s := range orphans[1:] {
			maps.Copy(newer, s.hashes())
		}
		in.end(orphans[0], newer)
		orphans = orphans[1:]
	}
}

// end marks what others do not have as stale and ends the stream.
func (in *Ingest) end(s *stream, except map[uint64]struct{}) {
	in.mu.Lock()
	_, open := in.streams[s.number]
	delete(in.streams, s.number)
	if open {
		in.ending[s.number] = s
	}
	in.mu.Unlock()
	if !open {
		return
	}
	now := time.Now().UnixMilli()
	var frames []byte
	refs := s.live(except)
	samples := len(refs)
	for len(refs) > 0 {
		n := min(len(refs), maxStale)
		frames = wire.AppendRefs(frames, wire.Header{Kind: wire.Stale, Stream: s.number, Base: now}, refs[:n])
		refs = refs[n:]
		if len(frames) > 512<<10 {
			in.append(frames, samples-len(refs), nil)
			samples, frames = len(refs), nil
		}
	}
	in.append(wire.AppendEnd(frames, s.number), samples, func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		delete(in.ending, s.number)
	})
}

// Watch ends what waited too long for a successor, or whose successor has no cycles. It returns when ctx ends.
func (in *Ingest) Watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			in.sweep(now)
		}
	}
}

func (in *Ingest) sweep(now time.Time) {
	in.mu.Lock()
	all := make([]*stream, 0, len(in.streams))
	newest, called := map[string]*stream{}, map[*stream]string{}
	for _, s := range in.streams {
		all = append(all, s)
		called[s] = in.now(s.address)
		if n := newest[called[s]]; n == nil || s.number > n.number {
			newest[called[s]] = s
		}
	}
	in.mu.Unlock()
	for _, s := range all {
		s.mu.Lock()
		orphaned := s.orphaned
		s.mu.Unlock()
		switch successor := newest[called[s]]; {
		case orphaned.IsZero():
		case successor != s && now.Sub(successor.opened) > successor.grace:
			in.handOver(successor)
		case successor == s && now.Sub(orphaned) > patience:
			in.end(s, nil)
		}
	}
}
