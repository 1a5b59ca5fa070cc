package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	attr "go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	api "go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	from "go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// exporters are OpenTelemetry's own, in every protocol and compression that they have.
func exporters(t *testing.T, overGRPC, overHTTP string) map[string]sdkmetric.Exporter {
	t.Helper()
	all := map[string]sdkmetric.Exporter{}
	keep := func(name string, e sdkmetric.Exporter, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all[name] = e
	}
	g, err := otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithEndpoint(overGRPC), otlpmetricgrpc.WithInsecure())
	keep("gRPC", g, err)
	g, err = otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithEndpoint(overGRPC), otlpmetricgrpc.WithInsecure(), otlpmetricgrpc.WithCompressor("gzip"))
	keep("gRPC with gzip", g, err)
	h, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpoint(overHTTP), otlpmetrichttp.WithInsecure())
	keep("HTTP", h, err)
	h, err = otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpoint(overHTTP), otlpmetrichttp.WithInsecure(), otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	keep("HTTP with gzip", h, err)
	return all
}

func TestOpenTelemetrysOwnSDKSends(t *testing.T) {
	t.Parallel()
	c, overGRPC, overHTTP := listening(t, nil)
	for name, exporter := range exporters(t, overGRPC, overHTTP) {
		reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(from.NewSchemaless(
			attr.String("service.name", "shop"), attr.String("service.instance.id", name), attr.String("os.type", "linux"))))
		meter := provider.Meter("test")
		requests, err := meter.Int64Counter("http.requests", api.WithDescription("Requests."))
		if err != nil {
			t.Fatal(err)
		}
		latency, err := meter.Float64Histogram("latency", api.WithUnit("s"), api.WithExplicitBucketBoundaries(0.1, 1))
		if err != nil {
			t.Fatal(err)
		}
		level, err := meter.Float64Gauge("level")
		if err != nil {
			t.Fatal(err)
		}
		requests.Add(t.Context(), 3, api.WithAttributes(attr.String("http.method", "GET")))
		latency.Record(t.Context(), 0.5)
		level.Record(t.Context(), -1.5)
		if err := provider.ForceFlush(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := c.Next()
		for _, want := range []string{
			`http_requests_total{http_method="GET", instance="%s", job="shop"} 3`,
			`latency_seconds_bucket{instance="%s", job="shop", le="0.1"} 0`,
			`latency_seconds_bucket{instance="%s", job="shop", le="1"} 1`,
			`latency_seconds_bucket{instance="%s", job="shop", le="+Inf"} 1`,
			`latency_seconds_count{instance="%s", job="shop"} 1`,
			`latency_seconds_sum{instance="%s", job="shop"} 0.5`,
			`level{instance="%s", job="shop"} -1.5`,
			`target_info{instance="%s", job="shop", os_type="linux"} 1`,
		} {
			if want = fmt.Sprintf(want, name); !strings.Contains("\n"+got.String()+"\n", "\n"+want+"\n") {
				t.Errorf("%s: no %s in\n%s", name, want, got)
			}
		}
		if err := provider.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.Next() // its last words
	}
}

func TestAnSDKWithDeltasIsAddedUp(t *testing.T) {
	t.Parallel()
	c, overGRPC, _ := listening(t, nil)
	exporter, err := otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithEndpoint(overGRPC), otlpmetricgrpc.WithInsecure(),
		otlpmetricgrpc.WithTemporalitySelector(func(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))))
	requests, err := provider.Meter("test").Int64Counter("requests")
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 3; i++ {
		requests.Add(t.Context(), 2)
		if err := provider.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.Next().Find("requests_total"); len(got) != 1 || got[0].Value != float64(2*i) {
			t.Errorf("%d: %s", i, got)
		}
	}
}

func TestJSONIsTheSame(t *testing.T) {
	t.Parallel()
	c, _, address := listening(t, nil)
	now := time.Now()
	body, err := protojson.Marshal(request(gaugeOf("level", "m", dot(now, 2, "a", "b"))))
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write(body)
	w.Close()
	for _, send := range []func() (*http.Response, string){
		func() (*http.Response, string) { return post(t, address, text2JSON, body) },
		func() (*http.Response, string) {
			return post(t, address, text, zipped.Bytes(), "Content-Encoding", "gzip")
		},
	} {
		if response, answer := send(); response.StatusCode != 200 || answer != "{}" {
			t.Fatalf("%s %s", response.Status, answer)
		}
		if got := c.Next().Find("level_meters", "a", "b"); len(got) != 1 || got[0].Value != 2 || !got[0].Time.Equal(now.Truncate(time.Millisecond)) {
			t.Errorf("%s", got)
		}
	}
	// as the specification's example has it: enums as numbers, 64-bit numbers as text or not, ids in hex, unknown fields
	const example = `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"unknown":1,
		"scopeMetrics":[{"metrics":[{"name":"n","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[
		{"asInt":"5","timeUnixNano":"%d","exemplars":[{"asDouble":1,"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}}]}]}]}`
	if response, answer := post(t, address, text, fmt.Appendf(nil, example, now.UnixNano())); response.StatusCode != 200 || answer != "{}" {
		t.Fatalf("%s %s", response.Status, answer)
	}
	if got := c.Next().Find("n_total", "job", "s"); len(got) != 1 || got[0].Value != 5 {
		t.Errorf("%s", got)
	}
}

