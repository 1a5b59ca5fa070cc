package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// One program is all the broken plugins: its name says what is wrong with it, and "healthy" is not.

type config struct {
	URL   string     `hcl:"url,optional" check:"url" doc:"Where to send to."`
	Token sdk.Secret `hcl:"token,optional" doc:"A token."`
	Dir   string     `hcl:"dir,optional" doc:"Where leases are kept."`
	Count int        `hcl:"count,optional" default:"3" check:"min=1,max=10" doc:"How many."`
	wrong string
}

func (c *config) Validate(d *sdk.Diags) {
	if filepath.Base(os.Args[0]) == "validate-opens-files" {
		kept = append(kept, opened())
	}
}

var (
	doors = sdk.Gauge("door_open", "1 if the door is open.", "door")
	_     = sdk.Gauge("door_odd", "Not what it says.", "door")
	kept  []any // what leaks
	alone = make(chan struct{})
)

func opened() *os.File {
	f, err := os.Open(os.DevNull)
	if err != nil {
		panic(err)
	}
	return f
}

// thing is a component of every kind.
type thing struct {
	cfg    *config
	host   sdk.Host
	client *http.Client
	child  *exec.Cmd
	lock   string
	held   []*sdk.Batch
}

func open(ctx context.Context, cfg *config, host sdk.Host) (*thing, error) {
	t := &thing{cfg: cfg, host: host, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	cfg.wrong = filepath.Base(os.Args[0])
	switch cfg.wrong {
	case "goroutine-leak":
		go func() { <-alone }()
	case "fd-leak":
		kept = append(kept, opened())
	case "memory-leak":
		kept = append(kept, []byte(strings.Repeat("x", 1<<20)))
	case "file-leak":
		f, err := os.CreateTemp("", "left")
		if err != nil {
			return nil, err
		}
		f.Close()
	case "open-hangs":
		<-alone
	case "open-panics":
		panic("no such luck")
	case "secret-on-stdout":
		fmt.Println("token", cfg.Token.Reveal())
	case "secret-on-stderr":
		fmt.Fprintln(os.Stderr, "token", cfg.Token.Reveal())
	case "secret-in-log":
		host.Log().Debug("opening", "token", cfg.Token.Reveal())
	case "secret-in-status":
		host.Status(sdk.Degraded, "401 for "+cfg.Token.Reveal())
	case "junk-on-stdout":
		fmt.Println("hello from open")
	case "child-in-session":
		t.child = exec.Command("/bin/sleep", "60")
		t.child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return t, t.child.Start()
	case "child-left":
		t.child = exec.Command("/bin/sleep", "60")
		return t, t.child.Start()
	case "huge-answer":
		host.Status(sdk.Degraded, strings.Repeat("x", 5<<20))
	case "lock-left":
		dir, err := host.Dir()
		if err != nil {
			return nil, err
		}
		t.lock = filepath.Join(dir, "lock")
		f, err := os.OpenFile(t.lock, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		f.Close()
	}
	return t, nil
}

func (t *thing) Close(ctx context.Context) error {
	switch t.cfg.wrong {
	case "close-hangs":
		<-alone
	case "global-state":
		os.Exit(3)
	case "child-in-session":
	case "lock-left":
		os.Remove(t.lock)
	}
	if len(t.held) > 0 && t.cfg.wrong == "sink-sends-late" {
		t.post(ctx)
	}
	return nil
}

func (t *thing) post(ctx context.Context) error {
	if t.cfg.URL == "" {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, "POST", t.cfg.URL, strings.NewReader("x"))
	if err != nil {
		return err
	}
	resp, err := t.client.Do(r)
	if err != nil {
		return sdk.Target(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		return sdk.Target(errors.New(resp.Status))
	}
	return nil
}

func (t *thing) Collect(ctx context.Context, out *sdk.Batch) error {
	out.Set(doors, 1, "front")
	switch t.cfg.wrong {
	case "collect-hangs":
		<-alone
	case "collect-ignores-cancel":
		return t.post(context.Background())
	case "collect-panics":
		panic("no door")
	case "collect-exits":
		os.Exit(4)
	case "secret-in-label":
		out.Set(doors, 1, t.cfg.Token.Reveal())
	case "invalid-utf8":
		out.Set(doors, 1, "\xff\xfe")
	case "nan-name":
		out.Put(out.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "NaN")}), 1)
	case "label-count":
		out.Set(doors, 1, "front", "back")
	case "twice":
		out.Set(doors, 0, "front")
	case "future":
		out.PutAt(out.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "soon")}), 1, time.Now().Add(24*time.Hour))
	case "undeclared-label":
		out.Put(out.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "door_odd", "window", "1")}), 1)
	case "plain-error":
		return errors.New("the door is stuck")
	}
	return t.post(ctx)
}

