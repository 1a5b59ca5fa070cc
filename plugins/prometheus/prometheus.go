// The source "prometheus" scrapes what has a /metrics page. Which series a page becomes, their labels, up
// and the scrape_… series, staleness markers, limits and relabelling are those of Prometheus 3, so that rules and dashboards
// written for it work unchanged. Pages are read in the text format and in OpenMetrics 1.0, compressed with gzip or not.
// Exemplars of OpenMetrics pages are kept, each once: a page shows one until there is another. Created timestamps are checked
// and not kept (series that end in _created are). With scrape_native_histograms pages are asked for in the protobuf format,
// which has native histograms; one that is broken in itself — counts that do not add up — is dropped and counted as
// invalid_histogram.
//
// A source scrapes its targets once when it opens and then at a phase of the interval that each target's labels decide, on
// a grid of a tenth of the interval, finer where there are more than 200 targets, so that scrapes that fall together travel
// together. A target that does not answer delays no other.
//
// A target costs little processor time because its pages are compared, not parsed, as long as only values change; and
// about 200 bytes a series in memory, of which half is the text of the page. A page larger than body_size_limit (64 MiB)
// fails, so that a broken or hostile target does not fill the memory.
//
// The discovery "file" of this plugin reads target lists in the format of Prometheus' file_sd.
//
// # How it is tested
//
// Beside a real Prometheus that scrapes the same pages. The targets are HTTP servers of the tests, with pages as real
// exporters write them.
//
// # Files
//
//	prometheus.go  the blocks, and a source from opening to its end
//	targets.go     from addresses and discovered labels to endpoints
//	schedule.go    which target when
//	scrape.go      one scrape, from request to emission
//	fetch.go       requesting a page
//	memory.go      reading a page by comparing it with the last one
//	commit.go      what a page changes: samples, new series, stale ones
//	workspace.go   what is needed while a page is read
//	exemplars.go   which exemplars are new
//	parser.go, metadata.go, value.go, number.go  the full parser
//	protobuf.go, native.go  from protobuf to text that the parser reads
//	series.go      from the labels on a page to those of a series
//	file.go        the discovery
package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/plugins/internal/relabel"
	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of a source "prometheus". Names and meanings are those of Prometheus' scrape_config.
type Config struct {
	Targets     []string            `hcl:"targets,optional" doc:"What to scrape: \"host:port\", or a URL, whose scheme, path and parameters are then the target's own."`
	Target      []Target            `hcl:"target,block" doc:"A target with labels of its own."`
	MetricsPath string              `hcl:"metrics_path,optional" default:"/metrics" doc:"Path of the page."`
	Scheme      string              `hcl:"scheme,optional" default:"http" check:"oneof=http https" doc:"Scheme of the request."`
	Params      map[string][]string `hcl:"params,optional" doc:"Parameters of the request, each with a list of values: { module = [\"http_2xx\"] }."`

	HonorLabels              bool  `hcl:"honor_labels,optional" doc:"Where a label is both on the page and the target's (job, instance, …), keep the page's. Otherwise the page's becomes exported_<name>."`
	HonorTimestamps          bool  `hcl:"honor_timestamps,optional" default:"true" doc:"Use the times that stand on the page; otherwise all samples get the time of the scrape."`
	TrackTimestampsStaleness bool  `hcl:"track_timestamps_staleness,optional" doc:"Mark series with times of their own as stale too when they disappear from the page."`
	EnableCompression        *bool `hcl:"enable_compression,optional" doc:"Ask for a compressed page. Not written: from targets on other machines; on the own machine it only costs processor time."`

	Relabel       []relabel.Rule `hcl:"relabel,block" doc:"A rule that changes or drops targets before they are scraped, in order. Labels that begin with __ do not reach the series; __address__, __scheme__, __metrics_path__, __param_<name>, __scrape_interval__ and __scrape_timeout__ say how a target is scraped."`
	MetricRelabel []relabel.Rule `hcl:"metric_relabel,block" doc:"A rule that changes or drops series of the page, in order."`

	ScrapeNativeHistograms        bool `hcl:"scrape_native_histograms,optional" doc:"Ask for pages in the protobuf format, the only one that has native histograms, and keep them. Reading such a page takes several times the processor time of text, and every target of a Go program has it: so it is asked for only where native histograms are wanted."`
	AlwaysScrapeClassicHistograms bool `hcl:"always_scrape_classic_histograms,optional" doc:"Keep the classic buckets of histograms that are native ones too; otherwise the native one takes their place."`

	SampleLimit           int       `hcl:"sample_limit,optional" check:"min=0" doc:"Samples that a page may have after metric_relabel; with more the scrape fails. 0: any number."`
	LabelLimit            int       `hcl:"label_limit,optional" check:"min=0" doc:"Labels that a series may have; with more the scrape fails. 0: 256."`
	LabelNameLengthLimit  int       `hcl:"label_name_length_limit,optional" check:"min=0" doc:"Bytes that a label's name may have; with more the scrape fails. 0: 1024."`
	LabelValueLengthLimit int       `hcl:"label_value_length_limit,optional" check:"min=0" doc:"Bytes that a label's value may have; with more the scrape fails. 0: 65536."`
	BodySizeLimit         sdk.Bytes `hcl:"body_size_limit,optional" default:"64MiB" check:"min=1kB,max=1GiB" doc:"Size from which a page, decompressed, makes the scrape fail."`
	TargetLimit           int       `hcl:"target_limit,optional" check:"min=0" doc:"Targets after relabelling; with more, all scrapes fail. 0: any number."`

	sdk.HTTPClient
}

