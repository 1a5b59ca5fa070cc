package plugintest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

type config struct {
	Fail  string        `hcl:"fail,optional" doc:"How to fail."`
	Wait  time.Duration `hcl:"wait,optional" default:"1s" doc:"A wait."`
	Items []item        `hcl:"item,block" doc:"Items."`
}

type item struct {
	Name string `hcl:"name,label" doc:"Name."`
	Port int    `hcl:"port" doc:"Port."`
}

func (c *config) Validate(d *sdk.Diags) {
	for i := range c.Items {
		if c.Items[i].Port > 65535 {
			d.Errorf(&c.Items[i].Port, "port %d is too high", c.Items[i].Port)
		}
	}
}

var gauge = sdk.Gauge("test_items", "Items.", "name")

type source struct{ cfg *config }

func open(_ context.Context, cfg *config, _ sdk.Host) (*source, error) {
	if cfg.Fail == "open" {
		return nil, sdk.At(&cfg.Fail, errors.New("told to"))
	}
	return &source{cfg}, nil
}

func (s *source) Collect(_ context.Context, out *sdk.Batch) error {
	for _, i := range s.cfg.Items {
		out.Set(gauge, float64(i.Port), i.Name)
	}
	switch s.cfg.Fail {
	case "target":
		return sdk.Target(errors.New("no answer"))
	case "panic":
		panic("ouch")
	case "labels":
		out.Set(gauge, 1)
	}
	return nil
}

func items(fail string) Config {
	return Config{"fail": fail, "item": []Config{{"name": "a", "port": 1}, {"name": "b", "port": 2}}}
}

func TestACollectorsSamplesArriveWithUp(t *testing.T) {
	for fail, up := range map[string]int{"": 1, "target": 0, "panic": 0, "labels": 0} {
		c := Open(t, sdk.Source(open), items(fail))
		got := c.Cycle().String()
		want := fmt.Sprintf(`test_items{instance="testhost", job="test", name="a"} 1
test_items{instance="testhost", job="test", name="b"} 2
up{instance="testhost", job="test"} %d`, up)
		if !strings.HasSuffix(got, want) {
			t.Errorf("fail %q: got\n%s\nwant at its end\n%s", fail, got, want)
		}
	}
}

func TestErrorsAreCountedByBlame(t *testing.T) {
	for fail, blame := range map[string]string{"target": "target", "panic": "plugin", "labels": "plugin"} {
		c := Open(t, sdk.Source(open), items(fail))
		c.Cycle()
		if h := c.Health(); h.Errors[blame] != 1 || h.LastError == nil {
			t.Errorf("fail %q: %v", fail, h)
		}
	}
}

func TestErrorsLeadToTheAttribute(t *testing.T) {
	_, err := TryOpen(t, sdk.Source(open), Config{"fail": "open"})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "fail" || p.Error() != "told to" {
		t.Errorf("%#v", p)
	}
	_, err = TryOpen(t, sdk.Source(open), Config{"item": []Config{{"name": "a", "port": 1}, {"name": "b", "port": 99999}}})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "item[1].port" || p.Error() != "port 99999 is too high" {
		t.Errorf("%#v", p)
	}
}

type kept struct {
	lines []string
	fails int
}

type none struct{}

func (m *kept) Write(_ context.Context, in *sdk.Batch) error {
	if m.fails > 0 {
		m.fails--
		return errors.New("not now")
	}
	for i, s := range in.Samples() {
		if s.Value < 0 {
			in.Drop(i, "negative")
			continue
		}
		m.lines = append(m.lines, fmt.Sprintf("%s %v", s.Labels, s.Value))
	}
	return nil
}

func (m *kept) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, r.URL.EscapedPath())
}

func TestASinkRetriesDropsAndIsCounted(t *testing.T) {
	m := &kept{fails: 2}
	c := Open(t, sdk.Sink(func(context.Context, *none, sdk.Host) (*kept, error) { return m, nil }), nil)
	b := c.Batch()
	a, z := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "a")}), b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "z")})
	b.Put(a, 1)
	b.Put(z, -1)
	ack := c.Write()
	if ack.Stored != 1 || ack.Dropped["negative"] != 1 || len(m.lines) != 1 || m.lines[0] != "a 1" {
		t.Errorf("%v, %q", ack, m.lines)
	}
	response, err := c.Client().Get("http://x/some%2Fpath/y")
	if err != nil {
		t.Fatal(err)
	}
	var body [64]byte
	n, _ := response.Body.Read(body[:])
	if got := string(body[:n]); got != "/some%2Fpath/y" {
		t.Errorf("the handler saw %q", got)
	}
}

