package main

import (
	"net/url"
	"time"

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

var _ sdk.Validator = (*SinkConfig)(nil)
