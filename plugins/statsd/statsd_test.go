package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// opened is a source whose first socket is bound to a free port.
func opened(t *testing.T, cfg plugintest.Config, opts ...plugintest.Option) (*plugintest.Component, *source) {
	t.Helper()
	var s *source
	c := capability()
	spy := sdk.StreamSource(func(ctx context.Context, cfg *Config, host sdk.Host) (*source, error) {
		var err error
		s, err = open(ctx, cfg, host)
		return s, err
	})
	spy.Type.Name = c.Type.Name
	if cfg["listen"] == nil {
		cfg["listen"] = []string{"udp://127.0.0.1:0"}
	}
	opts = append([]plugintest.Option{plugintest.Settings(sdk.SourceSettings{Job: "test", Interval: 20 * time.Millisecond, LimitSeries: 1000})}, opts...)
	return plugintest.Open(t, spy, cfg, opts...), s
}

// until reads what the source writes until its samples contain the given text.
func until(t *testing.T, c *plugintest.Component, want ...string) plugintest.Samples {
	t.Helper()
	var got plugintest.Samples
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		got = c.Next()
		text := strings.ReplaceAll(got.String(), `instance="testhost", job="test"`, "")
		text = strings.NewReplacer("{, ", "{", ", }", "}", "{}", "", ", , ", ", ").Replace(text)
		if !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(strings.Split(text, "\n"), w) }) {
			return got
		}
	}
	t.Fatalf("%q did not come; the last was\n%s", want, got)
	return nil
}

