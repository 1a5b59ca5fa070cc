// Package plugintest runs a plugin's component in a test, over real gRPC within the process: what is set in Collect comes
// back as the samples that a sink would see, with the labels that the SDK adds.
//
//	c := plugintest.Open(t, sdk.Source(open), plugintest.Config{"url": server.URL})
//	samples := c.Cycle()
//	if up := samples.Find("up"); len(up) != 1 || up[0].Value != 1 { … }
//
// # What came
//
// Cycle waits for the next Collect of a source, Next for the next packet of one with a rhythm of its own, and Came returns what is
// there. Golden compares all of it with a file in testdata, and go test -update writes the file. Sinks, stores and processors of
// samples are sent what Batch is filled with by Write; the rest of a component is called by the methods of client.Conn.
//
// # Time
//
// The fake clock is that of package testing/synctest: in a bubble, whatever a component waits for is over in a moment, and time.Now
// says what it would be. Open needs nothing for it, since component, SDK and gRPC speak in memory.
//
//	synctest.Test(t, func(t *testing.T) {
//		target := plugintest.Serve(t, page)
//		c := plugintest.Open(t, sdk.Source(open), plugintest.Config{"url": target.URL})
//		c.Cycle()
//		time.Sleep(time.Hour) // and 3 more cycles are there, if the interval is 20 minutes
//	})
//
// Intervals, timeouts, back-off, lingering packets, leases and Close take the time that they take on a real clock. Three things
// stand still in a bubble as long as they wait, and the clock with them, until go test -timeout ends it all: what reads from a
// socket, or listens to one (Serve has no sockets, and an sdk.HTTPClient reaches it; push sources are tested outside), what waits
// for another process, and what waits for something made outside the bubble. A variable of the package that holds a
// channel or a timer is to be made when the package is, not by the first test that needs it. The clock begins with the year 2000:
// samples with times of their own may be in the future.
//
// # Faults
//
// What the component talks to fails as Faults has it, a handler for each fault, to be served by Serve. The daemon's side fails when the
// test says so: Hold keeps the acknowledgements of a source back, Room leaves it hardly any room, Cut cuts the connection in the
// middle of whatever there is, Redeliver hands a sink once more what it was handed before, State.Refuse refuses what a
// component puts and gets, and Answering may answer a query with an error.
package plugintest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/serve"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Config is a block's configuration by the names of its schema. Values are as in the Go struct: a time.Duration, an
// sdk.Bytes, a list, a Config for a block, a []Config for repeated blocks; a Secret is given as its text.
type Config map[string]any

// Option changes how a component is opened.
type Option func(*opening)

type opening struct {
	client.Opening
	log   slog.Handler
	state *State
	room  int
	query func(sdk.Query) (*sdk.Result, error)
}

// Log sends what the component logs to a handler; without it, it is lost.
func Log(h slog.Handler) Option { return func(o *opening) { o.log = h } }

// Settings sets a source's core attributes; without it the interval is an hour, so that only the first Collect happens.
func Settings(s sdk.SourceSettings) Option { return func(o *opening) { o.Source = s } }

// Discovered hands targets to the source when it opens.
func Discovered(targets ...sdk.Discovered) Option {
	return func(o *opening) { o.Targets = targets }
}

// From opens a source at a checkpoint that another opening of it left, or has a processor of samples go on from a state that another
// left: what Component.Checkpoint says.
func From(checkpoint []byte) Option { return func(o *opening) { o.Checkpoint = checkpoint } }

// Component is an open component under test; the test's end closes it.
type Component struct {
	client.Conn
	Number  uint32 // what calls of Conn take as the component
	t       testing.TB
	network *memory // of its HTTP handler; nil: it has none
	packets *queue
	rest    []byte // of a packet, behind the end of a cycle
	decoder *wire.Decoder
	example []Exemplar // came and were not asked for
	parts   wire.Checkpoints
	left    []byte // the last of them
	derives bool   // it is a processor of samples

	acks acks
	cut  context.CancelFunc // of the stream from a source

	mu   sync.Mutex
	sink *sinkStream
}

// Open opens a component or fails the test.
func Open(t testing.TB, c sdk.Capability, cfg Config, opts ...Option) *Component {
	t.Helper()
	component, err := TryOpen(t, c, cfg, opts...)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return component
}

