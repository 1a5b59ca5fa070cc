package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// rig is a log with its door.
type rig struct {
	*testing.T
	dir string
	in  *Ingest
	log *buffer.Log
	ctx context.Context
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, dir: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	r.ctx = ctx
	t.Cleanup(cancel)
	r.start()
	return r
}

func (r *rig) start() {
	r.in = NewIngest()
	log, err := buffer.Open(r.dir, buffer.Options{Sync: time.Millisecond, SegmentBytes: 16 << 10, Carry: r.in.Carry})
	if err != nil {
		r.Fatal(err)
	}
	r.log = log
	r.in.Start(log)
	r.Cleanup(func() { log.Close() })
}

// source is a process with one component, on the other end of Produce.
type source struct {
	*rig
	scope   *sdk.Scope
	batch   *sdk.Batch
	packer  *wire.Packer
	encoder *wire.Encoder
	ended   chan error
}

func (r *rig) source(number uint32, address string) *source {
	s := &source{rig: r, scope: sdk.NewScope(sdk.SourceSettings{Job: "j"}, "i", false), packer: wire.NewPacker(1, time.Millisecond, 1<<20), encoder: wire.NewEncoder(number), ended: make(chan error, 1)}
	s.batch = s.scope.Batch()
	s.batch.Whole = true
	r.in.Open(number, address, 1000, time.Hour)
	go func() {
		s.ended <- r.in.Serve(r.ctx, func(ctx context.Context) (wire.PacketStream, error) { return &produced{ctx, s.packer}, nil }, func(uint64) {})
	}()
	return s
}

// produced hands a packer's packets over.
type produced struct {
	ctx    context.Context
	packer *wire.Packer
}

func (p *produced) RecvMsg(m any) error {
	raw, err := p.packer.Next(p.ctx)
	if err == nil {
		*m.(*wire.Raw) = *raw
	}
	return err
}

func (p *produced) SendMsg(m any) error {
	if a := m.(*wire.Down).GetAck(); a != nil {
		p.packer.Ack(a.Seq)
	}
	return nil
}

// emit sends name → value at a time and waits until it is durable.
func (s *source) emit(at int64, values ...any) {
	s.Helper()
	s.send(at, values...)
	s.flush()
}

func (s *source) send(at int64, values ...any) {
	s.batch.Time = time.UnixMilli(at)
	for i := 0; i < len(values); i += 2 {
		s.batch.Put(s.batch.Series(sdk.Series{Labels: sdk.NewLabels("__name__", values[i].(string))}), float64(values[i+1].(int)))
	}
	s.packer.Fill(s.ctx, true, true, func(p *wire.Packer) {
		s.batch.Seal(func(c *sdk.Columns) { s.encoder.Encode(p, c) })
	})
}

func (s *source) flush() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Minute)
	defer cancel()
	if err := s.packer.Flush(ctx); err != nil {
		s.Fatal(err)
	}
}

// sink is the other end of Consume: it keeps lines and can be told to fail.
type sink struct {
	*rig
	mu      sync.Mutex
	lines   []string
	breakAt int // fail when so many lines are kept
	changed chan struct{}
}

func (r *rig) sink() *sink { return &sink{rig: r, changed: make(chan struct{}), breakAt: -1} }

type consumed struct {
	s       *sink
	ctx     context.Context
	decoder *wire.Decoder
	acks    chan *wire.Up
}

func (s *sink) connect(ctx context.Context, _ uint32) (Consumed, error) {
	return &consumed{s, ctx, wire.NewDecoder(), make(chan *wire.Up, 1000)}, nil
}

