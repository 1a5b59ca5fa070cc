package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
	"github.com/magpie-monitoring/magpie/sdk"
)

// reader is an open source: it receives what senders send.
type reader struct {
	cfg      *SourceConfig
	host     sdk.Host
	listener net.Listener // nil: only the daemon's
	slots    chan struct{}
	requests sync.Pool // of *buffers

	mu    sync.Mutex // one request at a time puts into the batch
	out   sdk.Emitter
	known *dictionary
	rest  bool // the batch holds what could not be emitted

	received, refused atomic.Uint64
	full              atomic.Bool
}

func openSource(_ context.Context, cfg *SourceConfig, host sdk.Host) (*reader, error) {
	r := &reader{cfg: cfg, host: host, slots: make(chan struct{}, cfg.MaxConcurrent)}
	r.requests.New = func() any { return &buffers{} }
	if cfg.Listen == "" {
		return r, nil
	}
	var err error
	r.listener, err = cfg.TLS.Listen(host, &cfg.Listen, "http/1.1")
	return r, err
}

// Stream serves the listener until ctx ends, and then finishes what was begun: a sender whose request is not answered
// sends it again.
func (r *reader) Stream(ctx context.Context, out sdk.Emitter) error {
	r.mu.Lock()
	r.out = out
	if r.known == nil {
		r.known = &dictionary{
			batch: out.Batch(), own: r.host.Source().Labels, known: map[string]*entry{}, families: map[string]*sdk.Family{}, swept: time.Now(),
		}
	}
	r.mu.Unlock()
	if r.listener == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/write", r.authorized(r))
	return receiver.Serve(ctx, r.listener, mux)
}

// Close frees the address where Stream has not.
func (r *reader) Close(context.Context) error {
	if r.listener != nil {
		if err := r.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}

// Health answers from memory.
func (r *reader) Health() (sdk.Status, string) {
	text := fmt.Sprintf("%d samples received, %d refused", r.received.Load(), r.refused.Load())
	if r.full.Load() {
		return sdk.Degraded, "the daemon has no room: senders are told to come again; " + text
	}
	return sdk.OK, text
}

var (
	_ sdk.Streamer = (*reader)(nil)
	_ sdk.Closer   = (*reader)(nil)
	_ sdk.Healther = (*reader)(nil)
	_ http.Handler = (*reader)(nil)
)