// TryOpen is Open for tests of the errors: a *sdk.Problem with the path of the attribute to blame.
func TryOpen(t testing.TB, c sdk.Capability, cfg Config, opts ...Option) (*Component, error) {
	t.Helper()
	if c.Type.Name == "" {
		c.Type.Name = "test"
	}
	p := &Component{t: t, Number: 1, packets: newQueue(), decoder: wire.NewDecoder()}
	o := opening{log: slog.DiscardHandler, state: &State{}}
	if _, _, err := p.decoder.Decode(wire.AppendStream(nil, p.Number, "source.test.main")); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("%s.%s.main", c.Type.Kind, c.Type.Name)
	o.Opening = client.Opening{
		Config:    client.Config{Kind: c.Type.Kind, Type: c.Type.Name, Address: address, JSON: encode(t, cfg)},
		Component: p.Number, Dir: t.TempDir(), Instance: "testhost",
		Source: sdk.SourceSettings{Job: "test", Interval: time.Hour, Timeout: 10 * time.Second, LimitSeries: 100_000},
	}
	for _, opt := range opts {
		opt(&o)
	}
	network := listen()
	if p.derives = c.Type.Derives; p.derives {
		p.left, o.Checkpoint = o.Checkpoint, nil
	}
	p.Conn = connect(t, c, o, network)
	go p.Conn.ServeHost(t.Context(), o.answer(t))
	p.receive()
	handler, err := p.Conn.Open(t.Context(), o.Opening, nil)
	if handler != "" {
		p.network = network
	}
	return p, err
}

