package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// ---- A source that numbers its samples and writes down which were acknowledged, and a sink that writes down which it got.
// What they write survives their death: a list of ranges, two numbers each.

const slots = 1000 // series of the source, and samples of a batch

type numbersConfig struct {
	Dir  string `hcl:"dir" doc:"Where the source writes what was acknowledged, and looks for the file stop; once it rests it makes the file resting."`
	Rate int    `hcl:"rate,optional" default:"0" doc:"Samples a second; 0: as fast as it may."`
	Note string `hcl:"note,optional" doc:"Nothing: something to change in a reload."`

	Resume bool `hcl:"resume,optional" default:"false" doc:"Go on from the last checkpoint, so that no number is left out and none comes twice."`
}

type numberSource struct {
	cfg  *numbersConfig
	host sdk.Host
}

// broken is a note with which source and sink do not open.
const broken = "broken"

func openNumbers(_ context.Context, cfg *numbersConfig, host sdk.Host) (*numberSource, error) {
	if cfg.Note == broken {
		return nil, errors.New("it is broken")
	}
	return &numberSource{cfg, host}, nil
}

func (s *numberSource) Stream(ctx context.Context, out sdk.Emitter) error {
	acknowledged, err := appendTo(s.cfg.Dir, "acknowledged")
	if err != nil {
		return err
	}
	defer acknowledged.Close()
	at, err := os.OpenFile(filepath.Join(s.cfg.Dir, "emitted"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer at.Close()
	var b [8]byte
	at.ReadAt(b[:], 0)
	first := binary.LittleEndian.Uint64(b[:]) // no number is used twice
	if s.cfg.Resume {
		first = 0
		if last := s.host.Checkpoint(); last != nil {
			first = binary.LittleEndian.Uint64(last)
		}
	}
	var emitted, known atomic.Uint64 // known: to be acknowledged
	emitted.Store(first)
	known.Store(first)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var flushing sync.WaitGroup
	flushing.Go(func() {
		for done := first; ctx.Err() == nil; {
			n := emitted.Load()
			if n == done {
				time.Sleep(time.Millisecond)
				continue
			}
			if err := out.Flush(ctx); err != nil {
				cancel(err)
				return
			}
			if err := writeRange(acknowledged, done, n); err != nil {
				cancel(err)
			}
			done = n
			known.Store(n)
		}
	})
	defer flushing.Wait()
	defer cancel(nil)
	batch := out.Batch()
	refs := make([]sdk.Ref, slots)
	for i := range refs {
		refs[i] = batch.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "number", "slot", fmt.Sprint(i))})
	}
	var tick <-chan time.Time
	if s.cfg.Rate > 0 {
		t := time.NewTicker(time.Duration(slots) * time.Second / time.Duration(s.cfg.Rate))
		defer t.Stop()
		tick = t.C
	}
	for n := first; ctx.Err() == nil; {
		if is(s.cfg.Dir, "stop") {
			if known.Load() == n {
				os.WriteFile(filepath.Join(s.cfg.Dir, "resting"), nil, 0o600)
			}
			time.Sleep(5 * time.Millisecond)
			continue
		}
		for i, ref := range refs {
			batch.Put(ref, float64(n+uint64(i)))
		}
		n += slots
		binary.LittleEndian.PutUint64(b[:], n)
		if _, err := at.WriteAt(b[:], 0); err != nil {
			return err
		}
		if s.cfg.Resume {
			batch.Checkpoint(binary.LittleEndian.AppendUint64(nil, n))
		}
		if err := out.Emit(ctx, batch); err != nil {
			break
		}
		emitted.Store(n)
		if tick != nil {
			select {
			case <-tick:
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
}

type checkerConfig struct {
	Dir  string        `hcl:"dir" doc:"Where the sink writes what it got, and looks for the file down."`
	Slow time.Duration `hcl:"slow,optional" default:"0s" doc:"How long a batch takes."`
	Note string        `hcl:"note,optional" doc:"Nothing: something to change in a reload."`
}

// made is the name of what a processor makes of the numbers: how many there are in a window.
const made = "numbers:count"

type checker struct {
	cfg              *checkerConfig
	got, made, times *os.File
}

func openChecker(_ context.Context, cfg *checkerConfig, _ sdk.Host) (*checker, error) {
	if cfg.Note == broken {
		return nil, errors.New("it is broken")
	}
	got, err := appendTo(cfg.Dir, "got")
	windows, err2 := appendTo(cfg.Dir, "made")
	times, err3 := appendTo(cfg.Dir, "times")
	return &checker{cfg, got, windows, times}, errors.Join(err, err2, err3)
}

func (c *checker) Write(ctx context.Context, in *sdk.Batch) error {
	if is(c.cfg.Dir, "down") {
		return errors.New("the sink is down")
	}
	if c.cfg.Slow > 0 && !is(c.cfg.Dir, "hurry") {
		select {
		case <-time.After(c.cfg.Slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var from, to uint64
	var at time.Time
	for _, s := range in.Samples() {
		if math.IsNaN(s.Value) {
			continue // a staleness marker
		}
		if s.Series.Labels.Get("__name__") == made {
			if err := writeNumbers(c.made, uint64(s.Time.UnixMilli()), uint64(s.Value)); err != nil {
				return err
			}
			continue
		}
		n := uint64(s.Value)
		if fmt.Sprint(n%slots) != s.Series.Labels.Get("slot") || s.Series.Labels.Get("__name__") != "number" {
			return sdk.Permanent(fmt.Errorf("%v of %v was not sent", s.Value, s.Series.Labels))
		}
		if n != to || !s.Time.Equal(at) {
			if err := c.note(from, to, at); err != nil {
				return err
			}
			from = n
		}
		to, at = n+1, s.Time
	}
	return c.note(from, to, at)
}

// note writes down which numbers came, and of which time they are: those of one emission have the same.
func (c *checker) note(from, to uint64, at time.Time) error {
	if from == to {
		return nil
	}
	return errors.Join(writeRange(c.got, from, to), writeNumbers(c.times, from, to, uint64(at.UnixMilli())))
}

func (c *checker) Close(context.Context) error {
	return errors.Join(c.got.Close(), c.made.Close(), c.times.Close())
}

func is(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func appendTo(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

func writeRange(f *os.File, from, to uint64) error {
	if from == to {
		return nil
	}
	return writeNumbers(f, from, to)
}

func writeNumbers(f *os.File, numbers ...uint64) error {
	var b []byte
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	_, err := f.Write(b)
	return err
}

// numbersIn reads what writeNumbers wrote, so many at a time.
func numbersIn(t testing.TB, dir, name string, together int) (all [][]uint64) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for ; len(b) >= 8*together; b = b[8*together:] {
		list := make([]uint64, together)
		for i := range list {
			list[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
		all = append(all, list)
	}
	return all
}

// ranges reads a list of ranges and joins them.
func ranges(t testing.TB, dir, name string) (joined [][2]uint64, numbers uint64) {
	t.Helper()
	var all [][2]uint64
	for _, r := range numbersIn(t, dir, name, 2) {
		all = append(all, [2]uint64(r))
	}
	slices.SortFunc(all, func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) })
	for _, r := range all {
		if n := len(joined); n > 0 && r[0] <= joined[n-1][1] {
			joined[n-1][1] = max(joined[n-1][1], r[1])
			continue
		}
		joined = append(joined, r)
	}
	for _, r := range joined {
		numbers += r[1] - r[0]
	}
	return joined, numbers
}
