package main

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// sample is one sample that a receiver got.
type sample struct {
	series string
	t      int64
	v      float64
}

// catcher is a receiver that reads requests with the code that Prometheus generated from the specification's messages.
type catcher struct {
	*httptest.Server
	t        testing.TB
	mu       sync.Mutex
	requests []*http.Request
	sizes    []int // samples of each request
	samples  []sample
	families map[string]string
	answer   func(w http.ResponseWriter, r *http.Request, n int) bool // false: the samples do not count
}

func newReceiver(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, n int) bool) *catcher {
	x := &catcher{t: t, answer: answer, families: map[string]string{}}
	x.Server = httptest.NewServer(x)
	t.Cleanup(x.Close)
	return x
}

// speaks2 takes everything and says so.
func speaks2(w http.ResponseWriter, r *http.Request, n int) bool {
	if isV2(r) {
		w.Header().Set(writtenHeader, fmt.Sprint(n))
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

func isV2(r *http.Request) bool { return strings.Contains(r.Header.Get("Content-Type"), "v2.Request") }

func (x *catcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	compressed, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender died
	}
	body, err := snappy.Decode(nil, compressed)
	if err != nil {
		x.t.Errorf("not snappy: %v", err)
	}
	var samples []sample
	if isV2(r) {
		samples = x.read2(body)
	} else {
		samples = x.read1(body)
	}
	x.requests, x.sizes = append(x.requests, r), append(x.sizes, len(samples))
	if x.answer(w, r, len(samples)) {
		x.samples = append(x.samples, samples...)
	}
}

func (x *catcher) read1(body []byte) (out []sample) {
	var m prompb.WriteRequest
	if err := m.Unmarshal(body); err != nil {
		x.t.Errorf("not a WriteRequest: %v", err)
	}
	for _, f := range m.Metadata {
		x.families[f.MetricFamilyName] = fmt.Sprintf("%s %q %q", f.Type, f.Help, f.Unit)
	}
	b := labels.NewScratchBuilder(0)
	for _, s := range m.Timeseries {
		ls := s.ToLabels(&b, nil)
		for _, one := range s.Samples {
			out = append(out, sample{ls.String(), one.Timestamp, one.Value})
		}
	}
	return out
}

func (x *catcher) read2(body []byte) (out []sample) {
	var m writev2.Request
	if err := m.Unmarshal(body); err != nil {
		x.t.Errorf("not a Request: %v", err)
	}
	if len(m.Symbols) > 0 && m.Symbols[0] != "" {
		x.t.Errorf("the first symbol is %q", m.Symbols[0])
	}
	b := labels.NewScratchBuilder(0)
	for _, s := range m.Timeseries {
		ls, err := s.ToLabels(&b, m.Symbols)
		if err != nil {
			x.t.Error(err)
		}
		x.families[ls.Get("__name__")] = fmt.Sprintf("%s %q %q", strings.TrimPrefix(s.Metadata.Type.String(), "METRIC_TYPE_"), m.Symbols[s.Metadata.HelpRef], m.Symbols[s.Metadata.UnitRef])
		for _, one := range s.Samples {
			out = append(out, sample{ls.String(), one.Timestamp, one.Value})
		}
	}
	return out
}

// got copies what came.
func (x *catcher) got() []sample {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.samples)
}

var start = time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)

func openTest(t testing.TB, url string, more plugintest.Config) *plugintest.Component {
	cfg := plugintest.Config{
		"url": url, "protocol": "auto", "request_timeout": 10 * time.Second, "max_samples": 10000, "shards": 4, "metadata_interval": time.Minute,
		"follow_redirects": true,
	}
	for k, v := range more {
		cfg[k] = v
	}
	return plugintest.Open(t, sink(), cfg)
}

func named(name string, pairs ...string) sdk.Series {
	return sdk.Series{
		Labels: sdk.NewLabels(append([]string{"__name__", name, "instance", "a:1", "job", "x"}, pairs...)...),
		Family: &sdk.Family{Name: name, Type: sdk.CounterType, Help: "Help of " + name, Unit: "seconds"},
	}
}

