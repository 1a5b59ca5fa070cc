package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

const (
	linger        = 100 * time.Millisecond // how long a packet waits for more
	initialWindow = 8 << 20                // until the daemon says otherwise
	givenUpTime   = 5 * time.Second        // to close a component whose opening nobody waits for any more
)

// Server answers the daemon's calls. The test kit serves one in process.
type Server struct {
	wire.UnimplementedPluginServer

	SocketDir string       // where the socket of HTTP handlers goes; a directory of this process alone
	HTTP      net.Listener // nil: that socket

	name    string
	version string
	log     *slog.Logger
	types   map[string]sdk.Capability // "source etcd"
	order   []sdk.Type
	packer  *wire.Packer
	host    hostCalls
	http    httpServer

	mu         sync.Mutex
	components map[uint32]*component
}

// NewServer checks the capabilities: a mistake in a struct tag is an error here, at the plugin's start.
func NewServer(name, version string, log *slog.Logger, capabilities ...sdk.Capability) (*Server, error) {
	s := &Server{
		name: name, version: version, log: log, types: map[string]sdk.Capability{}, components: map[uint32]*component{},
		packer: wire.NewPacker(rand.Uint64(), linger, initialWindow),
	}
	s.host.waiting, s.host.opened = map[uint64]chan *wire.HostReply{}, make(chan struct{})
	for _, c := range capabilities {
		if err := c.Err(); err != nil {
			return nil, err
		}
		c.Type.Name = cmp.Or(c.Type.Name, name)
		key := string(c.Type.Kind) + " " + c.Type.Name
		if _, twice := s.types[key]; twice {
			return nil, fmt.Errorf("%s is offered twice", key)
		}
		s.types[key] = c
		s.order = append(s.order, c.Type)
	}
	return s, nil
}

// Describe is static.
func (s *Server) Describe(context.Context, *wire.DescribeRequest) (*wire.Description, error) {
	d := &wire.Description{Name: s.name, Version: s.version, Sdk: "go " + wire.Version}
	for _, t := range s.order {
		d.Types = append(d.Types, wire.ToType(t))
	}
	for _, m := range sdk.Declared() {
		d.Metrics = append(d.Metrics, &wire.Metric{Name: m.Name, Type: uint32(m.Type), Unit: m.Unit, Help: m.Help, Labels: m.LabelNames})
	}
	return d, nil
}

func (s *Server) capability(kind, name string) (sdk.Capability, error) {
	c, ok := s.types[kind+" "+name]
	if !ok {
		return c, fmt.Errorf("plugin %s offers no %s %q", s.name, kind, name)
	}
	return c, nil
}

// Validate checks a configuration offline.
func (s *Server) Validate(_ context.Context, r *wire.ConfigRequest) (*wire.ValidateResponse, error) {
	c, err := s.capability(r.Kind, r.Type)
	if err != nil {
		return &wire.ValidateResponse{Problem: wire.ToProblem(err)}, nil
	}
	diags, err := c.Validate(r.Config)
	out := &wire.ValidateResponse{Problem: wire.ToProblem(err)}
	for _, d := range diags {
		out.Diagnostics = append(out.Diagnostics, &wire.Diagnostic{Warning: d.Warning, Path: wire.ToPath(d.Path), Text: d.Text})
	}
	return out, nil
}

// Probe checks a configuration against the outside world.
func (s *Server) Probe(ctx context.Context, r *wire.ConfigRequest) (*wire.ProbeResponse, error) {
	c, err := s.capability(r.Kind, r.Type)
	if err != nil {
		return &wire.ProbeResponse{Problem: wire.ToProblem(err)}, nil
	}
	var mu sync.Mutex
	out := &wire.ProbeResponse{}
	problem := wire.ToProblem(c.Probe(ctx, r.Config, &host{server: s, address: r.Address}, func(text string) {
		mu.Lock()
		defer mu.Unlock()
		out.Found = append(out.Found, text)
	}))
	mu.Lock()
	defer mu.Unlock()
	return &wire.ProbeResponse{Problem: problem, Found: slices.Clone(out.Found)}, nil
}

