package verify

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// sinkChecks write to sinks and stores.
var sinkChecks = []check{
	{"sink/acknowledges", "every sample is acknowledged once, as stored or as dropped",
		"the acknowledgement counts what came since the last one: stored + dropped is what was sent", acknowledges},
	{"sink/delivers", "what it acknowledges has left it",
		"return from Write when the samples are where they belong, or return the error", delivers},
	{"sink/odd", "strange values, times and names are stored or dropped, and nothing stops for them",
		"drop what cannot be stored with in.Drop(i, reason)", takesOdd},
	{"sink/stale", "staleness markers and the end of series are taken",
		"a marker is a NaN of its own bits (sdk.StaleNaN): keep it, or drop it", takesStale},
	{"sink/histograms", "native histograms and exemplars are taken, or counted as dropped",
		"describe the type with sdk.Histograms() and sdk.Exemplars() where it takes them", takesSignals},
	{"sink/many", "10,000 series, and ten samples of each, are taken",
		"work in columns (Batch.Runs), and remember series by their ref", takesMany},
	{"sink/replay", "what comes again after a reconnection is acknowledged again",
		"a batch has the same ID when it comes again: store it once, and acknowledge it", takesReplay},
	{"sink/memory", "batches are let go after Write",
		"a batch is valid only during the call: copy what is kept, and bound it", keepsNothing},
}

// fed opens the sink and begins to feed it.
func (s *session) fed() (*component, *feeder, error) {
	c, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	f, err := s.feed(c.number, nil)
	return c, f, err
}

// offer sends what fill sets, and waits for the acknowledgement of all of it.
func (f *feeder) offer(fill func(b *sdk.Batch)) (sent int, c counted, err error) {
	packets, sent := f.pack(fill)
	if err := f.send(packets); err != nil {
		return sent, c, err
	}
	c, err = f.acknowledged(f.Last)
	return sent, c, err
}

// unreachable skips where the sink says that its target is to blame: the example names none that answers.
func (s *session) unreachable(f *feeder, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && f.trouble != "" && s.target.requests() == 0 {
		return skip("it does not reach its target: %.150s", f.trouble)
	}
	return err
}

func acknowledges(s *session) error {
	_, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	total := uint64(0)
	for i := range 5 {
		sent, c, err := f.offer(func(b *sdk.Batch) { some(b, 50, float64(i), time.Now()) })
		if err != nil {
			return s.unreachable(f, err)
		}
		if total += uint64(sent); c.total() != total {
			return fmt.Errorf("%d samples were sent, and the acknowledgements count %d stored and %v dropped", total, c.stored, c.dropped)
		}
	}
	s.settle() // one too many would come now
	f.mu.Lock()
	defer f.mu.Unlock()
	at := uint64(0)
	for _, a := range f.acks {
		if a.Position <= at || a.Position > f.Last {
			return fmt.Errorf("position %d is acknowledged after %d, of %d", a.Position, at, f.Last)
		}
		at = a.Position
	}
	if c := f.count(); c.total() != total {
		return fmt.Errorf("%d samples were sent, and %d are acknowledged", total, c.total())
	}
	return nil
}

func delivers(s *session) error {
	c, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	places := func() int64 { return bytesIn(s.dir) + int64(s.target.requests()) }
	before := places()
	sent, n, err := f.offer(func(b *sdk.Batch) { some(b, 100, 1, time.Now()) })
	if err != nil {
		return s.unreachable(f, err)
	}
	if n.stored == 0 {
		return remark("of %d samples all are dropped: %v", sent, n.dropped)
	}
	moved := places() > before
	told := bytes.Contains(s.example.Text, []byte("VERIFY_"))
	if err := s.closes(c.number); err != nil {
		return err
	}
	switch {
	case moved:
		return nil
	case places() > before:
		return errors.New("samples were acknowledged before they were sent or written: nothing came until Close")
	case told:
		return errors.New("samples were acknowledged, and nothing was sent or written")
	}
	return skip("it neither writes below VERIFY_DIR nor sends to VERIFY_URL or VERIFY_TCP")
}

func takesOdd(s *session) error {
	_, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	now := time.Now()
	century := 100 * 365 * 24 * time.Hour
	odd := func(b *sdk.Batch) {
		b.Time = now
		for i, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)} {
			b.Put(b.Series(series(i)), v)
		}
		b.PutAt(b.Series(series(10)), 1, now.Add(century))
		b.PutAt(b.Series(series(11)), 1, now.Add(-century))
		b.PutAt(b.Series(series(12)), 1, time.UnixMilli(0))
		b.PutAt(b.Series(series(13)), 1, now)
		b.PutAt(b.Series(series(13)), 2, now)                 // twice
		b.PutAt(b.Series(series(13)), 3, now.Add(-time.Hour)) // out of order
		b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "喜鹊.speed", "ort der messung", "Nest №1\n\"x\"\\")}), 1)
		b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels("only", "a label")}), 1)
		b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "verify_long", "value", string(make([]byte, 60_000)))}), 1)
	}
	sent, c, err := f.offer(odd)
	if err != nil {
		return s.unreachable(f, err)
	}
	if c.total() != uint64(sent) {
		return fmt.Errorf("of %d samples %d are acknowledged", sent, c.total())
	}
	_, _, err = f.offer(func(b *sdk.Batch) { some(b, 5, 1, time.Now()) })
	return err
}

