package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// receiving is an open source and where it listens.
func receiving(t *testing.T, cfg plugintest.Config, opts ...plugintest.Option) (c *plugintest.Component, s *source, url string) {
	t.Helper()
	spy := sdk.StreamSource(func(ctx context.Context, cfg *Config, host sdk.Host) (*source, error) {
		var err error
		if s, err = open(ctx, cfg, host); err == nil {
			url = "http://" + s.listener.Addr().String()
		}
		return s, err
	})
	cfg["http_listen"] = "127.0.0.1:0"
	c = plugintest.Open(t, spy, cfg, opts...)
	return c, s, url
}

// post writes as Telegraf does: gzip, and the header that its version of the output sends.
func post(t *testing.T, url, authorization, text string) (status int, header http.Header, answer string) {
	t.Helper()
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	io.WriteString(z, text)
	z.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, &body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	r.Header.Set("User-Agent", "Telegraf/1.30.0 Go/1.22")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(all)
}

const at = 1767225600 // seconds

func TestBothVersionsOfTheAPITakePoints(t *testing.T) {
	t.Parallel()
	c, _, url := receiving(t, plugintest.Config{"database_label": "db", "retention_label": "rp"})
	text := fmt.Sprintf("cpu,host=a\\ b,cpu-id=c\\,d usage=1.5,idle=97i,on=t,who=\"a,b=c\nd \\\" e\" %d\n\n# comment\r\nmem value=18446744073709551615u %d\r\n", at, at)
	for _, write := range []struct{ path, labels string }{
		{"/write?db=telegraf&rp=week&precision=s", `db="telegraf", host="a b", instance="testhost", job="test", rp="week"`},
		{"/api/v2/write?org=o&bucket=telegraf&precision=s", `db="telegraf", host="a b", instance="testhost", job="test"`},
	} {
		if status, _, answer := post(t, url+write.path, "", text); status != http.StatusNoContent || answer != "" {
			t.Fatalf("%d %s", status, answer)
		}
		got := c.Next()
		for line, v := range map[string]float64{"usage": 1.5, "idle": 97, "on": 1} {
			x := got.Find("cpu_"+line, "cpu_id", "c,d", "host", "a b")
			if len(x) != 1 || x[0].Value != v || x[0].Time.Unix() != at || !strings.Contains(x[0].Labels.String(), write.labels) {
				t.Errorf("%s: %s", line, got)
			}
		}
		if x := got.Find("mem"); len(x) != 1 || x[0].Value != math.MaxUint64 || len(got) != 4 {
			t.Errorf("%s", got)
		}
	}
	if h := c.Health(); h.Dropped["text_field"] != 2 {
		t.Errorf("%v", h)
	}
}

func TestGoodLinesAreKeptAndBadOnesToldByNumber(t *testing.T) {
	t.Parallel()
	c, _, url := receiving(t, plugintest.Config{})
	status, header, answer := post(t, url+"/write?db=x", "", "good a=1\n\nbad\n# c\nbad2 a=\"x\ny\",b=\ngood2 a=\"p\nq\",b=2\nbad3,x=1,x=2 a=1\ngood3 a=3")
	var body struct{ Error, Code, Message string }
	if err := json.Unmarshal([]byte(answer), &body); err != nil {
		t.Fatal(err)
	}
	want := `partial write: 4 of 7 lines refused: line 3: fields: missing: "bad"; line 5: field: it is to be key=value, neither of them empty: "bad2 a=\"x"; ` +
		`line 6: fields: missing: "y\",b="; line 9: tag: the same key twice: "bad3,x=1,x=2 a=1"`
	if status != http.StatusBadRequest || body.Error != want || body.Message != want || body.Code != "invalid" || !strings.HasPrefix(header.Get("X-Influxdb-Error"), "partial write") {
		t.Errorf("%d %s\n%s", status, body.Error, want)
	}
	if got := c.Next(); len(got.Find("good_a")) != 1 || len(got.Find("good2_b")) != 1 || len(got.Find("good3_a")) != 1 || len(got) != 3 {
		t.Errorf("%s", got)
	}
	if h := c.Health(); h.Dropped["bad_tag"] != 1 || h.Dropped["bad_fields"] != 2 || !strings.HasPrefix(h.Text, "receives HTTP at 127.0.0.1:") || !strings.Contains(h.Text, "lines refused: 4, the last: line 9: tag") {
		t.Errorf("%v", h)
	}
}