// Open opens a component and says how far it is meanwhile.
func (s *Server) Open(r *wire.OpenRequest, stream grpc.ServerStreamingServer[wire.OpenEvent]) error {
	var mu sync.Mutex // SendMsg is for one goroutine at a time
	progress := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		stream.Send(&wire.OpenEvent{Progress: text})
	}
	c, err := s.open(sdk.WithProgress(stream.Context(), progress), r)
	mu.Lock()
	defer mu.Unlock()
	if err != nil {
		return stream.Send(&wire.OpenEvent{Problem: wire.ToProblem(err)})
	}
	if err = stream.Context().Err(); err == nil {
		err = stream.Send(&wire.OpenEvent{Opened: &wire.Opened{Http: c.http}})
	}
	if err != nil { // the daemon has given the opening up, and will not close what it does not know of
		s.Close(context.WithoutCancel(stream.Context()), &wire.CloseRequest{Component: r.Component, TimeoutNs: int64(givenUpTime)})
	}
	return err
}

// Reconfigure hands a changed configuration to a component.
func (s *Server) Reconfigure(ctx context.Context, r *wire.ReconfigureRequest) (*wire.ReconfigureResponse, error) {
	c, err := s.component(r.Component)
	if err == nil {
		err = c.open.Reconfigure(ctx, r.Config)
	}
	return &wire.ReconfigureResponse{Problem: wire.ToProblem(err)}, nil
}

// Close ends a component.
func (s *Server) Close(ctx context.Context, r *wire.CloseRequest) (*wire.CloseResponse, error) {
	s.mu.Lock()
	c := s.components[r.Component]
	delete(s.components, r.Component)
	s.mu.Unlock()
	if c == nil {
		return &wire.CloseResponse{}, nil
	}
	if r.TimeoutNs > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.TimeoutNs))
		defer cancel()
	}
	err := c.close(ctx)
	return &wire.CloseResponse{Problem: wire.ToProblem(err), LastSeq: s.packer.Cut()}, nil
}

// Stop closes every component, when the daemon has ended the connection.
func (s *Server) Stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s.packer.Close()
	s.mu.Lock()
	all := s.components
	s.components = map[uint32]*component{}
	s.mu.Unlock()
	var done sync.WaitGroup
	for _, c := range all {
		done.Go(func() { c.close(ctx) })
	}
	done.Wait()
	s.http.close()
}

func (s *Server) component(number uint32) (*component, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.components[number]
	if c == nil {
		return nil, fmt.Errorf("component %d is not open in %s (process %d)", number, s.name, os.Getpid())
	}
	return c, nil
}

// Health answers from memory.
func (s *Server) Health(context.Context, *wire.HealthRequest) (*wire.HealthReport, error) {
	s.mu.Lock()
	all := make([]*component, 0, len(s.components))
	for _, c := range s.components {
		all = append(all, c)
	}
	s.mu.Unlock()
	report := &wire.HealthReport{}
	for _, c := range all {
		report.Components = append(report.Components, c.health())
	}
	return report, nil
}

// Grant changes how many bytes of the sources' may be on the way without an acknowledgement, as the daemon's credit does.
func (s *Server) Grant(bytes int) { s.packer.SetWindow(bytes) }

// Produce sends what the sources of the process collect.
func (s *Server) Produce(stream grpc.BidiStreamingServer[wire.Down, wire.Packet]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		defer cancel()
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			switch {
			case m.GetAck() != nil:
				s.packer.Ack(m.GetAck().Seq)
			case m.GetCredit() != nil:
				s.Grant(int(m.GetCredit().Bytes))
			}
		}
	}()
	defer s.packer.Close()
	for {
		raw, err := s.packer.Next(ctx)
		if err != nil {
			return nil
		}
		if err := stream.SendMsg(raw); err != nil {
			return err
		}
	}
}

// MapSeries asks a processor about series.
func (s *Server) MapSeries(_ context.Context, r *wire.MapRequest) (*wire.MapResponse, error) {
	c, err := s.component(r.Component)
	if err != nil {
		return &wire.MapResponse{Problem: wire.ToProblem(err)}, nil
	}
	m, ok := c.open.Impl.(sdk.Mapper)
	if !ok {
		return nil, status.Error(codes.Unimplemented, "not a processor of series")
	}
	out := &wire.MapResponse{}
	err = sdk.Recover("MapSeries", func() error {
		for _, ls := range r.Series {
			mapped, keep := m.MapSeries(sdk.Series{Labels: wire.FromLabels(ls.Labels)})
			w := &wire.Labels{}
			if keep {
				w.Labels = wire.ToLabels(mapped.Labels)
			}
			out.Series = append(out.Series, w)
		}
		return nil
	})
	if err != nil {
		return &wire.MapResponse{Problem: wire.ToProblem(err)}, nil
	}
	return out, nil
}

