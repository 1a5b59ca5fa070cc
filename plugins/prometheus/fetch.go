package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/klauspost/compress/gzip"

	"github.com/magpie-monitoring/magpie/sdk"
)

// accept is what Prometheus 3 asks for: OpenMetrics first, then text, with names in UTF-8.
const accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
	"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

// acceptProtobuf is what Prometheus asks for with scrape_native_histograms.
const acceptProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6," +
	"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4," +
	"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"

// answer is a page as it came.
type answer struct {
	body   *[]byte // from bodies
	zipped bool
	format format
	kind   string // its Content-Type
}

// bodies are buffers of answers. They are read before a workspace is free, so there are as many as there are answers on
// their way; compressed, as pages mostly are, they are small.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// free gives the buffer back.
func (a *answer) free() {
	if a.body != nil && cap(*a.body) <= mostKept {
		bodies.Put(a.body)
	}
	a.body = nil
}

// text is the page, decompressed into the workspace if need be.
func (a *answer) text(w *workspace, limit int) (page []byte, err error) {
	if !a.zipped {
		return *a.body, nil
	}
	w.body, err = w.unzip.read(*a.body, w.body, limit)
	return w.body, err
}

// request makes the request of a target, used again for each scrape.
func (s *source) request(e *endpoint) *http.Request {
	encoding := "gzip"
	if !s.compresses(e.url) {
		encoding = "identity"
	}
	kinds := accept
	if s.cfg.ScrapeNativeHistograms {
		kinds = acceptProtobuf
	}
	return &http.Request{
		Method: http.MethodGet, URL: e.url, Host: e.url.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Accept":                              {kinds},
			"Accept-Encoding":                     {encoding},
			"User-Agent":                          {"Magpie/" + version},
			"X-Prometheus-Scrape-Timeout-Seconds": {strconv.FormatFloat(e.timeout.Seconds(), 'f', -1, 64)},
		},
	}
}

// compresses says whether to ask for gzip.
func (s *source) compresses(u *url.URL) bool {
	if s.cfg.EnableCompression != nil {
		return *s.cfg.EnableCompression
	}
	host := u.Hostname()
	own := host == "localhost" || net.ParseIP(host).IsLoopback()
	return !own || s.cfg.ProxyURL != ""
}

// fetch requests a page.
func (s *source) fetch(ctx context.Context, t *target) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	response, err := s.client.Do(t.request.WithContext(ctx))
	if err != nil {
		return a, t.explain(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
		return a, fmt.Errorf("the server answered HTTP status %s", response.Status)
	}
	switch encoding := response.Header.Get("Content-Encoding"); encoding {
	case "gzip":
		a.zipped = true
	case "", "identity":
	default:
		return a, fmt.Errorf("the page is encoded as %q, which nobody asked for", encoding)
	}
	a.kind = response.Header.Get("Content-Type")
	a.format = formatOf(a.kind)
	a.body = bodies.Get().(*[]byte)
	size := max(int(min(response.ContentLength, int64(s.cfg.BodySizeLimit)))+1, t.size, 4<<10)
	*a.body, err = readAtMost(response.Body, (*a.body)[:0], size+size/16, int(s.cfg.BodySizeLimit))
	if err != nil {
		a.free()
		return a, t.explain(err)
	}
	t.size = len(*a.body)
	return a, nil
}

// explain says what went wrong without the URL, which stands beside it anyway.
func (t *target) explain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no complete answer within %s", t.timeout)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// formatOf reads a Content-Type. What is neither OpenMetrics nor protobuf is taken for text, as Prometheus 2 does: many a page comes as
// text/html or as nothing.
func formatOf(contentType string) format {
	switch contentType {
	case "text/plain; version=0.0.4; charset=utf-8", "": // by far the most
		return plainText
	}
	switch kind, _, err := mime.ParseMediaType(contentType); {
	case err == nil && kind == "application/openmetrics-text":
		return openMetrics
	case err == nil && kind == "application/vnd.google.protobuf": // delimited: there is no other way that is in use
		return fromProtobuf
	}
	return plainText
}

var errBodySize = errors.New("body_size_limit exceeded")

// readAtMost appends to buf what r has; as much as limit or more is an error, as in Prometheus. hint is how much to expect.
func readAtMost(r io.Reader, buf []byte, hint, limit int) ([]byte, error) {
	if cap(buf) < min(hint, limit) {
		buf = make([]byte, 0, min(hint, limit))
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), limit)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) >= limit:
			return buf, fmt.Errorf("%w: the page has %s or more", errBodySize, sdk.Bytes(limit))
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}

// unzip is a gzip reader that is used again.
type unzip struct {
	in  bytes.Reader
	out *gzip.Reader
}

// maxRatio is how much smaller than its content deflate can be.
const maxRatio = 1032

// read decompresses into buf, up to limit.
func (u *unzip) read(zipped, buf []byte, limit int) ([]byte, error) {
	u.in.Reset(zipped)
	var err error
	if u.out == nil {
		u.out, err = gzip.NewReader(&u.in)
	} else {
		err = u.out.Reset(&u.in)
	}
	if err != nil {
		return buf, fmt.Errorf("the page is not gzip as it says: %w", err)
	}
	hint := 0
	if len(zipped) > 4 { // the last four bytes say how long the content is
		hint = min(int(binary.LittleEndian.Uint32(zipped[len(zipped)-4:]))+1, len(zipped)*maxRatio)
	}
	if buf, err = readAtMost(u.out, buf[:0], hint, limit); err != nil && !errors.Is(err, errBodySize) {
		err = fmt.Errorf("the page is broken gzip: %w", err)
	}
	return buf, err
}