func TestOnlyThoseMayWriteWhoAreLetIn(t *testing.T) {
	t.Parallel()
	_, _, url := receiving(t, plugintest.Config{"token": "secret-token", "basic_auth": plugintest.Config{"username": "me", "password": "pass"}})
	for _, c := range []struct {
		path, authorization string
		want                int
	}{
		{"/api/v2/write?bucket=b", "", 401}, {"/api/v2/write?bucket=b", "Token wrong", 401}, {"/api/v2/write?bucket=b", "Token secret-token", 204}, {"/api/v2/write", "Bearer secret-token", 204},
		{"/write?db=d", "Basic bWU6cGFzcw==", 204}, {"/write?db=d", "Basic bWU6bm8=", 401}, {"/write?db=d&u=me&p=pass", "", 204}, {"/write?db=d&u=me&p=no", "", 401}, {"/write?db=d", "Token me:pass", 204},
		{"/query?q=CREATE+DATABASE+x", "", 401}, {"/query?q=CREATE+DATABASE+%22x%22", "Token secret-token", 200}, {"/query?q=SELECT+1", "Token secret-token", 400},
		{"/write?precision=day", "Token secret-token", 400}, {"/other", "", 404},
	} {
		if status, _, answer := post(t, url+c.path, c.authorization, "a b=1"); status != c.want || strings.Contains(answer, "secret-token") {
			t.Errorf("%s, %q: %d %s", c.path, c.authorization, status, answer)
		}
	}
	for path, want := range map[string]int{"/ping": 204, "/health": 200, "/write": 405} {
		response, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want || response.Header.Get("X-Influxdb-Version") == "" {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
}

func TestOverTLSOnlyThoseMayWriteWhoShowTheRightCertificate(t *testing.T) {
	t.Parallel()
	authority := certificates.New(t)
	server, client := authority.Issue(), authority.Issue()
	c, _, url := receiving(t, plugintest.Config{"tls": plugintest.Config{"cert_file": server.Cert, "key_file": server.Key, "client_ca_file": authority.File}})
	write := func(scheme string, shown *tls.Config) (int, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: shown, DisableKeepAlives: true}, Timeout: 2 * time.Minute}
		response, err := client.Post(scheme+strings.TrimPrefix(url, "http")+"/write?db=x", "", strings.NewReader("cpu a=1"))
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	if status, err := write("https", authority.Client(client)); status != http.StatusNoContent {
		t.Errorf("the right one: %d, %v", status, err)
	}
	if status, err := write("http", nil); status != http.StatusBadRequest {
		t.Errorf("not encrypted: %d, %v", status, err)
	}
	for name, shown := range authority.Strangers() {
		if status, err := write("https", shown); err == nil {
			t.Errorf("%s: %d", name, status)
		}
	}
	if got := c.Next(); len(got.Find("cpu_a")) != 1 || len(got) != 1 {
		t.Errorf("%s", got)
	}
	if h := c.Health(); !strings.Contains(h.Text, "points: 1,") {
		t.Errorf("%s", h.Text)
	}
}

func TestWhatIsTooLargeOrNoGzipIsRefused(t *testing.T) {
	t.Parallel()
	_, _, url := receiving(t, plugintest.Config{"max_request_size": 64 << 10})
	if status, _, answer := post(t, url+"/write", "", strings.Repeat("a b=1\n", 20_000)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", status, answer)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/write", strings.NewReader("a b=1"))
	for encoding, want := range map[string]int{"gzip": 400, "br": 415} {
		r.Header.Set("Content-Encoding", encoding)
		r.Body = io.NopCloser(strings.NewReader("a b=1"))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d", encoding, response.StatusCode)
		}
	}
}