// Query asks a store.
func (s *Server) Query(ctx context.Context, r *wire.QueryRequest) (*wire.QueryResponse, error) {
	c, store, err := implementing[sdk.Storer](s, r.Component)
	if err != nil {
		return wire.ToResult(nil, err), nil
	}
	var result *sdk.Result
	err = c.call("Query", func() (err error) {
		result, err = store.Query(ctx, wire.FromQuery(r))
		return err
	})
	return wire.ToResult(result, err), nil
}

// CheckQuery asks a store to parse.
func (s *Server) CheckQuery(_ context.Context, r *wire.CheckQueryRequest) (*wire.CheckQueryResponse, error) {
	c, store, err := implementing[sdk.Storer](s, r.Component)
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	err = c.call("CheckQuery", func() error { return store.CheckQuery(r.Expr) })
	var mistake *sdk.QueryError
	if err != nil && !errors.As(err, &mistake) {
		mistake = &sdk.QueryError{Text: err.Error(), End: len(r.Expr)}
	}
	if mistake == nil {
		return &wire.CheckQueryResponse{}, nil
	}
	return &wire.CheckQueryResponse{Mistake: wire.ToMistake(mistake)}, nil
}

// Notify delivers a notification.
func (s *Server) Notify(ctx context.Context, r *wire.NotifyRequest) (*wire.NotifyResponse, error) {
	c, messenger, err := implementing[sdk.Messenger](s, r.Component)
	if err != nil {
		return &wire.NotifyResponse{Problem: wire.ToProblem(err)}, nil
	}
	var n sdk.Notification
	if err := json.Unmarshal(r.Notification, &n); err != nil {
		return &wire.NotifyResponse{Problem: wire.ToProblem(err)}, nil
	}
	var receipt sdk.Receipt
	err = c.call("Notify", func() (err error) {
		receipt, err = messenger.Notify(ctx, n)
		return err
	})
	return &wire.NotifyResponse{Receipt: receipt.ID, Problem: wire.ToProblem(err)}, nil
}

// Diagnose asks a diagnoser, and says meanwhile what it does.
func (s *Server) Diagnose(r *wire.DiagnoseRequest, stream grpc.ServerStreamingServer[wire.DiagnoseEvent]) error {
	fail := func(err error) error { return stream.Send(&wire.DiagnoseEvent{Problem: wire.ToProblem(err)}) }
	c, diagnoser, err := implementing[sdk.Examiner](s, r.Component)
	if err != nil {
		return fail(err)
	}
	var q sdk.Question
	if err := json.Unmarshal(r.Question, &q); err != nil {
		return fail(err)
	}
	var mu sync.Mutex // SendMsg is for one goroutine at a time
	report := sdk.NewReport(c.address, q, func(text string) {
		mu.Lock()
		defer mu.Unlock()
		stream.Send(&wire.DiagnoseEvent{Progress: text})
	})
	err = c.call("Diagnose", func() error { return diagnoser.Diagnose(stream.Context(), q, report) })
	b, err := json.Marshal(report.End(err))
	if err != nil {
		return fail(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return stream.Send(&wire.DiagnoseEvent{Diagnosis: b})
}

// Discover runs a discovery for as long as the daemon listens.
func (s *Server) Discover(r *wire.DiscoverRequest, stream grpc.ServerStreamingServer[wire.Targets]) error {
	c, finder, err := implementing[sdk.Finder](s, r.Component)
	if err == nil {
		err = c.call("Discover", func() error {
			return finder.Discover(stream.Context(), func(found []sdk.Discovered) error {
				return stream.Send(&wire.Targets{Targets: wire.ToTargets(found)})
			})
		})
	}
	if err != nil && stream.Context().Err() == nil {
		return stream.Send(&wire.Targets{Problem: wire.ToProblem(err)})
	}
	return nil
}

// SetTargets tells a source what its discoveries found.
func (s *Server) SetTargets(ctx context.Context, r *wire.SetTargetsRequest) (*wire.SetTargetsResponse, error) {
	c, setter, err := implementing[sdk.TargetSetter](s, r.Component)
	if err == nil {
		err = c.call("SetTargets", func() error { return setter.SetTargets(ctx, wire.FromTargets(r.Targets)) })
	}
	return &wire.SetTargetsResponse{Problem: wire.ToProblem(err)}, nil
}

// implementing is the component of a number, as what it has to be.
func implementing[T any](s *Server, number uint32) (c *component, impl T, err error) {
	if c, err = s.component(number); err != nil {
		return nil, impl, err
	}
	impl, ok := c.open.Impl.(T)
	if !ok {
		return nil, impl, fmt.Errorf("component %s does not offer this", c.address)
	}
	return c, impl, nil
}