func (t *thing) Write(ctx context.Context, in *sdk.Batch) error {
	switch t.cfg.wrong {
	case "sink-keeps-batches":
		t.held = append(t.held, in)
	case "sink-sends-nothing":
		return nil
	case "sink-sends-late":
		t.held = append(t.held, nil)
		return nil
	case "sink-gives-up":
		t.post(ctx)
		return nil
	case "sink-fails-for-good":
		return sdk.Permanent(t.post(ctx))
	case "sink-panics-at-odd":
		for _, x := range in.Samples() {
			if x.Value != x.Value {
				panic("not a number")
			}
		}
	case "sink-ignores-cancel":
		return t.post(context.Background())
	}
	return t.post(ctx)
}

func (t *thing) Query(context.Context, sdk.Query) (*sdk.Result, error) {
	return nil, &sdk.QueryError{Start: 5, End: 1000, Text: "wrong"}
}

func (t *thing) CheckQuery(string) error { return &sdk.QueryError{Start: 5, End: 1000, Text: "wrong"} }

func (t *thing) Notify(ctx context.Context, n sdk.Notification) (sdk.Receipt, error) {
	switch t.cfg.wrong {
	case "notify-swallows":
		t.post(ctx)
		return sdk.Receipt{}, nil
	case "notify-panics":
		_ = n.Alerts[0]
	case "secret-in-error":
		return sdk.Receipt{}, sdk.Target(fmt.Errorf("POST with %s: refused", t.cfg.Token.Reveal()))
	}
	return sdk.Receipt{}, t.post(ctx)
}

func (t *thing) MapSeries(s sdk.Series) (sdk.Series, bool) {
	switch t.cfg.wrong {
	case "map-at-random":
		s.Labels = s.Labels.Set("n", fmt.Sprint(rand.Int()))
	case "map-nameless":
		s.Labels = s.Labels.Set(sdk.NameLabel, "")
	}
	return s, true
}

func (t *thing) Discover(ctx context.Context, found func([]sdk.Discovered) error) error {
	if t.cfg.wrong != "discover-nothing" {
		if err := found(nil); err != nil {
			return err
		}
	}
	if t.cfg.wrong == "discover-for-ever" {
		<-alone
	}
	<-ctx.Done()
	return nil
}

func (t *thing) Run(ctx context.Context) error {
	if t.cfg.wrong == "run-ends" {
		return errors.New("nothing to do")
	}
	<-ctx.Done()
	return nil
}

// capabilityOf is the one kind that a plugin of the name is of.
func capabilityOf(name string) sdk.Capability {
	doc := sdk.Doc("Watches doors.")
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "sink":
		return sdk.Sink(open, doc)
	case "store":
		return sdk.Store(open, doc)
	case "notify":
		return sdk.Notifier(open, doc)
	case "map":
		return sdk.Processor(open, doc)
	case "discover":
		return sdk.Discovery(open, doc)
	case "run":
		return sdk.Service(open, doc)
	case "lease", "members":
		return sdk.Coordinator(open, doc)
	}
	if name == "secret-in-error" {
		return sdk.Notifier(open, doc)
	}
	return sdk.Source(open, doc)
}

// be is the main function of a broken plugin.
func be(name string) {
	switch name {
	case "start-says-junk":
		fmt.Println("hello, I am a plugin")
		time.Sleep(time.Minute)
	case "start-other-contract":
		fmt.Println("1|99|unix|/tmp/nowhere|grpc|")
		time.Sleep(time.Minute)
	case "start-dies":
		fmt.Fprintln(os.Stderr, "cannot find my libraries")
		os.Exit(1)
	case "start-by-hand-hangs":
		if os.Getenv(wire.CookieKey) == "" {
			time.Sleep(time.Minute)
		}
	}
	offered := os.Getenv("PLUGIN_PROTOCOL_VERSIONS")
	if name == "start-waits-for-its-protocol" && offered == "2" {
		time.Sleep(time.Minute)
	}
	capability := capabilityOf(name)
	if !strings.HasPrefix(name, "raw-") {
		serve.Main("defect", "1.0.0", capability)
		switch name {
		case "exit-code":
			os.Exit(7)
		case "ends-slowly":
			time.Sleep(4 * time.Second)
		}
		return
	}
	if name == "raw-lease-lies" {
		capability = sdk.Coordinator(open, sdk.Doc("Knows who may open doors."))
	}
	if name == "raw-acks-twice" || name == "raw-loses" || name == "raw-acks-ahead" {
		capability = sdk.Sink(open, sdk.Doc("Keeps doors."))
	}
	server, err := serve.NewServer("defect", "1.0.0", slog.New(slog.DiscardHandler), capability)
	if err != nil {
		panic(err)
	}
	server.SocketDir = os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	l, err := net.Listen("unix", filepath.Join(server.SocketDir, "socket"))
	if err != nil {
		panic(err)
	}
	g := grpc.NewServer(wire.ServerOptions()...)
	healthy := health.NewServer()
	healthy.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(g, healthy)
	wire.RegisterPluginServer(g, &liar{server, name})
	if name != "raw-dies-of-interrupt" {
		signal.Ignore(os.Interrupt)
	}
	if name != "raw-speaks-everything" {
		offered = "1"
	}
	fmt.Printf("1|%s|unix|%s|grpc|\n", offered[len(offered)-1:], l.Addr())
	g.Serve(l)
}

