package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Deadlines of the calls. A plugin that does not answer in time is broken, whatever it is doing.
const (
	callTimeout   = 5 * time.Second
	openSilence   = 30 * time.Second // between two signs of progress
	notifyTimeout = 60 * time.Second
	maxDiagnosis  = 1 << 20 // bytes
	maxCalls      = 8       // of a process to the daemon, answered at a time
)

// Conn makes the calls of the contract. An error that is a *sdk.Problem came from the plugin's code; any other means that
// the pipe or the plugin is broken.
type Conn struct {
	rpc  wire.PluginClient
	conn *grpc.ClientConn
}

// NewConn makes a Conn over a connection, for the test kit.
func NewConn(conn *grpc.ClientConn) Conn { return Conn{wire.NewPluginClient(conn), conn} }

// Connection is the connection behind the calls, for those that make calls of their own.
func (c *Conn) Connection() *grpc.ClientConn { return c.conn }

// Description is what a plugin offers.
type Description struct {
	Name    string       `json:"name"`
	Version string       `json:"version"`
	SDK     string       `json:"sdk,omitempty"`
	Types   []sdk.Type   `json:"types,omitempty"`
	Metrics []sdk.Metric `json:"metrics,omitempty"`
}

// Describe asks what the plugin offers.
func (c *Conn) Describe(ctx context.Context) (*Description, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := c.rpc.Describe(ctx, &wire.DescribeRequest{})
	if err != nil {
		return nil, err
	}
	d := &Description{Name: m.Name, Version: m.Version, SDK: m.Sdk}
	for _, t := range m.Types {
		d.Types = append(d.Types, wire.FromType(t))
	}
	for _, w := range m.Metrics {
		d.Metrics = append(d.Metrics, sdk.Metric{Family: sdk.Family{Name: w.Name, Type: sdk.MetricType(w.Type), Unit: w.Unit, Help: w.Help}, LabelNames: w.Labels})
	}
	return d, nil
}

// Config names a component and its configuration, as JSON by the schema's names.
type Config struct {
	Kind    sdk.Kind
	Type    string
	Address string
	JSON    []byte
}

func (c *Config) request() *wire.ConfigRequest {
	return &wire.ConfigRequest{Kind: string(c.Kind), Type: c.Type, Address: c.Address, Config: c.JSON}
}

// Validate checks a configuration offline.
func (c *Conn) Validate(ctx context.Context, cfg Config) ([]sdk.Diag, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := c.rpc.Validate(ctx, cfg.request())
	if err != nil {
		return nil, err
	}
	var diags []sdk.Diag
	for _, d := range m.Diagnostics {
		diags = append(diags, sdk.Diag{Warning: d.Warning, Path: wire.FromPath(d.Path), Text: d.Text})
	}
	return diags, m.Problem.Err()
}

// Probe checks a configuration against the outside world. found is what is worth knowing where nothing is wrong.
func (c *Conn) Probe(ctx context.Context, cfg Config) (found []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, openSilence)
	defer cancel()
	m, err := c.rpc.Probe(ctx, cfg.request())
	if err != nil {
		return nil, err
	}
	return m.Found, m.Problem.Err()
}

// Opening is what a component is opened with.
type Opening struct {
	Config
	Component uint32 // a number that was never used before
	Dir       string
	Source    sdk.SourceSettings // of a source
	Instance  string
	Targets   []sdk.Discovered

	Checkpoint []byte // of a source, nil: none
}

// Open opens a component and returns the socket of its HTTP handler, "" if it has none. It gives up when the plugin is
// silent for long.
func (c *Conn) Open(ctx context.Context, o Opening, progress func(string)) (socket string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(openSilence, cancel)
	defer silence.Stop()
	stream, err := c.rpc.Open(ctx, &wire.OpenRequest{
		Component: o.Component, Kind: string(o.Kind), Type: o.Type, Address: o.Address, Config: o.JSON, Dir: o.Dir, Checkpoint: o.Checkpoint,
		Source: &wire.Source{
			Job: o.Source.Job, Labels: o.Source.Labels, IntervalNs: int64(o.Source.Interval), TimeoutNs: int64(o.Source.Timeout),
			LimitSeries: uint32(o.Source.LimitSeries), Instance: o.Instance, Targets: wire.ToTargets(o.Targets),
		},
	})
	for err == nil {
		var e *wire.OpenEvent
		if e, err = stream.Recv(); err != nil {
			break
		}
		silence.Reset(openSilence)
		switch {
		case e.Problem != nil:
			return "", e.Problem.Err()
		case e.Opened != nil:
			return e.Opened.Http, nil
		case progress != nil && e.Progress != "":
			progress(e.Progress)
		}
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return "", fmt.Errorf("%s gave no sign of progress for %s while opening", o.Address, openSilence)
	}
	return "", err
}

// Reconfigure hands a changed configuration to an open component.
func (c *Conn) Reconfigure(ctx context.Context, component uint32, config []byte) error {
	ctx, cancel := context.WithTimeout(ctx, openSilence)
	defer cancel()
	m, err := c.rpc.Reconfigure(ctx, &wire.ReconfigureRequest{Component: component, Config: config})
	if err != nil {
		return err
	}
	return m.Problem.Err()
}

// Close ends a component within a time; lastSeq is the packet with a source's last frame.
func (c *Conn) Close(ctx context.Context, component uint32, within time.Duration) (lastSeq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, within+time.Second)
	defer cancel()
	m, err := c.rpc.Close(ctx, &wire.CloseRequest{Component: component, TimeoutNs: int64(within)})
	if err != nil {
		return 0, err
	}
	return m.LastSeq, m.Problem.Err()
}

