package python

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// every is a running plugin of testdata/every.py, which offers every kind, and what it logs.
type every struct {
	*client.Process
	t       *testing.T
	decoder *wire.Decoder
	packets chan wire.PacketView
	down    grpc.BidiStreamingClient[wire.Down, wire.Packet]
	dir     string

	mu   sync.Mutex
	logs []client.Entry
}

func startEvery(t *testing.T) *every {
	e := &every{t: t, decoder: wire.NewDecoder(), packets: make(chan wire.PacketView, 100), dir: t.TempDir()}
	e.Process = launch(t, packedEvery(t), func(entry client.Entry) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.logs = append(e.logs, entry)
	})
	stream, err := e.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.down = stream
	go func() {
		for {
			var raw wire.Raw
			if stream.RecvMsg(&raw) != nil {
				return
			}
			buf := raw.Materialize()
			view, err := wire.ParsePacket(slices.Clone(buf.ReadOnlyData()))
			buf.Free()
			if err != nil {
				t.Error(err)
				return
			}
			e.packets <- view
		}
	}()
	return e
}

func (e *every) ack(seq uint64) {
	e.down.Send(&wire.Down{Message: &wire.Down_Ack{Ack: &wire.Ack{Seq: seq}}})
}

var packedOnce struct {
	sync.Mutex
	content []byte
}

// packedEvery packs the plugin once for all tests.
func packedEvery(t *testing.T) string {
	packedOnce.Lock()
	defer packedOnce.Unlock()
	path := filepath.Join(t.TempDir(), "every")
	if packedOnce.content == nil {
		b, err := os.ReadFile(pack(t, "testdata/every.py"))
		if err != nil {
			t.Fatal(err)
		}
		packedOnce.content = b
	}
	if err := os.WriteFile(path, packedOnce.content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// opening is how the tests open a component.
func (e *every) opening(number uint32, kind sdk.Kind, name, config string) client.Opening {
	o := client.Opening{
		Config:    client.Config{Kind: kind, Type: name, Address: fmt.Sprintf("%s.%s.n%d", kind, name, number), JSON: []byte(config)},
		Component: number, Dir: filepath.Join(e.dir, fmt.Sprint(number)),
	}
	if kind == sdk.KindSource {
		o.Instance = "here"
		o.Source = sdk.SourceSettings{Job: "every", Labels: map[string]string{"dc": "eu"}, Interval: time.Hour, Timeout: 5 * time.Second, LimitSeries: 100}
	}
	return o
}

func (e *every) open(number uint32, kind sdk.Kind, name, config string) {
	e.t.Helper()
	e.openAs(e.opening(number, kind, name, config))
}

func (e *every) openAs(o client.Opening) {
	e.t.Helper()
	if _, err := e.Open(e.t.Context(), o, nil); err != nil {
		e.t.Fatal(err)
	}
	if o.Kind == sdk.KindSource {
		if _, _, err := e.decoder.Decode(wire.AppendStream(nil, o.Component, o.Address)); err != nil {
			e.t.Fatal(err)
		}
	}
}

// next is the next packet, acknowledged: a line for each sample, without what takes time.
func (e *every) next() (lines []string, last uint64) {
	e.t.Helper()
	select {
	case view := <-e.packets:
		runs, forgotten, err := e.decoder.Decode(view.Frames)
		if err != nil {
			e.t.Fatal(err)
		}
		for _, s := range sdk.ReadBatch(1, runs).Samples() {
			if s.Labels.Get("__name__") != "scrape_duration_seconds" {
				lines = append(lines, fmt.Sprintf("%s %v", s.Labels, s.Value))
			}
		}
		wire.Forget(forgotten)
		e.ack(view.LastSeq)
		return lines, view.LastSeq
	case <-time.After(2 * time.Minute):
		e.t.Fatal("nothing came")
		return nil, 0
	}
}

func (e *every) health(number uint32) *wire.ComponentHealth {
	e.t.Helper()
	report, err := e.Health(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	for _, h := range report.Components {
		if h.Component == number {
			return h
		}
	}
	e.t.Fatalf("there is no component %d", number)
	return nil
}

// eventually waits for what is recorded a moment later.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in 30 s: ", what)
		}
	}
}

