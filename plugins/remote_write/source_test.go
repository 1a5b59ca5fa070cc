package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/plugins/internal/peer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func openSourceTest(t testing.TB, more plugintest.Config, opts ...plugintest.Option) *plugintest.Component {
	cfg := plugintest.Config{"max_body": 1 << 20, "max_concurrent": 4, "retry_after": 3 * time.Second}
	for k, v := range more {
		cfg[k] = v
	}
	return plugintest.Open(t, source(), cfg, opts...)
}

const (
	type1 = "application/x-protobuf"
	type2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// send posts a message and returns the answer with its text.
func send(t testing.TB, client *http.Client, url, kind string, message []byte) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(snappy.Encode(nil, message)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Content-Encoding", "snappy")
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response, string(text)
}

func series1(v float64, t int64, pairs ...string) prompb.TimeSeries {
	s := prompb.TimeSeries{Samples: []prompb.Sample{{Value: v, Timestamp: t}}}
	for i := 0; i < len(pairs); i += 2 {
		s.Labels = append(s.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return s
}

func marshal(t testing.TB, m interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProtocol1ArrivesWithTheSendersLabels(t *testing.T) {
	t.Parallel()
	c := openSourceTest(t, nil, plugintest.Settings(sdk.SourceSettings{Job: "ours", Interval: time.Hour, Labels: map[string]string{"site": "a", "b": "c"}, LimitSeries: 100}))
	now := time.Now().UnixMilli()
	m := &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{
			series1(1, now, "__name__", "a_total", "b", "theirs", "instance", "i", "job", "j"),
			series1(2, now-5000, "job", "j", "empty", "", "__name__", "a_total"), // neither sorted nor newer
			series1(math.Float64frombits(0x7ff0000000000002), now, "__name__", "gone"),
		},
		Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "a_total", Help: "A.", Unit: "x"}},
	}
	response, text := send(t, c.Client(), "http://x/", type1, marshal(t, m))
	if response.StatusCode != http.StatusNoContent {
		t.Fatal(response.Status, text)
	}
	got := c.Next()
	want := `a_total{b="c", exported_b="theirs", instance="i", job="j", site="a"} 1
a_total{b="c", job="j", site="a"} 2
gone{b="c", site="a"} stale`
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if f := got.Find("a_total")[0].Family; f == nil || *f != (sdk.Family{Name: "a_total", Type: sdk.CounterType, Help: "A.", Unit: "x"}) {
		t.Errorf("family %v", f)
	}
	if at := got.Find("a_total")[1].Time.UnixMilli(); at != now-5000 {
		t.Errorf("time %d", at)
	}
	if bits := math.Float64bits(got.Find("gone")[0].Value); bits != 0x7ff0000000000002 {
		t.Errorf("the staleness marker came as %x", bits)
	}
	m = &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_GAUGE, MetricFamilyName: "a_total", Help: "B."}}}
	send(t, c.Client(), "http://x/", type1, marshal(t, m))
	send(t, c.Client(), "http://x/", type1, marshal(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series1(3, now, "__name__", "a_total")}}))
	got = nil
	for len(got) == 0 { // the old ref is retired in a packet of its own
		got = c.Next()
	}
	if f := got.Find("a_total"); len(f) != 1 || f[0].Family == nil || f[0].Family.Help != "B." {
		t.Errorf("metadata that came later: %v", f)
	}
}