// emitter is a daemon that has no room, or does not confirm.
type emitter struct {
	sdk.Emitter
	scope   *sdk.Scope
	emit    error
	flushed error
	order   []string
}

func (e *emitter) Batch() *sdk.Batch { return e.scope.Batch() }

func (e *emitter) Emit(_ context.Context, b *sdk.Batch) error {
	if e.emit != nil {
		return e.emit
	}
	e.order = append(e.order, fmt.Sprintf("emit %d", b.Len()))
	b.Seal(func(*sdk.Columns) {})
	return nil
}

func (e *emitter) Flush(context.Context) error {
	e.order = append(e.order, "flush")
	return e.flushed
}

func TestAnAnswerComesAfterDurabilityAndWithoutRoomNothingIsTaken(t *testing.T) {
	t.Parallel()
	cfg := &Config{MaxRequests: 1, MaxRequestSize: 1 << 20, Separator: "_", DropValue: true}
	for _, c := range []struct {
		emit, flush error
		want        int
		order       string
	}{
		{nil, nil, 204, "emit 0,emit 1,flush"}, {sdk.ErrFull, nil, 503, ""}, {nil, context.DeadlineExceeded, 503, "emit 0,emit 1,flush"},
	} {
		e := &emitter{scope: sdk.NewScope(sdk.SourceSettings{}, "i", false), emit: c.emit, flushed: c.flush}
		s := &source{cfg: cfg, in: newIntake(cfg, sdk.SourceSettings{}), slots: make(chan struct{}, 1), stream: t.Context()}
		s.in.start(e)
		w := &recorder{header: http.Header{}}
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "/write", strings.NewReader("a b=1"))
		s.ServeHTTP(w, r)
		if got := strings.Join(e.order, ","); w.status != c.want || got != c.order || (c.want == 503) != (w.header.Get("Retry-After") != "") {
			t.Errorf("%d, %s, %v", w.status, got, w.header)
		}
	}
	s := &source{cfg: cfg, slots: make(chan struct{})}
	w := &recorder{header: http.Header{}}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "/write", strings.NewReader("a b=1"))
	if s.ServeHTTP(w, r); w.status != http.StatusTooManyRequests || w.header.Get("Retry-After") == "" {
		t.Errorf("%d", w.status)
	}
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }

func TestDatagramsAreTaken(t *testing.T) {
	t.Parallel()
	var address string
	spy := sdk.StreamSource(func(ctx context.Context, cfg *Config, host sdk.Host) (*source, error) {
		s, err := open(ctx, cfg, host)
		if err == nil {
			address = s.socket.Addr().String()
		}
		return s, err
	})
	c := plugintest.Open(t, spy, plugintest.Config{"http_listen": "", "udp_listen": "127.0.0.1:0", "udp_precision": "s"},
		plugintest.Settings(sdk.SourceSettings{Job: "test", Interval: 50 * time.Millisecond, LimitSeries: 100}))
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "disk,path=/ used=5 %d\nbad\ndisk,path=/home used=6 %d", at, at)
	var used, packets, refused bool
	for !used || !packets || !refused {
		got := c.Next()
		used = used || len(got.Find("disk_used")) == 2 && got.Find("disk_used")[0].Time.Unix() == at
		last := func(name string) bool {
			x := got.Find(name)
			return len(x) > 0 && x[len(x)-1].Value == 1
		}
		packets = packets || last("influx_udp_packets_total")
		refused = refused || last("influx_refused_lines_total")
	}
}

