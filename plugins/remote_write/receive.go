package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/golang/snappy"

	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
	"github.com/magpie-monitoring/magpie/sdk"
)

// How long a sender is kept waiting before it is told to come again.
const (
	slotWait   = 5 * time.Second
	creditWait = 2 * time.Second
	flushWait  = 20 * time.Second // senders give up after 30 s
)

// buffers are the memory of a request, used again.
type buffers struct {
	packed, body []byte
	request      request
}

// maxKept bounds the memory that is kept for the next request.
const maxKept = 8 << 20

// ServeHTTP takes a request of protocol 1.0 or 2.0: it answers when its samples are durable.
func (r *reader) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	protocol, err := protocolOf(req)
	var c counts
	if err == nil {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(receiver.ReadTimeout))
		c, err = r.take(req.Context(), protocol, req.Body)
	}
	h := w.Header()
	if protocol != 0 && (err == nil || protocol == 2) {
		h.Set(writtenHeader, strconv.Itoa(c.samples))
		h.Set(writtenHistogramsHeader, strconv.Itoa(c.histograms))
		h.Set(writtenExemplarsHeader, strconv.Itoa(c.exemplars))
	}
	var refused *receiver.Refusal
	switch {
	case errors.As(err, &refused):
		if refused.Status == http.StatusMethodNotAllowed {
			h.Set("Allow", http.MethodPost)
		}
		http.Error(w, refused.Error(), refused.Status)
	case err != nil: // nothing is wrong with the request
		h.Set("Retry-After", strconv.Itoa(int(max(r.cfg.OutOfRoom.Seconds(), 1))))
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case c.refused > 0:
		r.refused.Add(uint64(c.refused))
		text := fmt.Sprintf("%d samples refused, %d written; the first: %s", c.refused, c.samples+c.histograms, c.wrong)
		r.host.Fail(sdk.Target(errors.New(text)))
		http.Error(w, text, http.StatusBadRequest)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
	if err == nil {
		r.received.Add(uint64(c.samples + c.histograms))
	}
}

// protocolOf reads the version of a request from its headers.
func protocolOf(req *http.Request) (int, error) {
	if req.Method != http.MethodPost {
		return 0, receiver.Refuse(http.StatusMethodNotAllowed, "only POST writes")
	}
	if encoding := req.Header.Get("Content-Encoding"); encoding != "" && encoding != "snappy" {
		return 0, receiver.Refuse(http.StatusUnsupportedMediaType, "Content-Encoding %.100q is not snappy", encoding)
	}
	said := req.Header.Get("Content-Type")
	if said == "" {
		return 1, nil
	}
	kind, parameters, err := mime.ParseMediaType(said)
	if err != nil || kind != "application/x-protobuf" {
		return 0, receiver.Refuse(http.StatusUnsupportedMediaType, "Content-Type %.100q is not application/x-protobuf", said)
	}
	switch parameters["proto"] {
	case "", "prometheus.WriteRequest":
		return 1, nil
	case "io.prometheus.write.v2.Request":
		return 2, nil
	}
	return 0, receiver.Refuse(http.StatusUnsupportedMediaType, "the message %.100q is neither prometheus.WriteRequest nor io.prometheus.write.v2.Request", parameters["proto"])
}

// take reads a request and returns when its samples are durable. An error that is no Refusal asks to come again.
func (r *reader) take(ctx context.Context, protocol int, body io.Reader) (counts, error) {
	select {
	case r.slots <- struct{}{}:
	case <-time.After(slotWait):
		return counts{}, errors.New("max_concurrent other requests are being read")
	case <-ctx.Done():
		return counts{}, ctx.Err()
	}
	c, out, err := r.readAndEmit(ctx, protocol, body)
	<-r.slots
	if err != nil {
		return counts{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	if err := out.Flush(ctx); err != nil {
		return counts{}, fmt.Errorf("the daemon has not made it durable in time: %w", err)
	}
	return c, nil
}

func (r *reader) readAndEmit(ctx context.Context, protocol int, body io.Reader) (counts, sdk.Emitter, error) {
	b := r.requests.Get().(*buffers)
	if err := b.read(protocol, body, int(r.cfg.MaxBody)); err != nil {
		r.keep(b)
		return counts{}, nil, err
	}
	defer r.keep(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out == nil {
		return counts{}, nil, errors.New("the source is starting")
	}
	if r.rest {
		if err := r.emit(ctx); err != nil {
			return counts{}, nil, err
		}
	}
	c := r.known.put(&b.request, time.Now())
	return c, r.out, r.emit(ctx)
}

// emit hands the batch to the daemon, which may have no room for a moment. What is not taken stays in the batch and goes
// with the next one: its sender, who is told to come again, sends it twice.
func (r *reader) emit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, creditWait)
	defer cancel()
	err := r.out.Emit(ctx, r.known.batch)
	r.rest = err != nil
	r.full.Store(r.rest)
	if err != nil {
		return sdk.ErrFull
	}
	return nil
}

// read decompresses and decodes a body. What it says of its size is checked before there is memory for it.
func (b *buffers) read(protocol int, body io.Reader, limit int) error {
	var err error
	if b.packed, err = receiver.ReadAll(b.packed[:0], body, int64(snappy.MaxEncodedLen(limit))); err != nil {
		return err
	}
	n, err := snappy.DecodedLen(b.packed)
	if err != nil {
		return receiver.Refuse(http.StatusBadRequest, "the body is not compressed with snappy's block format: %v", err)
	}
	if n > limit {
		return receiver.Refuse(http.StatusRequestEntityTooLarge, "the message has %d bytes, and max_body is %d", n, limit)
	}
	if b.body, err = snappy.Decode(b.body[:cap(b.body)], b.packed); err != nil {
		return receiver.Refuse(http.StatusBadRequest, "the body is not compressed with snappy's block format: %v", err)
	}
	b.request.reset(limit)
	switch err := b.request.decode(protocol, b.body); {
	case errors.Is(err, errTooMuch):
		return receiver.Refuse(http.StatusRequestEntityTooLarge, "%v", err)
	case err != nil:
		return receiver.Refuse(http.StatusBadRequest, "the message of protocol %d.0 cannot be read: %v", protocol, err)
	}
	return nil
}

// keep keeps the memory of a request, unless it was a large one.
func (r *reader) keep(b *buffers) {
	if cap(b.packed)+cap(b.body)+48*cap(b.request.labels)+160*cap(b.request.series) > maxKept {
		return
	}
	b.request.reset(0)
	r.requests.Put(b)
}

// authorized lets in who shows what the block asks for.
func (r *reader) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch admitted, err := r.cfg.Admits(receiver.Authorization(req.Header.Get("Authorization"))); {
		case err != nil:
			r.host.Fail(err)
			http.Error(w, "the password file cannot be read", http.StatusServiceUnavailable)
		case !admitted:
			w.Header().Set("WWW-Authenticate", r.cfg.Challenge("remote write"))
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, req)
		}
	})
}