func TestProtocol2ArrivesWithItsMetadataHistogramsAndExemplars(t *testing.T) {
	t.Parallel()
	c := openSourceTest(t, nil)
	now := time.Now().UnixMilli()
	h := &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.001, ZeroCount: 1, Count: 9, Sum: 18.5, PositiveSpans: []histogram.Span{{Offset: -1, Length: 2}, {Offset: 3, Length: 1}},
		PositiveBuckets: []int64{3, -1, 1},
	}
	fh := &histogram.FloatHistogram{
		Schema: -53, Count: 4.5, Sum: 2, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []float64{1.5, 3}, CustomValues: []float64{1, 2, 3},
	}
	m := &writev2.Request{
		Symbols: []string{"", "__name__", "h_seconds", "job", "j", "Help.", "trace_id", "abc", "f"},
		Timeseries: []writev2.TimeSeries{
			{LabelsRefs: []uint32{1, 2, 3, 4}, Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, now, h)}, Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_HISTOGRAM, HelpRef: 5}},
			{LabelsRefs: []uint32{1, 8}, Histograms: []writev2.Histogram{writev2.FromFloatHistogram(0, now, fh)}},
			{LabelsRefs: []uint32{1, 7}, Samples: []writev2.Sample{{Value: 1, Timestamp: now}}, Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{6, 7}, Value: 0.5, Timestamp: now}}},
		},
	}
	response, text := send(t, c.Client(), "http://x/", type2, marshal(t, m))
	if response.StatusCode != http.StatusNoContent || response.Header.Get(writtenHeader) != "1" || response.Header.Get("X-Prometheus-Remote-Write-Histograms-Written") != "2" || response.Header.Get("X-Prometheus-Remote-Write-Exemplars-Written") != "1" {
		t.Fatal(response.Status, text, response.Header)
	}
	got := c.Next()
	whole, custom := got.Find("h_seconds")[0], got.Find("f")[0]
	if f := whole.Family; f == nil || f.Type != sdk.HistogramType || f.Help != "Help." {
		t.Errorf("family %v", f)
	}
	if s := fmt.Sprintf("%+v", *whole.Histogram); s != `{Schema:1 ZeroThreshold:0.001 ZeroCount:1 Count:9 Sum:18.5 PositiveSpans:[{Offset:-1 Length:2} {Offset:3 Length:1}] NegativeSpans:[] Positive:[3 2 3] Negative:[] Custom:[] Float:false Reset:0}` {
		t.Error(s)
	}
	if s := fmt.Sprintf("%+v", *custom.Histogram); !strings.Contains(s, "Positive:[1.5 3] Negative:[] Custom:[1 2 3] Float:true") {
		t.Error(s)
	}
	if e := c.Exemplars(); len(e) != 1 || e[0].Exemplar.Labels.Get("trace_id") != "abc" || e[0].Exemplar.Value != 0.5 {
		t.Errorf("exemplars %v", e)
	}
}

func TestWhatIsWrongWithPartOfARequestIsToldAndTheRestTaken(t *testing.T) {
	t.Parallel()
	c := openSourceTest(t, nil, plugintest.Settings(sdk.SourceSettings{Interval: time.Hour, LimitSeries: 1}))
	now := time.Now().UnixMilli()
	m := &writev2.Request{Symbols: []string{"", "__name__", "a", "b", "\xff"}}
	one := func(at int64, refs ...uint32) {
		m.Timeseries = append(m.Timeseries, writev2.TimeSeries{LabelsRefs: refs, Samples: []writev2.Sample{{Value: 1, Timestamp: at}}})
	}
	one(now, 1, 2)                // the only good one
	one(now, 1, 2, 1, 3)          // twice
	one(now, 3, 2)                // no name
	one(now, 1, 99)               // no such symbol
	one(now, 1, 2, 3)             // no value
	one(now, 1, 4)                // no UTF-8
	one(now+3_600_000, 1, 2)      // the future
	one(now, 1, 3)                // over limit_series
	one(-9_000_000_000_000, 1, 2) // long ago
	response, text := send(t, c.Client(), "http://x/", type2, marshal(t, m))
	if response.StatusCode != http.StatusBadRequest || response.Header.Get(writtenHeader) != "2" || !strings.Contains(text, "7 samples refused, 2 written") {
		t.Errorf("%s %v %s", response.Status, response.Header, text)
	}
	if got := c.Next(); len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if d := c.Health().Dropped; d["invalid_labels"] != 5 || d["future"] != 1 || d["limit_series"] != 1 {
		t.Errorf("dropped %v", d)
	}
}

func TestRequestsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	c := openSourceTest(t, nil)
	bomb := snappy.Encode(nil, make([]byte, 2<<20)) // more than max_body
	lie := append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, 1, 2, 3)
	for name, tc := range map[string]struct {
		method, kind, encoding string
		body                   []byte
		want                   int
	}{
		"GET":             {"GET", type1, "snappy", nil, 405},
		"JSON":            {"POST", "application/json", "", nil, 415},
		"other message":   {"POST", type1 + ";proto=x.Y", "snappy", nil, 415},
		"gzip":            {"POST", type1, "gzip", nil, 415},
		"not snappy":      {"POST", type1, "snappy", []byte("\x05hello world"), 400},
		"empty":           {"POST", type1, "snappy", nil, 400},
		"bomb":            {"POST", type1, "snappy", bomb, 413},
		"lie of its size": {"POST", type1, "snappy", lie, 413},
		"no protobuf":     {"POST", type2, "snappy", snappy.Encode(nil, []byte{0x2a, 0x7f, 1}), 400},
		"many symbols":    {"POST", type2, "snappy", snappy.Encode(nil, bytes.Repeat([]byte{0x22, 0}, 500_000)), 413},
		"long":            {"POST", type1, "snappy", make([]byte, 3<<20), 413},
	} {
		r, _ := http.NewRequest(tc.method, "http://x/", bytes.NewReader(tc.body))
		r.Header.Set("Content-Type", tc.kind)
		r.Header.Set("Content-Encoding", tc.encoding)
		response, err := c.Client().Do(r)
		if err != nil {
			t.Fatal(name, err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != tc.want {
			t.Errorf("%s: %s %s, want %d", name, response.Status, text, tc.want)
		}
	}
}

// stuck is an emitter without room, or without a log behind it, as told.
type stuck struct {
	scope *sdk.Scope
	emit  func(*sdk.Batch) error
	flush error
}

func (s *stuck) Batch() *sdk.Batch                          { return s.scope.Batch() }
func (s *stuck) Emit(_ context.Context, b *sdk.Batch) error { return s.emit(b) }
func (s *stuck) Flush(context.Context) error                { return s.flush }
func (s *stuck) sealed(b *sdk.Batch) (n int) {
	b.Seal(func(c *sdk.Columns) { n += len(c.Run.Refs) })
	return n
}

type sourceHost struct{ sdk.Host }

func (sourceHost) Source() sdk.SourceSettings { return sdk.SourceSettings{} }
func (sourceHost) Fail(error)                 {}

func TestWithoutRoomOrDurabilitySendersAreToldToComeAgain(t *testing.T) {
	t.Parallel()
	r, err := openSource(t.Context(), &SourceConfig{MaxBody: 1 << 20, MaxConcurrent: 1, OutOfRoom: 7 * time.Second}, sourceHost{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	defer server.Close()
	body := marshal(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series1(1, time.Now().UnixMilli(), "__name__", "a")}})
	again := func(what string) {
		t.Helper()
		response, text := send(t, server.Client(), server.URL, type1, body)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") != "7" {
			t.Errorf("%s: %s %s", what, response.Status, text)
		}
	}
	again("before Stream")
	e := &stuck{scope: sdk.NewScope(sdk.SourceSettings{}, "", true)}
	var samples int
	room := func(b *sdk.Batch) error { samples += e.sealed(b); return nil }
	none := func(*sdk.Batch) error { return context.DeadlineExceeded }
	e.emit, e.flush = room, errors.New("the disk is full")
	ctx, cancel := context.WithCancel(t.Context())
	streaming := make(chan struct{})
	go func() { r.Stream(ctx, e); close(streaming) }()
	defer func() { cancel(); <-streaming }()
	for started := false; !started; {
		r.mu.Lock()
		started = r.out != nil
		r.mu.Unlock()
	}
	again("not durable")
	e.emit, e.flush = none, nil
	again("no room")
	again("still no room")
	if s, _ := r.Health(); s != sdk.Degraded {
		t.Error("health says nothing of it")
	}
	e.emit = room
	if response, text := send(t, server.Client(), server.URL, type1, body); response.StatusCode != http.StatusNoContent {
		t.Error(response.Status, text)
	}
	if samples != 3 { // the one that was not durable, the one that had no room, the one that came after it
		t.Errorf("%d samples came through", samples)
	}
}