func TestLinesOfAllClientsBecomeSeries(t *testing.T) {
	t.Parallel()
	c, s := opened(t, plugintest.Config{})
	conn, err := net.Dial("udp", s.sockets[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "shop.orders:3|c\nshop.orders:2|c|@0.1\n\nqueue:7|g\nqueue:-2|g\r\nqueue:+1.5|g\nvisitors:alice|s\nvisitors:bob|s\nvisitors:alice|s\n")
	fmt.Fprint(conn, "dog:1|c|#region:eu,prod,url:http://x|c:ci-123|T1656581400|e:it-false\ninflux,region=eu:1|c\nlibrato#region=eu:1|c\nsignal[region=eu]fx:1|c")
	fmt.Fprint(conn, "multi:1|c:2|c|@0.5:3|c\nvalues:1:2:3|c\n9lives.a-b:1|c\n_sc|x|0\n_e{1,1}:a|b")
	got := until(t, c, "shop_orders 23", "queue 6.5", `dog{prod="true", region="eu", url="http://x"} 1`,
		`influx{region="eu"} 1`, `librato{region="eu"} 1`, `signalfx{region="eu"} 1`, "multi 8", "values 6", "_9lives_a_b 1",
		`statsd_exporter_sample_errors_total{reason="event_or_service_check"} 2`, `statsd_exporter_udp_packets_total 3`, "statsd_exporter_udp_packet_drops_total 0")
	if f := got.Find("shop_orders")[0].Family; f.Type != sdk.CounterType {
		t.Errorf("%+v", f)
	}
}

func TestSetsCountWhatIsDifferentInAnInterval(t *testing.T) {
	t.Parallel()
	tab := newTable(nil, shape{}, 10)
	for _, v := range []string{"a", "b", "a", "c:d"} {
		tab.line([]byte("users:" + v + "|s"))
	}
	if n := len(tab.order[0].distinct); n != 3 {
		t.Errorf("%d", n)
	}
	for i := range setLimit {
		tab.line(fmt.Appendf(nil, "users:%d|s", i))
	}
	if tab.faults[setFull] != 3 {
		t.Errorf("%v", tab.faults)
	}
}

func TestTimersBecomeSummariesInSeconds(t *testing.T) {
	t.Parallel()
	c, s := opened(t, plugintest.Config{"quantiles": []float64{0, 0.5, 1}}, plugintest.Settings(sdk.SourceSettings{Job: "test", Interval: 300 * time.Millisecond, LimitSeries: 1000}))
	s.mu.Lock()
	s.table.now = time.Now()
	s.table.packet([]byte("t:125|ms\nt:250:375|ms\nt:500|ms|@0.5\nsize:512|h|#a:b\nsize:-1|d|#a:b"))
	s.mu.Unlock()
	got := until(t, c, "t_sum 1.75", "t_count 5", "t_min 0.125", "t_max 0.5", `t{quantile="0"} 0.125`, `t{quantile="1"} 0.5`, `size_sum{a="b"} 511`, `size_min{a="b"} -1`)
	if q := got.Find("t", "quantile", "0.5"); len(q) == 0 || math.Abs(q[0].Value-0.375) > 0.375*0.0111 || q[0].Family.Type != sdk.SummaryType {
		t.Errorf("%v", q)
	}
	for last := got.Find("t_min"); len(last) == 0 || math.Float64bits(last[len(last)-1].Value) != math.Float64bits(sdk.StaleNaN); last = c.Next().Find("t_min") {
	}
	until(t, c, "t_count 5")
}

func TestTimersBecomeHistogramsWhereAsked(t *testing.T) {
	t.Parallel()
	c, s := opened(t, plugintest.Config{"timers": "histogram", "min_max": false, "buckets": []float64{0.1, 1},
		"mapping": []plugintest.Config{{"match": "own.*", "name": "own_$1", "buckets": []float64{5}}, {"match": "plain", "timers": "summary", "quantiles": []float64{}}}})
	s.mu.Lock()
	s.table.now = time.Now()
	s.table.packet([]byte("t:100|ms\nt:1000|ms\nt:3000|ms|@0.5\nown.x:1|h\nplain:1|h"))
	s.mu.Unlock()
	got := until(t, c, `t_bucket{le="0.1"} 1`, `t_bucket{le="1"} 2`, `t_bucket{le="+Inf"} 4`, "t_count 4", `own_x_bucket{le="5"} 1`, "plain_count 1")
	if f := got.Find("t_bucket")[0].Family; f.Type != sdk.HistogramType || f.Name != "t" {
		t.Errorf("%+v", f)
	}
	if names := strings.Join(got.Names(), " "); strings.Contains(names, "_min") {
		t.Error(names)
	}
}

func TestTimersBecomeNativeHistogramsWhereAsked(t *testing.T) {
	t.Parallel()
	c, s := opened(t, plugintest.Config{"timers": "native"})
	s.mu.Lock()
	s.table.now = time.Now()
	s.table.packet([]byte("d:1:2:2.25:0:-4|d\nd:1|d|@0.5\nf:1|d|@0.3"))
	s.mu.Unlock()
	find := func(name string) (h *sdk.Histogram) {
		for h == nil {
			for _, x := range c.Next().Find(name) {
				h = x.Histogram
			}
		}
		return h
	}
	h := find("d")
	want := sdk.Histogram{Schema: 3, ZeroThreshold: zeroThreshold, ZeroCount: 1, Count: 7, Sum: 3.25,
		PositiveSpans: []sdk.Span{{Offset: 0, Length: 1}, {Offset: 7, Length: 1}, {Offset: 1, Length: 1}}, Positive: []float64{3, 1, 1}, NegativeSpans: []sdk.Span{{Offset: 16, Length: 1}}, Negative: []float64{1}}
	if fmt.Sprint(*h) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", *h, want)
	}
	if h := find("f"); !h.Float || math.Abs(h.Count-1/0.3) > 1e-9 {
		t.Errorf("%+v", h)
	}
}