// Health asks how the process and its components are.
func (c *Conn) Health(ctx context.Context) (*wire.HealthReport, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return c.rpc.Health(ctx, &wire.HealthRequest{})
}

// MapSeries asks a processor about series; a nil entry in the answer is a dropped one.
func (c *Conn) MapSeries(ctx context.Context, component uint32, series []sdk.Labels) ([]sdk.Labels, error) {
	ctx, cancel := context.WithTimeout(ctx, openSilence)
	defer cancel()
	r := &wire.MapRequest{Component: component}
	for _, ls := range series {
		r.Series = append(r.Series, &wire.Labels{Labels: wire.ToLabels(ls)})
	}
	m, err := c.rpc.MapSeries(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case m.Problem != nil:
		return nil, m.Problem.Err()
	case len(m.Series) != len(series):
		return nil, fmt.Errorf("the processor answered for %d series of %d", len(m.Series), len(series))
	}
	out := make([]sdk.Labels, len(series))
	for i, w := range m.Series {
		if len(w.Labels) > 0 {
			out[i] = wire.FromLabels(w.Labels)
		}
	}
	return out, nil
}

// Query asks a store.
func (c *Conn) Query(ctx context.Context, component uint32, q sdk.Query) (*sdk.Result, error) {
	m, err := c.rpc.Query(ctx, wire.ToQuery(component, q))
	if err != nil {
		return nil, err
	}
	return m.Result()
}

// CheckQuery parses an expression; a mistake in it is a *sdk.QueryError.
func (c *Conn) CheckQuery(ctx context.Context, component uint32, expr string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := c.rpc.CheckQuery(ctx, &wire.CheckQueryRequest{Component: component, Expr: expr})
	if err != nil {
		return err
	}
	return m.Mistake.Err()
}

// Notify delivers a notification.
func (c *Conn) Notify(ctx context.Context, component uint32, n sdk.Notification) (sdk.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	b, err := json.Marshal(n)
	if err != nil {
		return sdk.Receipt{}, err
	}
	m, err := c.rpc.Notify(ctx, &wire.NotifyRequest{Component: component, Notification: b})
	if err != nil {
		return sdk.Receipt{}, err
	}
	return sdk.Receipt{ID: m.Receipt}, m.Problem.Err()
}

// Diagnose asks a diagnoser; progress is told what it does.
func (c *Conn) Diagnose(ctx context.Context, component uint32, q sdk.Question, progress func(string)) (*sdk.Diagnosis, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx) // a plugin that goes on sending is told to stop
	defer cancel()
	stream, err := c.rpc.Diagnose(ctx, &wire.DiagnoseRequest{Component: component, Question: b})
	for err == nil {
		var m *wire.DiagnoseEvent
		switch m, err = stream.Recv(); {
		case err != nil:
		case m.Problem != nil:
			return nil, m.Problem.Err()
		case len(m.Diagnosis) > maxDiagnosis:
			return nil, fmt.Errorf("the diagnosis has %d bytes, and at most %d are taken", len(m.Diagnosis), maxDiagnosis)
		case m.Diagnosis != nil:
			d := &sdk.Diagnosis{}
			return d, json.Unmarshal(m.Diagnosis, d)
		default:
			progress(m.Progress)
		}
	}
	return nil, err
}

// Discover calls found at every change until ctx ends or the discovery fails.
func (c *Conn) Discover(ctx context.Context, component uint32, found func([]sdk.Discovered)) error {
	stream, err := c.rpc.Discover(ctx, &wire.DiscoverRequest{Component: component})
	for err == nil {
		var m *wire.Targets
		if m, err = stream.Recv(); err != nil {
			break
		}
		if m.Problem != nil {
			return m.Problem.Err()
		}
		found(wire.FromTargets(m.Targets))
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// SetTargets tells a source what its discoveries found.
func (c *Conn) SetTargets(ctx context.Context, component uint32, targets []sdk.Discovered) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	m, err := c.rpc.SetTargets(ctx, &wire.SetTargetsRequest{Component: component, Targets: wire.ToTargets(targets)})
	if err != nil {
		return err
	}
	return m.Problem.Err()
}

// Produce opens the stream of the process' sources.
func (c *Conn) Produce(ctx context.Context) (grpc.BidiStreamingClient[wire.Down, wire.Packet], error) {
	return c.rpc.Produce(ctx)
}

// Consume opens the stream to one sink; derives is the stream of a processor's output, 0 for a sink.
func (c *Conn) Consume(ctx context.Context, component, derives uint32) (grpc.BidiStreamingClient[wire.Packet, wire.Up], error) {
	ctx = metadata.AppendToOutgoingContext(ctx, wire.ComponentKey, strconv.FormatUint(uint64(component), 10))
	if derives != 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, wire.DerivesKey, strconv.FormatUint(uint64(derives), 10))
	}
	return c.rpc.Consume(ctx)
}

// ServeHost answers the plugin's calls until the stream ends: maxCalls of them at a time, so that none waits for a slow one.
func (c *Conn) ServeHost(ctx context.Context, answer func(context.Context, *wire.HostCall) *wire.HostReply) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	stream, err := c.rpc.Host(ctx)
	if err != nil {
		return err
	}
	var sending sync.Mutex // Send is for one goroutine at a time
	free := make(chan struct{}, maxCalls)
	for {
		call, err := stream.Recv()
		if err != nil {
			return err
		}
		free <- struct{}{}
		running.Go(func() {
			reply := answer(ctx, call)
			reply.Id = call.Id
			sending.Lock()
			stream.Send(reply) // Recv tells of what broke
			sending.Unlock()
			<-free
		})
	}
}