func TestTheListenerAsksWhoWrites(t *testing.T) {
	t.Parallel()
	address := plugintest.FreeAddress(t)
	c := openSourceTest(t, plugintest.Config{"listen": address, "basic_auth": plugintest.Config{"username": "u", "password": "canary"}})
	url := "http://" + address + "/api/v1/write"
	body := marshal(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series1(1, time.Now().UnixMilli(), "__name__", "a")}})
	for who, want := range map[string]int{"": 401, "u:wrong@": 401, "u:@": 401, "u:canary@": 204} {
		if response, text := send(t, http.DefaultClient, strings.Replace(url, "//", "//"+who, 1), type1, body); response.StatusCode != want {
			t.Errorf("%q: %s %s", who, response.Status, text)
		}
	}
	if got := c.Next().String(); got != "a 1" {
		t.Error(got)
	}
	if response, _ := send(t, http.DefaultClient, "http://u:canary@"+address+"/other", type1, body); response.StatusCode != 404 {
		t.Error(response.Status)
	}
}

func TestATokenAndAPasswordFileAreAskedForToo(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	body := marshal(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series1(1, time.Now().UnixMilli(), "__name__", "a")}})
	withToken, withFile := plugintest.FreeAddress(t), plugintest.FreeAddress(t)
	openSourceTest(t, plugintest.Config{"listen": withToken, "bearer_token": "t0ken"})
	c := openSourceTest(t, plugintest.Config{"listen": withFile, "basic_auth": plugintest.Config{"username": "u", "password_file": file}})
	try := func(address, authorization string, want int) {
		t.Helper()
		client := &http.Client{Transport: showing(authorization)}
		if response, text := send(t, client, "http://"+address+"/api/v1/write", type1, body); response.StatusCode != want {
			t.Errorf("%q: %s %s", authorization, response.Status, text)
		}
	}
	try(withToken, "Bearer t0ken", 204)
	try(withToken, "Bearer other", 401)
	try(withFile, "Basic dTpjYW5hcnk=", 204)
	try(withFile, "Basic dTpub25l", 401)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	try(withFile, "Basic dTpjYW5hcnk=", 503) // not the sender's fault: it comes again
	if p := c.Health().LastError; p.GetBlame().String() != "CONFIG" {
		t.Errorf("%v", p)
	}
}

// showing adds an Authorization header.
type showing string

func (s showing) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", string(s))
	return http.DefaultTransport.RoundTrip(r)
}

func TestOverTLSOnlyThoseMayWriteWhoShowTheRightCertificate(t *testing.T) {
	t.Parallel()
	authority := certificates.New(t)
	server, client := authority.Issue(), authority.Issue()
	address := plugintest.FreeAddress(t)
	source := openSourceTest(t, plugintest.Config{"listen": address, "tls": plugintest.Config{"cert_file": server.Cert, "key_file": server.Key, "client_ca_file": authority.File}})
	// our own sink gets through
	c := openTest(t, "https://"+address+"/api/v1/write", plugintest.Config{"tls": plugintest.Config{"ca_file": authority.File, "cert_file": client.Cert, "key_file": client.Key}})
	b := c.Batch()
	b.PutAt(b.Define(named("a_total")), 1, time.Now())
	if ack := c.Write(); ack.Stored != 1 {
		t.Errorf("%v", ack)
	}
	if got := source.Next(); got.String() != `a_total{instance="a:1", job="x"} 1` {
		t.Errorf("%s", got)
	}
	body := marshal(t, &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series1(1, time.Now().UnixMilli(), "__name__", "a")}})
	if response, text := send(t, http.DefaultClient, "http://"+address+"/api/v1/write", type1, body); response.StatusCode != http.StatusBadRequest || !strings.Contains(text, "HTTPS server") {
		t.Errorf("not encrypted: %s %s", response.Status, text)
	}
	for name, shown := range authority.Strangers() {
		stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: shown, DisableKeepAlives: true}, Timeout: 2 * time.Minute}
		if response, err := stranger.Post("https://"+address+"/api/v1/write", type1, bytes.NewReader(snappy.Encode(nil, body))); err == nil {
			response.Body.Close()
			t.Errorf("%s: %s", name, response.Status)
		}
	}
	if h := source.Health(); !strings.HasPrefix(h.Text, "1 samples received, 0 refused") {
		t.Errorf("%s", h.Text)
	}
}