// Target is a target block.
type Target struct {
	Address string            `hcl:"address,label" doc:"\"host:port\" or a URL."`
	Labels  map[string]string `hcl:"labels,optional" doc:"Labels of the target's series, and of the target in relabelling."`
}

// Validate checks addresses, rules and the HTTP client.
func (c *Config) Validate(d *sdk.Diags) {
	for i := range c.Targets {
		checkAddress(d, &c.Targets[i], c.Targets[i])
	}
	for i := range c.Target {
		checkAddress(d, &c.Target[i].Address, c.Target[i].Address)
	}
	for i := range c.Relabel {
		c.Relabel[i].Validate(d)
	}
	for i := range c.MetricRelabel {
		c.MetricRelabel[i].Validate(d)
	}
	c.HTTPClient.Validate(d)
}

func checkAddress(d *sdk.Diags, field any, address string) {
	labels := map[string]string{}
	if err := splitAddress(address, labels); err != nil {
		d.Errorf(field, "target %q: %v", address, err)
	} else if a := labels[addressLabel]; a == "" || slices.Contains([]byte(a), '/') {
		d.Errorf(field, "target %q: write \"host:port\", or a URL with http:// or https://", address)
	} else if _, port, err := net.SplitHostPort(a); err == nil { // what is no host:port may become one by relabelling
		if n, err := strconv.Atoi(port); err == nil && n > math.MaxUint16 {
			d.Errorf(field, "target %q: a port is at most 65535", address)
		}
	}
}

// source is an open source "prometheus".
type source struct {
	cfg       *Config
	host      sdk.Host
	client    *http.Client
	targeting targeting
	rules     relabel.Rules // metric_relabel
	wake      chan struct{} // has an entry when the targets changed

	mu       sync.Mutex
	targets  map[string]*target
	schedule schedule
	refused  []error
	missed   uint64 // scrapes that were left out because the one before still ran
}

func open(_ context.Context, cfg *Config, host sdk.Host) (*source, error) {
	s := &source{cfg: cfg, host: host, wake: make(chan struct{}, 1), targets: map[string]*target{}}
	s.targeting = targeting{cfg: cfg, settings: host.Source()}
	if s.targeting.settings.Interval <= 0 {
		s.targeting.settings.Interval = 15 * time.Second // a probe has no settings
	}
	var err error
	if s.targeting.rules, err = relabel.Compile(cfg.Relabel); err != nil {
		return nil, err
	}
	if s.rules, err = relabel.Compile(cfg.MetricRelabel); err != nil {
		return nil, err
	}
	if s.client, err = cfg.Client(0, 16); err != nil {
		return nil, err
	}
	return s, s.SetTargets(context.Background(), nil)
}

