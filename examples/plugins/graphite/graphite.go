// The sink "graphite" sends samples to Graphite's carbon, or to whatever else takes its plaintext protocol over TCP: relays,
// go-carbon, VictoriaMetrics, InfluxDB.
//
// # Delivery
//
// The protocol has no acknowledgement, and what was written to a connection may be lost with it. So each batch has a
// connection of its own: it is sent, the sending side is closed, and it counts as delivered when the other side closes too,
// having read all. Carbon, go-carbon and carbon-c-relay do; what goes on with it there is not known here. Otherwise it is
// sent again: Graphite keeps one value for a series and a second.
//
// # What is dropped
//
// By reason: stale (markers, which Graphite does not have), not_finite (NaN and the infinities), histograms.
//
// # How it is tested
//
// Against Debian's carbon-c-relay, which writes what it is sent into a file.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the sink.
type Config struct {
	Address string        `hcl:"address" check:"hostport" doc:"Host and port of the plaintext receiver, usually port 2003."`
	Prefix  string        `hcl:"prefix,optional" doc:"Put before every name, with its dot: magpie."`
	Labels  string        `hcl:"labels_as,optional" default:"tags" check:"oneof=tags path" doc:"Labels become tags (Graphite 1.1 and newer: up;job=node), or parts of the path: up.job.node."`
	Timeout time.Duration `hcl:"write_timeout,optional" default:"10s" check:"min=100ms,max=5m" doc:"How long one batch may take."`
}

type sink struct{ cfg *Config }

func open(_ context.Context, cfg *Config, _ sdk.Host) (*sink, error) { return &sink{cfg}, nil }

// Write sends a batch. nil acknowledges all of it but what was dropped; after an error it is called with the same batch again.
func (s *sink) Write(ctx context.Context, in *sdk.Batch) error {
	var text bytes.Buffer
	for i, x := range in.Samples() {
		switch {
		case math.Float64bits(x.Value) == math.Float64bits(sdk.StaleNaN):
			in.Drop(i, "stale")
		case math.IsNaN(x.Value) || math.IsInf(x.Value, 0):
			in.Drop(i, "not_finite")
		default:
			s.cfg.name(&text, x.Labels)
			text.WriteByte(' ')
			text.Write(strconv.AppendFloat(text.AvailableBuffer(), x.Value, 'g', -1, 64))
			text.WriteByte(' ')
			text.Write(strconv.AppendInt(text.AvailableBuffer(), x.Time.Unix(), 10))
			text.WriteByte('\n')
		}
	}
	if text.Len() == 0 {
		return nil
	}
	if err := s.send(ctx, text.Bytes()); err != nil {
		return sdk.Target(sdk.At(&s.cfg.Address, err))
	}
	return nil
}

// send returns nil when the other side has read everything.
func (s *sink) send(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.cfg.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // ends what waits, when the component is closed or the time is over
	_, err = conn.Write(text)
	if err == nil {
		err = conn.(*net.TCPConn).CloseWrite()
	}
	if err == nil {
		var answer []byte
		if answer, err = io.ReadAll(io.LimitReader(conn, 100)); len(answer) > 0 { // it closes without a word
			err = fmt.Errorf("%s answers %.40q: that is no Graphite", s.cfg.Address, answer)
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s did not take the batch within %s", s.cfg.Address, s.cfg.Timeout)
	}
	return err
}

// Probe asks whether somebody listens, for magpie check -online.
func (c *Config) Probe(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return sdk.At(&c.Address, err)
	}
	return conn.Close()
}

var (
	_ sdk.Writer = (*sink)(nil)
	_ sdk.Prober = (*Config)(nil)
)
