package wire

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"google.golang.org/protobuf/proto"
)

// link carries a source's batches to a decoder through real packets.
type link struct {
	t       testing.TB
	scope   *sdk.Scope
	packer  *Packer
	encoder *Encoder
	decoder *Decoder
	samples int
	frames  []byte // of the last carry
}

func newLink(t testing.TB) *link {
	l := &link{t: t, scope: sdk.NewScope(sdk.SourceSettings{Job: "j"}, "here", false), packer: NewPacker(7, time.Hour, 64<<20), encoder: NewEncoder(3), decoder: NewDecoder()}
	if _, _, err := l.decoder.Decode(AppendStream(nil, 3, "source.test.one")); err != nil {
		t.Fatal(err)
	}
	return l
}

// carry seals a batch and reads it on the other side, as "labels time value" lines.
func (l *link) carry(b *sdk.Batch) (got []string) {
	l.t.Helper()
	l.packer.Fill(context.Background(), true, true, func(p *Packer) {
		b.Seal(func(c *sdk.Columns) { l.encoder.Encode(p, c) })
	})
	last := l.packer.Cut()
	l.frames = nil
	for {
		raw, err := l.packer.Next(context.Background())
		if err != nil {
			l.t.Fatal(err)
		}
		buf := raw.Materialize()
		view, err := ParsePacket(buf.ReadOnlyData())
		if err != nil {
			l.t.Fatal(err)
		}
		l.frames = append(l.frames, view.Frames...)
		l.samples += int(view.Samples)
		runs, forgotten, err := l.decoder.Decode(view.Frames)
		if err != nil {
			l.t.Fatal(err)
		}
		batch := sdk.ReadBatch(view.LastSeq, runs)
		for _, s := range batch.Samples() {
			if s.Histogram != nil {
				got = append(got, fmt.Sprintf("%s %d %+v", s.Labels, s.Time.UnixMilli(), *s.Histogram))
				continue
			}
			got = append(got, fmt.Sprintf("%s %d %v", s.Labels, s.Time.UnixMilli(), s.Value))
		}
		for s, e := range batch.Exemplars() {
			got = append(got, fmt.Sprintf("%s # %s %d %v", s.Labels, e.Labels, e.Time.UnixMilli(), e.Value))
		}
		Forget(forgotten)
		if view.LastSeq == last {
			l.packer.Ack(last)
			return got
		}
	}
}

func (l *link) expect(b *sdk.Batch, want ...string) {
	l.t.Helper()
	if got := l.carry(b); !reflect.DeepEqual(got, want) {
		l.t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestASampleArrivesWithItsLabelsTimeAndBits(t *testing.T) {
	l := newLink(t)
	m := &sdk.Metric{Family: sdk.Family{Name: "m", Type: sdk.GaugeType, Help: "Help."}, LabelNames: []string{"a"}}
	b := l.scope.Batch()
	b.Time, b.Whole = time.UnixMilli(1000), true
	b.Set(m, 1.5, "x")
	b.Set(m, math.Inf(-1), "y")
	l.expect(b, `m{a="x", instance="here", job="j"} 1000 1.5`, `m{a="y", instance="here", job="j"} 1000 -Inf`)

	b.Time = time.UnixMilli(2000)
	b.Set(m, 2, "x")
	l.expect(b, `m{a="x", instance="here", job="j"} 2000 2`, `m{a="y", instance="here", job="j"} 2000 NaN`)

	b.Time = time.UnixMilli(3000)
	b.Set(m, 3, "y")
	b.Set(m, 4, "x")
	l.expect(b, `m{a="y", instance="here", job="j"} 3000 3`, `m{a="x", instance="here", job="j"} 3000 4`)
	if l.samples != 6 {
		t.Errorf("packets announced %d samples, want 6", l.samples)
	}
}

func TestAnUnchangedBatchCostsEightBytesASample(t *testing.T) {
	l := newLink(t)
	b := l.scope.Batch()
	var refs []sdk.Ref
	for i := range 1000 {
		refs = append(refs, b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "m", "i", fmt.Sprint(i))}))
	}
	fill := func(skip int) {
		for i, r := range refs {
			if i != skip {
				b.Put(r, float64(i))
			}
		}
	}
	fill(-1)
	l.carry(b)
	fill(-1)
	if l.carry(b); len(l.frames) != HeaderSize+8*1000 {
		t.Errorf("%d bytes for 1,000 known samples", len(l.frames))
	}
	fill(500)
	if got := l.carry(b); len(l.frames) != HeaderSize+8*1000+128 || len(got) != 999 {
		t.Errorf("%d bytes and %d samples with one absent", len(l.frames), len(got))
	}
}