func TestEveryWrongRequestIsToldWhy(t *testing.T) {
	t.Parallel()
	_, _, address := listening(t, plugintest.Config{"bearer_token": "s3cret-word", "max_request_size": 64 << 10})
	big := bytes.Repeat([]byte{0x0a, 0x00}, 40<<10)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	w.Write(make([]byte, 1<<20))
	w.Close()
	for _, c := range []struct {
		method, path, kind string
		body               []byte
		headers            map[string]string
		code               int
		want               string
	}{
		{"POST", "/v1/traces", binary, nil, nil, 404, "only metrics"},
		{"GET", "/v1/metrics", "", nil, nil, 405, "by POST"},
		{"POST", "/v1/metrics", binary, nil, map[string]string{"Authorization": "Bearer wrong"}, 401, "Authorization"},
		{"POST", "/v1/metrics", binary, nil, map[string]string{"Authorization": ""}, 401, "Authorization"},
		{"POST", "/v1/metrics", "text/plain", nil, nil, 415, "Content-Type"},
		{"POST", "/v1/metrics", binary, nil, map[string]string{"Content-Encoding": "br"}, 415, "use gzip"},
		{"POST", "/v1/metrics", binary, []byte("x"), map[string]string{"Content-Encoding": "gzip"}, 400, "no gzip"},
		{"POST", "/v1/metrics", binary, []byte("hello"), nil, 400, "no OTLP metrics request"},
		{"POST", "/v1/metrics", text, []byte("hello"), nil, 400, "no OTLP metrics request in JSON"},
		{"POST", "/v1/metrics", binary, big, nil, 413, "larger than 64KiB"},
		{"POST", "/v1/metrics", binary, bomb.Bytes(), map[string]string{"Content-Encoding": "gzip"}, 413, "larger than 64KiB"},
		{"POST", "/v1/metrics", text, big, nil, 413, "larger than 16KiB"},
		{"POST", "/v1/metrics", binary, nil, map[string]string{"Authorization": "bearer s3cret-word"}, 200, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+address+c.path, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", c.kind)
		r.Header.Set("Authorization", "Bearer s3cret-word")
		for k, v := range c.headers {
			r.Header.Set(k, v)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != c.code || !strings.Contains(string(answer), c.want) || strings.Contains(string(answer), "s3cret") {
			t.Errorf("%s %s %s: %s %q", c.method, c.path, c.kind, response.Status, answer)
		}
	}
}

func TestWithoutRoomOrDurabilitySendersAreToldToComeAgain(t *testing.T) {
	t.Parallel()
	r, err := openSource(t.Context(), &SourceConfig{MaxRequests: 1, MaxRequestSize: 1 << 20, GRPCListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Translation: "underscores"}, here{})
	if err != nil {
		t.Fatal(err)
	}
	overGRPC, overHTTP := r.grpc.Addr().String(), r.http.Addr().String()
	out := &seen{scope: sdk.NewScope(sdk.SourceSettings{}, "", true), defined: map[sdk.Ref]sdk.Series{}, full: true}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r.in.start(out)
	go func() { ended <- r.Stream(ctx, out) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	conn, err := grpc.NewClient(overGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := encoded(t, request(gaugeOf("g", "", dot(time.Now(), 1))))
	check := func(why string) {
		t.Helper()
		if response, answer := post(t, overHTTP, binary, body); response.StatusCode != 429 || response.Header.Get("Retry-After") != "1" || !strings.Contains(answer, why) {
			t.Errorf("HTTP: %s %q", response.Status, answer)
		}
		var answer []byte
		err := conn.Invoke(t.Context(), exportName, &body, &answer)
		s := status.Convert(err)
		if s.Code() != codes.ResourceExhausted || len(s.Details()) != 1 || !strings.Contains(s.Message(), why) {
			t.Errorf("gRPC: %v %v", err, s.Details())
		}
	}
	check("the daemon has no room")
	leave, _ := r.enter()
	check("too many requests")
	leave()
	if out.take() != "" {
		t.Error("something was emitted")
	}
	// taken, and not known to be durable: the sender is to keep it
	out.full, out.notDurable = false, context.DeadlineExceeded
	if response, answer := post(t, overHTTP, binary, body); response.StatusCode != 503 || response.Header.Get("Retry-After") != "1" || !strings.Contains(answer, "did not confirm") {
		t.Errorf("HTTP: %s %q", response.Status, answer)
	}
	var answer []byte
	if s := status.Convert(conn.Invoke(t.Context(), exportName, &body, &answer)); s.Code() != codes.Unavailable || len(s.Details()) != 1 {
		t.Errorf("gRPC: %v", s)
	}
	out.notDurable = nil
	if err := conn.Invoke(t.Context(), exportName, &body, &answer); err != nil || len(answer) > 0 {
		t.Errorf("%v, %q", err, answer)
	}
}

// here is a host that only listens.
type here struct{ sdk.Host }

func (here) Source() sdk.SourceSettings { return sdk.SourceSettings{} }
func (here) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

func TestOnlyThoseWhoMayCanSend(t *testing.T) {
	t.Parallel()
	authority := certificates.New(t)
	server, client := authority.Issue(), authority.Issue()
	c, overGRPC, overHTTP := listening(t, plugintest.Config{
		"tls":        plugintest.Config{"cert_file": server.Cert, "key_file": server.Key, "client_ca_file": authority.File},
		"basic_auth": plugintest.Config{"username": "me", "password": "pass-word"},
	})
	mine := authority.Client(client)
	right := map[string]string{"Authorization": "Basic bWU6cGFzcy13b3Jk"}
	send := func(overTLS *tls.Config, headers map[string]string) (g, h error) {
		short := 5 * time.Second
		encryptG, encryptH := otlpmetricgrpc.WithInsecure(), otlpmetrichttp.WithInsecure()
		if overTLS != nil {
			encryptG, encryptH = otlpmetricgrpc.WithTLSCredentials(credentials.NewTLS(overTLS)), otlpmetrichttp.WithTLSClientConfig(overTLS)
		}
		overG, err := otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithEndpoint(overGRPC), encryptG, otlpmetricgrpc.WithHeaders(headers), otlpmetricgrpc.WithTimeout(short), otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}))
		if err != nil {
			t.Fatal(err)
		}
		overH, err := otlpmetrichttp.New(t.Context(), otlpmetrichttp.WithEndpoint(overHTTP), encryptH, otlpmetrichttp.WithHeaders(headers), otlpmetrichttp.WithTimeout(short), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}))
		if err != nil {
			t.Fatal(err)
		}
		data := &metricdata.ResourceMetrics{Resource: from.Empty(), ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: []metricdata.Metrics{{Name: "g", Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Value: 1, Time: time.Now()}}}}}}}}
		return overG.Export(t.Context(), data), overH.Export(t.Context(), data)
	}
	if g, h := send(mine, right); g != nil || h != nil {
		t.Errorf("%v, %v", g, h)
	}
	if got := c.Next(); len(got.Find("g")) == 0 {
		t.Errorf("%s", got)
	}
	tries := map[string]func() (error, error){
		"no header":      func() (error, error) { return send(mine, nil) },
		"wrong password": func() (error, error) { return send(mine, map[string]string{"Authorization": "Basic bWU6d3Jvbmc="}) },
		"not encrypted":  func() (error, error) { return send(nil, right) },
	}
	for name, shown := range authority.Strangers() {
		tries[name] = func() (error, error) { return send(shown, right) }
	}
	for name, try := range tries {
		if g, h := try(); g == nil || h == nil {
			t.Errorf("%s: gRPC %v, HTTP %v", name, g, h)
		}
	}
}

func TestAMistakeInTheSourceIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  plugintest.Config
		want string
	}{
		{plugintest.Config{}, ""},
		{plugintest.Config{"grpc_listen": "", "http_listen": ""}, "grpc_listen: grpc_listen and http_listen are both off: nothing can be received"},
		{plugintest.Config{"grpc_listen": "4317"}, `grpc_listen: "4317" is not host:port`},
		{plugintest.Config{"http_listen": ":4318"}, "warning: http_listen: anyone who reaches :4318 can write metrics: set bearer_token, basic_auth, or client_ca_file in tls"},
		{plugintest.Config{"http_listen": ":4318", "bearer_token": "x"}, ""},
		{plugintest.Config{"bearer_token": "x", "basic_auth": plugintest.Config{"username": "a", "password": "b"}}, "bearer_token: basic_auth and bearer_token exclude each other: both are the Authorization header"},
	} {
		if got := plugintest.Remarks(t, source, c.cfg); got != c.want {
			t.Errorf("%v: got %q, want %q", c.cfg, got, c.want)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = plugintest.TryOpen(t, source, plugintest.Config{"grpc_listen": "127.0.0.1:0", "http_listen": taken.Addr().String()})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "http_listen" {
		t.Errorf("%#v", p)
	}
	_, err = plugintest.TryOpen(t, source, plugintest.Config{"grpc_listen": "127.0.0.1:0", "http_listen": "", "tls": plugintest.Config{"cert_file": filepath.Join(t.TempDir(), "none"), "key_file": "none"}})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "tls.cert_file" {
		t.Errorf("%#v", p)
	}
}
