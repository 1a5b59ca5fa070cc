package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// SinkConfig is the block of a sink "otlp".
type SinkConfig struct {
	Endpoint       string        `hcl:"endpoint" check:"url" doc:"Where to send, http:// or https://: \"https://collector:4317\" for gRPC, \"https://collector:4318\" for HTTP, to whose path /v1/metrics is added where it has none. Prometheus' is http://host:9090/api/v1/otlp/v1/metrics."`
	Protocol       string        `hcl:"protocol,optional" default:"grpc" check:"oneof=grpc http" doc:"grpc or http; over HTTP the messages are protobuf."`
	Compression    string        `hcl:"compression,optional" default:"gzip" check:"oneof=gzip none" doc:"How requests are compressed."`
	RequestTimeout time.Duration `hcl:"request_timeout,optional" default:"10s" check:"min=100ms,max=5m" doc:"How long one request may take."`
	MaxRequestSize sdk.Bytes     `hcl:"max_request_size,optional" default:"1MiB" check:"min=16KiB,max=64MiB" doc:"Size at which a request is sent, before compression. Receivers take 4 MiB over gRPC unless they are told otherwise."`
	sdk.HTTPClient
}

// Validate checks what belongs together.
func (c *SinkConfig) Validate(d *sdk.Diags) {
	if u, err := url.Parse(c.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		d.Errorf(&c.Endpoint, "endpoint is no http:// or https:// address")
	} else if c.Protocol == "grpc" && u.Path != "" && u.Path != "/" {
		d.Errorf(&c.Endpoint, "over gRPC an endpoint has no path: write protocol = \"http\", or the address alone")
	}
	if c.Protocol == "grpc" && c.ProxyURL != "" {
		d.Errorf(&c.ProxyURL, "proxy_url works with protocol = \"http\" only")
	}
	c.HTTPClient.Validate(d)
}

// Probe sends a request without data points.
func (c *SinkConfig) Probe(ctx context.Context) error {
	if u, err := url.Parse(c.Endpoint); err == nil && u.Scheme == "https" && c.ProxyURL == "" {
		port := map[string]string{"grpc": "4317", "http": "443"}[c.Protocol]
		if err := sdk.ProbeTLS(ctx, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), c.TLS); err != nil {
			return sdk.At(&c.Endpoint, err)
		}
	}
	e, err := openSink(ctx, c, nil)
	if err != nil {
		return err
	}
	defer e.Close(ctx)
	_, err = e.send(ctx, nil)
	var f *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f) && f.reason == "unauthorized":
		return sdk.At(cmp.Or(c.Credentials(), any(&c.Endpoint)), err)
	}
	return sdk.At(&c.Endpoint, err)
}

// sender is one of the two protocols.
type sender interface {
	// send carries a request. partial is what the receiver says of points that it refused; an error is a *failure.
	send(ctx context.Context, request []byte) (partial partialAnswer, err error)
	Close() error
}

// partialAnswer is a partial_success.
type partialAnswer struct {
	rejected int
	why      string
}

// failure is a request that did not succeed.
type failure struct {
	err      error
	again    bool          // trying again can help
	after    time.Duration // not before
	tooLarge bool          // a smaller one can pass
	reason   string        // under which its samples are dropped, if not again
}

func (f *failure) Error() string { return f.err.Error() }

// gathered is how many samples one Write takes if they are waiting: about what a request holds.
const gathered = 10_000

// exporter is an open sink.
type exporter struct {
	cfg  *SinkConfig
	host sdk.Host
	sender

	mu   sync.Mutex
	jobs map[*sdk.Batch]*job
}

func openSink(_ context.Context, cfg *SinkConfig, host sdk.Host) (*exporter, error) {
	e := &exporter{cfg: cfg, host: host, jobs: map[*sdk.Batch]*job{}}
	var err error
	if cfg.Protocol == "http" {
		e.sender, err = newHTTPSender(cfg)
	} else {
		e.sender, err = newGRPCSender(cfg)
	}
	return e, err
}

// job is how far a batch is. It outlives a failed Write: the next attempt goes on behind what the receiver has.
type job struct {
	next     int // samples before it are settled
	dropped  []refusal
	examples map[int][]sdk.Exemplar // by sample
}

// refusal is a stretch of samples that the receiver will not have.
type refusal struct {
	from, to int
	reason   string
}

// Write sends a batch as one request or more, one after another, so that a series' samples stay in order.
func (e *exporter) Write(ctx context.Context, in *sdk.Batch) error {
	e.mu.Lock()
	j := e.jobs[in]
	if j == nil {
		j = &job{examples: examplesOf(in)}
		e.jobs[in] = j
	}
	e.mu.Unlock()
	err := e.advance(ctx, in, j)
	if err != nil && ctx.Err() == nil {
		return err
	}
	e.mu.Lock()
	delete(e.jobs, in)
	e.mu.Unlock()
	for _, r := range j.dropped {
		for i := r.from; i < r.to; i++ {
			in.Drop(i, r.reason)
		}
	}
	return err
}

func (e *exporter) advance(ctx context.Context, in *sdk.Batch, j *job) error {
	limit := int(e.cfg.MaxRequestSize)
	for j.next < in.Len() {
		body, end, refused := encodeFrom(in, j.next, limit, j.examples)
		if len(refused) == end-j.next {
			j.dropped = append(j.dropped, refused...)
			j.next = end
			continue
		}
		partial, err := e.send(ctx, body)
		var f *failure
		switch {
		case err == nil && partial.rejected > 0:
			// which of them is not said: the count is what can be right
			n := min(partial.rejected, end-j.next)
			j.dropped = append(j.dropped, refusal{j.next, j.next + n, "partial_success"})
			e.host.Fail(sdk.Target(fmt.Errorf("the receiver refused %d of %d data points%s", partial.rejected, end-j.next, sdk.Excerpt(partial.why))))
		case err == nil && partial.why != "":
			e.host.Log().Warn("the receiver took everything and says" + sdk.Excerpt(partial.why))
		case err == nil:
		case !errors.As(err, &f):
			return sdk.Target(err)
		case f.again && f.after > 0:
			return sdk.RetryAfter(f.err, f.after)
		case f.again:
			return sdk.Target(f.err)
		case f.tooLarge && end-j.next > 1:
			limit = len(body) / 2
			continue // what cannot be sent is found again
		default:
			j.dropped = append(j.dropped, refusal{j.next, end, f.reason})
			e.host.Fail(sdk.Target(f.err))
		}
		j.dropped = append(j.dropped, refused...) // their own reasons count
		j.next = end
	}
	return nil
}

// Forget frees what is known of series that will not come again.
func (e *exporter) Forget(o *sdk.Origin, refs []sdk.Ref) {
	known, ok := o.Data.(*origin)
	if !ok {
		return
	}
	if refs == nil {
		o.Data = nil
		return
	}
	for _, ref := range refs {
		if t := known.tracks.Get(ref); t != nil {
			known.release((*t).stream)
			if (*t).native != nil {
				known.release((*t).native)
			}
			known.tracks.Delete(ref)
		}
	}
}

// Close ends the connections.
func (e *exporter) Close(context.Context) error { return e.sender.Close() }

var (
	_ sdk.Writer    = (*exporter)(nil)
	_ sdk.Forgetter = (*exporter)(nil)
	_ sdk.Closer    = (*exporter)(nil)
	_ sdk.Validator = (*SinkConfig)(nil)
	_ sdk.Prober    = (*SinkConfig)(nil)
)