func (c *consumed) SendMsg(m any) error {
	buf := m.(*wire.Raw).Materialize()
	defer buf.Free()
	packet, err := wire.ParsePacket(buf.ReadOnlyData())
	if err != nil {
		return err
	}
	runs, forgotten, err := c.decoder.Decode(packet.Frames)
	if err != nil {
		c.s.Errorf("the sink cannot decode: %v", err)
		return err
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := sdk.ReadBatch(packet.LastSeq, runs)
	if int(packet.Samples) != batch.Len() && batch.Len() > 0 {
		s.Errorf("the packet announces %d samples and has %d", packet.Samples, batch.Len())
	}
	if s.breakAt >= 0 && len(s.lines) >= s.breakAt && batch.Len() > 0 {
		s.breakAt = -1
		return errors.New("broken on purpose")
	}
	for _, x := range batch.Samples() {
		s.lines = append(s.lines, fmt.Sprintf("%s %s %d %v", x.Labels.Get("__name__"), x.Labels.Get("instance"), x.Time.UnixMilli(), x.Value))
	}
	wire.Forget(forgotten)
	close(s.changed)
	s.changed = make(chan struct{})
	c.acks <- &wire.Up{Message: &wire.Up_Ack{Ack: &wire.SinkAck{Position: packet.LastSeq, Stored: uint64(batch.Len())}}}
	return nil
}

func (c *consumed) Recv() (*wire.Up, error) {
	select {
	case up := <-c.acks:
		return up, nil
	case <-c.ctx.Done():
		return nil, io.EOF
	}
}

// expect waits until the sink has as many lines and compares.
func (s *sink) expect(want ...string) {
	s.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		s.mu.Lock()
		lines, changed := slices.Clone(s.lines), s.changed
		s.mu.Unlock()
		if len(lines) >= len(want) {
			if !slices.Equal(lines, want) {
				s.Errorf("got  %q\nwant %q", lines, want)
			}
			return
		}
		select {
		case <-changed:
		case <-deadline:
			s.Fatalf("only %q after 10 s", lines)
		}
	}
}

func (r *rig) deliver(s *sink, change func(*Route)) *Delivery {
	route := Route{Key: "p -> s", Wants: func(string) bool { return true }, Connect: s.connect, Log: func(string, error) {}}
	if change != nil {
		change(&route)
	}
	d := NewDelivery(r.log, route)
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	go func() { d.Run(ctx); close(done) }()
	r.Cleanup(func() { cancel(); <-done })
	return d
}

func TestSamplesReachTheSinkInOrderAndAreCommitted(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	d := r.deliver(k, nil)
	s := r.source(1, "source.a.x")
	s.emit(1000, "one", 1, "two", 2)
	s.emit(2000, "one", 3, "two", 4)
	k.expect("one i 1000 1", "two i 1000 2", "one i 2000 3", "two i 2000 4")
	if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
		t.Fatal(err)
	}
	if st := d.State(); st.Stored != 4 || st.Lag != 0 {
		t.Errorf("%+v", st)
	}
}

func TestABrokenSinkGetsEverythingAgainFromItsLastAcknowledgement(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	k.breakAt = 3
	r.deliver(k, nil)
	s := r.source(1, "source.a.x")
	var want []string
	for i := range 300 { // several segments
		s.emit(int64(1000*i), "one", i)
		want = append(want, fmt.Sprintf("one i %d %d", 1000*i, i))
	}
	k.expect(want...)
}

func TestOnlyWantedStreamsAndNotWhatAProcessorDrops(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	d := r.deliver(k, func(route *Route) {
		route.Wants = func(address string) bool { return address == "source.a.x" }
		route.External = sdk.NewLabels("site", "s1", "instance", "no")
		route.Through = []wire.MapSeries{func(_ context.Context, series []sdk.Labels) ([]sdk.Labels, error) {
			for i, ls := range series {
				switch name := ls.Get("__name__"); {
				case strings.HasPrefix(name, "drop"):
					series[i] = nil
				case name == "old":
					series[i] = ls.Set("__name__", "new")
				}
			}
			return series, nil
		}}
	})
	a, b := r.source(1, "source.a.x"), r.source(2, "source.b.y")
	a.emit(1000, "drop1", 1, "old", 2, "keep", 3)
	b.emit(1000, "keep", 9)
	a.emit(2000, "drop1", 1, "old", 4, "keep", 5)
	a.emit(3000, "keep", 6) // the others go stale: so does not what was dropped
	k.expect("new i 1000 2", "keep i 1000 3", "new i 2000 4", "keep i 2000 5", "keep i 3000 6", "new i 3000 NaN")
	if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
		t.Fatal(err)
	}
	if st := d.State(); st.Dropped["processor"] != 3 || st.Stored != 6 {
		t.Errorf("%+v", st)
	}
}