func TestTheSinkAndTheSourceUnderstandEachOther(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"1.0", "2.0", "auto"} {
		address := plugintest.FreeAddress(t)
		receiver := openSourceTest(t, plugintest.Config{"listen": address})
		c := openTest(t, "http://"+address+"/api/v1/write", plugintest.Config{"protocol": protocol, "max_samples": 40})
		b := c.Batch()
		at := time.Now().Truncate(time.Millisecond)
		want := plugintest.Samples{}
		for i := range 300 {
			s := named("a_total", "i", fmt.Sprint(i))
			want = append(want, plugintest.Sample{Labels: s.Labels, Family: s.Family, Value: float64(i)})
			b.PutAt(b.Define(s), float64(i), at)
		}
		if ack := c.Write(); ack.Stored != 300 {
			t.Fatal(protocol, ack)
		}
		var got plugintest.Samples
		for len(got) < 300 {
			got = append(got, receiver.Next()...)
		}
		if got.String() != want.String() {
			t.Errorf("%s: got\n%s", protocol, got)
		}
		if protocol != "1.0" && (got[0].Family == nil || *got[0].Family != *want[0].Family) {
			t.Errorf("%s: family %v", protocol, got[0].Family)
		}
		if h := c.Health(); protocol == "auto" && !strings.HasPrefix(h.Text, "protocol 2.0") {
			t.Errorf("auto ended with %s", h.Text)
		}
	}
}

func TestARealPrometheusSends(t *testing.T) {
	t.Parallel()
	address := plugintest.FreeAddress(t)
	c := openSourceTest(t, plugintest.Config{"listen": address})
	p := peer.Prometheus(t, fmt.Sprintf(`
global: {scrape_interval: 200ms, external_labels: {site: north}}
scrape_configs: [{job_name: self, static_configs: [{targets: ['127.0.0.1:1']}]}]
remote_write: [{url: 'http://%s/api/v1/write', queue_config: {batch_send_deadline: 100ms}, metadata_config: {send_interval: 300ms}}]
`, address))
	var all plugintest.Samples
	for len(all.Find("up", "site", "north", "job", "self", "instance", "127.0.0.1:1")) < 3 {
		all = append(all, c.Next()...)
	}
	ups := all.Find("up")
	for i := 1; i < len(ups); i++ {
		if !ups[i].Time.After(ups[i-1].Time) {
			t.Error("out of order, or twice")
		}
	}
	p.Kill()
	if h := c.Health(); h.Status != 0 || h.Errors["target"] != 0 {
		t.Errorf("health %v", h)
	}
}

func TestHistogramsAndExemplarsGoFromTheSinkToTheSource(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"1.0", "2.0"} {
		address := plugintest.FreeAddress(t)
		receiver := openSourceTest(t, plugintest.Config{"listen": address})
		c := openTest(t, "http://"+address+"/api/v1/write", plugintest.Config{"protocol": protocol})
		b := c.Batch()
		at := time.Now().Truncate(time.Millisecond)
		whole := &sdk.Histogram{
			Schema: 3, ZeroThreshold: 0.5, ZeroCount: 2, Count: 13, Sum: -7.25, PositiveSpans: []sdk.Span{{Offset: -4, Length: 2}, {Offset: 1, Length: 1}},
			NegativeSpans: []sdk.Span{{Offset: 0, Length: 1}}, Positive: []float64{5, 1, 2}, Negative: []float64{3}, Reset: sdk.ResetNone,
		}
		custom := &sdk.Histogram{
			Schema: sdk.CustomBuckets, Count: 4.5, Sum: 2, PositiveSpans: []sdk.Span{{Offset: 1, Length: 2}}, Positive: []float64{1.5, 3}, Custom: []float64{1, 2, 3}, Float: true,
		}
		first := b.Define(named("whole_seconds"))
		b.PutHistogramAt(first, whole, at)
		b.PutHistogramAt(b.Define(named("custom_seconds")), custom, at)
		counted := b.Define(named("counted_total"))
		b.PutAt(counted, 3, at)
		for _, ref := range []sdk.Ref{first, counted} {
			b.PutExemplar(ref, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", fmt.Sprint("t", ref), "z", "y"), Value: 0.25, Time: at})
		}
		if ack := c.Write(); ack.Stored != 3 || len(ack.Dropped) != 0 {
			t.Fatal(protocol, ack)
		}
		var got plugintest.Samples
		for len(got) < 3 {
			got = append(got, receiver.Next()...)
		}
		for name, want := range map[string]*sdk.Histogram{"whole_seconds": whole, "custom_seconds": custom} {
			if s := got.Find(name); len(s) != 1 || !s[0].Time.Equal(at) || fmt.Sprint(*s[0].Histogram) != fmt.Sprint(*want) {
				t.Errorf("%s: %s came as %v, want %v", protocol, name, s, *want)
			}
		}
		var traces []string
		for _, e := range receiver.Exemplars() {
			traces = append(traces, e.Series.Get("__name__")+" "+e.Exemplar.Labels.String())
		}
		slices.Sort(traces)
		if want := `[counted_total {trace_id="t2", z="y"} whole_seconds {trace_id="t0", z="y"}]`; fmt.Sprint(traces) != want {
			t.Errorf("%s: exemplars %v, want %s", protocol, traces, want)
		}
	}
}

