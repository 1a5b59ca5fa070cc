package main

import (
	"compress/gzip"
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

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	binary = "application/x-protobuf"
	text   = "application/json"
)

// ServeHTTP answers OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp.
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
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
	case !r.guard.admits(request.Header.Get("Authorization")):
		w.Header().Set("WWW-Authenticate", r.guard.asks)
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
	body, code, err := r.body(request, format)
	if err != nil {
		leave()
		a.refuse(code, codes.InvalidArgument, err.Error())
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
		w.Header().Set("Retry-After", strconv.Itoa(int(retryPause.Seconds())))
		a.refuse(http.StatusServiceUnavailable, codes.Unavailable, err.Error())
	}
}

// body reads a request, decompressed, as protobuf.
func (r *receiver) body(request *http.Request, format string) (body []byte, code int, err error) {
	limit := int64(r.cfg.MaxRequestSize)
	if format == text {
		limit /= 4 // it needs several times its size in memory
	}
	var from io.Reader = io.LimitReader(request.Body, limit+1)
	switch encoding := request.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unzipped, err := gzip.NewReader(from)
		if err != nil {
			return nil, http.StatusBadRequest, fmt.Errorf("the request is no gzip: %w", err)
		}
		from = io.LimitReader(unzipped, limit+1)
	default:
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("Content-Encoding %q is not known here: use gzip or none", encoding)
	}
	if body, err = io.ReadAll(from); err != nil {
		return nil, http.StatusBadRequest, fmt.Errorf("the request did not arrive whole: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the request is larger than %s", sdk.Bytes(limit))
	}
	if format == text {
		if body, err = fromJSON(body); err != nil {
			return nil, http.StatusBadRequest, err
		}
	}
	return body, 0, nil
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

// partialSuccess is an ExportMetricsServiceResponse.
func partialSuccess(rejected map[string]int) []byte {
	if len(rejected) == 0 {
		return nil
	}
	inner := protowire.AppendVarint([]byte{1<<3 | byte(asVarint)}, uint64(total(rejected)))
	inner = protowire.AppendString(append(inner, 2<<3|byte(asBytes)), reasons(rejected))
	return protowire.AppendBytes([]byte{1<<3 | byte(asBytes)}, inner)
}