// A source that dies again and again before it has told everything leaves no more than a few streams behind: each segment
// of the log carries their definitions.
func TestASourceThatDiesAgainAndAgainLeavesLittleBehind(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	d := r.deliver(k, nil)
	for i := range 20 {
		s := r.source(uint32(i+1), "source.a.x")
		s.batch.Whole = false
		s.emit(int64(1000*i), "stays", i, fmt.Sprint("only", i), i)
		s.packer.Close()
		r.in.Gone(uint32(i + 1))
	}
	if n := len(r.in.of("source.a.x")); n > maxOrphans+1 {
		t.Errorf("%d streams are left", n)
	}
	if err := d.Wait(r.ctx, r.log.Durable()); err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	stale := 0
	for _, line := range k.lines {
		if strings.HasSuffix(line, "NaN") {
			stale++
			if strings.HasPrefix(line, "stays ") {
				t.Errorf("what its successors have too went stale: %s", line)
			}
		}
	}
	if stale == 0 {
		t.Error("nothing went stale of what only the oldest had")
	}
}

func TestWhatASuccessorDoesNotDefineAgainGoesStale(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	r.deliver(k, nil)
	first := r.source(1, "source.a.x")
	first.emit(1000, "stays", 1, "goes", 2)
	first.packer.Close()
	r.in.Gone(1)
	second := r.source(2, "source.a.x")
	second.emit(2000, "stays", 3)
	k.expectStale("goes", "stays i 1000 1", "goes i 1000 2", "stays i 2000 3")
	r.in.Retire("source.a.x")
	k.expectStale("stays", "stays i 1000 1", "goes i 1000 2", "stays i 2000 3", "", "")
}