func takesStale(s *session) error {
	_, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	var refs []sdk.Ref
	total := 0
	for _, fill := range []func(b *sdk.Batch){
		func(b *sdk.Batch) {
			b.Time = time.Now()
			for i := range 5 {
				refs = append(refs, b.Series(series(i)))
				b.Put(refs[i], 1)
			}
		},
		func(b *sdk.Batch) { b.Time = time.Now().Add(time.Second); b.Stale(refs[:3]...) },
		func(b *sdk.Batch) { b.Time = time.Now().Add(2 * time.Second); b.Retire(refs[:3]...) },
		func(b *sdk.Batch) { b.Time = time.Now().Add(3 * time.Second); b.Put(refs[4], 2) },
	} {
		sent, c, err := f.offer(fill)
		if err != nil {
			return s.unreachable(f, err)
		}
		if total += sent; c.total() != uint64(total) {
			return fmt.Errorf("of %d samples and markers %d are acknowledged", total, c.total())
		}
	}
	return nil
}

func takesSignals(s *session) error {
	_, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	sent, c, err := f.offer(func(b *sdk.Batch) {
		b.Time = time.Now()
		some(b, 3, 1, b.Time)
		b.PutHistogram(b.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "verify_seconds", "job", "verify")}), &sdk.Histogram{
			Schema: 0, Count: 3, Sum: 4, ZeroThreshold: 1e-9, PositiveSpans: []sdk.Span{{Offset: 0, Length: 2}}, Positive: []float64{1, 2},
		})
		b.PutExemplar(b.Series(series(0)), sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "abc"), Value: 1, Time: b.Time})
	})
	if err != nil {
		return s.unreachable(f, err)
	}
	if c.total() != uint64(sent) {
		return fmt.Errorf("of %d samples %d are acknowledged", sent, c.total())
	}
	return nil
}

func takesMany(s *session) error {
	_, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	total := 0
	for i := range 10 {
		sent, c, err := f.offer(func(b *sdk.Batch) { some(b, 10_000, float64(i), time.Now()) })
		if err != nil {
			return s.unreachable(f, err)
		}
		if total += sent; c.total() != uint64(total) {
			return fmt.Errorf("of %d samples %d are acknowledged", total, c.total())
		}
	}
	return nil
}

func takesReplay(s *session) error {
	c, f, err := s.fed()
	if err != nil {
		return err
	}
	packets, sent := f.pack(func(b *sdk.Batch) { some(b, 50, 1, time.Now()) })
	for range 3 {
		if err := f.send(packets); err != nil {
			return err
		}
		n, err := f.acknowledged(packets[len(packets)-1].LastSeq)
		f.cancel()
		if err != nil {
			return s.unreachable(f, err)
		}
		if n.total() != uint64(sent) {
			return fmt.Errorf("of %d samples %d are acknowledged", sent, n.total())
		}
		if f, err = s.feed(c.number, nil); err != nil {
			return err
		}
	}
	f.cancel()
	return nil
}

// keepsNothing sends many megabytes of the same series, and looks whether they are still there.
func keepsNothing(s *session) error {
	_, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	const batch = 50_000 // samples, of 8 bytes
	var refs []sdk.Ref
	steady := func(b *sdk.Batch, at time.Time) {
		b.Time = at
		for i := range batch {
			if i == len(refs) {
				refs = append(refs, b.Series(series(i)))
			}
			b.Put(refs[i], float64(i))
		}
	}
	at := time.Now().Add(-time.Hour)
	write := func(megabytes int, budget time.Duration) (n int64, err error) {
		for end := time.Now().Add(budget); n < int64(megabytes)<<20 && time.Now().Before(end); {
			at = at.Add(time.Second)
			sent, _, err := f.offer(func(b *sdk.Batch) { steady(b, at) })
			if err != nil {
				return n, err
			}
			n += int64(8 * sent)
		}
		return n, nil
	}
	if _, err := write(16, s.patient(4*time.Second)); err != nil { // what it keeps of any work is there then
		return s.unreachable(f, err)
	}
	before, err := holdingOf(s.process.Pid, s.dir)
	if err != nil {
		return err
	}
	const enough = 48
	written, err := write(enough, s.patient(8*time.Second))
	if err != nil {
		return s.unreachable(f, err)
	}
	after, err := holdingOf(s.process.Pid, s.dir)
	if err != nil {
		return err
	}
	if written < enough<<20 {
		return skip("it takes %d MiB in this time: too little to tell", written>>20)
	}
	if grown := int64(after.memory) - int64(before.memory); grown > written*6/10+16<<20 { // garbage that is not collected yet is not kept
		return fmt.Errorf("%d MiB of samples were written, and it has %d MiB more memory of its own", written>>20, grown>>20)
	}
	return nil
}