// liar changes what a good server says.
type liar struct {
	*serve.Server
	wrong string
}

func (l *liar) Describe(ctx context.Context, r *wire.DescribeRequest) (*wire.Description, error) {
	d, err := l.Server.Describe(ctx, r)
	if err != nil {
		return nil, err
	}
	t := d.Types[0]
	a := t.Config.Attributes[3] // count
	switch l.wrong {
	case "raw-random-description":
		a.Doc = fmt.Sprint(rand.Int())
	case "raw-undocumented":
		a.Doc = ""
	case "raw-core-attribute":
		t.Config.Attributes = append(t.Config.Attributes, &wire.Attribute{Name: "labels", Type: "map(string)", Doc: "Labels."})
	case "raw-bad-default":
		a.Default = new("11")
	case "raw-bad-check":
		a.Checks = []string{"even"}
	case "raw-bad-type":
		a.Type = "integer"
	case "raw-live":
		a.Change = "live"
	case "raw-open-secret":
		t.Config.Attributes = append(t.Config.Attributes, &wire.Attribute{Name: "password", Type: "string", Doc: "A password."})
	case "raw-twice":
		t.Config.Attributes = append(t.Config.Attributes, a)
	case "raw-no-version":
		d.Version = "latest"
	case "raw-bad-metric":
		d.Metrics = append(d.Metrics, &wire.Metric{Name: "nan", Help: "Nothing."})
	}
	return d, nil
}

func (l *liar) Validate(ctx context.Context, r *wire.ConfigRequest) (*wire.ValidateResponse, error) {
	v, err := l.Server.Validate(ctx, r)
	switch l.wrong {
	case "raw-bad-path":
		v.Diagnostics = append(v.Diagnostics, &wire.Diagnostic{Warning: true, Path: wire.ToPath(sdk.Path{{Name: "nowhere"}}), Text: "strange"})
	case "raw-takes-anything":
		return &wire.ValidateResponse{}, nil
	}
	return v, err
}

func (l *liar) Health(ctx context.Context, r *wire.HealthRequest) (*wire.HealthReport, error) {
	if l.wrong == "raw-health-asks" {
		<-alone
	}
	return l.Server.Health(ctx, r)
}

// Acquire gives leases that hold as long as they should, whatever has happened meanwhile.
func (l *liar) Acquire(stream grpc.BidiStreamingServer[wire.LeaseCall, wire.LeaseEvent]) error {
	return l.Server.Acquire(&lying{stream, l.wrong})
}

type lying struct {
	grpc.BidiStreamingServer[wire.LeaseCall, wire.LeaseEvent]
	wrong string
}

func (l *lying) Recv() (*wire.LeaseCall, error) {
	m, err := l.BidiStreamingServer.Recv()
	if err == nil && l.wrong == "raw-lease-lies" && m.GetAsk() != 0 {
		l.BidiStreamingServer.Send(&wire.LeaseEvent{Answer: m.GetAsk(), LeftNs: int64(time.Second)})
		return l.Recv()
	}
	return m, err
}

func (l *lying) Send(m *wire.LeaseEvent) error {
	if l.wrong == "raw-lease-lies" && m.Problem != nil {
		<-l.Context().Done()
	}
	return l.BidiStreamingServer.Send(m)
}

func (l *liar) Consume(stream grpc.BidiStreamingServer[wire.Packet, wire.Up]) error {
	for at := uint64(0); ; {
		var raw wire.Raw
		if err := stream.RecvMsg(&raw); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		buf := raw.Materialize()
		p, err := wire.ParsePacket(buf.ReadOnlyData())
		if err != nil {
			return err
		}
		at = p.LastSeq
		ack := &wire.SinkAck{Position: at, Stored: uint64(p.Samples)}
		switch l.wrong {
		case "raw-loses":
			ack.Stored /= 2
		case "raw-acks-ahead":
			ack.Position += 100
		}
		buf.Free()
		up := &wire.Up{Message: &wire.Up_Ack{Ack: ack}}
		if err := stream.Send(up); err != nil {
			return err
		}
		if l.wrong == "raw-acks-twice" {
			stream.Send(up)
		}
	}
}