func TestHCLIsReadAsTheDaemonReadsIt(t *testing.T) {
	c := sdk.Source(open, sdk.Named("shop"))
	cfg, err := HCL(c, `
locals { port = 80 }
source "shop" "main" {
  interval = "5s"
  wait     = "2s"
  item "a" { port = local.port }
}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := Open(t, c, cfg).Cycle().Find("test_items", "name", "a"); len(got) != 1 || got[0].Value != 80 {
		t.Errorf("%v", got)
	}
	_, err = HCL(c, "source \"shop\" \"main\" {\n  wiat = \"2s\"\n}\n")
	if err == nil || !strings.Contains(err.Error(), "test.hcl:2:3") || !strings.Contains(err.Error(), `Did you mean "wait"?`) {
		t.Errorf("%v", err)
	}
	if _, err := HCL(c, `source "other" "main" {}`); err == nil {
		t.Error("a block of another type was taken")
	}
}

// modern takes everything; kept takes floats.
type modern struct{ got []string }

func (m *modern) Write(_ context.Context, in *sdk.Batch) error {
	for _, s := range in.Samples() {
		if s.Histogram != nil {
			m.got = append(m.got, fmt.Sprintf("%s histogram of %v", s.Labels, s.Histogram.Count))
		} else {
			m.got = append(m.got, fmt.Sprintf("%s %v", s.Labels, s.Value))
		}
	}
	for s, e := range in.Exemplars() {
		m.got = append(m.got, fmt.Sprintf("%s # %s", s.Labels, e.Labels))
	}
	return nil
}

func fillSignals(c *Component) {
	b := c.Batch()
	a, h := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "a")}), b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "h")})
	b.PutHistogram(h, &sdk.Histogram{Count: 3, Positive: []float64{3}, PositiveSpans: []sdk.Span{{Length: 1}}})
	b.Put(a, 1)
	b.PutExemplar(a, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "x")})
}

func TestHistogramsAndExemplarsReachTheSinksThatSaySo(t *testing.T) {
	m := &modern{}
	c := Open(t, sdk.Sink(func(context.Context, *none, sdk.Host) (*modern, error) { return m, nil }, sdk.Histograms(), sdk.Exemplars()), nil)
	fillSignals(c)
	ack := c.Write()
	if want := []string{"a 1", "h histogram of 3", `a # {trace_id="x"}`}; ack.Stored != 2 || !slices.Equal(m.got, want) {
		t.Errorf("%v, %q", ack, m.got)
	}
}

func TestASinkOfFloatsGetsFloatsAndTheRestIsCounted(t *testing.T) {
	m := &kept{}
	c := Open(t, sdk.Sink(func(context.Context, *none, sdk.Host) (*kept, error) { return m, nil }), nil)
	fillSignals(c)
	ack := c.Write()
	if ack.Stored != 1 || ack.Dropped["histograms"] != 1 || len(m.lines) != 1 {
		t.Errorf("%v, %q", ack, m.lines)
	}
	fillSignals(c)
	if c.Batch().Stale(0); c.Write().Dropped["histograms"] != 1 {
		t.Error("the second batch differs")
	}
}

type refusing struct{}

func (refusing) Write(context.Context, *sdk.Batch) error { return errors.New("not now") }

// A sink that cannot write is tried until it is closed, and no longer: the daemon then goes to its successor.
func TestTheStreamsOfASinkEndWhenItIsClosed(t *testing.T) {
	for _, busy := range []bool{false, true} {
		c := Open(t, sdk.Sink(func(context.Context, *struct{}, sdk.Host) (refusing, error) { return refusing{}, nil }), nil)
		stream, err := c.Conn.Consume(t.Context(), c.Number, 0)
		if err != nil {
			t.Fatal(err)
		}
		if busy {
			feed := wire.NewFeed(7, "source.test.main")
			feed.Batch.Put(feed.Batch.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "m")}), 1)
			if err := stream.Send(feed.Pack()[0]); err != nil {
				t.Fatal(err)
			}
			if up, err := stream.Recv(); err != nil || up.GetTrouble() == nil {
				t.Fatalf("no trouble, but %v, %v", up, err)
			}
		}
		if _, err := c.Conn.Close(t.Context(), c.Number, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		if text := err.Error(); !strings.Contains(text, "was closed") && !strings.Contains(text, "is not open") { // it may come first
			t.Errorf("busy %v: %v", busy, err)
		}
	}
}

