package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"

	"github.com/magpie-monitoring/magpie/sdk"
)

// job is one batch on its way. It outlives a failed Write, so that the next attempt goes on behind what the receiver has.
type job struct {
	*writer
	in        *sdk.Batch
	series    []*series                  // of each sample; nil: dropped
	exemplars map[*series][]sdk.Exemplar // nil: there are none
	texts     []string
	protocol  int
	attempt   int
	shards    []*shard
}

// shard sends its share of a job, one request after another. It belongs to one job at a time; its memory is kept.
type shard struct {
	encoder
	number, of uint32
	at         position // everything before it is settled
	alone      position // up to here a request holds one run only
	packed     *packed
	dropped    []refusal
	limit      int // samples in a request
}

// position is a sample of a batch: i counts through all runs.
type position struct{ run, k, i int }

// refusal is a sample that the receiver will not have.
type refusal struct {
	i      int
	reason string
}

// errOtherProtocol says that the receiver wants the other version of the protocol.
var errOtherProtocol = errors.New("the receiver speaks protocol 1.0")

// prepare finds the series of all samples, and on the first attempt the shards.
func (j *job) prepare(protocol int) {
	w := j.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	j.protocol = protocol
	if j.series == nil {
		j.series, w.spare = slices.Grow(w.spare, j.in.Len()), nil
	}
	j.series = j.series[:0]
	for r := range j.in.Runs() {
		run := &j.in.Runs()[r]
		known := originOf(run.Origin)
		for _, ref := range run.Refs {
			j.series = append(j.series, w.catalogue.resolve(run.Origin, known, ref, protocol))
		}
	}
	j.exemplars = j.exemplarsOf()
	j.texts = w.catalogue.symbols.texts
	if j.shards == nil {
		n := min((len(j.series)+w.cfg.MaxSamples-1)/w.cfg.MaxSamples, w.cfg.Shards)
		for k := range max(n, 1) {
			s := w.idleShard()
			s.number, s.of, s.limit = uint32(k), uint32(n), w.cfg.MaxSamples
			s.at, s.alone, s.dropped = position{}, position{}, s.dropped[:0]
			j.shards = append(j.shards, s)
		}
	}
}

// exemplarsOf finds the exemplars of the batch's series. One whose series has no sample in the batch is left out: protocol 2.0 has no
// place for it.
func (j *job) exemplarsOf() map[*series][]sdk.Exemplar {
	var found map[*series][]sdk.Exemplar
	for r := range j.in.Runs() {
		run := &j.in.Runs()[r]
		known := originOf(run.Origin)
		for i := range run.Exemplars {
			e := &run.Exemplars[i]
			if p := known.Get(e.Ref); p != nil {
				if found == nil {
					found = map[*series][]sdk.Exemplar{}
				}
				found[*p] = append(found[*p], e.Exemplar)
			}
		}
	}
	return found
}

// send sends what is not settled, all shards at the same time.
func (j *job) send(ctx context.Context) error {
	errs := make([]error, len(j.shards))
	if len(j.shards) == 1 {
		return j.sendShard(ctx, j.shards[0])
	}
	var running sync.WaitGroup
	for k, s := range j.shards {
		running.Go(func() { errs[k] = j.sendShard(ctx, s) })
	}
	running.Wait()
	var first error
	for _, err := range errs { // the other protocol is tried at once, even where a shard found the receiver busy
		if errors.Is(err, errOtherProtocol) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// sendShard sends one request after another. An error means that trying again can help.
func (j *job) sendShard(ctx context.Context, s *shard) error {
	for {
		n, end, runs := j.fill(s)
		if n == 0 {
			s.at = end
			return nil
		}
		answer, err := j.post(ctx, s, n)
		if err != nil {
			return err
		}
		switch {
		case answer.tooLarge && n > 1:
			s.limit = n / 2
			continue
		case answer.reason != "" && answer.whole && runs > 1:
			s.alone = end
			continue
		case answer.reason != "":
			j.refuse(s, end, n-answer.written, answer.reason)
		}
		s.at = end
	}
}

// fill encodes the next samples of a shard: up to its limit, and no further than the end of a run where runs go alone.
func (j *job) fill(s *shard) (n int, end position, runs int) {
	s.begin(j.protocol, j.texts)
	all := j.in.Runs()
	p := s.at
	for p.run < len(all) {
		run := &all[p.run]
		before := n
		for ; p.k < len(run.Refs) && n < s.limit; p.k, p.i = p.k+1, p.i+1 {
			if one := j.series[p.i]; one != nil && one.hash%s.of == s.number {
				v, h := math.NaN(), (*sdk.Histogram)(nil)
				if run.Histograms != nil {
					h = run.Histograms[p.k]
				} else {
					v = run.Values[p.k]
				}
				s.add(one, run.Time(p.k), v, h, j.exemplars[one])
				n++
			}
		}
		if n > before {
			runs++
		}
		if p.k < len(run.Refs) {
			break
		}
		p.run, p.k = p.run+1, 0
		if n > 0 && p.i <= s.alone.i {
			break
		}
	}
	return n, p, runs
}

// refuse counts the last n samples of a request as dropped: the receiver says how many, and not which.
func (j *job) refuse(s *shard, end position, n int, reason string) {
	for i := end.i - 1; i >= s.at.i && n > 0; i-- {
		if one := j.series[i]; one != nil && one.hash%s.of == s.number {
			s.dropped = append(s.dropped, refusal{i, reason})
			n--
		}
	}
}

// settle tells the batch what of it was dropped.
func (j *job) settle() {
	for i, s := range j.series {
		if s == nil {
			j.in.Drop(i, "unknown_series")
		}
	}
	for _, s := range j.shards {
		for _, d := range s.dropped {
			j.in.Drop(d.i, d.reason)
		}
	}
}
