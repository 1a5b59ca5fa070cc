// The source "statsd" receives what applications send to StatsD, and makes series of it as statsd_exporter does, so that
// dashboards and mapping files written for that work with little change.
//
//	line                              becomes
//	shop.orders:3|c                   shop_orders, a counter that adds up, so that rate() works
//	shop.queue:7|g                    shop_queue, a gauge; +2 and -2 change it
//	shop.time:320|ms                  shop_time in seconds (0.32): _sum, _count, quantiles or buckets, _min, _max;
//	                                  or a native histogram (eight buckets an octave), with _min and _max
//	shop.size:512|h and |d            the same, in its own unit
//	shop.users:alice|s                shop_users, how many different ones there were in the interval
//	shop.orders:3|c|@0.1              counts ten times, as do timers and distributions with a rate
//	shop.orders:3|c|#region:eu        with the label region="eu" (DogStatsD); also shop.orders,region=eu:3|c (Influx),
//	                                  shop.orders#region=eu:3|c (Librato) and shop.orders[region=eu]:3|c (SignalFx)
//	shop.time:320:280|ms              several values of one name (DogStatsD 1.1)
//	shop.orders:3|c:1|c:320|ms        several measurements of one name
//
// Container, timestamp and other sections that extensions add to a line are passed over; the time of a value is that of the
// flush. Events and service checks are counted and not kept. A tag without a value is "true".
//
// All is written every interval: totals as they stand, quantiles, minimum and maximum of what came since the last time (and
// nothing, if nothing came). Quantiles are right to 1.1 % of their value. A counter that is new begins with a 0 at the time
// of the flush before (a millisecond before the first), so that increase() sees its first value, after a restart or a reload too. What was not heard for
// ttl goes stale and is forgotten.
//
// # Mappings
//
// The first mapping block whose match fits a name says what it becomes; * is one part between dots. Names that no mapping
// fits keep their name, with underscores in place of what Prometheus does not take. A name that is sent with two types keeps
// the first; the other is counted and refused.
//
// # What can be lost
//
// UDP loses datagrams when the receive buffer is full, and nobody tells the sender: the kernel's count is
// statsd_exporter_udp_packet_drops_total. The buffer is receive_buffer, as far as net.core.rmem_max lets it be. Everything
// else that is not taken is in statsd_exporter_sample_errors_total by reason, and the source's health shows the last such line.
// Reading goes on while the daemon has no room. On a reload the new sockets are bound before the old ones are read empty
// and closed; totals then begin at 0 again, as after any restart. TCP connections are read to what has arrived, and closed.
//
// At most limit_series series are kept, lines have 16 KiB, a set 100,000 different values in an interval.
//
// # How it is tested
//
// By lines as the clients of StatsD, DogStatsD, Influx, Librato and SignalFx document them, through real sockets, with
// receivers that follow each other while a sender does not pause.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/datagram"
	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the source.
type Config struct {
	Listen         []string      `hcl:"listen,optional" doc:"Where to listen: udp://HOST:PORT, tcp://HOST:PORT, unixgram:///PATH. Default: udp://127.0.0.1:8125."`
	Timers         string        `hcl:"timers,optional" default:"summary" check:"oneof=summary histogram native" doc:"What timers, histograms and distributions become: a summary, a histogram with buckets, or a native histogram."`
	Quantiles      []float64     `hcl:"quantiles,optional" doc:"Quantiles of summaries. Default: 0.5, 0.9 and 0.99."`
	Buckets        []float64     `hcl:"buckets,optional" doc:"Upper bounds of histograms' buckets; timers are in seconds. Default: those of Prometheus' client libraries, 0.005 to 10."`
	MinMax         bool          `hcl:"min_max,optional" default:"true" doc:"Also write the least and the greatest value of each interval, as _min and _max."`
	TTL            time.Duration `hcl:"ttl,optional" default:"1h" check:"min=0s" doc:"Forget what was not heard for so long. 0s: never."`
	ReceiveBuffer  sdk.Bytes     `hcl:"receive_buffer,optional" default:"8MiB" check:"min=4KiB,max=1GiB" doc:"Receive buffer of a socket of datagrams; net.core.rmem_max limits what an unprivileged process gets."`
	MaxConnections int           `hcl:"max_connections,optional" default:"1000" check:"min=1" doc:"TCP connections at a time; more are closed at once."`
	Mappings       []Mapping     `hcl:"mapping,block" doc:"What names become; the first that matches counts."`
}

const maxBuckets = 200

var defaultBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Validate checks addresses, shapes and mappings.
func (c *Config) Validate(d *sdk.Diags) {
	for i := range c.Listen {
		if _, _, err := parseListen(c.Listen[i]); err != nil {
			d.Errorf(&c.Listen[i], "%v", err)
		}
	}
	checkShape(d, &c.Quantiles, c.Quantiles, &c.Buckets, c.Buckets)
	for i := range c.Mappings {
		c.Mappings[i].validate(d)
	}
}