// sinkFaultChecks let things go wrong.
var sinkFaultChecks = []check{
	{"sink/transient", "while its target fails, it acknowledges nothing; then everything",
		"return an error that is not Permanent from Write, and it is called again with the same batch", survivesFailure},
	{"sink/malformed", "a malformed packet ends its stream, and the next stream works",
		"refuse the packet as a whole, with an error that names the plugin", survivesMalformed},
	{"sink/cut", "a stream that is cut while it writes leaves it as it was",
		"Write heeds its context; what was not acknowledged comes again", survivesCut},
	{"sink/no-component", "a stream for a component that is not open is refused",
		"answer Consume with NotFound", func(s *session) error {
			f, err := s.feed(4_000_000_000, nil)
			if err != nil {
				return nil
			}
			defer f.cancel()
			if !f.wait(3*time.Second, func() bool { return f.ended != nil }) {
				return errors.New("the stream stays open")
			}
			_, err = s.health()
			return err
		}},
}

func survivesFailure(s *session) error {
	_, f, err := s.fed()
	if err != nil {
		return err
	}
	defer f.cancel()
	if _, _, err := f.offer(func(b *sdk.Batch) { some(b, 5, 1, time.Now()) }); err != nil || s.target.requests() == 0 {
		return skip("it does not send to VERIFY_URL or VERIFY_TCP")
	}
	s.target.answer(503)
	asked := s.target.requests()
	before := f.Last
	packets, sent := f.pack(func(b *sdk.Batch) { some(b, 20, 2, time.Now()) })
	if err := f.send(packets); err != nil {
		return err
	}
	if told, err := s.eventually(5*time.Second, func() (bool, error) { return s.target.requests() > asked, nil }); err != nil || !told {
		return errors.Join(err, errors.New("its target answers 503, and it asks no more"))
	}
	s.settle()
	f.mu.Lock()
	early := f.count()
	f.mu.Unlock()
	if early.position > before {
		return errors.New("its target answers 503, and the batch is acknowledged")
	}
	s.target.answer(0)
	c, err := f.acknowledged(f.Last)
	if err != nil {
		return fmt.Errorf("its target answers again: %w", err)
	}
	if c.total() != uint64(5+sent) || len(c.dropped) > 0 {
		return fmt.Errorf("of %d samples %d are stored and %v dropped, and none had to be", 5+sent, c.stored, c.dropped)
	}
	return nil
}

func survivesMalformed(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	stream := wire.AppendStream(nil, origin, "source.verify.main")
	for _, frames := range [][]byte{
		[]byte("junk"), make([]byte, 32), append(stream, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0),
		wire.AppendRefs(stream[:len(stream):len(stream)], wire.Header{Kind: wire.Values, Stream: origin, Layout: 99}, []sdk.Ref{1, 2, 3}),
		wire.AppendRefs(nil, wire.Header{Kind: wire.Stale, Stream: 12345}, []sdk.Ref{1}),
	} {
		f, err := s.feed(c.number, nil)
		if err != nil {
			return err
		}
		f.send([]*wire.Packet{{Epoch: 1, LastSeq: 1, Samples: 3, Frames: frames}})
		ended := f.wait(3*time.Second, func() bool { return f.ended != nil })
		f.cancel()
		if !ended {
			return fmt.Errorf("a packet of %d bytes that is none goes unnoticed", len(frames))
		}
	}
	f, err := s.feed(c.number, nil)
	if err != nil {
		return err
	}
	defer f.cancel()
	_, _, err = f.offer(func(b *sdk.Batch) { some(b, 5, 1, time.Now()) })
	return s.unreachable(f, err)
}

func survivesCut(s *session) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	for range 5 {
		f, err := s.feed(c.number, nil)
		if err != nil {
			return err
		}
		packets, _ := f.pack(func(b *sdk.Batch) { some(b, 2000, 1, time.Now()) })
		f.send(packets)
		f.cancel()
	}
	f, err := s.feed(c.number, nil)
	if err != nil {
		return err
	}
	defer f.cancel()
	if _, _, err = f.offer(func(b *sdk.Batch) { some(b, 5, 1, time.Now()) }); err != nil {
		return s.unreachable(f, err)
	}
	return s.closes(c.number)
}
