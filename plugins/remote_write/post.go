package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang/snappy"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 4 << 10

// What a receiver of protocol 2.0 answers with, and no other.
const (
	writtenHeader           = "X-Prometheus-Remote-Write-Samples-Written"
	writtenHistogramsHeader = "X-Prometheus-Remote-Write-Histograms-Written"
	writtenExemplarsHeader  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

// The headers of a request, by the version of the protocol.
var requestHeaders = [...][2]string{
	1: {"application/x-protobuf", "0.1.0"},
	2: {"application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"},
}

// answer is what the receiver made of a request.
type answer struct {
	reason   string // why not all of it was taken; "": it was
	written  int    // samples that were taken nevertheless
	whole    bool   // one bad sample can have been the reason to refuse all others
	tooLarge bool
}

// packed is a compressed message. The client may read it for longer than the request lasts: it is used again only when
// every reader is closed.
type packed struct {
	bytes   []byte
	readers atomic.Int32
}

type packedReader struct {
	bytes.Reader
	of     *packed
	closed bool
}

func (p *packed) reader() io.ReadCloser {
	p.readers.Add(1)
	r := &packedReader{of: p}
	r.Reset(p.bytes)
	return r
}

func (r *packedReader) Close() error {
	if !r.closed {
		r.closed = true
		r.of.readers.Add(-1)
	}
	return nil
}

// post sends a shard's message of n samples. An error means that trying again can help.
func (j *job) post(ctx context.Context, s *shard, n int) (answer, error) {
	w := j.writer
	message := s.finish()
	if s.packed == nil || s.packed.readers.Load() > 0 {
		s.packed = &packed{}
	}
	s.packed.bytes = snappy.Encode(s.packed.bytes[:cap(s.packed.bytes)], message)
	w.sentBytes.Add(int64(len(s.packed.bytes)))
	response, err := w.request(ctx, j.protocol, j.attempt, s.packed)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return w.judge(response, body, j.protocol, n)
}

func (w *writer) request(ctx context.Context, protocol, attempt int, p *packed) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, nil)
	if err != nil {
		return nil, err
	}
	r.Body, r.ContentLength = p.reader(), int64(len(p.bytes))
	r.GetBody = func() (io.ReadCloser, error) { return p.reader(), nil }
	r.Header = http.Header{
		"Content-Encoding":                  {"snappy"},
		"Content-Type":                      {requestHeaders[protocol][0]},
		"User-Agent":                        {"Magpie/" + version},
		"X-Prometheus-Remote-Write-Version": {requestHeaders[protocol][1]},
	}
	if attempt > 0 {
		r.Header.Set("Retry-Attempt", strconv.Itoa(attempt))
	}
	response, err := w.client.Do(r)
	if err == nil {
		return response, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		if outer.Timeout() {
			return nil, sdk.Target(fmt.Errorf("POST %s: no answer in time (request_timeout is %s)", w.url, w.cfg.RequestTimeout))
		}
		err = outer.Err
	}
	return nil, sdk.Target(fmt.Errorf("POST %s: %w", w.url, err))
}

// judge reads an answer as the specifications have it: what is 2xx was written; 5xx and 429 are tried again; anything else
// is final, and what was not written is dropped.
func (w *writer) judge(r *http.Response, body []byte, protocol, n int) (answer, error) {
	written, confirmed := writtenOf(r.Header, n)
	if confirmed && protocol == 2 {
		w.spoken.Store(2)
	}
	unknown := protocol == 2 && !confirmed && w.cfg.Protocol == "auto"
	err := sdk.Target(fmt.Errorf("POST %s answers %d %s%s", w.url, r.StatusCode, http.StatusText(r.StatusCode), sdk.Excerpt(string(body))))
	switch code := r.StatusCode; {
	case code/100 == 2 && strings.HasPrefix(http.DetectContentType(body), "text/html"): // of a portal, or a single-page application
		return answer{}, sdk.Fix(err, "A page of HTML is no receiver's answer: is url right, and what stands before the receiver?")
	case unknown && (code/100 == 2 || code == http.StatusUnsupportedMediaType || code == http.StatusBadRequest && w.spoken.Load() == 0):
		w.spoken.Store(1)
		return answer{}, errOtherProtocol
	case code/100 == 2 && protocol == 2 && !confirmed:
		err := errors.New("the receiver took the request without saying how many samples it has written: it does not speak protocol 2.0")
		return answer{}, sdk.Target(sdk.Fix(err, `set protocol = "1.0", or "auto"`))
	case code/100 == 2 && (protocol == 1 || written == n):
		return answer{}, nil
	case code/100 == 2:
		w.host.Fail(sdk.Target(fmt.Errorf("POST %s answers %d, and says that %d of %d samples were written", w.url, code, written, n)))
		return answer{reason: "rejected", written: written}, nil
	case code/100 == 5 || code == http.StatusTooManyRequests:
		return answer{}, sdk.RetryAfter(err, sdk.AskedPause(r.Header.Get("Retry-After"), time.Now()))
	case code/100 == 3:
		err = sdk.Fix(err, "Write the address that the redirect leads to into url.")
	}
	a := answer{reason: cmp.Or(reasons[r.StatusCode], "refused"), tooLarge: r.StatusCode == http.StatusRequestEntityTooLarge}
	if confirmed {
		a.written = written
	}
	a.whole = r.StatusCode == http.StatusBadRequest && protocol == 1 && !confirmed
	w.refused(err)
	return a, nil
}

// reasons are what samples are counted under that a receiver refuses for good.
var reasons = map[int]string{
	http.StatusBadRequest: "rejected", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "unauthorized", http.StatusNotFound: "not_found",
	http.StatusRequestEntityTooLarge: "too_large",
}

// writtenOf reads how many of n samples and histograms were written; false if the receiver does not say.
func writtenOf(h http.Header, n int) (written int, said bool) {
	for _, name := range [...]string{writtenHeader, writtenHistogramsHeader} { // one of them can be left out: 0
		if k, err := strconv.Atoi(h.Get(name)); err == nil {
			written, said = written+max(k, 0), true
		}
	}
	return min(written, n), said
}