func TestSeriesAreBoundedAndForgotten(t *testing.T) {
	t.Parallel()
	cfg := &Config{Separator: "_", DropValue: true, IdleTimeout: time.Minute}
	settings := sdk.SourceSettings{LimitSeries: 100}
	in := newIntake(cfg, settings)
	scope := sdk.NewScope(settings, "i", false)
	in.start(&emitter{scope: scope})
	w := write{unit: 1, now: time.Now()}
	for i := range 5000 {
		if err := in.take(t.Context(), w, fmt.Appendf(nil, "m,a=%d,b=1 f=1\nm,b=1,a=%d f=2", i, i)); err != nil {
			t.Fatal(err)
		}
	}
	dropped, _, live, _ := scope.Counts()
	if len(in.series) != 100 || len(in.heads) > 2000 || live != 100 || dropped["limit_series"] != 9800 {
		t.Errorf("%d series, %d heads, %d live, %v", len(in.series), len(in.heads), live, dropped)
	}
	if err := in.sweep(t.Context(), w.now.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, _, live, _ = scope.Counts(); len(in.series)+len(in.heads)+live != 0 {
		t.Errorf("%d series, %d heads, %d live", len(in.series), len(in.heads), live)
	}
	w.now = w.now.Add(3 * time.Minute)
	if err := in.take(t.Context(), w, []byte("m,a=1,b=1 f=1")); err != nil || len(in.series) != 1 {
		t.Errorf("%v", err)
	}
}

// theirs reads a text with InfluxData's parser: a line for each point, "!" where it refuses one.
func theirs(text []byte) (lines []string) {
	d := lineprotocol.NewDecoderWithBytes(text)
	for d.Next() {
		line, err := func() (string, error) {
			var b strings.Builder
			m, err := d.Measurement()
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%q", m)
			for {
				k, v, err := d.NextTag()
				if err != nil {
					return "", err
				}
				if k == nil {
					break
				}
				fmt.Fprintf(&b, ",%q=%q", k, v)
			}
			for {
				k, v, err := d.NextField()
				if err != nil {
					return "", err
				}
				if k == nil {
					break
				}
				switch x := v.Interface().(type) {
				case float64:
					fmt.Fprintf(&b, " %q=%v", k, x)
				case int64:
					fmt.Fprintf(&b, " %q=%v", k, float64(x))
				case uint64:
					fmt.Fprintf(&b, " %q=%v", k, float64(x))
				case bool:
					fmt.Fprintf(&b, " %q=%v", k, map[bool]float64{true: 1}[x])
				default:
					fmt.Fprintf(&b, " %q=text", k)
				}
			}
			stamp, err := d.Time(lineprotocol.Nanosecond, time.Time{})
			if err != nil {
				return "", err
			}
			if !stamp.IsZero() {
				fmt.Fprintf(&b, " @%d", stamp.UnixNano())
			}
			return b.String(), nil
		}()
		if err != nil {
			line = "!"
		}
		lines = append(lines, line)
	}
	return lines
}

// ours reads a text with this plugin's.
func ours(text []byte) (lines []string) {
	var p point
	for {
		if text, _ = skip(text); len(text) == 0 {
			return lines
		}
		rest, _, fault := p.next(text)
		text = rest
		measurement, tags, wrong := "", []tag(nil), fault
		if fault == "" {
			measurement, tags, wrong = parts(p.head)
		}
		if wrong != "" {
			lines = append(lines, "!")
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%q", measurement)
		for _, t := range tags {
			fmt.Fprintf(&b, ",%q=%q", t.key, t.value)
		}
		for _, f := range p.fields {
			if f.text {
				fmt.Fprintf(&b, " %q=text", plain(f.key, ",= "))
			} else {
				fmt.Fprintf(&b, " %q=%v", plain(f.key, ",= "), f.value)
			}
		}
		if p.timed {
			fmt.Fprintf(&b, " @%d", p.stamp)
		}
		lines = append(lines, b.String())
	}
}

var corpus = []string{
	"a b=1", "a,t=v b=1 1", "a,t=v,u=w b=1,c=2i,d=3u,e=t,f=FALSE 1767225600000000000", "a b=\"x\"", "a b=\"x\\\"y\",c=1", "a b=\"x\ny\" 5\nc d=1",
	"a\\ b,t\\=x=v\\,w f\\ g=1", "a\\,b c=1", "# comment\na b=1\n\n\n c d=2", "a b=1\r\nc d=2\r\n", "a b=-1.5e10", "a b=.5", "a b=1.", "a b=1e5i", "a b=+1", "a b=-5i", "a b=5i 1 ", "a  b=1",
	"a", "a ", "a b", "a b=", "a =1", "a, b=1", "a,t b=1", "a,t= b=1", "a,=v b=1", ",t=v b=1", "a b=1 x", "a b=1,", "a b=1 1 1", "a b=\"x", "a b=x", "a b=1i5", "a b=nan", "a b=Inf",
	"a b=99999999999999999999i", "a b=1 99999999999999999999", "a b=1 -5", "a b=t,c=T,d=true,e=True,f=TRUE,g=f,h=F,i=false,j=False", "a b=tRUE", "日本,場所=東京 温度=20.5", "a\\b,c\\d=e\\f g\\h=1", "a,b=c=d e=1",
	"a b=1\nbad\nc d=2\n", "a,b=\"c d\" e=1", "a b=\"\"", "a b=18446744073709551615u", "a b=-1u",
}

// lenient are numbers that InfluxData's parser takes because Go's does; InfluxDB's specification does not have them.
var lenient = []string{"a b=0x1p3", "a b=1_0"}

func TestLinesAreReadAsInfluxDatasOwnParserReadsThem(t *testing.T) {
	t.Parallel()
	for _, text := range corpus {
		got, want := strings.Join(ours([]byte(text)), "\n"), strings.Join(theirs([]byte(text)), "\n")
		if got != want {
			t.Errorf("%q: got\n%s\nwant\n%s", text, got, want)
		}
	}
	for _, text := range lenient {
		if got := ours([]byte(text)); len(got) != 1 || got[0] != "!" {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestTimestampsHaveUnits(t *testing.T) {
	t.Parallel()
	for unit, want := range map[string]int64{"": 1, "ns": 1, "us": 1234, "ms": 1234567, "s": 1234567000, "m": 1234567 * 60_000, "h": 1234567 * 3600_000} {
		if got, ok := millis(1234567, precisions[unit]); !ok || got != want {
			t.Errorf("%q: %d, want %d", unit, got, want)
		}
	}
	if got, _ := millis(-1, 1); got != -1 {
		t.Errorf("%d", got)
	}
	if _, ok := millis(math.MaxInt64, precisions["h"]); ok {
		t.Error("a time beyond all ages was taken")
	}
}

func TestMistakesInTheBlockAreFoundOffline(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]plugintest.Config{
		"http_listen: http_listen and udp_listen are both off: nothing can be received": {"http_listen": ""},
		`udp_listen: "x" is not host:port`:                                              {"udp_listen": "x"},
		"warning: http_listen: anyone who reaches :8086 can write metrics":              {"http_listen": ":8086"},
		"": {"http_listen": ":8086", "token": "x"},
		`database_label: "a-b" cannot be the name of a label`:       {"database_label": "a-b"},
		"basic_auth: give basic_auth a password or a password_file": {"basic_auth": plugintest.Config{"username": "u"}},
	} {
		if got := plugintest.Remarks(t, capability(), cfg); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	_, err := plugintest.TryOpen(t, capability(), plugintest.Config{"http_listen": "127.0.0.1:0", "udp_listen": "203.0.113.1:1"})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "udp_listen" {
		t.Errorf("%v", err)
	}
}

func TestTheExampleIsValid(t *testing.T) {
	t.Setenv("INFLUX_TOKEN", "x")
	plugintest.Example(t, "example.hcl", "influx", capability())
}

func FuzzLineProtocol(f *testing.F) {
	for _, text := range corpus {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		got := ours(text)
		if string(text) != before {
			t.Fatal("the text was changed")
		}
		if !strings.ContainsAny(before, "\r\t\x00") { // what InfluxData's parser takes, this one takes the same way
			want := theirs(text)
			if len(want) > 0 && len(got) > 0 && want[0] != "!" && got[0] != "!" && want[0] != got[0] {
				t.Fatalf("got %s, want %s", got[0], want[0])
			}
		}
		cfg := &Config{Separator: "_", DropValue: true}
		in := newIntake(cfg, sdk.SourceSettings{LimitSeries: 20})
		in.start(&emitter{scope: sdk.NewScope(sdk.SourceSettings{LimitSeries: 20}, "i", false)})
		err := in.take(t.Context(), write{unit: 1, now: time.Now()}, text)
		refused, _ := err.(*refusal)
		if err != nil && (refused == nil || len(refused.Error()) > 10_000) {
			t.Fatal(err)
		}
	})
}

func BenchmarkPoints(b *testing.B) {
	var text []byte
	for i := range 1000 {
		text = fmt.Appendf(text, "cpu,cpu=cpu%d,host=web-1,region=eu usage_user=%d.25,usage_system=1.5,usage_idle=97i,usage_iowait=0.1 1767225600000000000\n", i, i%100)
	}
	cfg := &Config{Separator: "_", DropValue: true}
	settings := sdk.SourceSettings{LimitSeries: 100_000}
	in := newIntake(cfg, settings)
	in.start(&silent{emitter{scope: sdk.NewScope(settings, "i", false)}})
	w := write{unit: 1, now: time.Now()}
	b.ReportAllocs()
	before := used(b)
	for b.Loop() {
		if err := in.take(b.Context(), w, text); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((used(b)-before).Nanoseconds())/float64(b.N)/1000, "cpu-ns/point")
}

// used is the processor time of this process: other processes on the machine do not change it.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// silent keeps no list.
type silent struct{ emitter }

func (e *silent) Emit(_ context.Context, b *sdk.Batch) error {
	b.Seal(func(*sdk.Columns) {})
	return nil
}

func TestAProbeSaysWhichAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = plugintest.Probe(t, capability(), plugintest.Config{"http_listen": "127.0.0.1:0", "udp_listen": taken.LocalAddr().String()})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "udp_listen" {
		t.Errorf("%+v", p)
	}
	_, err = plugintest.Probe(t, capability(), plugintest.Config{"http_listen": "127.0.0.1:0", "tls": plugintest.Config{"cert_file": "/none", "key_file": "/none"}})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "tls.cert_file" {
		t.Errorf("%+v", p)
	}
	if _, err := plugintest.Probe(t, capability(), plugintest.Config{"http_listen": "127.0.0.1:0"}); err != nil {
		t.Error(err)
	}
}

// Through the SDK, with a daemon whose disk is slow, which then is full, and which is gone.
func TestAClientIsAnsweredWhenTheDaemonHasWhatItSent(t *testing.T) {
	t.Parallel()
	c, _, url := receiving(t, plugintest.Config{"http_listen": "127.0.0.1:0"}, plugintest.Room(1))
	release := c.Hold()
	first := make(chan int, 1)
	go func() {
		status, _, _ := post(t, url+"/write?db=x", "", "a b=1")
		first <- status
	}()
	if got := c.Next(); len(got.Find("a_b")) != 1 {
		t.Errorf("%s", got)
	}
	if status, header, _ := post(t, url+"/write?db=x", "", "a b=2"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || len(first) > 0 {
		t.Errorf("without room: %d, %v, and before there was room %d clients were answered", status, header, len(first))
	}
	release()
	if status := <-first; status != http.StatusNoContent {
		t.Errorf("when it is durable: %d", status)
	}
	c.Cut()
	if status, header, _ := post(t, url+"/write?db=x", "", "a b=3"); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("without a daemon: %d, %v", status, header)
	}
	if came := c.Came(); len(came) > 0 {
		t.Errorf("what was refused came: %s", came)
	}
}
