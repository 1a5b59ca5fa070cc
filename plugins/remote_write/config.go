package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang/snappy"

	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
	"github.com/magpie-monitoring/magpie/sdk"
)

// SinkConfig is the block of the sink.
type SinkConfig struct {
	URL string `hcl:"url" check:"url" doc:"Address of the receiver, such as http://prometheus:9090/api/v1/write."`
	Sending
}

// Sending is what the sink and the store share: how samples are written.
type Sending struct {
	Protocol         string        `hcl:"protocol,optional" default:"auto" check:"oneof=auto 1.0 2.0" doc:"Version of the protocol. auto: 2.0 where the receiver shows that it knows it, otherwise 1.0."`
	RequestTimeout   time.Duration `hcl:"request_timeout,optional" default:"30s" check:"min=100ms,max=5m" doc:"How long one request may take."`
	MaxSamples       int           `hcl:"max_samples,optional" default:"10000" check:"min=1,max=100000" doc:"Samples in one request."`
	Shards           int           `hcl:"shards,optional" default:"4" check:"min=1,max=64" doc:"Requests on the way at the same time, where there is more to send than fits into one. A series is always in the same shard, so that its samples arrive in order."`
	MetadataInterval time.Duration `hcl:"metadata_interval,optional" default:"1m" check:"min=0s" doc:"How often protocol 1.0 sends types, units and help texts, in requests of their own; 0: never. With 2.0 they are in every request."`
	sdk.HTTPClient
}

// Validate checks what belongs together.
func (c *SinkConfig) Validate(d *sdk.Diags) {
	checkAddress(d, &c.URL, c.URL)
	c.HTTPClient.Validate(d)
}

func checkAddress(d *sdk.Diags, field any, address string) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		d.Errorf(field, "%.100q is no http:// or https:// address", address)
	case u.User != nil:
		d.Errorf(field, "the address holds a user: write it into basic_auth, which keeps the password out of errors and logs")
	}
}

// Probe sends a request without samples.
func (c *SinkConfig) Probe(ctx context.Context) error { return c.probe(ctx, c.URL, &c.URL) }

func (c *Sending) probe(ctx context.Context, address string, at any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(snappy.Encode(nil, nil)))
	if err != nil {
		return sdk.At(at, err)
	}
	r.Header = http.Header{
		"Content-Encoding": {"snappy"}, "Content-Type": {requestHeaders[1][0]}, "User-Agent": {"Magpie/" + version},
		"X-Prometheus-Remote-Write-Version": {requestHeaders[1][1]},
	}
	status, err := c.ProbeHTTP(r, at)
	if err == nil && status/100 != 2 {
		sdk.Progress(ctx, fmt.Sprintf("it answers %d to a request without samples", status))
	}
	return err
}

var (
	_ sdk.Validator = (*SinkConfig)(nil)
	_ sdk.Prober    = (*SinkConfig)(nil)
)

// StoreConfig is the block of the store.
type StoreConfig struct {
	URL          string        `hcl:"url" check:"url" doc:"Address of the server, such as http://prometheus:9090; its HTTP API is below /api/v1."`
	WriteURL     string        `hcl:"write_url,optional" check:"url" doc:"Where samples are written to; default: /api/v1/write below url."`
	QueryTimeout time.Duration `hcl:"query_timeout,optional" default:"30s" check:"min=100ms,max=10m" doc:"How long a query may take."`
	MaxResult    sdk.Bytes     `hcl:"max_result,optional" default:"64MiB" check:"min=64KiB,max=1GiB" doc:"Largest answer to a query of the daemon's rules and plugins that is read."`
	Sending
}

// Validate checks what belongs together.
func (c *StoreConfig) Validate(d *sdk.Diags) {
	checkAddress(d, &c.URL, c.URL)
	if c.WriteURL != "" {
		checkAddress(d, &c.WriteURL, c.WriteURL)
	}
	c.HTTPClient.Validate(d)
}

// Probe sends a request without samples, and asks a query.
func (c *StoreConfig) Probe(ctx context.Context) error {
	base := strings.TrimSuffix(c.URL, "/") + "/api/v1"
	write, at := c.WriteURL, &c.WriteURL
	if write == "" {
		write, at = base+"/write", &c.URL
	}
	if err := c.probe(ctx, write, at); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/query?query=1", nil)
	if err != nil {
		return sdk.At(&c.URL, err)
	}
	status, err := c.ProbeHTTP(r, &c.URL)
	if err == nil && status != http.StatusOK {
		err = sdk.At(&c.URL, fmt.Errorf("a query is answered with %d", status))
	}
	return err
}

// SourceConfig is the block of the source.
type SourceConfig struct {
	Listen string `hcl:"listen,optional" check:"hostport" doc:"Address of a listener of its own, such as 0.0.0.0:9201, for /api/v1/write. tls, basic_auth and bearer_token are those of this listener. Without it the daemon's address takes requests, as it does in any case."`
	receiver.Access
	MaxBody       sdk.Bytes     `hcl:"max_body,optional" default:"32MiB" check:"min=1KiB,max=256MiB" doc:"Largest message that is taken, decompressed."`
	MaxConcurrent int           `hcl:"max_concurrent,optional" default:"4" check:"min=1,max=64" doc:"Requests that are read at the same time; others wait for a moment and are then told to come again."`
	OutOfRoom     time.Duration `hcl:"retry_after,optional" default:"5s" check:"min=1s,max=10m" doc:"When a sender is told to come again while there is no room."`
}

// Validate checks what belongs together.
func (c *SourceConfig) Validate(d *sdk.Diags) {
	switch {
	case c.Listen != "":
		receiver.ValidateAddress(d, &c.Listen, c.Guarded(), "set bearer_token, basic_auth, or client_ca_file in tls")
	case c.Guarded() || c.TLS != nil:
		d.Errorf(nil, "tls, basic_auth and bearer_token are those of a listener of its own, and listen is not set")
	}
	c.Access.Validate(d)
}

// Probe asks whether the listener's address is free and its certificate good.
func (c *SourceConfig) Probe(ctx context.Context) error {
	if c.Listen == "" {
		return nil
	}
	return c.TLS.Probe(ctx, &c.Listen)
}

var (
	_ sdk.Validator = (*SourceConfig)(nil)
	_ sdk.Prober    = (*SourceConfig)(nil)
	_ sdk.Prober    = (*StoreConfig)(nil)
)
