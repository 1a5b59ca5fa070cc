package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

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
	l, err := host.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, sdk.At(&cfg.Listen, err)
	}
	if cfg.TLS != nil {
		config, err := cfg.TLS.config()
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l = tls.NewListener(l, config)
	}
	r.listener = l
	return r, nil
}

func (t *ServerTLS) config() (*tls.Config, error) {
	if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
		return nil, sdk.At(&t.CertFile, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		return &pair, err
	}
	if t.ClientCAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, sdk.At(&t.ClientCAFile, err)
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, sdk.At(&t.ClientCAFile, fmt.Errorf("%s holds no certificate in PEM", t.ClientCAFile))
	}
	return c, nil
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
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10}
	served := make(chan error, 1)
	go func() { served <- server.Serve(r.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if server.Shutdown(finish) != nil {
		server.Close()
	}
	return ctx.Err()
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