func FuzzRequests(f *testing.F) {
	now := int64(1_777_777_777_000)
	f.Add(1, marshal(f, &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{series1(1, now, "__name__", "a", "b", "c"), {Labels: []prompb.Label{{Name: "__name__", Value: "h"}}, Histograms: []prompb.Histogram{prompb.FromIntHistogram(now, &histogram.Histogram{Schema: 1, Count: 1, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{1}})}}},
		Metadata:   []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "a", Help: "A.", Unit: "x"}},
	}))
	f.Add(2, marshal(f, &writev2.Request{Symbols: []string{"", "__name__", "a", "h"}, Timeseries: []writev2.TimeSeries{
		{LabelsRefs: []uint32{1, 2}, Samples: []writev2.Sample{{Value: 1, Timestamp: now}}, Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{2, 3}, Value: 1, Timestamp: now}}, Metadata: writev2.Metadata{Type: 1, HelpRef: 3}},
		{LabelsRefs: []uint32{1, 3}, Histograms: []writev2.Histogram{writev2.FromFloatHistogram(0, now, &histogram.FloatHistogram{Schema: -53, Count: 4.5, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []float64{1.5, 3}, CustomValues: []float64{1, 2, 3}})}},
	}}))
	f.Fuzz(func(t *testing.T, protocol int, body []byte) {
		protocol = 1 + protocol&1
		var q request
		q.reset(1 << 20)
		if q.decode(protocol, body) != nil {
			return
		}
		ours, theirs := len(q.points)+len(q.histograms), 0
		if protocol == 1 {
			var m prompb.WriteRequest
			if m.Unmarshal(body) != nil {
				return
			}
			for _, s := range m.Timeseries {
				theirs += len(s.Samples) + len(s.Histograms)
			}
		} else {
			var m writev2.Request
			if m.Unmarshal(body) != nil {
				return
			}
			for _, s := range m.Timeseries {
				theirs += len(s.Samples) + len(s.Histograms)
			}
		}
		if ours != theirs {
			t.Fatalf("%d samples and histograms, and Prometheus reads %d", ours, theirs)
		}
		scope := sdk.NewScope(sdk.SourceSettings{LimitSeries: 100}, "", true)
		d := &dictionary{batch: scope.Batch(), known: map[string]*entry{}, families: map[string]*sdk.Family{}, own: map[string]string{"job": "x"}}
		c := d.put(&q, time.UnixMilli(now))
		if c.samples+c.histograms+c.refused != ours {
			t.Fatalf("%+v of %d", c, ours)
		}
	})
}

func FuzzBodies(f *testing.F) {
	f.Add(snappy.Encode(nil, bytes.Repeat([]byte{0x22, 0}, 100)))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := &buffers{}
		for protocol := 1; protocol <= 2; protocol++ {
			b.read(protocol, bytes.NewReader(body), 1<<16)
			if len(b.body) > 1<<16 {
				t.Fatalf("%d bytes were made of %d", len(b.body), len(body))
			}
		}
	})
}