func TestTimesOfTheirOwnAndLargeBatchesAreSplit(t *testing.T) {
	l := newLink(t)
	b := l.scope.Batch()
	a := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "a")})
	b.Time = time.UnixMilli(5000)
	b.Put(a, 1)
	b.PutAt(a, 2, time.UnixMilli(1000))
	b.PutAt(a, 3, time.UnixMilli(1000).Add(100*24*time.Hour))
	l.expect(b, `a{instance="here", job="j"} 5000 1`, `a{instance="here", job="j"} 1000 2`, `a{instance="here", job="j"} 8640001000 3`)

	for range 3 {
		for i := range 3*maxRun + 17 {
			b.Put(a, float64(i))
		}
		if got := l.carry(b); len(got) != 3*maxRun+17 || got[2*maxRun+5] != fmt.Sprintf(`a{instance="here", job="j"} 5000 %v`, float64(2*maxRun+5)) {
			t.Fatalf("%d samples", len(got))
		}
	}
}

func TestTargetsHaveTheirOwnInstanceAndGoStaleWhenGone(t *testing.T) {
	l := newLink(t)
	m := &sdk.Metric{Family: sdk.Family{Name: "m"}}
	b := l.scope.Batch()
	b.Time, b.Whole = time.UnixMilli(1000), true
	b.Target("t:1", func(t *sdk.Batch) error { t.Set(m, 1); return nil })
	if got := l.carry(b); len(got) != 4 || got[0] != `m{instance="t:1", job="j"} 1000 1` || got[1] != `up{instance="t:1", job="j"} 1000 1` {
		t.Errorf("%q", got)
	}
	b.Time = time.UnixMilli(2000)
	for i, line := range l.carry(b) {
		if want := "2000 NaN"; line[len(line)-len(want):] != want {
			t.Errorf("%d: %q is not a staleness marker", i, line)
		}
	}
}

func TestAClashBecomesExported(t *testing.T) {
	l := newLink(t)
	b := l.scope.Batch()
	b.Time = time.UnixMilli(1)
	b.Put(b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "m", "job", "theirs", "exported_job", "x")}), 1)
	l.expect(b, `m{exported_exported_job="theirs", exported_job="x", instance="here", job="j"} 1 1`)
}

// TestAnyBatchArrives is the round trip with random fills: what goes in comes out.
func TestAnyBatchArrives(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := newLink(t)
		b := l.scope.Batch()
		n := 1 + r.IntN(300)
		var refs []sdk.Ref
		for i := range n {
			refs = append(refs, b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", fmt.Sprintf("m%d", i))}))
		}
		for round := range 6 {
			b.Time = time.UnixMilli(int64(1000 * round))
			var want []string
			for i, ref := range refs {
				if r.IntN(8) == 0 && round%2 == 1 {
					continue
				}
				at := b.Time.UnixMilli()
				v := r.NormFloat64()
				if r.IntN(4) == 0 && round == 4 {
					at += r.Int64N(1 << 34)
					b.PutAt(ref, v, time.UnixMilli(at))
				} else {
					b.Put(ref, v)
				}
				want = append(want, fmt.Sprintf(`m%d{instance="here", job="j"} %d %v`, i, at, v))
			}
			if len(want) > 0 {
				l.expect(b, want...)
			}
		}
	}
}

func TestAPacketIsPlainProtobuf(t *testing.T) {
	p := NewPacker(9, time.Hour, 1<<20)
	p.Fill(context.Background(), true, false, func(p *Packer) { p.add(AppendStream(nil, 1, "source.a.b"), 0) })
	p.Cut()
	raw, _ := p.Next(context.Background())
	var m Packet
	if err := proto.Unmarshal(raw.Materialize().ReadOnlyData(), &m); err != nil {
		t.Fatal(err)
	}
	if m.Epoch != 9 || m.LastSeq != 1 || string(m.Frames) != string(AppendStream(nil, 1, "source.a.b")) {
		t.Errorf("%+v", &m)
	}
}

func TestFlushWaitsForDurabilityAndFillForCredit(t *testing.T) {
	p := NewPacker(1, time.Hour, 100)
	one := func(p *Packer) { p.add(AppendEnd(nil, 1), 0) }
	ctx := context.Background()
	for range 3 {
		p.Fill(ctx, true, false, one)
	}
	if full, err := p.Fill(ctx, false, false, one); !full || err != nil {
		t.Fatalf("full %v, %v", full, err)
	}
	done := make(chan error)
	go func() { done <- p.Flush(ctx) }()
	if _, err := p.Next(ctx); err != nil {
		t.Fatal(err)
	}
	p.Ack(5) // never sent: ignored
	select {
	case <-done:
		t.Fatal("Flush returned before the ack")
	default:
	}
	p.Ack(1)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if full, _ := p.Fill(ctx, false, false, one); full {
		t.Fatal("no credit after the ack")
	}
}