// Prometheus' client library makes the same buckets of the same values.
func TestNativeBucketsAreThoseOfPrometheus(t *testing.T) {
	t.Parallel()
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", NativeHistogramBucketFactor: 1.1})
	ours := &native{}
	n, sum := 0.0, 0.0
	for range 2000 {
		v := math.Exp(4*rand.NormFloat64()) * float64(rand.IntN(3)-1)
		if rand.IntN(4) == 0 {
			v = math.Exp2(float64(rand.IntN(40)-20) / 8) // on a bound, or beside it
		}
		theirs.Observe(v)
		ours.add(v, 1)
		n, sum = n+1, sum+v
	}
	var m dto.Metric
	if err := theirs.Write(&m); err != nil {
		t.Fatal(err)
	}
	h, want := ours.histogram(n, sum), m.Histogram
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	buckets := func(spans []*dto.BucketSpan, deltas []int64) string {
		all, index, count, k := map[int32]int64{}, int32(0), int64(0), 0
		for _, s := range spans {
			index += s.GetOffset()
			for range s.GetLength() {
				if count += deltas[k]; count != 0 {
					all[index] = count
				}
				k++
				index++
			}
		}
		return fmt.Sprint(all)
	}
	mine := func(spans []sdk.Span, counts []float64) string {
		all, index, k := map[int32]int64{}, int32(0), 0
		for _, s := range spans {
			index += s.Offset
			for range s.Length {
				all[index] = int64(counts[k])
				k++
				index++
			}
		}
		return fmt.Sprint(all)
	}
	if got, want := mine(h.PositiveSpans, h.Positive), buckets(want.PositiveSpan, want.PositiveDelta); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := mine(h.NegativeSpans, h.Negative), buckets(want.NegativeSpan, want.NegativeDelta); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if h.Schema != want.GetSchema() || h.ZeroThreshold != want.GetZeroThreshold() || h.ZeroCount != float64(want.GetZeroCount()) {
		t.Errorf("%+v, %v", h, want)
	}
}

func TestMappingsNameLabelAndDrop(t *testing.T) {
	t.Parallel()
	c, s := opened(t, plugintest.Config{"mapping": []plugintest.Config{
		{"match": "web.*.*.count", "name": "http_$2_total", "labels": map[string]string{"service": "$1", "kind": "a-${2}-"}},
		{"match": "debug.*", "action": "drop"},
		{"match": `(\w+)\.db\.(\d+)`, "match_type": "regex", "name": "db_$1", "labels": map[string]string{"shard": "$2"}},
		{"match": "typed", "match_metric_type": "gauge", "name": "typed_gauge"},
	}})
	s.mu.Lock()
	s.table.now = time.Now()
	s.table.packet([]byte("web.shop.orders.count:1|c|#kind:tag,x:y\ndebug.x:1|c\nmain.db.12:4|g\ntyped:1|c\ntyped:2|g\nweb.shop.a.b.count:1|c"))
	s.mu.Unlock()
	got := until(t, c, `http_orders_total{kind="a-orders-", service="shop", x="y"} 1`, `db_main{shard="12"} 4`, "typed 1", "typed_gauge 2", "web_shop_a_b_count 1")
	if names := strings.Join(got.Names(), " "); strings.Contains(names, "debug") {
		t.Error(names)
	}
}

func TestWhatIsWrongIsCountedByReasonAndShown(t *testing.T) {
	t.Parallel()
	for line, reason := range map[string]string{
		"nothing": malformed, "x:": malformed, ":1|c": badName, "x:1": noType, "x:1|": noType, "x:1|q": unknownType, "x:a|c": badValue, "x:|c": badValue,
		"x:NaN|g": badValue, "x:Inf|g": badValue, "x:1e999|g": badValue, "x:0x10|c": badValue, "x:1_0|c": badValue, "x:1|c|@0": badRate, "x:1|c|@2": badRate, "x:1|c|@x": badRate,
		"x:-1|c": negative, "x\xff:1|c": malformed, "x:1|c|#\xff:1": malformed, "x:1|c||": malformed, "x:1|c|#:v": malformed,
		strings.Repeat("x", maxLine) + ":1|c": tooLong, "x:1|c:": noType,
	} {
		tab := newTable(nil, shape{}, 10)
		tab.line([]byte(line))
		if tab.faults[reason] != 1 || len(tab.faults) != 1 || tab.lastWhy != reason || !strings.HasPrefix(line, tab.lastLine) {
			t.Errorf("%.50q: %v, %s, %.50q", line, tab.faults, tab.lastWhy, tab.lastLine)
		}
	}
	c, s := opened(t, plugintest.Config{})
	s.mu.Lock()
	s.table.now = time.Now()
	s.table.packet([]byte("good:1|c\nbad:x|c\ngood:1|g"))
	s.mu.Unlock()
	until(t, c, `statsd_exporter_sample_errors_total{reason="invalid_value"} 1`, `statsd_exporter_sample_errors_total{reason="conflicting_type"} 1`, "statsd_exporter_lines_total 3")
	if h := c.Health(); h.Dropped["conflicting_type"] != 1 || h.Text != `lines: 3, series: 1; refused: 2, the last for conflicting_type: "good:1|g"` {
		t.Errorf("%s", h.Text)
	}
}