// expectStale expects lines and one more: the staleness marker of a series at whatever time. "" stands for any line.
func (s *sink) expectStale(name string, want ...string) {
	s.Helper()
	if want[len(want)-1] == "" {
		want = want[:len(want)-1]
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		s.mu.Lock()
		lines := slices.Clone(s.lines)
		s.mu.Unlock()
		if len(lines) > len(want) {
			last := lines[len(want)]
			if !strings.HasPrefix(last, name+" ") || !strings.HasSuffix(last, " NaN") {
				s.Errorf("%q is not the staleness marker of %s", last, name)
			}
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("only %q", lines)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestARestartOfTheDaemonHandsOverToo(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	r.deliver(k, nil)
	s := r.source(1, "source.a.x")
	s.emit(1000, "stays", 1, "goes", 2)
	k.expect("stays i 1000 1", "goes i 1000 2")
	r.log.Close()

	after := newRig(t)
	after.dir = r.dir
	after.start()
	k2 := after.sink()
	after.deliver(k2, nil)
	again := after.source(2, "source.a.x")
	again.emit(2000, "stays", 3)
	lines := func() string {
		k2.mu.Lock()
		defer k2.mu.Unlock()
		return strings.Join(k2.lines, "\n")
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		text := lines()
		if strings.Contains(text, "stays i 2000 3") && strings.Contains(text, "goes i") && strings.HasSuffix(text, "NaN") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %q", text)
		}
	}
}

func TestViolationsNameTheComponent(t *testing.T) {
	for name, frames := range map[string][]byte{
		"does not define": wire.AppendRefs(nil, wire.Header{Kind: wire.Layout, Stream: 1, Layout: 1}, []sdk.Ref{5}),
		"not open":        wire.AppendRefs(nil, wire.Header{Kind: wire.Layout, Stream: 9, Layout: 1}, []sdk.Ref{5}),
		"which has 0":     make([]byte, 40),
	} {
		if name == "which has 0" {
			copy(frames, wire.AppendRefs(nil, wire.Header{Kind: wire.Values, Stream: 1, Layout: 3}, []sdk.Ref{1, 1}))
			frames[16] = 1
		}
		r := newRig(t)
		s := r.source(1, "source.a.x")
		s.packer.Fill(r.ctx, true, false, func(p *wire.Packer) { p.Add(frames) })
		s.packer.Cut()
		select {
		case err := <-s.ended:
			if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(name, "does ")) && !strings.Contains(err.Error(), "did not define") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(2 * time.Minute):
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSamplesOfTheFutureAreRefusedAtTheDoor(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	r.deliver(k, nil)
	s := r.source(1, "source.a.x")
	s.emit(time.Now().Add(time.Hour).UnixMilli(), "one", 1)
	s.emit(5000, "one", 2)
	k.expect("one i 5000 2")
	if got := r.in.Dropped()["future"]; got != 1 {
		t.Errorf("%d counted", got)
	}
}

func TestARecorderWaitsForTheStore(t *testing.T) {
	r := newRig(t)
	k := r.sink()
	d := r.deliver(k, nil)
	rec := r.in.Record(7, "rules.g", time.Hour)
	for i := range 3 {
		at, err := rec.Write(r.ctx, time.UnixMilli(int64(i)), []Sample{{sdk.Series{Labels: sdk.NewLabels("__name__", "r")}, float64(i), nil}})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Wait(r.ctx, at); err != nil {
			t.Fatal(err)
		}
		k.mu.Lock()
		if len(k.lines) != i+1 {
			t.Errorf("%d lines after %d writes", len(k.lines), i+1)
		}
		k.mu.Unlock()
	}
}

// FuzzTake: whatever a plugin sends, the door answers with an error or takes it, and what it took can be delivered.
func FuzzTake(f *testing.F) {
	defs, _ := wire.AppendDefs(nil, 1, []wire.SeriesDef{{Ref: 0, Labels: sdk.NewLabels("__name__", "m")}})
	f.Add(wire.AppendRefs(wire.AppendRefs(defs, wire.Header{Kind: wire.Layout, Stream: 1, Layout: 1}, []sdk.Ref{0}), wire.Header{Kind: wire.Retire, Stream: 1}, []sdk.Ref{0}))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, frames []byte) {
		in := NewIngest()
		log, err := buffer.Open(dir, buffer.Options{Sync: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		in.log = log
		in.streams[1] = newStream(1, "source.a.x", 10, 0)
		c := checked{in: in, packet: frames}
		r := wire.Read(slices.Clone(frames))
		for r.Next() && c.frame(&r.Frame) == nil {
		}
		tr := wire.Translator{Wants: func(string) bool { return true }, Through: []wire.MapSeries{func(_ context.Context, s []sdk.Labels) ([]sdk.Labels, error) { return make([]sdk.Labels, len(s)), nil }}}
		payload := append(wire.AppendStream(nil, 1, "source.a.x"), frames...)
		out, err := tr.Translate(t.Context(), payload, 0, true, false)
		if err == nil {
			wire.NewDecoder().Decode(out.Frames)
		}
	})
}

// A segment may begin while packets wait to become durable: what it carries must not be what they come to replace or end.
func TestWhatASegmentCarriesIsWhatTheLogHasDurably(t *testing.T) {
	in := NewIngest()
	s := newStream(1, "source.a.x", 0, 0)
	in.streams[1] = s
	carried := func() (layouts [][]uint32, series int) {
		in.Carry(func(raw []byte) {
			for r := wire.Read(raw); r.Next(); {
				switch r.Kind {
				case wire.Layout:
					layouts = append(layouts, slices.Clone(r.Refs()))
				case wire.Defs:
					all, _ := r.Series()
					series += len(all)
				}
			}
		})
		return layouts, series
	}
	take := func(raw []byte) *checked {
		c := &checked{in: in, packet: raw}
		for r := wire.Read(raw); r.Next(); {
			if err := c.frame(&r.Frame); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	var defs []wire.SeriesDef
	for i := range 3 {
		defs = append(defs, wire.SeriesDef{Ref: sdk.Ref(i), Labels: sdk.NewLabels("__name__", fmt.Sprint("m", i))})
	}
	raw, _ := wire.AppendDefs(nil, 1, defs)
	layout := func(refs ...sdk.Ref) []byte {
		return wire.AppendRefs(nil, wire.Header{Kind: wire.Layout, Stream: 1, Layout: 1}, refs)
	}
	first := take(append(raw, layout(0, 1)...))
	if layouts, series := carried(); len(layouts) != 0 || series != 3 {
		t.Errorf("before anything is durable: layouts %v, %d series", layouts, series)
	}
	first.settle(nil)
	second := take(append(layout(2, 1), wire.AppendRefs(nil, wire.Header{Kind: wire.Retire, Stream: 1}, []sdk.Ref{0})...))
	if layouts, _ := carried(); len(layouts) != 1 || layouts[0][0] != 0 || s.series.Get(0) == nil {
		t.Errorf("before the second is durable: layouts %v", layouts)
	}
	second.settle(nil)
	if layouts, _ := carried(); len(layouts) != 1 || layouts[0][0] != 2 || s.series.Get(0) != nil || s.leaving != 0 {
		t.Errorf("after the second is durable: layouts %v, %d leaving", layouts, s.leaving)
	}
}
