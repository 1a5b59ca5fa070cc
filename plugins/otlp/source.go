package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
	"github.com/magpie-monitoring/magpie/sdk"
)

// SourceConfig is the block of a source "otlp".
type SourceConfig struct {
	GRPCListen string `hcl:"grpc_listen,optional" default:"127.0.0.1:4317" doc:"Address for OTLP over gRPC, host:port; \"\" turns it off."`
	HTTPListen string `hcl:"http_listen,optional" default:"127.0.0.1:4318" doc:"Address for OTLP over HTTP, host:port; metrics go to /v1/metrics there. \"\" turns it off."`

	receiver.Access

	Translation               string        `hcl:"translation,optional" default:"underscores" check:"oneof=underscores utf8" doc:"How names of metrics and attributes become those of series. underscores: characters other than letters, digits, _ and : become _ (Prometheus' UnderscoreEscapingWithSuffixes). utf8: they stay (NoUTF8EscapingWithSuffixes)."`
	Suffixes                  bool          `hcl:"suffixes,optional" default:"true" doc:"Add unit and type to metric names: http.server.duration in ms becomes http_server_duration_milliseconds, a counter ends in _total."`
	PromoteResourceAttributes []string      `hcl:"promote_resource_attributes,optional" doc:"Resource attributes that become labels of every series, such as \"deployment.environment.name\"; \"*\" for all."`
	ScopeLabels               bool          `hcl:"scope_labels,optional" doc:"Add the labels otel_scope_name, otel_scope_version and those of the scope's attributes. Without them, equal series of two scopes are one."`
	TargetInfo                bool          `hcl:"target_info,optional" default:"true" doc:"Write target_info, whose labels are the resource's other attributes."`
	IdleTimeout               time.Duration `hcl:"idle_timeout,optional" default:"15m" check:"min=2m,max=48h" doc:"After this time without a point, a series and the running total of its deltas are forgotten."`

	MaxRequestSize sdk.Bytes `hcl:"max_request_size,optional" default:"8MiB" check:"min=64KiB,max=256MiB" doc:"Size of a request after decompression; larger ones are refused. JSON may have a quarter of it."`
	MaxRequests    int       `hcl:"max_requests,optional" default:"8" check:"min=1,max=1000" doc:"Requests that are read at the same time; senders of more are told to come again."`
}

// Validate checks what belongs together.
func (c *SourceConfig) Validate(d *sdk.Diags) {
	if c.GRPCListen == "" && c.HTTPListen == "" {
		d.Errorf(&c.GRPCListen, "grpc_listen and http_listen are both off: nothing can be received")
	}
	for _, address := range []*string{&c.GRPCListen, &c.HTTPListen} {
		if *address == "" {
			continue
		}
		receiver.ValidateAddress(d, address, c.Guarded(), "set bearer_token, basic_auth, or client_ca_file in tls")
	}
	c.Access.Validate(d)
}

// Probe asks whether the addresses are free and the certificate good.
func (c *SourceConfig) Probe(ctx context.Context) error {
	for _, address := range []*string{&c.GRPCListen, &c.HTTPListen} {
		if *address == "" {
			continue
		}
		if err := c.TLS.Probe(ctx, address); err != nil {
			return err
		}
	}
	return nil
}

var _ sdk.Prober = (*SourceConfig)(nil)

const (
	flushTimeout = 10 * time.Second // for a request to be durable
	retryPause   = time.Second      // what senders are told when there is no room
)

// reader is an open source.
type reader struct {
	cfg    *SourceConfig
	host   sdk.Host
	in     *intake
	slots  chan struct{} // of requests being read
	stream context.Context

	mu         sync.Mutex
	where      string
	grpc, http net.Listener // bound at open, so that a mistake points at its attribute; nil while they are served
}

func openSource(_ context.Context, cfg *SourceConfig, host sdk.Host) (*reader, error) {
	r := &reader{cfg: cfg, host: host, in: newIntake(cfg, host.Source()), slots: make(chan struct{}, cfg.MaxRequests)}
	return r, r.listen()
}

