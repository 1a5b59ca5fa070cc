package main

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	binary = "application/x-protobuf"
	text   = "application/json"
)

// ServeHTTP answers OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp.
func (r *reader) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	format, _, _ := mime.ParseMediaType(request.Header.Get("Content-Type"))
	a := &answer{w: w, format: format}
	if format != text {
		a.format = binary
	}
	switch {
	case request.URL.Path != "/v1/metrics":
		a.refuse(http.StatusNotFound, codes.Unimplemented, "only metrics are received here, at /v1/metrics")
		return
	case request.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		a.refuse(http.StatusMethodNotAllowed, codes.Unimplemented, "metrics come by POST")
		return
	}
	switch admitted, err := r.cfg.Admits(receiver.Authorization(request.Header.Get("Authorization"))); {
	case err != nil:
		r.host.Fail(err)
		a.unavailable("the password file cannot be read")
		return
	case !admitted:
		w.Header().Set("WWW-Authenticate", r.cfg.Challenge("otlp"))
		a.refuse(http.StatusUnauthorized, codes.Unauthenticated, "the Authorization header is not the one that is asked for")
		return
	case format != binary && format != text:
		a.refuse(http.StatusUnsupportedMediaType, codes.InvalidArgument, "Content-Type is to be "+binary+" or "+text)
		return
	}
	leave, ok := r.enter()
	if !ok {
		a.later("too many requests at the same time")
		return
	}
	body, err := r.body(request, format)
	if err != nil {
		leave()
		status := http.StatusBadRequest
		if refused := new(receiver.Refusal); errors.As(err, &refused) {
			status = refused.Status
		}
		a.refuse(status, codes.InvalidArgument, err.Error())
		return
	}
	rejected, err := r.take(body, leave)
	switch {
	case err == nil:
		a.accept(rejected)
	case errors.Is(err, errMalformed):
		a.refuse(http.StatusBadRequest, codes.InvalidArgument, err.Error())
	case errors.Is(err, sdk.ErrFull):
		a.later(err.Error())
	default:
		a.unavailable(err.Error())
	}
}

// body reads a request as protobuf.
func (r *reader) body(request *http.Request, format string) ([]byte, error) {
	limit := int64(r.cfg.MaxRequestSize)
	if format == text {
		limit /= 4 // it needs several times its size in memory
	}
	body, err := receiver.Body(request, limit)
	if err == nil && format == text {
		return fromJSON(body)
	}
	return body, err
}

// fromJSON makes protobuf of OTLP's JSON, which is protobuf's own but for the ids of exemplars. MetricsData has the fields of
// an ExportMetricsServiceRequest.
func fromJSON(body []byte) ([]byte, error) {
	var all metrics.MetricsData
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("the request is no OTLP metrics request in JSON: %w", err)
	}
	return proto.Marshal(&all)
}

// answer writes what the sender is told in the format that it speaks.
type answer struct {
	w      http.ResponseWriter
	format string
}

func (a *answer) accept(rejected map[string]int) {
	a.w.Header().Set("Content-Type", a.format)
	if a.format == binary {
		a.w.Write(partialSuccess(rejected))
		return
	}
	if len(rejected) == 0 {
		io.WriteString(a.w, "{}")
		return
	}
	fmt.Fprintf(a.w, `{"partialSuccess":{"rejectedDataPoints":"%d","errorMessage":%q}}`, total(rejected), reasons(rejected))
}

func (a *answer) refuse(code int, as codes.Code, why string) {
	s := &status.Status{Code: int32(as), Message: why}
	body, err := proto.Marshal(s)
	if a.format == text {
		body, err = protojson.Marshal(s)
	}
	if err != nil { // a message that is no UTF-8
		body = nil
	}
	a.w.Header().Set("Content-Type", a.format)
	a.w.WriteHeader(code)
	a.w.Write(body)
}

func (a *answer) later(why string) {
	a.w.Header().Set("Retry-After", strconv.Itoa(int(retryPause.Seconds())))
	a.refuse(http.StatusTooManyRequests, codes.ResourceExhausted, why)
}

func (a *answer) unavailable(why string) {
	a.w.Header().Set("Retry-After", strconv.Itoa(int(retryPause.Seconds())))
	a.refuse(http.StatusServiceUnavailable, codes.Unavailable, why)
}

// partialSuccess is an ExportMetricsServiceResponse.
func partialSuccess(rejected map[string]int) []byte {
	if len(rejected) == 0 {
		return nil
	}
	inner := protowire.AppendVarint([]byte{1<<3 | byte(asVarint)}, uint64(total(rejected)))
	inner = protowire.AppendString(append(inner, 2<<3|byte(asBytes)), reasons(rejected))
	return protowire.AppendBytes([]byte{1<<3 | byte(asBytes)}, inner)
}
