// The source "influx" receives what clients of InfluxDB write, Telegraf first of all: line protocol over HTTP, as versions
// 1 (/write) and 2 (/api/v2/write) of InfluxDB's API have it, and over UDP.
//
//	cpu,host=a usage=1.5,idle=97i 1700000000000000000
//
// becomes cpu_usage{host="a"} and cpu_idle{host="a"} at that time: measurement_field, as Telegraf's own prometheus output and
// influx_exporter name them, with underscores in place of what Prometheus does not take. Of a field called value only the
// measurement stays, unless drop_value is off. Integers become numbers like others, true is 1 and false 0. Texts are not kept:
// they are counted as dropped (text_field). A point without a time has that of its arrival.
//
// # Answers
//
// 204 means that every point is on the daemon's disk. Where lines are wrong, the answer is 400 with their numbers and what is
// wrong with them, and all other lines of the request are kept, as InfluxDB does it. 503 with Retry-After means that the
// daemon has no room and nothing was taken, 429 that too many requests come at the same time; clients send again. A request
// has at most max_request_size after decompression, a line 1 MiB, 200 tags and 10,000 fields.
//
// /ping and /health answer as InfluxDB's, CREATE DATABASE is answered and does nothing. There are no databases: db and rp, or
// bucket, become labels where database_label and retention_label say so, and nothing else.
//
// # UDP
//
// Nobody tells a sender of datagrams what became of them: what is wrong is counted and shown in the source's health, and what the
// kernel drops because the receive buffer is full is influx_udp_packet_drops_total. On a reload, new sockets are bound before
// the old are read empty and closed.
//
// # How it is tested
//
// By requests as Telegraf's outputs.influxdb and outputs.influxdb_v2 make them: Telegraf itself is not in Debian, so that
// Go's HTTP client with gzip, the parameters and the headers of those outputs stands in for it. The parser is compared with
// InfluxData's own on lines of every kind, and on those that a fuzzer finds.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/datagram"
	"github.com/magpie-monitoring/magpie/plugins/internal/names"
	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the source.
type Config struct {
	HTTPListen string `hcl:"http_listen,optional" default:"127.0.0.1:8086" doc:"Address for HTTP, host:port; \"\" turns it off."`
	UDPListen  string `hcl:"udp_listen,optional" doc:"Address for UDP, host:port; InfluxDB's is port 8089. Default: off."`

	TLS       *receiver.TLS  `hcl:"tls,block" doc:"Certificate to show; without it, connections are not encrypted."`
	Token     sdk.Secret     `hcl:"token,optional" doc:"Token that clients must send, as of version 2."`
	BasicAuth *sdk.BasicAuth `hcl:"basic_auth,block" doc:"User and password that clients must send, as of version 1. With token too, either will do."`

	Separator      string `hcl:"separator,optional" default:"_" doc:"What stands between measurement and field in a metric's name."`
	DropValue      bool   `hcl:"drop_value,optional" default:"true" doc:"Name the metric of a field \"value\" after the measurement alone."`
	DatabaseLabel  string `hcl:"database_label,optional" doc:"Label for the database (db) or the bucket. Default: none."`
	RetentionLabel string `hcl:"retention_label,optional" doc:"Label for the retention policy (rp). Default: none."`
	UDPPrecision   string `hcl:"udp_precision,optional" default:"ns" check:"oneof=ns us ms s" doc:"Unit of timestamps in datagrams."`

	IdleTimeout    time.Duration `hcl:"idle_timeout,optional" default:"1h" check:"min=1m" doc:"After this time without a point, a series is forgotten and counts no more for limit_series."`
	MaxRequestSize sdk.Bytes     `hcl:"max_request_size,optional" default:"32MiB" check:"min=64KiB,max=256MiB" doc:"Size of a request after decompression; larger ones are refused."`
	MaxRequests    int           `hcl:"max_requests,optional" default:"8" check:"min=1,max=1000" doc:"Requests at the same time; clients of more are told to come again."`
	ReceiveBuffer  sdk.Bytes     `hcl:"receive_buffer,optional" default:"8MiB" check:"min=4KiB,max=1GiB" doc:"Receive buffer for UDP; net.core.rmem_max limits what an unprivileged process gets."`
}

// Validate checks what belongs together.
func (c *Config) Validate(d *sdk.Diags) {
	if c.HTTPListen == "" && c.UDPListen == "" {
		d.Errorf(&c.HTTPListen, "http_listen and udp_listen are both off: nothing can be received")
	}
	for _, address := range []*string{&c.HTTPListen, &c.UDPListen} {
		if *address == "" {
			continue
		}
		receiver.ValidateAddress(d, address, address == &c.HTTPListen && c.access().Guarded(), "")
	}
	receiver.ValidateLogin(d, c.BasicAuth)
	for _, label := range []*string{&c.DatabaseLabel, &c.RetentionLabel} {
		if *label != "" && names.Label(*label) != *label {
			d.Errorf(label, "%q cannot be the name of a label", *label)
		}
	}
	if c.DatabaseLabel != "" && c.DatabaseLabel == c.RetentionLabel {
		d.Errorf(&c.RetentionLabel, "database_label and retention_label are to differ")
	}
}