// SetTargets takes what discoveries found, and sets which targets are scraped from now on. One that is no longer there ends
// at its next turn, unless it is back by then.
func (s *source) SetTargets(_ context.Context, discovered []sdk.Discovered) error {
	endpoints, refused := s.targeting.endpoints(discovered)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(refused); n > 0 && (n != len(s.refused) || refused[0].Error() != s.refused[0].Error()) {
		s.host.Log().Warn("targets are refused", "targets", n, "first", refused[0].Error())
	}
	s.refused = refused
	for _, t := range s.targets {
		t.removed = true
	}
	var fresh []*target
	for _, e := range endpoints {
		if t := s.targets[e.key]; t != nil {
			t.removed = false
			continue
		}
		t := s.newTarget(e)
		s.targets[e.key] = t
		fresh = append(fresh, t)
	}
	s.start(fresh, time.Now())
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// start schedules the first scrapes of new targets: at once, or within a second where there are many.
func (s *source) start(fresh []*target, now time.Time) {
	together := max(64, len(fresh)/20)
	for i, t := range fresh {
		t.next = now.Add(time.Duration(i/together) * 50 * time.Millisecond)
		s.schedule.add(t)
	}
}

// Stream scrapes until ctx ends.
func (s *source) Stream(ctx context.Context, out sdk.Emitter) error {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		case <-s.wake:
		}
		due, wait := s.due(time.Now())
		for _, turn := range due {
			if turn.last {
				running.Go(func() { s.end(ctx, out, turn) })
			} else {
				running.Go(func() { s.scrape(ctx, out, turn) })
			}
		}
		timer.Reset(wait)
	}
}

// turn is a scrape that is to be done.
type turn struct {
	*target
	scheduled time.Time
	last      bool  // the target is no more
	refuse    error // why it is not scraped, although it is there
}

// due says whose turn it is, and how long the next one is away.
func (s *source) due(now time.Time) (turns []turn, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := s.tooMany()
	for _, t := range s.schedule.due(now) {
		scheduled := t.next
		switch {
		case t.busy:
			s.missed++
		case t.removed:
			delete(s.targets, t.key)
			turns = append(turns, turn{t, scheduled, true, nil})
			continue
		default:
			t.busy = true
			turns = append(turns, turn{t, scheduled, false, refuse})
		}
		for t.next = nextOnGrid(t.key, t.interval, gridOf(t.interval, len(s.targets)), scheduled); !t.next.After(now); {
			t.next = t.next.Add(t.interval)
		}
		s.schedule.add(t)
	}
	wait = time.Hour
	if len(s.schedule) > 0 {
		wait = time.Until(s.schedule[0].next)
	}
	return turns, wait
}

// tooMany is the error of all scrapes while there are more targets than target_limit.
func (s *source) tooMany() error {
	if s.cfg.TargetLimit == 0 {
		return nil
	}
	n := 0
	for _, t := range s.targets {
		if !t.removed {
			n++
		}
	}
	if n <= s.cfg.TargetLimit {
		return nil
	}
	return fmt.Errorf("target_limit exceeded: there are %d targets, and the limit is %d", n, s.cfg.TargetLimit)
}

// Health tells how many targets answer, and why the first that does not does not.
func (s *source) Health() (sdk.Status, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	down := 0
	var first *target
	for _, t := range s.targets {
		if t.err != nil {
			if down++; first == nil || t.key < first.key {
				first = t
			}
		}
	}
	switch n := len(s.targets); {
	case down > 0:
		status := sdk.Degraded
		if down == n {
			status = sdk.Failed
		}
		return status, fmt.Sprintf("%d of %d targets are down: %s: %v", down, n, first.String(), first.err)
	case len(s.refused) > 0:
		return sdk.Degraded, fmt.Sprintf("targets: %d, and %d refused: %v", n, len(s.refused), s.refused[0])
	case s.missed > 0:
		return sdk.OK, fmt.Sprintf("targets: %d; scrapes left out because the one before still ran: %d", n, s.missed)
	default:
		return sdk.OK, fmt.Sprintf("targets: %d", n)
	}
}

// Close ends connections.
func (s *source) Close(context.Context) error {
	s.client.CloseIdleConnections()
	return nil
}

var (
	_ sdk.Streamer     = (*source)(nil)
	_ sdk.TargetSetter = (*source)(nil)
	_ sdk.Healther     = (*source)(nil)
	_ sdk.Prober       = (*source)(nil)
	_ sdk.Closer       = (*source)(nil)
)
