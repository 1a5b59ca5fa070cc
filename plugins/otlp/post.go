package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
	"github.com/magpie-monitoring/magpie/sdk"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 64 << 10

// overHTTP sends protobuf over HTTP.
type overHTTP struct {
	cfg    *SinkConfig
	url    string
	client *http.Client
}

func newHTTPSender(cfg *SinkConfig) (sender, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, sdk.At(&cfg.Endpoint, err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/metrics"
	}
	client, err := cfg.Client(cfg.RequestTimeout, 4)
	if err != nil {
		return nil, err
	}
	return &overHTTP{cfg: cfg, url: u.String(), client: client}, nil
}

func (o *overHTTP) send(ctx context.Context, request []byte) (partial partialAnswer, err error) {
	body := request
	if o.cfg.Compression == "gzip" {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		w.Write(request) // to memory
		w.Close()
		body = zipped.Bytes()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return partial, &failure{err: errors.New("endpoint is no address"), reason: "rejected"}
	}
	r.Header.Set("Content-Type", binary)
	r.Header.Set("User-Agent", "Magpie/"+version)
	if o.cfg.Compression == "gzip" {
		r.Header.Set("Content-Encoding", "gzip")
	}
	response, err := o.client.Do(r)
	if err != nil {
		return partial, &failure{err: err, again: true}
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode/100 == 2 && strings.HasPrefix(http.DetectContentType(answer), "text/html") { // of a portal, or a single-page application
		return partial, &failure{err: fmt.Errorf("a page of HTML is no receiver's answer: is endpoint right, and what stands before the receiver?%s", sdk.Excerpt(string(answer))), again: true}
	}
	if response.StatusCode/100 == 2 {
		return readPartial(answer), nil
	}
	return partial, judge(response, answer)
}

// judge says what an answer over HTTP means: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes.
func judge(r *http.Response, answer []byte) *failure {
	text := string(answer)
	var s rpc.Status
	if strings.HasPrefix(r.Header.Get("Content-Type"), binary) && proto.Unmarshal(answer, &s) == nil {
		text = s.Message
	}
	f := &failure{err: fmt.Errorf("the receiver answers %d %s%s", r.StatusCode, http.StatusText(r.StatusCode), sdk.Excerpt(text)), reason: "rejected"}
	switch r.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.again, f.after = true, sdk.AskedPause(r.Header.Get("Retry-After"), time.Now())
	case http.StatusRequestEntityTooLarge:
		f.tooLarge, f.reason = true, "too_large"
	case http.StatusUnauthorized, http.StatusForbidden:
		f.reason = "unauthorized"
	case http.StatusNotFound:
		f.reason = "not_found"
	}
	return f
}

// readPartial reads an ExportMetricsServiceResponse; what cannot be read is a success, as the status says.
func readPartial(answer []byte) (p partialAnswer) {
	m := protobuf.Read(answer)
	for m.Next() {
		if m.Tag != uint64(field1) {
			continue
		}
		inner := protobuf.Read(m.Bytes)
		for inner.Next() {
			switch inner.Tag {
			case 1<<3 | asVarint:
				p.rejected = int(min(max(int64(inner.Bits), 0), 1<<31-1))
			case uint64(field2):
				p.why = string(inner.Bytes)
			}
		}
	}
	return p
}

func (o *overHTTP) Close() error {
	o.client.CloseIdleConnections()
	return nil
}

// overGRPC sends over gRPC.
type overGRPC struct {
	cfg  *SinkConfig
	conn *grpc.ClientConn
}

func newGRPCSender(cfg *SinkConfig) (sender, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, sdk.At(&cfg.Endpoint, err)
	}
	how := insecure.NewCredentials()
	if u.Scheme == "https" {
		block := cfg.TLS
		if block == nil {
			block = &sdk.TLS{}
		}
		c, err := block.Config()
		if err != nil {
			return nil, err
		}
		how = credentials.NewTLS(c)
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(how), grpc.WithUserAgent("Magpie/" + version), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{}), grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
	}
	if cfg.Compression == "gzip" {
		options = append(options, grpc.WithDefaultCallOptions(grpc.UseCompressor("gzip")))
	}
	host := u.Host
	if u.Port() == "" {
		host += ":4317"
	}
	conn, err := grpc.NewClient("dns:///"+host, options...)
	if err != nil {
		return nil, sdk.At(&cfg.Endpoint, err)
	}
	return &overGRPC{cfg, conn}, nil
}

func (o *overGRPC) send(ctx context.Context, request []byte) (partial partialAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.cfg.RequestTimeout)
	defer cancel()
	for name, value := range o.cfg.Headers {
		ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value)
	}
	login, err := authorization(&o.cfg.HTTPClient)
	if err != nil {
		return partial, &failure{err: err, again: true}
	}
	if login != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", login)
	}
	var answer []byte
	if err := o.conn.Invoke(ctx, exportName, &request, &answer); err != nil {
		return partial, judgeStatus(status.Convert(err))
	}
	return readPartial(answer), nil
}

// judgeStatus says what a status means: https://opentelemetry.io/docs/specs/otlp/#failures.
func judgeStatus(s *status.Status) *failure {
	f := &failure{err: fmt.Errorf("the receiver answers %s%s", s.Code(), sdk.Excerpt(s.Message())), reason: "rejected"}
	var pause *errdetails.RetryInfo
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			pause = info
			f.after = min(max(info.RetryDelay.AsDuration(), 0), sdk.MaxPause)
		}
	}
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		f.again = true
	case codes.ResourceExhausted: // without RetryInfo it is for good, such as a message that is too large
		f.again, f.tooLarge = pause != nil, pause == nil
	case codes.Unauthenticated, codes.PermissionDenied:
		f.reason = "unauthorized"
	case codes.Unimplemented:
		f.reason = "not_found"
	}
	return f
}

// authorization is the header that the credentials make; files are read every time.
func authorization(c *sdk.HTTPClient) (string, error) {
	read := func(path string) (string, error) {
		b, err := os.ReadFile(path)
		return strings.TrimSpace(string(b)), err
	}
	switch {
	case c.BasicAuth != nil:
		password := c.BasicAuth.Password.Reveal()
		if c.BasicAuth.PasswordFile != "" {
			var err error
			if password, err = read(c.BasicAuth.PasswordFile); err != nil {
				return "", err
			}
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.BasicAuth.Username+":"+password)), nil
	case c.BearerTokenFile != "":
		token, err := read(c.BearerTokenFile)
		return "Bearer " + token, err
	case c.BearerToken.IsSet():
		return "Bearer " + c.BearerToken.Reveal(), nil
	}
	return "", nil
}

func (o *overGRPC) Close() error { return o.conn.Close() }
