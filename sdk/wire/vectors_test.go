package wire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

var update = flag.Bool("update", false, "write what the tests get into their golden files")

// The files in testdata are the contract in bytes, for codecs in other languages: testdata/README.md says how to read them.

// batches is a sequence of batches of one source, and what comes of it.
type batches struct {
	About  string `json:"about"`
	Source struct {
		Stream   uint32            `json:"stream"`
		Job      string            `json:"job"`
		Instance string            `json:"instance"`
		Labels   map[string]string `json:"labels,omitempty"`
		Own      bool              `json:"own_labels,omitempty"`
		Limit    int               `json:"limit_series,omitempty"`
	} `json:"source"`
	Cycles  []cycle           `json:"cycles"`
	Packets []packet          `json:"packets"`
	Dropped map[string]uint64 `json:"dropped,omitempty"`
}

// cycle is a batch that is filled and emitted. Packets are cut behind it.
type cycle struct {
	Time  int64       `json:"time_ms"`
	Whole bool        `json:"whole,omitempty"`
	Do    []operation `json:"do,omitempty"`
}

// operation is one call on a batch: Op is put, define, histogram, exemplar, log, stale, retire, checkpoint or many.
type operation struct {
	Op        string            `json:"op"`
	Labels    map[string]string `json:"labels,omitempty"`
	Family    *sdk.Family       `json:"family,omitempty"`
	Value     number            `json:"value,omitempty"`
	At        *int64            `json:"at_ms,omitempty"`
	Histogram *histogram        `json:"histogram,omitempty"`
	Exemplar  map[string]string `json:"exemplar,omitempty"`
	Record    *record           `json:"record,omitempty"`
	Hex       string            `json:"hex,omitempty"`  // checkpoint, repeated N times
	Name      string            `json:"name,omitempty"` // many: N series NAME{i="0"} … with the value i
	N         int               `json:"n,omitempty"`
}

// packet is a message as Produce sends it, in hex, or its hash where it is large, and what a sink reads in it.
type packet struct {
	Hex       string       `json:"hex,omitempty"`
	SHA256    string       `json:"sha256,omitempty"`
	Size      int          `json:"size,omitempty"`
	Refused   bool         `json:"refused,omitempty"` // as a whole
	Read      []sampleRead `json:"read,omitempty"`
	Forgotten [][]uint32   `json:"forgotten,omitempty"` // null: a whole stream
}

type sampleRead struct {
	Labels    map[string]string  `json:"labels"`
	Family    *sdk.Family        `json:"family,omitempty"`
	Time      int64              `json:"time_ms"`
	Value     number             `json:"value,omitempty"`
	Histogram *histogram         `json:"histogram,omitempty"`
	Exemplar  *map[string]string `json:"exemplar,omitempty"`
	Record    *record            `json:"record,omitempty"`
}