// blaming blames an attribute wherever it can.
type blaming struct{ cfg *config }

func (b *blaming) wrong() error {
	return sdk.Permanent(fmt.Errorf("it says: %w", sdk.At(&b.cfg.Fail, errors.New("no"))))
}
func (b *blaming) Write(context.Context, *sdk.Batch) error { return b.wrong() }
func (b *blaming) Notify(context.Context, sdk.Notification) (sdk.Receipt, error) {
	return sdk.Receipt{}, b.wrong()
}
func (b *blaming) Collect(_ context.Context, out *sdk.Batch) error {
	out.Target("a:1", func(*sdk.Batch) error { return b.wrong() })
	return nil
}

func openBlaming(_ context.Context, cfg *config, _ sdk.Host) (*blaming, error) {
	return &blaming{cfg}, nil
}

func TestErrorsOfEveryCallLeadToTheAttribute(t *testing.T) {
	notifier := Open(t, sdk.Notifier(openBlaming), nil)
	if _, err := notifier.Notify(t.Context(), notifier.Number, sdk.Notification{}); sdk.AsProblem(err).Path.String() != "fail" || !sdk.AsProblem(err).Permanent {
		t.Errorf("%#v", sdk.AsProblem(err))
	}
	sink := Open(t, sdk.Sink(openBlaming), nil)
	fillSignals(sink)
	sink.Write()
	source := Open(t, sdk.Source(openBlaming), nil)
	source.Cycle()
	for what, c := range map[string]*Component{"a sink": sink, "a target of a source": source} {
		if e := c.Health().LastError; sdk.AsProblem(e.Err()).Path.String() != "fail" || e.Text != "it says: no" {
			t.Errorf("%s: %v", what, e)
		}
	}
}

// counted is a component that asks the daemon for all that it has, while it opens.
type counted struct{ host sdk.Host }

func openCounted(ctx context.Context, _ *struct{}, host sdk.Host) (*counted, error) {
	old, found, err := host.Get(ctx, "openings")
	if err != nil {
		return nil, err
	}
	host.Status(sdk.Degraded, fmt.Sprintf("opened before: %v %q", found, old))
	if err := host.Put(ctx, "openings", append(old, 'x')); err != nil {
		return nil, err
	}
	if err := host.Put(ctx, "large", make([]byte, 1<<20+1)); err == nil {
		return nil, errors.New("the daemon takes more than it says")
	}
	return &counted{host}, nil
}

func (c *counted) Discover(ctx context.Context, found func([]sdk.Discovered) error) error {
	r, err := c.host.Query(ctx, sdk.Query{Expr: "up", Start: time.Unix(1, 0)})
	if err != nil {
		return err
	}
	return found([]sdk.Discovered{{Address: r.Series[0].Labels.Get("instance")}})
}

func TestAComponentHasStateStatusAndQueriesOverGRPC(t *testing.T) {
	t.Parallel()
	capability := sdk.Discovery(openCounted)
	var state State
	state.Put("openings", []byte("x"))
	up := func(q sdk.Query) (*sdk.Result, error) {
		if q.Expr != "up" {
			return nil, &sdk.QueryError{Text: "what?"}
		}
		return &sdk.Result{Type: sdk.Vector, Series: []sdk.ResultSeries{{Labels: sdk.NewLabels("instance", "h:1"), Points: []sdk.Point{{Time: q.Start, Value: 1}}}}}, nil
	}
	for _, want := range []string{`opened before: true "x"`, `opened before: true "xx"`} {
		c := Open(t, capability, nil, Keeping(&state), Answering(up))
		if h := c.Health(); h.Status != wire.ComponentHealth_DEGRADED || h.Text != want {
			t.Errorf("%s %q", h.Status, h.Text)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		c.Discover(ctx, c.Number, func(found []sdk.Discovered) {
			if found[0].Address != "h:1" {
				t.Errorf("%v", found)
			}
			cancel()
		})
		cancel()
	}
	if b, _ := state.Get("openings"); string(b) != "xxx" {
		t.Errorf("kept %q", b)
	}
	c := Open(t, capability, nil) // with a state of its own, and without a store
	if text := c.Health().Text; text != `opened before: false ""` {
		t.Errorf("%q", text)
	}
	if err := c.Discover(t.Context(), c.Number, func([]sdk.Discovered) {}); err == nil || !strings.Contains(err.Error(), "there is no store") {
		t.Errorf("%v", err)
	}
}