func TestAFloodOfNamesIsBounded(t *testing.T) {
	t.Parallel()
	tab := newTable(nil, shape{}, 100)
	for i := range 10_000 {
		tab.line(fmt.Appendf(nil, "n%d:1|c", i))
		tab.line(fmt.Appendf(nil, "same:1|c|#a%d:", i)) // tags without a value name nothing new
	}
	if len(tab.series) != 100 || len(tab.keys) > 4000 || tab.faults[overLimit] != 9901 {
		t.Errorf("%d series, %d keys, %v", len(tab.series), len(tab.keys), tab.faults)
	}
	if n := tab.series[`same`].value; n != 10_000 {
		t.Errorf("%v", n)
	}
}

func TestACounterThatIsNewBeginsWithZero(t *testing.T) {
	t.Parallel()
	c, s := opened(t, plugintest.Config{})
	until(t, c, "statsd_exporter_lines_total 0")
	until(t, c, "statsd_exporter_lines_total 0")
	s.mu.Lock()
	s.table.now = time.Now()
	s.table.packet([]byte("late:5|c"))
	s.mu.Unlock()
	late := until(t, c, "late 5").Find("late")
	if len(late) < 2 || late[0].Value != 0 || late[1].Value != 5 || !late[0].Time.Before(late[1].Time) {
		t.Errorf("%v", late)
	}
}

func TestWhatIsNotHeardGoesStaleAndIsForgotten(t *testing.T) {
	t.Parallel()
	c, s := opened(t, plugintest.Config{"ttl": 2 * lastWords})
	s.mu.Lock()
	s.table.now = time.Now()
	s.table.packet([]byte("x:5|c"))
	s.mu.Unlock()
	var last plugintest.Samples // a packet may hold several flushes
	for last = c.Next().Find("x"); len(last) == 0 || math.Float64bits(last[len(last)-1].Value) != math.Float64bits(sdk.StaleNaN); last = c.Next().Find("x") {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.table.series)+len(s.table.keys)+len(s.table.order)+len(s.table.kinds) != 0 {
		t.Errorf("%+v", s.table)
	}
}

func TestTCPAndUnixSocketsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "sd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c, s := opened(t, plugintest.Config{"listen": []string{"tcp://127.0.0.1:0", "unixgram://" + filepath.Join(dir, "s")}})
	tcp, err := net.Dial("tcp", s.streams[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(tcp, "a:1|c\na:2")
	fmt.Fprint(tcp, "|c\nend:1|c") // the last line does not end
	tcp.(*net.TCPConn).CloseWrite()
	unix, err := net.Dial("unixgram", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(unix, "u:1|c")
	until(t, c, "a 3", "end 1", "u 1", "statsd_exporter_tcp_connections_total 1", "statsd_exporter_unixgram_packets_total 1")
	long, err := net.Dial("tcp", s.streams[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	long.Write(make([]byte, maxLine+2))
	if n, err := long.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came", n)
	}
	until(t, c, "statsd_exporter_tcp_too_long_lines_total 1", `statsd_exporter_sample_errors_total{reason="line_too_long"} 1`)
}

// late comes to its first look when the deadline has passed, as a process does that has to wait for the CPU.
type late struct {
	*net.TCPListener
	net.Conn
	looked bool
}

func (l *late) wait() {
	if !l.looked {
		time.Sleep(2 * lastWords)
	}
	l.looked = true
}

func (l *late) Accept() (net.Conn, error) {
	l.wait()
	conn, err := l.TCPListener.Accept()
	return &late{Conn: conn}, err
}

func (l *late) Read(b []byte) (int, error) {
	l.wait()
	return l.Conn.Read(b)
}

func (l *late) Close() error                  { return l.Conn.Close() }
func (l *late) Addr() net.Addr                { return l.TCPListener.Addr() }
func (l *late) SetDeadline(t time.Time) error { return l.TCPListener.SetDeadline(t) }

func TestWhatIsGivenUpIsReadToItsEndByALateProcess(t *testing.T) {
	t.Parallel()
	c, s := opened(t, plugintest.Config{})
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fmt.Fprint(client, "waits:1|c\n")
	ended, end := context.WithCancel(t.Context())
	end()
	s.accept(ended, &late{TCPListener: l})
	until(t, c, "waits 1")
}

// The final values of a source and of its successor on the same port add up to what a sender sent that did not pause.
func TestAReloadLosesNoDatagram(t *testing.T) {
	t.Parallel()
	one, s := opened(t, plugintest.Config{})
	address := s.sockets[0].Addr().String()
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { sent <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			conn, err := net.Dial("udp", address)
			if err != nil {
				return
			}
			for range 20 {
				if _, err := conn.Write([]byte("n:1|c")); err == nil {
					n++
				}
			}
			conn.Close()
			time.Sleep(100 * time.Microsecond)
		}
	}()
	heard := func(s *source) int {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := s.table.series["n"]; n != nil {
			return int(n.value)
		}
		return 0
	}
	wait := func(enough func() bool) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); !enough(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("too little came")
			}
		}
	}
	wait(func() bool { return heard(s) > 500 })
	two, next := opened(t, plugintest.Config{"listen": []string{"udp://" + address}})
	if _, err := one.Conn.Close(t.Context(), one.Number, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	wait(func() bool { return heard(next) > 500 })
	close(stop)
	n := <-sent
	wait(func() bool { return heard(s)+heard(next) >= n })
	if got := heard(s) + heard(next); got != n {
		t.Errorf("%d of %d", got, n)
	}
	until(t, one, fmt.Sprintf("n %d", heard(s))) // written after the end
	until(t, two, fmt.Sprintf("n %d", heard(next)))
}