// record is an sdk.Record; TimeNs null: the batch's.
type record struct {
	TimeNs     *int64            `json:"time_ns,omitempty"`
	Level      uint8             `json:"level,omitempty"`
	Name       string            `json:"name,omitempty"`
	Text       string            `json:"text"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

func labelsOf(m map[string]string) (ls sdk.Labels) {
	for name, value := range m {
		ls = append(ls, sdk.Label{Name: name, Value: value})
	}
	slices.SortFunc(ls, func(a, b sdk.Label) int { return strings.Compare(a.Name, b.Name) })
	return ls
}

// number is a float as text: decimal, or its bits as 0x… where it is a NaN.
type number string

func toNumber(v float64) number {
	if math.IsNaN(v) {
		return number(fmt.Sprintf("0x%016x", math.Float64bits(v)))
	}
	return number(strconv.FormatFloat(v, 'g', -1, 64))
}

func (n number) float(t *testing.T) float64 {
	t.Helper()
	if b, ok := strings.CutPrefix(string(n), "0x"); ok {
		bits, err := strconv.ParseUint(b, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return math.Float64frombits(bits)
	}
	if n == "" {
		return 0
	}
	v, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// histogram is an sdk.Histogram with its floats as text.
type histogram struct {
	Schema        int32         `json:"schema"`
	ZeroThreshold number        `json:"zero_threshold,omitempty"`
	ZeroCount     number        `json:"zero_count,omitempty"`
	Count         number        `json:"count"`
	Sum           number        `json:"sum"`
	PositiveSpans [][2]int64    `json:"positive_spans,omitempty"`
	NegativeSpans [][2]int64    `json:"negative_spans,omitempty"`
	Positive      []number      `json:"positive,omitempty"`
	Negative      []number      `json:"negative,omitempty"`
	Custom        []number      `json:"custom,omitempty"`
	Float         bool          `json:"float,omitempty"`
	Reset         sdk.ResetHint `json:"reset,omitempty"`
}

func (h *histogram) sdk(t *testing.T) *sdk.Histogram {
	floats := func(ns []number) (vs []float64) {
		for _, n := range ns {
			vs = append(vs, n.float(t))
		}
		return vs
	}
	spans := func(pairs [][2]int64) (ss []sdk.Span) {
		for _, p := range pairs {
			ss = append(ss, sdk.Span{Offset: int32(p[0]), Length: uint32(p[1])})
		}
		return ss
	}
	return &sdk.Histogram{
		Schema: h.Schema, ZeroThreshold: h.ZeroThreshold.float(t), ZeroCount: h.ZeroCount.float(t), Count: h.Count.float(t), Sum: h.Sum.float(t),
		PositiveSpans: spans(h.PositiveSpans), NegativeSpans: spans(h.NegativeSpans), Positive: floats(h.Positive), Negative: floats(h.Negative),
		Custom: floats(h.Custom), Float: h.Float, Reset: h.Reset,
	}
}

func fromHistogram(h *sdk.Histogram) *histogram {
	numbers := func(vs []float64) (ns []number) {
		for _, v := range vs {
			ns = append(ns, toNumber(v))
		}
		return ns
	}
	pairs := func(ss []sdk.Span) (ps [][2]int64) {
		for _, s := range ss {
			ps = append(ps, [2]int64{int64(s.Offset), int64(s.Length)})
		}
		return ps
	}
	return &histogram{
		Schema: h.Schema, ZeroThreshold: toNumber(h.ZeroThreshold), ZeroCount: toNumber(h.ZeroCount), Count: toNumber(h.Count), Sum: toNumber(h.Sum),
		PositiveSpans: pairs(h.PositiveSpans), NegativeSpans: pairs(h.NegativeSpans), Positive: numbers(h.Positive), Negative: numbers(h.Negative),
		Custom: numbers(h.Custom), Float: h.Float, Reset: h.Reset,
	}
}

// do carries an operation out.
func (o *operation) do(t *testing.T, b *sdk.Batch) {
	series := func() sdk.Ref {
		var ls sdk.Labels
		for name, value := range o.Labels {
			ls = ls.Set(name, value)
		}
		return b.Series(sdk.Series{Labels: ls, Family: o.Family})
	}
	switch o.Op {
	case "define":
		series()
	case "put":
		if o.At != nil {
			b.PutAt(series(), o.Value.float(t), time.UnixMilli(*o.At))
		} else {
			b.Put(series(), o.Value.float(t))
		}
	case "histogram":
		if o.At != nil {
			b.PutHistogramAt(series(), o.Histogram.sdk(t), time.UnixMilli(*o.At))
		} else {
			b.PutHistogram(series(), o.Histogram.sdk(t))
		}
	case "exemplar":
		e := sdk.Exemplar{Value: o.Value.float(t)}
		for name, value := range o.Exemplar {
			e.Labels = e.Labels.Set(name, value)
		}
		if o.At != nil {
			e.Time = time.UnixMilli(*o.At)
		}
		b.PutExemplar(series(), e)
	case "log":
		r := sdk.Record{Level: sdk.Level(o.Record.Level), Name: o.Record.Name, Text: o.Record.Text, Attributes: labelsOf(o.Record.Attributes)}
		if o.Record.TimeNs != nil {
			r.Time = time.Unix(0, *o.Record.TimeNs)
		}
		b.Log(series(), r)
	case "stale":
		b.Stale(series())
	case "retire":
		b.Retire(series())
	case "checkpoint":
		b.Checkpoint(bytes.Repeat(unhex(t, o.Hex), max(1, o.N)))
	case "many":
		for i := range o.N {
			b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, o.Name, "i", strconv.Itoa(i))}), float64(i))
		}
	default:
		t.Fatalf("there is no operation %q", o.Op)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encode makes the packets.
func (v *batches) encode(t *testing.T) (messages [][]byte) {
	s := &v.Source
	scope := sdk.NewScope(sdk.SourceSettings{Job: s.Job, Labels: s.Labels, LimitSeries: s.Limit}, s.Instance, s.Own)
	packer, encoder, b := NewPacker(0x0123456789abcdef, time.Hour, 1<<30), NewEncoder(s.Stream), scope.Batch()
	sent := uint64(0)
	for _, c := range v.Cycles {
		b.Time, b.Whole = time.UnixMilli(c.Time), c.Whole
		for i := range c.Do {
			c.Do[i].do(t, b)
		}
		packer.Fill(context.Background(), true, c.Whole, func(p *Packer) { b.Seal(func(c *sdk.Columns) { encoder.Encode(p, c) }) })
		for last := packer.Cut(); sent < last; sent++ {
			raw, err := packer.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			buf := raw.Materialize()
			messages = append(messages, bytes.Clone(buf.ReadOnlyData()))
			buf.Free()
		}
	}
	v.Dropped, _, _, _ = scope.Counts()
	return messages
}

// reading decodes messages one after another.
type reading struct {
	t       *testing.T
	decoder *Decoder
}

func (r *reading) packet(message []byte) (p packet) {
	if p.Size = len(message); p.Size > 4096 {
		p.SHA256 = fmt.Sprintf("%x", sha256.Sum256(message))
	} else {
		p.Hex, p.Size = hex.EncodeToString(message), 0
	}
	view, err := ParsePacket(message)
	if err != nil {
		p.Refused = true
		return p
	}
	runs, forgotten, err := r.decoder.Decode(view.Frames)
	if err != nil {
		p.Refused = true
		return p
	}
	batch := sdk.ReadBatch(view.LastSeq, runs)
	for _, s := range batch.Samples() {
		one := sampleRead{Labels: s.Labels.Map(), Family: s.Family, Time: s.Time.UnixMilli()}
		switch {
		case s.Histogram != nil:
			one.Histogram = fromHistogram(s.Histogram)
		case s.Record != nil:
			ns := s.Record.Time.UnixNano()
			one.Record = &record{&ns, uint8(s.Record.Level), s.Record.Name, s.Record.Text, s.Record.Attributes.Map()}
		default:
			one.Value = toNumber(s.Value)
		}
		p.Read = append(p.Read, one)
	}
	for s, e := range batch.Exemplars() {
		labels := e.Labels.Map()
		p.Read = append(p.Read, sampleRead{Labels: s.Labels.Map(), Family: s.Family, Time: e.Time.UnixMilli(), Value: toNumber(e.Value), Exemplar: &labels})
	}
	if len(p.Read) > 100 {
		p.Read = p.Read[len(p.Read)-100:] // the last ones stand for all
	}
	for _, f := range forgotten {
		var refs []uint32
		for _, ref := range f.Refs {
			refs = append(refs, uint32(ref))
		}
		p.Forgotten = append(p.Forgotten, refs)
	}
	Forget(forgotten)
	return p
}

// golden reads a file of vectors, lets make renew each, and compares or writes.
func golden[T any](t *testing.T, file string, all []T, make func(*T)) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !(*update && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	var want []T
	if err == nil {
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
	}
	if all == nil { // the file has the input too
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
	}
	for i := range all {
		make(&all[i])
		if !*update && (i >= len(want) || !reflect.DeepEqual(asJSON(t, all[i]), asJSON(t, want[i]))) {
			t.Errorf("%s: vector %d is another now (go test ./wire -run Vectors -update writes it):\n%s", file, i, asJSON(t, all[i]))
		}
	}
	if len(want) != len(all) && !*update {
		t.Errorf("%s has %d vectors, and %d are made", file, len(want), len(all))
	}
	if *update {
		b, err := json.MarshalIndent(all, "", " ")
		if err == nil {
			err = os.WriteFile(file, append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVectorsOfBatchesAreEncodedToTheseBytes(t *testing.T) {
	golden(t, "testdata/batches.json", nil, func(v *batches) {
		v.Packets = nil
		r := reading{t, NewDecoder()}
		if _, _, err := r.decoder.Decode(AppendStream(nil, v.Source.Stream, "source.test.vector")); err != nil {
			t.Fatal(err)
		}
		for _, m := range v.encode(t) {
			p := r.packet(m)
			if p.Refused {
				t.Errorf("%s: what was encoded is refused", v.About)
			}
			v.Packets = append(v.Packets, p)
		}
	})
}

// framed are packets that no source's SDK writes, or that nobody may write.
type framed struct {
	About   string   `json:"about"`
	Packets []packet `json:"packets"`
}

func TestVectorsOfFramesAreReadAsTheseSamples(t *testing.T) {
	var all []framed
	add := func(about string, packets ...[]byte) {
		v := framed{About: about}
		for _, frames := range packets {
			buf := append(make([]byte, PacketHeader), frames...)
			putPacketHeader(buf, 5, uint64(len(v.Packets)+1), 0, len(frames))
			v.Packets = append(v.Packets, packet{Hex: hex.EncodeToString(buf)})
		}
		all = append(all, v)
	}
	raw := func(kind FrameKind, h Header, body ...byte) []byte {
		h.Kind = kind
		return appendFrame(nil, h, body)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	two := []SeriesDef{{0, 1, sdk.NewLabels("__name__", "a")}, {1, 0, sdk.NewLabels("__name__", "b", "x", "ü")}}
	open := join(AppendStream(nil, 1, "source.test.a"), AppendFamilies(nil, 1, []FamilyDef{{1, sdk.Family{Name: "a", Type: sdk.GaugeType, Unit: "u", Help: "h"}}}))
	known := func() []byte { d, _ := AppendDefs(nil, 1, two); return join(open, d) }()
	f64 := func(vs ...float64) []byte { return appendF64s(nil, vs) }
	u32 := func(vs ...uint32) (b []byte) {
		for _, v := range vs {
			b = le.AppendUint32(b, v)
		}
		return append(b, make([]byte, pad8(len(b))-len(b))...)
	}
	defs := func(n uint32, body ...byte) []byte { return join(open, raw(Defs, Header{Stream: 1, N: n}, body...)) }
	values := raw(Values, Header{Stream: 1, Layout: 1, N: 2, Base: 1000}, f64(1, 2)...)
	layout := raw(Layout, Header{Stream: 1, Layout: 1}, u32(0, 1)...)
	layout = join(layout[:16], u32(2)[:4], layout[20:])

	add("COLUMNS: refs and values without a layout", join(known, raw(Cols, Header{Stream: 1, N: 2, Base: 1000}, join(u32(1, 0), f64(1.5, math.NaN()))...)))
	add("COLUMNS with times", join(known, raw(Cols, Header{Stream: 1, Flags: FlagTimes, N: 2, Span: 7, Base: 1000}, join(u32(0, 1), f64(1, 2), u32(7, 0))...)))
	add("a ref that is none, where a pipeline dropped its series", join(known, raw(Layout, Header{Stream: 1, Layout: 1, N: 3}, u32(0, 0xffffffff, 1)...), raw(Values, Header{Stream: 1, Layout: 1, N: 3, Base: 1000}, f64(1, 2, 3)...)))
	add("the same with a bitmap and times", join(known, raw(Layout, Header{Stream: 1, Layout: 1, N: 3}, u32(0xffffffff, 0, 1)...), raw(Values, Header{Stream: 1, Layout: 1, N: 3, Flags: FlagAbsent | FlagTimes, Base: 1000, Span: 9}, join([]byte{2, 0, 0, 0, 0, 0, 0, 0}, f64(1, 2, 3), u32(1, 5, 9))...)))
	add("refs that nothing defines", join(known, raw(Cols, Header{Stream: 1, N: 2, Base: 1000}, join(u32(7, 1), f64(1, 2))...), raw(Stale, Header{Stream: 1, N: 2, Base: 1000}, u32(9, 0)...)))
	add("a frame of a kind that nobody knows is skipped", join(known, raw(99, Header{Stream: 1, N: 1000}, 1, 2, 3), layout, values))
	add("a second STREAM of the same number keeps what is there", join(known, layout), join(AppendStream(nil, 1, "source.test.a"), values))
	add("a series is defined again", join(known, layout, values, func() []byte {
		d, _ := AppendDefs(nil, 1, []SeriesDef{{0, 0, sdk.NewLabels("__name__", "c")}})
		return d
	}()), values)
	add("RETIRE, and what comes of its refs then", join(known, layout, values, raw(Retire, Header{Stream: 1, N: 1}, u32(1)...)), raw(Cols, Header{Stream: 1, N: 2, Base: 1000}, join(u32(0, 1), f64(1, 2))...))
	add("END: the stream is over", join(known, layout, values, AppendEnd(nil, 1)), values)
	add("a frame without its stream", layout)
	add("values for a layout that was not sent", join(known, values))
	add("values for a layout of another size", join(known, raw(Layout, Header{Stream: 1, Layout: 1, N: 1}, u32(0)...), values))
	add("a header cut short", join(known, layout, values)[:len(known)+60])
	add("a length that is no multiple of 8", join(known, []byte{33, 0, 0, 0}, make([]byte, 36)))
	add("a length beyond the packet", join(known, []byte{64, 0, 0, 0}, make([]byte, 28)))
	add("more entries than the body has", join(known, raw(Stale, Header{Stream: 1, N: 3}, u32(0)...)))
	add("DEFS: labels that are not sorted", defs(1, 3, 1, 'b', 1, 'a', 1, 'x', 0, 0, 2, 0, 2, 1, 2))
	add("DEFS: the same label twice", defs(1, 2, 1, 'b', 1, 'x', 0, 0, 2, 0, 1, 0, 1))
	add("DEFS: an empty name", defs(1, 2, 0, 1, 'x', 0, 0, 1, 0, 1))
	add("DEFS: an empty value", defs(1, 2, 1, 'a', 0, 0, 0, 1, 0, 1))
	add("DEFS: a symbol that is not there", defs(1, 1, 1, 'a', 0, 0, 1, 0, 1))
	add("DEFS: what is not UTF-8", defs(1, 2, 1, 'a', 1, 0xff, 0, 0, 1, 0, 1))
	add("DEFS: the ref that is none", defs(1, 2, 1, 'a', 1, 'x', 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 1, 0, 1))
	add("DEFS: a number without end", defs(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))
	add("FAMILIES: number 0", join(open, raw(Families, Header{Stream: 1, N: 1}, 0, 1, 1, 'a', 0, 0)))
	add("FAMILIES: a text beyond the frame", join(open, raw(Families, Header{Stream: 1, N: 1}, 1, 1, 100, 'a', 0, 0)))
	h := &sdk.Histogram{Schema: 1, Count: 3, Sum: 4, PositiveSpans: []sdk.Span{{Offset: -2, Length: 2}}, Positive: []float64{1, 2}}
	signal := func(kind FrameKind, parts ...[]byte) []byte {
		entry := join(parts...)
		return join(known, raw(kind, Header{Stream: 1, N: 1, Base: 1000}, join(u32(0), []byte{byte(len(entry))}, entry)...))
	}
	entry := appendHistogram(nil, h)
	add("HISTOGRAMS: one", signal(Histograms, entry))
	add("HISTOGRAMS: a form that nobody knows", signal(Histograms, join([]byte{8}, entry[1:])))
	add("HISTOGRAMS: bytes too many", signal(Histograms, join(entry, []byte{0})))
	add("HISTOGRAMS: a byte too few", signal(Histograms, entry[:len(entry)-1]))
	h.Count = 2
	add("HISTOGRAMS: more in its buckets than it counts", signal(Histograms, appendHistogram(nil, h)))
	h.Count, h.Schema = 3, 9
	add("HISTOGRAMS: a schema that is none", signal(Histograms, appendHistogram(nil, h)))
	example := appendExemplar(nil, &sdk.Exemplar{Value: 2, Labels: sdk.NewLabels("a", "1", "b", "")})
	add("EXEMPLARS: one", signal(Exemplars, example))
	add("EXEMPLARS: labels that are not sorted", signal(Exemplars, appendExemplar(nil, &sdk.Exemplar{Labels: sdk.Labels{{Name: "b", Value: "1"}, {Name: "a", Value: "1"}}})))
	add("EXEMPLARS: bytes too many", signal(Exemplars, append(example, 0)))
	line := appendRecord(nil, &sdk.Record{Text: "x", Level: 9, Time: time.Unix(0, 999_999), Attributes: sdk.NewLabels("a", "1")})
	add("RECORDS: one", signal(Records, line))
	add("RECORDS: a level that is none", signal(Records, join([]byte{25}, line[1:])))
	add("RECORDS: a whole millisecond beyond the milliseconds", signal(Records, appendRecord(nil, &sdk.Record{Text: "x"})[:1], []byte{0xc0, 0x84, 0x3d}, []byte{0, 0, 0}))
	add("RECORDS: bytes too many", signal(Records, append(line, 0)))
	add("RECORDS: a text that is not UTF-8", signal(Records, appendRecord(nil, &sdk.Record{Text: "\xff"})))

	golden(t, "testdata/frames.json", all, func(v *framed) {
		r := reading{t, NewDecoder()}
		for i := range v.Packets {
			v.Packets[i] = r.packet(unhex(t, v.Packets[i].Hex))
		}
	})
}

// FORMAT.md shows a packet byte by byte.
func TestThePacketThatIsDrawnIsTheFirstVector(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "## One packet, byte by byte")
	_, rest, _ = strings.Cut(rest, "```\n")
	drawn, _, _ := strings.Cut(rest, "```")
	var bytes string
	for line := range strings.Lines(drawn) {
		left, _, _ := strings.Cut(line, "  ")
		bytes += strings.ReplaceAll(strings.TrimSpace(left), " ", "")
	}
	var all []batches
	if file, err := os.ReadFile("testdata/batches.json"); err != nil || json.Unmarshal(file, &all) != nil {
		t.Fatal(err)
	}
	if want := all[0].Packets[0].Hex; bytes != want {
		t.Errorf("FORMAT.md draws\n%s\nand the vector is\n%s", bytes, want)
	}
}