func TestBothProtocolsCarryLabelsTimesBitsAndMetadata(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"1.0", "2.0"} {
		x := newReceiver(t, speaks2)
		c := openTest(t, x.URL, plugintest.Config{"protocol": protocol})
		b := c.Batch()
		old := time.UnixMilli(-5)
		first := b.Define(named("a_total", "path", "/ünï"))
		b.PutAt(first, 1.5, start)
		b.PutAt(b.Define(named("b_total")), math.Inf(-1), old)
		b.PutAt(b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "bare")}), 0, time.UnixMilli(0))
		b.PutAt(first, sdk.StaleNaN, start.Add(time.Second))
		if ack := c.Write(); ack.Stored != 4 || len(ack.Dropped) != 0 {
			t.Errorf("%s: %v", protocol, ack)
		}
		want := []sample{
			{`{__name__="a_total", instance="a:1", job="x", path="/ünï"}`, start.UnixMilli(), 1.5},
			{`{__name__="b_total", instance="a:1", job="x"}`, -5, math.Inf(-1)},
			{`{__name__="bare"}`, 0, 0},
			{`{__name__="a_total", instance="a:1", job="x", path="/ünï"}`, start.UnixMilli() + 1000, sdk.StaleNaN},
		}
		if got := fmt.Sprint(x.got()); got != fmt.Sprint(want) {
			t.Errorf("%s:\n got %s\nwant %v", protocol, got, want)
		}
		if bits := math.Float64bits(x.got()[3].v); bits != math.Float64bits(sdk.StaleNaN) {
			t.Errorf("%s: the staleness marker came as %x", protocol, bits)
		}
		if x.families["a_total"] != `COUNTER "Help of a_total" "seconds"` {
			t.Errorf("%s: metadata %q", protocol, x.families)
		}
		r := x.requests[0]
		wantVersion := map[string]string{"1.0": "0.1.0", "2.0": "2.0.0"}[protocol]
		if r.Header.Get("X-Prometheus-Remote-Write-Version") != wantVersion || r.Header.Get("Content-Encoding") != "snappy" || !strings.HasPrefix(r.Header.Get("User-Agent"), "Magpie/") {
			t.Errorf("%s: headers %v", protocol, r.Header)
		}
	}
}

func TestAutoFallsBackToWhatTheReceiverSpeaks(t *testing.T) {
	t.Parallel()
	answers := map[string]func(w http.ResponseWriter){
		"unsupported":                  func(w http.ResponseWriter) { w.WriteHeader(http.StatusUnsupportedMediaType) },
		"cannot parse it":              func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadRequest) },
		"takes it for an empty 1.0":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"takes it, and answers with 2": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
	}
	for name, answer := range answers {
		x := newReceiver(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if isV2(r) {
				answer(w)
				return false
			}
			w.WriteHeader(http.StatusNoContent)
			return true
		})
		c := openTest(t, x.URL, nil)
		b := c.Batch()
		ref := b.Define(named("a"))
		for i := range 3 {
			b.PutAt(ref, float64(i), start.Add(time.Duration(i)*time.Second))
			if ack := c.Write(); ack.Stored != 1 {
				t.Errorf("%s: %v", name, ack)
			}
		}
		v2 := 0
		for _, r := range x.requests {
			if isV2(r) {
				v2++
			}
		}
		if len(x.got()) != 3 || v2 != 1 {
			t.Errorf("%s: %v, %d requests of 2.0", name, x.got(), v2)
		}
	}
}

func TestAnswersSteerAsTheSpecificationsSay(t *testing.T) {
	t.Parallel()
	cases := []struct {
		code    int
		header  string
		again   bool
		dropped string
	}{
		{code: 500, again: true}, {code: 503, header: "1", again: true}, {code: 429, header: "1", again: true}, {code: 599, again: true},
		{code: 400, dropped: "rejected"}, {code: 401, dropped: "unauthorized"}, {code: 403, dropped: "unauthorized"}, {code: 404, dropped: "not_found"},
		{code: 409, dropped: "refused"}, {code: 413, dropped: "too_large"}, {code: 304, dropped: "refused"},
	}
	for _, tc := range cases {
		for _, protocol := range []string{"1.0", "2.0"} {
			t.Run(fmt.Sprintf("%d to %s", tc.code, protocol), func(t *testing.T) {
				t.Parallel()
				var first time.Time
				failed := false
				x := newReceiver(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
					if failed {
						if tc.header != "" && time.Since(first) < time.Second {
							t.Error("it did not wait for as long as Retry-After says")
						}
						if tc.again && n > 0 && r.Header.Get("Retry-Attempt") != "1" {
							t.Errorf("Retry-Attempt %q", r.Header.Get("Retry-Attempt"))
						}
						return speaks2(w, r, n)
					}
					failed, first = true, time.Now()
					w.Header().Set("Retry-After", tc.header)
					http.Error(w, "no", tc.code)
					return false
				})
				c := openTest(t, x.URL, plugintest.Config{"protocol": protocol, "metadata_interval": time.Duration(0)})
				b := c.Batch()
				b.PutAt(b.Define(named("a")), 1, start)
				ack := c.Write()
				if tc.again && (ack.Stored != 1 || len(x.got()) != 1) {
					t.Errorf("not sent again: %v, %v", ack, x.got())
				}
				if !tc.again && (ack.Stored != 0 || ack.Dropped[tc.dropped] != 1 || len(x.requests) != 1) {
					t.Errorf("%v after %d requests, want 1 dropped as %s after 1", ack, len(x.requests), tc.dropped)
				}
			})
		}
	}
}