func TestQuantilesAreRightToAPercent(t *testing.T) {
	t.Parallel()
	for name, draw := range map[string]func() float64{
		"uniform": rand.Float64, "exponential": rand.ExpFloat64, "normal": rand.NormFloat64, "huge": func() float64 { return 1e17 * rand.Float64() },
	} {
		var s sketch
		var all []float64
		for range 10_000 {
			v := draw()
			s.add(v, 1)
			all = append(all, v)
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[min(len(all)-1, max(0, int(math.Ceil(q*10_000))-1))]
			if got := s.quantile(q); math.Abs(got-want) > 0.0111*math.Abs(want) {
				t.Errorf("%s, %v: %v, want %v", name, q, got, want)
			}
		}
	}
}

func TestMistakesInTheBlockAreFoundOffline(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]plugintest.Config{
		`listen[0]: "8125" is no address to listen on: write udp://HOST:PORT, tcp://HOST:PORT or unixgram:///PATH`: {"listen": []string{"8125"}},
		"quantiles: a quantile is between 0 and 1, and 99 is not":                                                  {"quantiles": []float64{99}},
		"buckets: the bounds must rise":                                                       {"buckets": []float64{2, 1}},
		"mapping[0].name: $2: the match has 1 parts to refer to":                              {"mapping": []plugintest.Config{{"match": "a.*", "name": "$2"}}},
		"mapping[0].match: mapping \"(\": error parsing regexp: missing closing ): `^(?:()$`": {"mapping": []plugintest.Config{{"match": "(", "match_type": "regex"}}},
	} {
		if got := plugintest.Remarks(t, capability(), cfg); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	plugintest.Example(t, "example.hcl", "statsd", capability())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = plugintest.TryOpen(t, capability(), plugintest.Config{"listen": []string{"udp://127.0.0.1:0", "tcp://" + taken.Addr().String()}})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "listen[1]" {
		t.Errorf("%v", err)
	}
}