// listen binds what is configured and not bound.
func (r *reader) listen() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range []struct {
		at        *net.Listener
		address   *string
		protocols []string
	}{{&r.grpc, &r.cfg.GRPCListen, []string{"h2"}}, {&r.http, &r.cfg.HTTPListen, []string{"h2", "http/1.1"}}} {
		if *one.at != nil || *one.address == "" {
			continue
		}
		if *one.at, err = r.cfg.TLS.Listen(r.host, one.address, one.protocols...); err != nil {
			r.closeListeners()
			return err
		}
	}
	var where []string
	if r.grpc != nil {
		where = append(where, "gRPC at "+r.grpc.Addr().String())
	}
	if r.http != nil {
		where = append(where, "HTTP at "+r.http.Addr().String())
	}
	r.where = "receives " + strings.Join(where, ", ")
	return nil
}

func (r *reader) closeListeners() {
	for _, l := range []*net.Listener{&r.grpc, &r.http} {
		if *l != nil {
			(*l).Close()
			*l = nil
		}
	}
}

// Stream serves until ctx ends.
func (r *reader) Stream(ctx context.Context, out sdk.Emitter) error {
	if err := r.listen(); err != nil {
		return err
	}
	r.in.start(out)
	ctx, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	r.stream = ctx
	overGRPC, overHTTP := r.grpc, r.http
	r.grpc, r.http = nil, nil
	r.mu.Unlock()

	failed := make(chan error, 2)
	var servers sync.WaitGroup
	defer servers.Wait()
	defer cancel()
	if overGRPC != nil {
		servers.Go(func() { failed <- r.serveGRPC(ctx, overGRPC) })
	}
	if overHTTP != nil {
		servers.Go(func() { failed <- receiver.Serve(ctx, overHTTP, r) })
	}
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-minute.C:
			r.in.sweep(ctx)
		case err := <-failed:
			if ctx.Err() == nil {
				return sdk.Target(err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// enter takes a slot for reading a request; false: there is none.
func (r *reader) enter() (leave func(), ok bool) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, true
	default:
		return nil, false
	}
}

// errUnsure is the answer where a request was taken and its durability is not known: the sender is to send it again.
var errUnsure = errors.New("the daemon did not confirm in time that the data is durable")

// take hands a request on and waits until it is durable.
func (r *reader) take(request []byte, leave func()) (rejected map[string]int, err error) {
	r.mu.Lock()
	stream := r.stream
	r.mu.Unlock()
	// a request that was begun is ended, even if the stream ends or the sender goes away
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stream), flushTimeout)
	defer cancel()
	rejected, err = r.in.take(ctx, request)
	leave()
	if err != nil {
		return nil, err
	}
	if len(rejected) > 0 {
		r.host.Fail(sdk.Target(errors.New(reasons(rejected))))
	}
	if err := r.in.out.Flush(ctx); err != nil {
		return nil, errUnsure
	}
	return rejected, nil
}

// reasons says what was refused: "data points refused: 3 late_delta, 1 no_value".
func reasons(rejected map[string]int) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(rejected)) {
		parts = append(parts, fmt.Sprintf("%d %s", rejected[reason], reason))
	}
	return "data points refused: " + strings.Join(parts, ", ")
}

func total(rejected map[string]int) (n int) {
	for _, k := range rejected {
		n += k
	}
	return n
}

// Health says where it listens.
func (r *reader) Health() (sdk.Status, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sdk.OK, r.where
}

// Close frees the addresses, where Stream has not.
func (r *reader) Close(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeListeners()
	return nil
}

var (
	_ sdk.Streamer  = (*reader)(nil)
	_ sdk.Healther  = (*reader)(nil)
	_ sdk.Closer    = (*reader)(nil)
	_ sdk.Validator = (*SourceConfig)(nil)
)