// Probe asks whether the addresses are free and the certificate good.
func (c *Config) Probe(ctx context.Context) error {
	if c.HTTPListen != "" {
		if err := c.TLS.Probe(ctx, &c.HTTPListen); err != nil {
			return err
		}
	}
	if c.UDPListen != "" {
		return sdk.At(&c.UDPListen, sdk.ProbeListen("udp", c.UDPListen))
	}
	return nil
}

const (
	flushTimeout = 10 * time.Second // for a request to be durable
	retryPause   = time.Second      // what clients are told when there is no room
)

// source is an open component.
type source struct {
	cfg   *Config
	host  sdk.Host
	in    *intake
	slots chan struct{} // of requests being read

	mu       sync.Mutex
	stream   context.Context
	listener net.Listener     // bound at open, so that a mistake points at its attribute; nil once it was served
	socket   *datagram.Socket // the same
	where    string
}

func open(_ context.Context, cfg *Config, host sdk.Host) (*source, error) {
	s := &source{cfg: cfg, host: host, slots: make(chan struct{}, cfg.MaxRequests), in: newIntake(cfg, host.Source())}
	return s, s.listen()
}

// listen binds what is configured and not bound.
func (s *source) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.where = "receives"
	if s.cfg.HTTPListen != "" && s.listener == nil {
		l, err := s.cfg.TLS.Listen(s.host, &s.cfg.HTTPListen, "h2", "http/1.1")
		if err != nil {
			return err
		}
		s.listener = l
	}
	if s.cfg.UDPListen != "" && s.socket == nil {
		socket, err := datagram.Listen(s.host, "udp", s.cfg.UDPListen, s.cfg.ReceiveBuffer)
		if err != nil {
			s.close()
			return sdk.At(&s.cfg.UDPListen, err)
		}
		s.socket = socket
	}
	if s.listener != nil {
		s.where += " HTTP at " + s.listener.Addr().String()
	}
	if s.socket != nil {
		s.where += " UDP at " + s.socket.Addr().String()
	}
	return nil
}

func (s *source) close() {
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	if s.socket != nil {
		s.socket.Close()
		s.socket = nil
	}
}

// Stream serves until ctx ends.
func (s *source) Stream(ctx context.Context, out sdk.Emitter) error {
	if err := s.listen(); err != nil {
		return err
	}
	s.in.start(out)
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.stream = ctx
	listener, socket := s.listener, s.socket
	s.listener, s.socket = nil, nil
	s.mu.Unlock()

	failed := make(chan error, 2)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer cancel()
	drops := func() (uint64, bool) { return 0, false }
	if socket != nil {
		drops = socket.Drops
		serving.Go(func() {
			defer socket.Close()
			failed <- sdk.Recover("receive", func() error { return s.receive(ctx, socket) })
		})
	}
	if listener != nil {
		serving.Go(func() { failed <- receiver.Serve(ctx, listener, s) })
	}
	return s.tick(ctx, failed, drops)
}

// tick does what is due from time to time, until ctx ends or a server fails.
func (s *source) tick(ctx context.Context, failed chan error, drops func() (uint64, bool)) error {
	interval := s.host.Source().Interval
	if interval <= 0 {
		interval = 15 * time.Second // a probe has no settings
	}
	report, minute := time.NewTicker(interval), time.NewTicker(time.Minute)
	defer report.Stop()
	defer minute.Stop()
	for {
		var err error
		select {
		case <-report.C:
			err = s.in.report(ctx, drops)
		case now := <-minute.C:
			err = s.in.sweep(sdk.WithoutWaiting(ctx), now)
		case err := <-failed:
			if ctx.Err() == nil {
				return sdk.Target(err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, sdk.ErrFull) {
			return err
		}
	}
}

// receive takes datagrams in.
func (s *source) receive(ctx context.Context, socket *datagram.Socket) error {
	into := write{unit: precisions[s.cfg.UDPPrecision]}
	return socket.Read(ctx, func(text []byte) {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		into.now = time.Now()
		s.in.packet(last, into, text)
	})
}

// Health says where it listens, and the last line that was refused.
func (s *source) Health() (sdk.Status, string) {
	s.mu.Lock()
	text := s.where
	s.mu.Unlock()
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	text += fmt.Sprintf("; points: %d, series: %d", s.in.points, len(s.in.series))
	if s.in.last != "" {
		refused := uint64(0)
		for _, n := range s.in.faults {
			refused += n
		}
		text += fmt.Sprintf("; lines refused: %d, the last: %s", refused, s.in.last)
	}
	return sdk.OK, text
}

// Close frees the addresses, where Stream has not.
func (s *source) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
	return nil
}

var (
	_ sdk.Streamer  = (*source)(nil)
	_ sdk.Healther  = (*source)(nil)
	_ sdk.Closer    = (*source)(nil)
	_ sdk.Validator = (*Config)(nil)
	_ sdk.Prober    = (*Config)(nil)
)