func (e *every) logged(component, text string) *client.Entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, entry := range e.logs {
		if entry.Component == component && strings.Contains(entry.Text, text) {
			return &e.logs[i]
		}
	}
	return nil
}

func TestWhatAPluginInPythonOffersIsDescribed(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	d, err := e.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "every" || d.Version != "1.2.3" || d.SDK != "python "+wire.Version {
		t.Errorf("%s %s %s", d.Name, d.Version, d.SDK)
	}
	var types []string
	for _, x := range d.Types {
		types = append(types, fmt.Sprintf("%s %s job=%s streams=%v discovers=%v live=%v validates=%v probes=%v histograms=%v", x.Kind, x.Name, x.Job, x.Streams, x.Discovers, x.Live, x.Validates, x.Probes, x.Histograms))
	}
	want := []string{
		"source every job=every streams=false discovers=true live=true validates=true probes=true histograms=false",
		"source pushed job= streams=true discovers=false live=false validates=true probes=false histograms=false",
		"processor drop_dev job= streams=false discovers=false live=false validates=false probes=false histograms=false",
		"sink lines job= streams=false discovers=false live=false validates=true probes=false histograms=true",
		"notifier note job= streams=false discovers=false live=false validates=true probes=false histograms=false",
		"discovery static job= streams=false discovers=false live=false validates=false probes=false histograms=false",
	}
	if !slices.Equal(types, want) {
		t.Errorf("got\n%s", strings.Join(types, "\n"))
	}
	var attributes []string
	for _, a := range d.Types[0].Config.Attributes {
		attributes = append(attributes, fmt.Sprintf("%s: %s, default %s, required %v, was %q, change %s", a.Name, a.Takes(), a.DefaultText(), a.Required, a.Was, a.Change))
	}
	if got := strings.Join(attributes, "\n"); got != `value: number, default 1.5, required false, was "", change live
wait: duration, default "0s", required false, was "", change replace
size: size, default "1MiB", required false, was "bytes", change replace
token: secret string, default , required false, was "", change replace
fails: string: open, target, key, plain, at, nonutf, full, default "", required false, was "", change replace
headers: map(string), default {}, required false, was "", change replace` {
		t.Error(got)
	}
	rule := d.Types[0].Config.Blocks[0]
	if rule.Name != "rule" || !rule.Many || rule.Labels[0] != "name" || rule.Body.Attributes[1].DefaultText() != `["a", "b"]` || !rule.Body.Attributes[0].Required {
		t.Errorf("%+v", rule)
	}
	if len(d.Metrics) != 2 || d.Metrics[1].Name != "every_level" || d.Metrics[1].Type != sdk.GaugeType || d.Metrics[0].Type != sdk.CounterType {
		t.Errorf("%+v", d.Metrics)
	}
}

func TestMistakesInAConfigurationArePointedAt(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	validate := func(config string) string {
		diags, err := e.Validate(t.Context(), e.opening(1, sdk.KindSource, "every", config).Config)
		text := fmt.Sprint(diags)
		if p := sdk.AsProblem(err); p != nil {
			text += fmt.Sprintf(" %s %v %s: %v", p.Blame, p.Permanent, p.Path, err)
		}
		return text
	}
	for config, want := range map[string]string{
		`{}`: `[]`,
		`{"rule":[{"name":"a","port":21},{"name":"b","port":22}],"value":101}`: `[rule[1].port: port 22 is reserved warning: value: that is much]`,
		`{"rule":[{"name":"a"}]}`:            `[] config true rule[0].port: rule[0].port is required`,
		`{"rule":[{"name":"a","port":"x"}]}`: `[] config true rule[0].port: rule[0].port takes a whole number`,
		`{"headers":{"A b":1}}`:              `[] config true headers["A b"]: headers["A b"] takes a text`,
		`{"token":{"canary":1}}`:             `[] config true token: token takes a text`,
		`{"wait":true}`:                      `[] config true wait: wait takes a whole number of nanoseconds`,
		`{"rule":{}}`:                        `[] config true rule: rule takes a list`,
		`[1`:                                 `[] config true : the configuration is not JSON`,
	} {
		if got := validate(config); got != want {
			t.Errorf("%s: got %s, want %s", config, got, want)
		}
	}
	_, err := e.Open(t.Context(), e.opening(1, sdk.KindSource, "every", `{"fails":"open","token":"canary-77","rule":[{"name":"a","port":1}]}`), nil)
	p := sdk.AsProblem(err)
	if p == nil || p.Blame != sdk.BlameConfig || !p.Permanent || p.Path.String() != "rule[0].port" || p.Fix != "Take another." || p.Error() != "no such port (sensitive)" {
		t.Errorf("%+v", p)
	}
	if _, err := e.Probe(t.Context(), e.opening(1, sdk.KindSource, "every", `{"fails":"target"}`).Config); sdk.AsProblem(err) == nil || sdk.AsProblem(err).Blame != sdk.BlameTarget {
		t.Errorf("%v", err)
	}
	if _, err := e.Probe(t.Context(), e.opening(1, sdk.KindSource, "every", `{}`).Config); err != nil {
		t.Error(err)
	}
}