func TestAPartialWriteIsCounted(t *testing.T) {
	t.Parallel()
	for _, code := range []int{400, 200} {
		x := newReceiver(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
			w.Header().Set(writtenHeader, fmt.Sprint(n-2))
			w.WriteHeader(code)
			return true
		})
		c := openTest(t, x.URL, plugintest.Config{"protocol": "2.0"})
		b := c.Batch()
		for i := range 5 {
			b.PutAt(b.Define(named("a", "i", fmt.Sprint(i))), 1, start)
		}
		if ack := c.Write(); ack.Stored != 3 || ack.Dropped["rejected"] != 2 || len(x.requests) != 1 {
			t.Errorf("%d: %v", code, ack)
		}
	}
}

func TestARefusedRequestCostsItsOwnComponentOnly(t *testing.T) {
	t.Parallel()
	refusedAll := false
	x := newReceiver(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n == 12 && !refusedAll || n == 3 { // the bad ones are in the run of three
			refusedAll = true
			http.Error(w, "out of order sample", http.StatusBadRequest)
			return false
		}
		return speaks2(w, r, n)
	})
	w := bareWriter(t, x.URL, "1.0")
	o := sdk.NewOrigin("source.x.y", func(ref sdk.Ref) (sdk.Series, bool) { return named("a", "ref", fmt.Sprint(ref)), true })
	run := func(n int, from sdk.Ref) sdk.Run {
		r := sdk.Run{Origin: o, Base: start.UnixMilli(), Values: make([]float64, n)}
		for i := range n {
			r.Refs = append(r.Refs, from+sdk.Ref(i))
		}
		return r
	}
	in := sdk.ReadBatch(1, []sdk.Run{run(4, 0), run(3, 10), run(5, 20)})
	if err := w.Write(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if dropped := in.Dropped(); dropped["rejected"] != 3 || len(x.got()) != 9 {
		t.Errorf("dropped %v, came %d, requests %v", dropped, len(x.got()), x.sizes)
	}
}

func TestTooLargeARequestIsHalved(t *testing.T) {
	t.Parallel()
	x := newReceiver(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n > 30 {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return false
		}
		return speaks2(w, r, n)
	})
	c := openTest(t, x.URL, plugintest.Config{"protocol": "2.0"})
	b := c.Batch()
	for i := range 100 {
		b.PutAt(b.Define(named("a", "i", fmt.Sprint(i))), 1, start)
	}
	if ack := c.Write(); ack.Stored != 100 || len(x.got()) != 100 {
		t.Errorf("%v, %v", ack, x.sizes)
	}
}

func TestAShardKeepsTheOrderOfItsSeries(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	failures := 0
	x := newReceiver(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		mu.Lock()
		defer mu.Unlock()
		if failures++; failures%3 == 0 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return false
		}
		return speaks2(w, r, n)
	})
	c := openTest(t, x.URL, plugintest.Config{"max_samples": 100, "protocol": "2.0"})
	b := c.Batch()
	var refs []sdk.Ref
	for i := range 500 {
		refs = append(refs, b.Define(named("a", "i", fmt.Sprint(i))))
	}
	for at := range 3 {
		for _, ref := range refs {
			b.PutAt(ref, float64(at), start.Add(time.Duration(at)*time.Second))
		}
	}
	if ack := c.Write(); ack.Stored != 1500 {
		t.Fatal(ack)
	}
	last, n := map[string]float64{}, 0
	for _, s := range x.got() {
		if want := last[s.series]; s.v != want {
			t.Fatalf("%s: sample %v came where %v was due: in order, and none twice", s.series, s.v, want)
		}
		last[s.series]++
		n++
	}
	if n != 1500 {
		t.Errorf("%d samples", n)
	}
	for _, size := range x.sizes {
		if size > 100 {
			t.Errorf("a request of %d samples", size)
		}
	}
}

func TestWhatComesMeanwhileIsGathered(t *testing.T) {
	t.Parallel()
	x := newReceiver(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		time.Sleep(100 * time.Millisecond) // it is far away
		return speaks2(w, r, n)
	})
	c := openTest(t, x.URL, plugintest.Config{"protocol": "2.0", "max_samples": 100_000, "shards": 1})
	b := c.Batch()
	var refs []sdk.Ref
	for i := range 1000 {
		refs = append(refs, b.Define(named("a", "i", fmt.Sprint(i))))
	}
	const rounds = 200
	for at := range rounds {
		for _, ref := range refs {
			b.PutAt(ref, float64(at), start.Add(time.Duration(at)*time.Second))
		}
	}
	if ack := c.Write(); ack.Stored != rounds*1000 {
		t.Fatal(ack)
	}
	if n := len(x.sizes); n > 7 || slices.Max(x.sizes) < gathered {
		t.Errorf("%d requests of %v samples: each packet went alone", n, x.sizes)
	}
	last := map[string]float64{}
	for _, s := range x.got() {
		if s.v != last[s.series] {
			t.Fatalf("%s: %v came where %v was due", s.series, s.v, last[s.series])
		}
		last[s.series]++
	}
}

func TestForgottenSeriesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	x := newReceiver(t, speaks2)
	w := bareWriter(t, x.URL, "2.0")
	o := sdk.NewOrigin("source.x.y", func(ref sdk.Ref) (sdk.Series, bool) {
		return named(fmt.Sprint("m", ref%7), "ref", fmt.Sprint(ref)), ref < 1000
	})
	for from := range sdk.Ref(4) {
		run := sdk.Run{Origin: o, Base: start.UnixMilli()}
		for i := range sdk.Ref(251) {
			run.Refs, run.Values = append(run.Refs, from*250+i), append(run.Values, 1)
		}
		in := sdk.ReadBatch(uint64(from), []sdk.Run{run})
		if err := w.Write(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if d := in.Dropped(); from == 3 && d["unknown_series"] != 1 {
			t.Errorf("a series that nobody defined: %v", d)
		}
		w.Forget(o, run.Refs)
	}
	w.Forget(o, nil)
	if k := &w.catalogue; len(k.symbols.ids) != 0 || len(k.families) != 0 || len(k.symbols.texts) > 300 {
		t.Errorf("%d symbols, %d families, %d numbers are left", len(k.symbols.ids), len(k.families), len(k.symbols.texts))
	}
	if got := x.got(); got[500].series != `{__name__="m2", instance="a:1", job="x", ref="499"}` {
		t.Errorf("a number that was used again says %v", got[500])
	}
}

func TestCredentialsAndHeadersGoAlong(t *testing.T) {
	t.Parallel()
	x := newReceiver(t, speaks2)
	c := openTest(t, x.URL, plugintest.Config{"headers": map[string]string{"X-Scope-OrgID": "team"}, "bearer_token": "canary"})
	b := c.Batch()
	b.PutAt(b.Define(named("a")), 1, start)
	c.Write()
	if h := x.requests[0].Header; h.Get("X-Scope-OrgID") != "team" || h.Get("Authorization") != "Bearer canary" {
		t.Error(h)
	}
}

func TestTheSinkRefusesAddressesThatCannotBe(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"ftp://a/b": "no http", "http://u:canary@a/b": "basic_auth", "http://a/api/v1/write": ""} {
		diags := plugintest.Validate(t, sink(), plugintest.Config{"url": address})
		if want == "" && len(diags) > 0 || want != "" && (len(diags) != 1 || !strings.Contains(diags[0].Text, want) || strings.Contains(diags[0].Text, "canary")) {
			t.Errorf("%s: %v", address, diags)
		}
	}
}

// bareWriter is a sink without its process, for what needs more than one run.
func bareWriter(t testing.TB, url, protocol string) *writer {
	w, err := newWriter(url, &Sending{Protocol: protocol, RequestTimeout: 10 * time.Second, MaxSamples: 10000, Shards: 4}, deafHost{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// deafHost takes errors.
type deafHost struct{ sdk.Host }

func (deafHost) Fail(error) {}

// Whatever is wrong with a receiver once, a sample arrives all the same, or is counted as refused.
func TestAFaultyReceiverLosesNothing(t *testing.T) {
	t.Parallel()
	for name := range plugintest.Faults(nil) {
		protocol := "2.0"
		if name == "page of a portal" {
			protocol = "1.0" // to which any 2xx is a success
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				x := &catcher{t: t, answer: speaks2, families: map[string]string{}}
				requests := 0
				for other, faulty := range plugintest.Faults(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) {
					if other != name {
						continue
					}
					x.Server = plugintest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if requests++; requests == 1 {
							faulty.ServeHTTP(w, r)
						} else {
							x.ServeHTTP(w, r)
						}
					}))
				}
				c := openTest(t, x.URL, plugintest.Config{"metadata_interval": time.Duration(0), "protocol": protocol})
				b := c.Batch()
				b.PutAt(b.Define(named("a")), 1, start)
				ack := c.Write()
				if ack.Stored+ack.Dropped["not_found"] != 1 || ack.Stored == 1 && len(x.got()) == 0 {
					t.Errorf("%v, and %d came after %d requests", ack, len(x.got()), requests)
				}
			})
		})
	}
}