func TestALineOfAKnownNameAllocatesNothing(t *testing.T) {
	tab := newTable(nil, shape{timers: summary, quantiles: []float64{0.5}, minMax: true}, 100)
	lines := [][]byte{[]byte("web.requests:1|c|@0.5|#region:eu,code:200"), []byte("web.time:31.25|ms|#region:eu"), []byte("queue:7|g"), []byte("users:alice|s")}
	all := func() {
		for _, l := range lines {
			tab.line(l)
		}
	}
	all()
	if n := testing.AllocsPerRun(1000, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzLines(f *testing.F) {
	for _, line := range []string{
		"a:1|c", "a:1|c|@0.1|#x:y,z|c:id|T1", "a,b=c:1:2|ms\nq:+1|g", "a[b=c]d:1|h", "a:1|c:2|g|@0.5:3|s", "_e{1,1}:a|b", "\xff:1|c", "a#b=c:x:y|s", "a.b.c:-1e300|d",
	} {
		f.Add([]byte(line))
	}
	m := Mapping{Match: "*.b.*", Name: "$1_b", Labels: map[string]string{"x": "$2"}}
	block := shape{quantiles: []float64{0.1, 0.9}, buckets: defaultBuckets, minMax: true}
	r, err := m.compile(&block)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		for _, timers := range []string{summary, classicHistogram, nativeHistogram} {
			block.timers, r.shape.timers = timers, timers
			tab := newTable([]rule{r}, block, 50)
			tab.now = time.Now()
			before := string(packet)
			tab.packet(packet)
			if string(packet) != before {
				t.Fatal("the packet was changed")
			}
			if len(tab.series) > 50 || len(tab.lastLine) > 200 {
				t.Fatalf("%d series, a line of %d", len(tab.series), len(tab.lastLine))
			}
			batch := sdk.NewScope(sdk.SourceSettings{LimitSeries: 40, Job: "j"}, "i", false).Batch()
			batch.Whole = true
			for i := range 3 {
				tab.write(batch, tab.now.Add(time.Duration(i)*time.Second), tab.now)
				batch.Seal(func(c *sdk.Columns) {
					for _, d := range c.Define {
						if !d.Series.Labels.Valid() {
							t.Fatalf("%q", d.Series.Labels)
						}
					}
				})
			}
		}
	})
}

func BenchmarkLines(b *testing.B) {
	for name, text := range map[string]string{
		"Counter": "web.requests:1|c", "Tags": "web.requests:1|c|#region:eu,code:200,method:get", "Timer": "web.time:31.25|ms|#region:eu", "Gauge": "queue:7|g", "Set": "users:alice|s",
	} {
		b.Run(name, func(b *testing.B) {
			tab := newTable(nil, shape{timers: summary, quantiles: []float64{0.5}, minMax: true}, 10_000)
			var packets [][]byte
			for i := range 1000 {
				packets = append(packets, []byte(strings.Replace(text, ":", fmt.Sprintf(".s%d:", i), 1)))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tab.packet(packets[i%1000])
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

// Through a real socket, eight lines a datagram; sender and receiver share the machine.
func BenchmarkDatagrams(b *testing.B) {
	cfg := &Config{Listen: []string{"udp://127.0.0.1:0"}, ReceiveBuffer: 4 << 20}
	s, err := open(b.Context(), cfg, listening{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(b.Context())
	conn, err := net.Dial("udp", s.sockets[0].Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go s.receive(ctx, s.sockets[0])
	packet := []byte(strings.Repeat("web.requests:1|c|#region:eu,code:200\n", 8))
	for sent := uint64(0); b.Loop(); sent++ {
		conn.Write(packet)
		for sent%64 == 0 {
			s.mu.Lock()
			behind := int64(sent) - int64(s.seen.udp)
			s.mu.Unlock()
			if behind < 2000 {
				break
			}
		}
	}
	b.ReportMetric(8*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// listening is a host that binds without the SDK's runtime.
type listening struct{ sdk.Host }

func (listening) Source() sdk.SourceSettings { return sdk.SourceSettings{LimitSeries: 1000} }

func (listening) ListenPacket(network, address string) (net.PacketConn, error) {
	return net.ListenPacket(network, address)
}

func TestAProbeSaysWhichAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = plugintest.Probe(t, capability(), plugintest.Config{"listen": []string{"tcp://127.0.0.1:0", "udp://" + taken.LocalAddr().String()}})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "listen[1]" || !strings.Contains(p.Error(), "address already in use") {
		t.Errorf("%+v", p)
	}
	if _, err := plugintest.Probe(t, capability(), plugintest.Config{"listen": []string{"tcp://127.0.0.1:0", "unixgram://" + t.TempDir() + "/socket"}}); err != nil {
		t.Error(err)
	}
}