func TestASourceInPythonIsCollectedOnItsClock(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	o := e.opening(1, sdk.KindSource, "every", `{"value":3,"token":"canary-77","rule":[{"name":"a","port":1},{"name":"b","port":2}]}`)
	o.Source.Interval = 50 * time.Millisecond
	e.openAs(o)
	first := []string{
		`every_calls_total{dc="eu", instance="here", job="every"} 1`, `every_level{dc="eu", instance="here", job="every", name="a"} 3`,
		`every_level{dc="eu", instance="here", job="every", name="b"} 3`, `up{dc="eu", instance="here", job="every"} 1`,
		`scrape_samples_scraped{dc="eu", instance="here", job="every"} 3`,
	}
	lines, _ := e.next() // there may be the next cycles in it
	if !slices.Equal(lines[:5], first) {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
	if err := e.Reconfigure(t.Context(), 1, []byte(`{"value":-1}`)); err == nil || sdk.AsProblem(err).Path.String() != "value" {
		t.Errorf("a refused configuration: %v", err)
	}
	if err := e.Reconfigure(t.Context(), 1, []byte(`{"value":8}`)); err != nil {
		t.Error(err)
	}
	stale := fmt.Sprintf(`every_level{dc="eu", instance="here", job="every", name="b"} %v`, math.NaN())
	for got := []string{}; !slices.Contains(got, `every_level{dc="eu", instance="here", job="every", name="none"} 8`) || !slices.Contains(got, stale); {
		lines, _ := e.next()
		got = append(got, lines...)
	}
	if h := e.health(1); h.Status != wire.ComponentHealth_OK || h.Collects < 3 || h.Series < 6 || !strings.HasPrefix(h.Text, "collected ") {
		t.Errorf("%+v", h)
	}
	if entry := e.logged("source.every.n1", "opened with (sensitive)"); entry == nil || entry.Level != "info" || entry.Fields["rules"] != 2.0 {
		t.Errorf("%+v", entry)
	}
	if e.logged("", "a stray print") == nil {
		t.Error("what the plugin prints is in the log")
	}
	last, err := e.Conn.Close(t.Context(), 1, 5*time.Second)
	if err != nil || last == 0 {
		t.Errorf("last packet %d, %v", last, err)
	}
}

func TestErrorsInPythonBlameAndPanicsAreIsolated(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	for i, c := range []struct{ fails, blame, text string }{
		{"target", "target", "nobody answers after True"},
		{"key", "plugin", "panic in collect: KeyError: 'missing'"},
		{"plain", "plugin", "ValueError: that is no number"},
		{"nonutf", "plugin", `metric every_level has 1 labels ['name'], and was set with 0 values`},
	} {
		number := uint32(i + 1)
		e.open(number, sdk.KindSource, "every", fmt.Sprintf(`{"fails":%q}`, c.fails))
		lines, _ := e.next()
		if !slices.Contains(lines, `every_calls_total{dc="eu", instance="here", job="every"} 1`) || !slices.Contains(lines, `up{dc="eu", instance="here", job="every"} 0`) {
			t.Errorf("%s: got\n%s", c.fails, strings.Join(lines, "\n"))
		}
		h := e.health(number)
		if h.Errors[c.blame] != 1 || h.LastError.Text != c.text || h.Status != wire.ComponentHealth_DEGRADED {
			t.Errorf("%s: %+v", c.fails, h)
		}
		if bug := c.fails == "key"; bug != strings.Contains(h.LastError.Stack, "every.py") || bug != (e.logged(fmt.Sprintf("source.every.n%d", number), "panic") != nil) {
			t.Errorf("%s: a panic comes with its stack, and nothing else: %+v", c.fails, h.LastError)
		}
		if c.fails == "nonutf" && h.Dropped["invalid_labels"] != 1 {
			t.Errorf("%+v", h.Dropped)
		}
	}
	o := e.opening(9, sdk.KindSource, "every", `{"fails":"key"}`)
	o.Source.Interval = 10 * time.Millisecond
	e.openAs(o)
	go func() {
		for range e.packets { // its samples do not matter
		}
	}()
	eventually(t, "five panics in a row make the SDK leave it alone", func() bool {
		report, err := e.Health(context.Background())
		return err == nil && slices.ContainsFunc(report.Components, func(h *wire.ComponentHealth) bool {
			return h.Component == 9 && h.Errors["plugin"] == 5
		})
	})
}

func TestTargetsOfDiscoveriesAreCollectedEachForItself(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	o := e.opening(1, sdk.KindSource, "every", `{}`)
	o.Targets = []sdk.Discovered{{Address: "up:1", Labels: map[string]string{"a": "1", "b": "2"}}, {Address: "down:1"}}
	e.openAs(o)
	lines, _ := e.next()
	slices.Sort(lines)
	e.t.Log(strings.Join(lines, "\n"))
	for _, want := range []string{
		`every_level{dc="eu", instance="up:1", job="every", name="target"} 2`, `up{dc="eu", instance="up:1", job="every"} 1`,
		`every_level{dc="eu", instance="down:1", job="every", name="target"} 0`, `up{dc="eu", instance="down:1", job="every"} 0`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if h := e.health(1); h.Errors["target"] != 1 || len(h.Errors) != 1 {
		t.Errorf("%+v", h.Errors)
	}
	if err := e.SetTargets(t.Context(), 1, nil); err != nil {
		t.Error(err)
	}
}

func TestAStreamInPythonIsDurableBeforeItGoesOn(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	o := e.opening(1, sdk.KindSource, "pushed", `{}`)
	o.Checkpoint = []byte("41")
	e.openAs(o)
	view := <-e.packets
	e.decode(view, 42)
	select {
	case <-e.packets:
		t.Error("a packet came before the flush of the one before was acknowledged")
	case <-time.After(200 * time.Millisecond): // no proof, but it would come within 20 ms
	}
	if h := e.health(1); h.Text != "" {
		t.Errorf("flush returned: %q", h.Text)
	}
	e.ack(view.LastSeq)
	view = <-e.packets
	e.decode(view, 43)
	if h := e.health(1); h.Text != "pushed 42" {
		t.Errorf("%q", h.Text)
	}
	var parts wire.Checkpoints
	for r := wire.Read(view.Frames); r.Next(); {
		if r.Kind == wire.Checkpoint {
			if key, value, whole, err := parts.Add(&r.Frame); key != "source" || string(value) != "43" || !whole || err != nil {
				t.Errorf("%s %q %v %v", key, value, whole, err)
			}
		}
	}
	if _, err := e.Conn.Close(t.Context(), 1, 5*time.Second); err != nil { // it waits for an ack that never comes
		t.Error(err)
	}
}

func (e *every) decode(view wire.PacketView, want float64) {
	e.t.Helper()
	runs, _, err := e.decoder.Decode(view.Frames)
	if err != nil || len(runs) != 1 || runs[0].Values[0] != want {
		e.t.Fatalf("%+v, %v: want %v", runs, err, want)
	}
}

func TestCreditBoundsWhatIsOnTheWay(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	e.down.Send(&wire.Down{Message: &wire.Down_Credit{Credit: &wire.Credit{Bytes: 1}}})
	o := e.opening(1, sdk.KindSource, "every", `{}`)
	o.Source.Interval = 5 * time.Millisecond
	e.openAs(o)
	view := <-e.packets
	var more wire.PacketView
	for waiting := true; waiting; { // what was filled before the credit was known
		select {
		case more = <-e.packets:
			view = more
		case <-time.After(300 * time.Millisecond):
			waiting = false
		}
	}
	if view.LastSeq > 2 {
		t.Errorf("%d packets came with credit for one", view.LastSeq)
	}
	e.ack(view.LastSeq)
	<-e.packets
}

func TestAProcessorInPythonMapsSeries(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	e.open(1, sdk.KindProcessor, "drop_dev", `{}`)
	got, err := e.MapSeries(t.Context(), 1, []sdk.Labels{sdk.NewLabels("__name__", "a", "env", "dev"), sdk.NewLabels("__name__", "b", "env", "prod")})
	if err != nil || got[0] != nil || got[1].String() != `b{seen="python"}` {
		t.Errorf("%v, %v", got, err)
	}
	_, err = e.MapSeries(t.Context(), 1, []sdk.Labels{sdk.NewLabels("__name__", "a", "env", "broken")})
	var panicked *sdk.Panic
	if !errors.As(err, &panicked) {
		t.Errorf("%v", err)
	}
}

func TestASinkInPythonAcknowledgesAndCounts(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	e.open(7, sdk.KindSink, "lines", `{"fails":"full"}`)
	stream, err := e.Consume(t.Context(), 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	frames := wire.AppendStream(nil, 3, "source.test.one")
	defs, _ := wire.AppendDefs(nil, 3, []wire.SeriesDef{
		{Ref: 0, Labels: sdk.NewLabels("__name__", "a")}, {Ref: 1, Labels: sdk.NewLabels("__name__", "b", "drop", "1")}, {Ref: 2, Labels: sdk.NewLabels("__name__", "c", "refuse", "1")},
	})
	send := func(position uint64, refs ...sdk.Ref) {
		t.Helper()
		f := append(frames, wire.AppendRefs(nil, wire.Header{Kind: wire.Stale, Stream: 3, Base: 1234}, refs)...)
		buf := append(make([]byte, wire.PacketHeader), f...)
		if err := stream.SendMsg(wire.SealPacket(&buf, 1, position, len(refs))); err != nil {
			t.Fatal(err)
		}
		frames = nil
	}
	frames = append(frames, defs...)
	send(10, 0, 1)
	ups := func() (troubles, acks []string) {
		for {
			up, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if a := up.GetAck(); a != nil {
				return troubles, append(acks, fmt.Sprintf("%d stored %d dropped %v refused %v", a.Position, a.Stored, a.Dropped, len(a.Refused)))
			}
			troubles = append(troubles, up.GetTrouble().GetText())
		}
	}
	troubles, acks := ups()
	if !slices.Equal(troubles, []string{"no room", "no room", ""}) || acks[0] != "10 stored 1 dropped map[unwanted:1] refused 0" {
		t.Errorf("%q %q", troubles, acks)
	}
	send(20, 2, 0)
	if _, acks = ups(); acks[0] != "20 stored 0 dropped map[rejected:2] refused 1" {
		t.Errorf("%q", acks)
	}
	b, err := os.ReadFile(filepath.Join(e.dir, "7", "lines"))
	if err != nil || string(b) != "10 a nan 1234\n" {
		t.Errorf("%q, %v", b, err)
	}
	stale := wire.AppendRefs(nil, wire.Header{Kind: wire.Stale, Stream: 99}, []sdk.Ref{1})
	buf := append(make([]byte, wire.PacketHeader), stale...)
	if err := stream.SendMsg(wire.SealPacket(&buf, 1, 30, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "stream 99, which is not open") {
		t.Errorf("a packet that breaks the rules: %v", err)
	}
}

func TestClosingASinkInPythonEndsItsStream(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	e.open(7, sdk.KindSink, "lines", `{}`)
	stream, err := e.Consume(t.Context(), 7, 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is there", func() bool { return stream.Send(&wire.Packet{Epoch: 1, LastSeq: 1}) == nil })
	if up, err := stream.Recv(); err != nil || up.GetAck().GetPosition() != 1 {
		t.Errorf("%v, %v", up, err)
	}
	if _, err := e.Conn.Close(t.Context(), 7, 5*time.Second); err != nil {
		t.Error(err)
	}
	if up, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "was closed") {
		t.Errorf("%v, %v", up, err)
	}
}

func TestANotifierInPythonRemembersThroughItsHost(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	kept := map[string][]byte{}
	var mu sync.Mutex
	go e.ServeHost(t.Context(), func(_ context.Context, call *wire.HostCall) *wire.HostReply {
		mu.Lock()
		defer mu.Unlock()
		if put := call.GetPut(); put != nil {
			kept[put.Key] = put.Value
			return &wire.HostReply{}
		}
		value, found := kept[call.GetGet().Key]
		return &wire.HostReply{Found: found, Value: value}
	})
	e.open(5, sdk.KindNotifier, "note", `{}`)
	n := sdk.Notification{Status: sdk.Firing, Title: "the first", Alerts: []sdk.Alert{{Value: math.Inf(1), StartsAt: time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)}}}
	var got sdk.Receipt
	eventually(t, "the host stream is there", func() (ok bool) {
		var err error
		got, err = e.Notify(t.Context(), 5, n)
		return err == nil
	})
	if got.ID != "firing inf 2026-01-02T03:04:05.123456+00:00 after " {
		t.Errorf("%q", got.ID)
	}
	if got, err := e.Notify(t.Context(), 5, n); err != nil || !strings.HasSuffix(got.ID, "after the first") {
		t.Errorf("%q, %v", got.ID, err)
	}
	e.open(6, sdk.KindNotifier, "note", `{"fails":"target"}`)
	_, err := e.Notify(t.Context(), 6, n)
	if p := sdk.AsProblem(err); p == nil || !p.Permanent || p.Blame != sdk.BlameTarget {
		t.Errorf("%v", err)
	}
}

func TestAComponentInPythonAsksTheStore(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	var asked sdk.Query
	go e.ServeHost(t.Context(), func(_ context.Context, call *wire.HostCall) *wire.HostReply {
		asked = wire.FromQuery(call.GetQuery())
		switch asked.Expr {
		case "up(":
			return &wire.HostReply{Result: wire.ToResult(nil, &sdk.QueryError{Start: 2, End: 3, Text: "there is no end"})}
		case "slow":
			return &wire.HostReply{Result: wire.ToResult(nil, sdk.Target(errors.New("it took too long")))}
		}
		h := &sdk.Histogram{Count: 3, Sum: 4, Positive: []float64{3}, PositiveSpans: []sdk.Span{{Length: 1}}}
		return &wire.HostReply{Result: wire.ToResult(&sdk.Result{Type: sdk.Matrix, Warnings: []string{"old"}, Series: []sdk.ResultSeries{
			{Labels: sdk.NewLabels("job", "a"), Points: []sdk.Point{{Time: time.UnixMilli(10500), Value: 1}, {Time: time.UnixMilli(15500), Histogram: h}}},
		}}, nil)}
	})
	e.open(7, sdk.KindNotifier, "note", `{}`)
	ask := func(expr string) (sdk.Receipt, error) {
		return e.Notify(t.Context(), 7, sdk.Notification{Title: "ask " + expr, Alerts: []sdk.Alert{{}}})
	}
	eventually(t, "the host stream is there", func() bool {
		got, err := ask("up")
		return err == nil && strings.HasPrefix(got.ID, "matrix [({'job': 'a'}, [(10.5, 1.0), (15.5, Histogram(") && strings.HasSuffix(got.ID, "['old']")
	})
	if asked.Start.UnixMilli() != 10_000 || asked.End.UnixMilli() != 20_000 || asked.Step != 5*time.Second {
		t.Errorf("it asks %+v", asked)
	}
	if _, err := ask("up("); err == nil || sdk.AsProblem(err).Blame != sdk.BlameConfig || err.Error() != "there is no end" {
		t.Errorf("%v", err)
	}
	if _, err := ask("slow"); err == nil || sdk.AsProblem(err).Blame != sdk.BlameTarget {
		t.Errorf("%v", err)
	}
}

func TestADiscoveryInPythonTellsWholeLists(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	e.open(4, sdk.KindDiscovery, "static", `{}`)
	ctx, cancel := context.WithCancel(t.Context())
	lists := make(chan []sdk.Discovered, 10)
	ended := make(chan error)
	go func() { ended <- e.Discover(ctx, 4, func(found []sdk.Discovered) { lists <- found }) }()
	if got := fmt.Sprint(<-lists, <-lists); got != "[{a:1 map[__meta_x:1]} {b:2 map[]}] [{a:1 map[__meta_x:1]} {b:2 map[]} {c:3 map[]}]" {
		t.Error(got)
	}
	cancel()
	<-ended
	if _, err := e.Conn.Close(t.Context(), 4, 5*time.Second); err != nil {
		t.Error(err)
	}
}

func TestAPluginInPythonThatHangsDoesNotOutliveItsEnd(t *testing.T) {
	t.Parallel()
	e := startEvery(t)
	e.open(1, sdk.KindSource, "every", `{"wait":3600000000000}`)
	if _, err := e.Conn.Close(t.Context(), 1, 10*time.Second); err != nil { // its thread sleeps for an hour
		t.Errorf("%v", err)
	}
	if report, err := e.Health(t.Context()); err != nil || len(report.Components) != 0 {
		t.Errorf("%v, %v", report, err)
	}
	e.Stop(context.Background())
	<-e.Exited()
	if err := e.Cause(); err != nil {
		t.Errorf("it was told to end: %v", err)
	}
}

func TestWhyAPluginInPythonDiedIsSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct{ source, want string }{
		"exits":   {"import sys\nsys.exit('the licence has run out')\n", "it exited with code 1; its last words:\n  the licence has run out"},
		"mistake": {"import magpie\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n    interval: int = magpie.attr('x')\n@magpie.source(C)\nclass S:\n    def collect(self, out): pass\nmagpie.main('mistake', '1', S)\n", "it exited with code 2; its last words:\n  mistake: C declares 'interval', which is a core attribute of every block: rename it"},
		"syntax":  {"import magpie\nraise RuntimeError('at the start')\n", "RuntimeError: at the start"},
	} {
		path := filepath.Join(dir, name+".py")
		if err := os.WriteFile(path, []byte(c.source), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := client.Launch(t.Context(), client.Options{Path: pack(t, path), SocketDir: sockets(t)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone := filepath.Join(dir, "gone")
	if err := os.WriteFile(gone, []byte("#!/nonexistent/python\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := client.Launch(t.Context(), client.Options{Path: gone, SocketDir: sockets(t)})
	t.Log(err)
	if err == nil {
		t.Error("there is no such interpreter")
	}
}

func TestTheCatalogueKeepsAPluginInPythonByItsHash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := os.ReadFile(packedEvery(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "every"), b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	c := &client.Catalogue{Dirs: []string{dir}, Cache: cache, Run: sockets(t)}
	plugins, err := c.Plugins(t.Context())
	if err != nil || len(plugins) != 1 || plugins[0].Err != nil || plugins[0].Version != "1.2.3" || len(plugins[0].Types) != 6 {
		t.Fatalf("%+v, %v", plugins, err)
	}
	// Another catalogue with that cache starts nothing: there is nowhere for a socket.
	c = &client.Catalogue{Dirs: []string{dir}, Cache: cache, Run: "/nonexistent"}
	if again, err := c.Plugins(t.Context()); err != nil || again[0].Err != nil || again[0].SHA256 != plugins[0].SHA256 || len(again[0].Types) != 6 {
		t.Errorf("%+v, %v", again, err)
	}
}