// FuzzDecode: no bytes make the decoder panic, and what it accepts can be read.
func FuzzDecode(f *testing.F) {
	l := newLink(f)
	b := l.scope.Batch()
	b.Put(b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "m", "a", "b"), Family: &sdk.Family{Name: "m"}}), 1)
	b.PutAt(0, 2, time.UnixMilli(5))
	l.carry(b)
	f.Add(l.frames)
	b.PutHistogram(0, wholeHistogram())
	b.PutHistogramAt(0, customHistogram(), time.UnixMilli(77))
	b.PutExemplar(0, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "abc"), Value: 1})
	l.carry(b)
	f.Add(append(l.frames, l.frames...))
	f.Add(AppendRefs(AppendRefs(nil, Header{Kind: Stale, Stream: 3}, []sdk.Ref{0}), Header{Kind: Retire, Stream: 3}, []sdk.Ref{0}))
	f.Add(AppendCheckpoint(nil, 3, "state", []byte("so far")))
	b.Log(0, sdk.Record{Time: time.UnixMilli(3), Level: sdk.Warn, Text: "a line", Attributes: sdk.NewLabels("k", "v")})
	b.Log(0, sdk.Record{Name: "happened"})
	l.carry(b)
	f.Add(l.frames)
	f.Fuzz(func(t *testing.T, frames []byte) {
		if view, err := ParsePacket(frames); err == nil {
			read(view.Frames)
		}
		aligned := append(make([]byte, 0, len(frames)+8), frames...)
		read(aligned)
	})
}

func read(frames []byte) {
	d := NewDecoder()
	d.Decode(AppendStream(nil, 3, "source.test.one"))
	for range 2 {
		runs, forgotten, err := d.Decode(frames)
		if err != nil {
			continue
		}
		batch := sdk.ReadBatch(1, runs)
		for _, s := range batch.Samples() {
			_ = s.Labels.String()
			if s.Histogram != nil && s.Histogram.Validate() != nil {
				panic("a histogram that is not valid was decoded")
			}
		}
		for s, e := range batch.Exemplars() {
			_, _ = s.Labels.String(), e.Labels.String()
		}
		Forget(forgotten)
	}
	for r := Read(frames); r.Next(); {
		r.Samples()
		switch r.Kind {
		case Defs:
			r.Series()
		case Families:
			r.Families()
		case Histograms, Exemplars:
			r.Check()
		case Checkpoint:
			new(Checkpoints).Add(&r.Frame)
		}
	}
}

func TestACheckpointIsWholeOrNotThere(t *testing.T) {
	for _, size := range []int{0, 1, maxPart, maxPart + 1, MaxCheckpoint} {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(i * 7 / 3)
		}
		frames := AppendCheckpoint(nil, 3, "state", value)
		var got Checkpoints
		last := ""
		for r := Read(frames); r.Next(); {
			if last != "" {
				t.Fatalf("%d bytes: something follows the whole", size)
			}
			key, v, whole, err := got.Add(&r.Frame)
			if err != nil {
				t.Fatal(err)
			}
			if whole {
				if last = key; !bytes.Equal(v, value) {
					t.Fatalf("%d bytes: another value came", size)
				}
			}
		}
		if last != "state" {
			t.Errorf("%d bytes did not come", size)
		}
	}
	frames := AppendCheckpoint(nil, 3, "state", make([]byte, 3*maxPart))
	r := Read(frames)
	r.Next()
	first := r.Frame
	r.Next()
	r.Next()
	var got Checkpoints
	got.Add(&first)
	if _, _, whole, err := got.Add(&r.Frame); whole || err != nil {
		t.Errorf("a value that lacks a part counts as whole (%v)", err)
	}
}

func TestDefinitionsAreConcealedAndOtherwiseTheSame(t *testing.T) {
	t.Parallel()
	clean := func(s string) string { return strings.ReplaceAll(s, "hush", "(sensitive)") }
	defs := []SeriesDef{
		{Ref: 1, Family: 3, Labels: sdk.NewLabels("__name__", "a", "password", "hush", "z", "1")},
		{Ref: 7, Labels: sdk.NewLabels("__name__", "b", "hush", "x")},
	}
	raw, _ := AppendDefs(nil, 5, defs)
	raw = AppendFamilies(raw, 5, []FamilyDef{{ID: 3, Family: sdk.Family{Name: "a", Help: "the hush", Type: sdk.GaugeType}}})
	for r := Read(raw); r.Next(); {
		frames, err := r.Concealed(clean)
		if err != nil || bytes.Contains(frames, []byte("hush")) {
			t.Errorf("%v %q", err, frames)
		}
		again := Read(frames)
		if !again.Next() || again.Stream != 5 || again.Kind != r.Kind || again.Flags != r.Flags || again.N != r.N {
			t.Fatalf("%+v, %v", again.Header, again.Err)
		}
		if r.Kind == Defs {
			got, err := again.Series()
			if err != nil || len(got) != 2 || got[0].Ref != 1 || got[0].Family != 3 || got[0].Labels.Get("password") != "(sensitive)" || got[0].Labels.Get("z") != "1" || got[1].Labels.Get("(sensitive)") != "x" {
				t.Errorf("%v, %v", got, err)
			}
		}
	}
}