// Probe asks whether the addresses are free.
func (c *Config) Probe(context.Context) error {
	listen := c.Listen
	if len(listen) == 0 {
		listen = []string{byDefault}
	}
	for i, text := range listen {
		network, address, err := parseListen(text)
		if err == nil {
			err = sdk.ProbeListen(network, address)
		}
		if err != nil && len(c.Listen) > 0 {
			return sdk.At(&c.Listen[i], err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// byDefault is where it listens unless the block says otherwise.
const byDefault = "udp://127.0.0.1:8125"

// parseListen reads an address of the attribute listen.
func parseListen(text string) (network, address string, err error) {
	bad := fmt.Errorf("%q is no address to listen on: write udp://HOST:PORT, tcp://HOST:PORT or unixgram:///PATH", text)
	u, err := url.Parse(text)
	if err != nil {
		return "", "", bad
	}
	switch u.Scheme {
	case "udp", "tcp":
		if _, port, err := net.SplitHostPort(u.Host); err != nil || port == "" || u.Path != "" {
			return "", "", bad
		}
		return u.Scheme, u.Host, nil
	case "unixgram":
		if u.Host == "" && len(u.Path) > 1 {
			return u.Scheme, u.Path, nil
		}
	}
	return "", "", bad
}

// source is an open component.
type source struct {
	cfg     *Config
	host    sdk.Host
	sockets []*datagram.Socket
	streams []net.Listener
	used    bool // sockets that were read are given up

	mu       sync.Mutex // of all below
	table    *table
	seen     traffic
	rejected map[string]uint64 // of the table's faults, those that the daemon was told of
}

func open(_ context.Context, cfg *Config, host sdk.Host) (_ *source, err error) {
	s := &source{cfg: cfg, host: host, rejected: map[string]uint64{}}
	block := shape{timers: cfg.Timers, quantiles: cfg.Quantiles, buckets: cfg.Buckets, minMax: cfg.MinMax, ttl: cfg.TTL}
	if block.quantiles == nil {
		block.quantiles = []float64{0.5, 0.9, 0.99}
	}
	if block.buckets == nil {
		block.buckets = defaultBuckets
	}
	var rules []rule
	for i := range cfg.Mappings {
		r, err := cfg.Mappings[i].compile(&block)
		if err != nil {
			return nil, sdk.At(&cfg.Mappings[i].Match, err)
		}
		rules = append(rules, r)
	}
	s.table = newTable(rules, block, host.Source().LimitSeries)
	return s, s.listen()
}

// listen binds all sockets, or none.
func (s *source) listen() (err error) {
	if len(s.cfg.Listen) == 0 {
		return s.bind(byDefault, &s.cfg.Listen)
	}
	for i := range s.cfg.Listen {
		if err := s.bind(s.cfg.Listen[i], &s.cfg.Listen[i]); err != nil {
			return errors.Join(err, s.Close(context.Background()))
		}
	}
	return nil
}

func (s *source) bind(listen string, field any) error {
	network, address, err := parseListen(listen)
	if err != nil {
		return sdk.At(field, err)
	}
	if network == "tcp" {
		l, err := s.host.Listen(network, address)
		if err != nil {
			return sdk.At(field, err)
		}
		s.streams = append(s.streams, l)
		return nil
	}
	socket, err := datagram.Listen(s.host, network, address, s.cfg.ReceiveBuffer)
	if err != nil {
		return sdk.At(field, err)
	}
	if socket.Granted < int(s.cfg.ReceiveBuffer) {
		s.host.Log().Info("the receive buffer is smaller than receive_buffer: raise net.core.rmem_max if datagrams are dropped", "listen", listen, "granted", sdk.Bytes(socket.Granted).String())
	}
	s.sockets = append(s.sockets, socket)
	return nil
}

// Stream receives until ctx ends, writing what was heard every interval and once at the end.
func (s *source) Stream(ctx context.Context, out sdk.Emitter) error {
	if s.used { // the last Stream failed
		s.mu.Lock()
		err := errors.Join(s.Close(ctx), s.listen())
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	s.used = true
	f := flusher{source: s, out: out, batch: out.Batch()}
	f.batch.Whole = true
	s.mu.Lock()
	s.table.detach()
	s.mu.Unlock()
	reading, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	for _, socket := range s.sockets {
		readers.Go(func() { s.receive(reading, socket) })
	}
	for _, listener := range s.streams {
		readers.Go(func() { s.accept(reading, listener) })
	}
	interval := s.host.Source().Interval
	if interval <= 0 {
		interval = 10 * time.Second // a probe has no settings
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := f.flush(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			readers.Wait() // they have read what was sent
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return errors.Join(ctx.Err(), f.flush(last))
		}
	}
}

// flusher writes to one emitter.
type flusher struct {
	source *source
	out    sdk.Emitter
	batch  *sdk.Batch
	before time.Time
}

func (f *flusher) flush(ctx context.Context) error {
	s := f.source
	now := time.Now()
	if f.before.IsZero() { // whoever was here before has written its last totals by now: what is counted from now on begins after them
		f.before = now.Add(-2 * time.Millisecond)
	}
	s.mu.Lock()
	f.batch.Time = now
	s.table.write(f.batch, now, f.before)
	s.report(f.batch)
	s.mu.Unlock()
	f.before = now
	return f.out.Emit(ctx, f.batch)
}

// Health tells what is refused, with the last such line.
func (s *source) Health() (sdk.Status, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table
	refused := uint64(0)
	for fault, n := range t.faults {
		if fault != notCollected {
			refused += n
		}
	}
	text := fmt.Sprintf("lines: %d, series: %d", t.lines, len(t.series))
	if refused > 0 {
		text += fmt.Sprintf("; refused: %d, the last for %s: %q", refused, t.lastWhy, t.lastLine)
	}
	if t.faults[overLimit] > 0 {
		return sdk.Degraded, text
	}
	return sdk.OK, text
}

// Close closes the sockets.
func (s *source) Close(context.Context) error {
	for _, socket := range s.sockets {
		socket.Close()
	}
	for _, l := range s.streams {
		l.Close()
	}
	s.sockets, s.streams = nil, nil
	return nil
}

var (
	_ sdk.Streamer  = (*source)(nil)
	_ sdk.Healther  = (*source)(nil)
	_ sdk.Closer    = (*source)(nil)
	_ sdk.Validator = (*Config)(nil)
	_ sdk.Prober    = (*Config)(nil)
)