// Validate asks the capability's Config offline.
func Validate(t testing.TB, c sdk.Capability, cfg Config) []sdk.Diag {
	t.Helper()
	diags, err := c.Validate(encode(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	return diags
}

// Probe asks whether what a configuration needs is there, as magpie check -online does. found is what is worth knowing where nothing
// is wrong.
func Probe(t testing.TB, c sdk.Capability, cfg Config) (found []string, err error) {
	t.Helper()
	if c.Type.Name == "" {
		c.Type.Name = "test"
	}
	conn := connect(t, c, opening{log: slog.DiscardHandler}, listen())
	return conn.Probe(t.Context(), client.Config{Kind: c.Type.Kind, Type: c.Type.Name, Address: fmt.Sprintf("%s.%s.main", c.Type.Kind, c.Type.Name), JSON: encode(t, cfg)})
}

// Remarks is what Validate says, a line for each: "path: text", or "warning: path: text".
func Remarks(t testing.TB, c sdk.Capability, cfg Config) string {
	t.Helper()
	var lines []string
	for _, d := range Validate(t, c, cfg) {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n")
}

func encode(t testing.TB, cfg Config) []byte {
	if cfg == nil {
		cfg = Config{}
	}
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func connect(t testing.TB, c sdk.Capability, o opening, http *memory) client.Conn {
	server, err := serve.NewServer("test", "0.0.0", slog.New(o.log), c)
	if err != nil {
		t.Fatal(err)
	}
	server.HTTP = http
	if o.room > 0 {
		server.Grant(o.room)
	}
	listener := bufconn.Listen(1 << 20)
	g := grpc.NewServer(wire.ServerOptions()...)
	wire.RegisterPluginServer(g, server)
	go g.Serve(listener)
	conn, err := grpc.NewClient("passthrough:test", append(wire.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Stop(context.Background())
		conn.Close()
		g.Stop()
		http.Close()
	})
	return client.NewConn(conn)
}

// Next waits for the next packet and returns its samples.
func (p *Component) Next() Samples {
	p.t.Helper()
	frames := p.rest
	if p.rest = nil; frames == nil {
		frames = p.packet()
	}
	return p.decode(frames)
}

// Cycle waits for the end of a Collect and returns everything that came since the last one.
func (p *Component) Cycle() (all Samples) {
	p.t.Helper()
	for {
		frames := p.rest
		if p.rest = nil; frames == nil {
			frames = p.packet()
		}
		end := 0
		for r := wire.Read(frames); r.Next(); {
			if end += len(r.Raw); r.Flags&wire.FlagCycle != 0 {
				if end < len(frames) {
					p.rest = frames[end:]
				}
				return append(all, p.decode(frames[:end])...)
			}
		}
		all = append(all, p.decode(frames)...)
	}
}

// Came returns what came since Next or Cycle did, and waits for nothing: in a bubble, after synctest.Wait, it is all that there is.
func (p *Component) Came() (all Samples) {
	p.t.Helper()
	if p.rest != nil {
		all, p.rest = p.decode(p.rest), nil
	}
	for {
		frames, _ := p.packets.take()
		if frames == nil {
			return all
		}
		all = append(all, p.decode(frames)...)
	}
}

func (p *Component) packet() []byte {
	p.t.Helper()
	frames, err := p.packets.next(patience())
	if err != nil {
		p.t.Fatal(err)
	}
	return frames
}

func (p *Component) decode(frames []byte) (samples Samples) {
	p.t.Helper()
	runs, forgotten, err := p.decoder.Decode(frames)
	if err != nil {
		p.t.Fatalf("the source sent what cannot be decoded: %v", err)
	}
	batch := sdk.ReadBatch(0, runs)
	for _, s := range batch.Samples() {
		samples = append(samples, Sample{s.Labels, s.Family, s.Value, s.Time, s.Histogram, s.Record})
	}
	for r := wire.Read(frames); r.Next(); {
		if r.Kind == wire.Checkpoint {
			if _, value, whole, err := p.parts.Add(&r.Frame); err != nil {
				p.t.Fatal(err)
			} else if whole {
				p.left = value
			}
		}
	}
	for s, e := range batch.Exemplars() {
		p.example = append(p.example, Exemplar{s.Labels, e})
	}
	wire.Forget(forgotten)
	return samples
}

// Checkpoint is the last one that came with what Next, Cycle or Came returned, nil if none did. Of a processor of samples it is the
// state.
func (p *Component) Checkpoint() []byte { return p.left }

// Exemplars returns the exemplars that came with what Next or Cycle returned since the last call.
func (p *Component) Exemplars() []Exemplar {
	all := p.example
	p.example = nil
	return all
}

// Health reports the component's health and counts.
func (p *Component) Health() *wire.ComponentHealth {
	p.t.Helper()
	r, err := p.Conn.Health(p.t.Context())
	if err != nil || len(r.Components) != 1 {
		p.t.Fatalf("health: %v, %v", r, err)
	}
	return r.Components[0]
}

// Client speaks to the component's HTTP handler; the host in the URL does not matter.
func (p *Component) Client() *http.Client {
	p.t.Helper()
	if p.network == nil {
		p.t.Fatal("the component has no HTTP handler")
	}
	return &http.Client{Transport: &prefixed{p.Number, &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.network.dial(ctx) },
	}}}
}

type prefixed struct {
	number uint32
	next   http.RoundTripper
}

func (p *prefixed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	prefix := fmt.Sprintf("/%d", p.number)
	r.URL.Path = prefix + r.URL.Path
	if r.URL.RawPath != "" {
		r.URL.RawPath = prefix + r.URL.RawPath
	}
	return p.next.RoundTrip(r)
}

// Sample is a sample as a sink sees it.
type Sample struct {
	Labels    sdk.Labels     // of its series, those that serve adds among them
	Family    *sdk.Family    // nil: unknown
	Value     float64        // where it is a float
	Time      time.Time      // when it was taken
	Histogram *sdk.Histogram // nil: a float
	Record    *sdk.Record    // a line of a log, or an event
}

// Exemplar is an exemplar with the labels of its series.
type Exemplar struct {
	Series sdk.Labels // labels of the series
	sdk.Exemplar
}

// Samples are in the order in which they came.
type Samples []Sample

// Names lists the metric names, sorted, each once.
func (s Samples) Names() (names []string) {
	for _, x := range s {
		names = append(names, x.Labels.Get(sdk.NameLabel))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// String writes a line for each sample, sorted: name{labels} value. A histogram is shown by its fields, a staleness marker as stale.
func (s Samples) String() string {
	var lines []string
	for _, x := range s {
		lines = append(lines, x.line())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Find returns the samples of a name whose labels include the given names and values.
func (s Samples) Find(name string, pairs ...string) (found Samples) {
next:
	for _, x := range s {
		if x.Labels.Get(sdk.NameLabel) != name {
			continue
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			if x.Labels.Get(pairs[i]) != pairs[i+1] {
				continue next
			}
		}
		found = append(found, x)
	}
	return found
}
