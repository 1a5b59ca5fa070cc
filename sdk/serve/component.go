package serve

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// component is one open component.
type component struct {
	number  uint32
	address string
	offer   sdk.Type
	http    string // socket, if it has a handler
	open    *sdk.Component
	scope   *sdk.Scope
	host    *host
	life    context.Context // ends when it is closed
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	status   sdk.Status
	text     string
	collects uint64
	skipped  uint64
	took     time.Duration
}

func (s *Server) open(ctx context.Context, r *wire.OpenRequest) (*component, error) {
	capability, err := s.capability(r.Kind, r.Type)
	if err != nil {
		return nil, err
	}
	settings := settingsOf(r.Source)
	c := &component{number: r.Component, address: r.Address, offer: capability.Type, host: &host{server: s, number: r.Component, address: r.Address, dir: r.Dir, source: settings, last: r.Checkpoint}}
	c.life, c.stop = context.WithCancel(context.Background())
	c.host.component = c
	c.host.log = s.log.With("component", r.Address)
	c.scope = sdk.NewScope(settings, r.Source.GetInstance(), capability.Type.OwnLabels)
	if c.open, err = capability.Open(ctx, r.Config, c.host); err != nil {
		return nil, err
	}
	if t, ok := c.open.Impl.(sdk.TargetSetter); ok && len(r.Source.GetTargets()) > 0 {
		if err := c.call("SetTargets", func() error { return t.SetTargets(ctx, wire.FromTargets(r.Source.Targets)) }); err != nil {
			c.closeImpl(ctx)
			return nil, err
		}
	}
	if err := s.serveHTTP(c); err != nil {
		c.closeImpl(ctx)
		return nil, err
	}
	s.mu.Lock()
	_, taken := s.components[c.number]
	if !taken {
		s.components[c.number] = c
	}
	s.mu.Unlock()
	if taken {
		c.closeImpl(ctx)
		return nil, fmt.Errorf("component number %d is in use", c.number)
	}
	s.begin(c)
	return c, nil
}

// begin starts what a component does by itself. It is asked for its kind, too: one type of an author's may be of several.
func (s *Server) begin(c *component) {
	running := c.life
	collector, collects := c.open.Impl.(sdk.Collector)
	streamer, streams := c.open.Impl.(sdk.Streamer)
	runner, runs := c.open.Impl.(sdk.Runner)
	switch source := c.offer.Kind == sdk.KindSource; {
	case source && collects:
		c.running.Go(func() { s.collect(running, c, collector) })
	case source && streams:
		c.running.Go(func() { s.stream(running, c, streamer) })
	case c.offer.Kind == sdk.KindService && runs:
		c.running.Go(func() {
			c.keepRunning(running, "Run", func() error { return runner.Run(running) })
		})
	}
}

func settingsOf(m *wire.Source) sdk.SourceSettings {
	return sdk.SourceSettings{
		Job: m.GetJob(), Labels: m.GetLabels(), LimitSeries: int(m.GetLimitSeries()),
		Interval: time.Duration(m.GetIntervalNs()), Timeout: time.Duration(m.GetTimeoutNs()),
	}
}

// keepRunning calls run again, after a pause, whenever it returns before ctx ends.
func (c *component) keepRunning(ctx context.Context, what string, run func() error) {
	pause := backoff{}
	for ctx.Err() == nil {
		began := time.Now()
		err := c.call(what, run)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = fmt.Errorf("%s returned although nobody asked it to", what)
		}
		c.fail(err)
		if time.Since(began) > time.Minute {
			pause = backoff{}
		}
		pause.wait(ctx, err)
	}
}

// enter has close wait for a call that holds something of the component's, until leave is called; false: it is closed.
func (c *component) enter() (leave func(), open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false
	}
	c.running.Add(1)
	return c.running.Done, true
}

// close ends the component's work, then the component.
func (c *component) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	done := make(chan struct{})
	go func() { c.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("%s did not stop in time: it does not heed its context", c.address)
	}
	return c.closeImpl(ctx)
}

func (c *component) closeImpl(ctx context.Context) error {
	cl, ok := c.open.Impl.(sdk.Closer)
	if !ok {
		return nil
	}
	return c.call("Close", func() error { return cl.Close(ctx) })
}

// call calls something of the author's: a panic is an error, and an error that blames a field has the path of its attribute.
func (c *component) call(what string, f func() error) error {
	return c.open.Locate(sdk.Recover(what, f))
}

// fail records an error and logs it; a panic with its stack.
func (c *component) fail(err error) {
	c.scope.Fail(err)
	c.say(err)
}

func (c *component) say(err error) {
	p := wire.ToProblem(err)
	if p.Stack != "" {
		c.host.log.Error(p.Text, "stack", p.Stack)
		return
	}
	c.host.log.Debug(p.Text, "blame", p.Blame.String())
}

func (c *component) setStatus(s sdk.Status, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.text = s, text
}

func (c *component) health() *wire.ComponentHealth {
	dropped, failed, series, last := c.scope.Counts()
	c.mu.Lock()
	h := &wire.ComponentHealth{
		Component: c.number, Status: wire.ComponentHealth_Status(c.status), Text: c.text, Series: uint64(series), Collects: c.collects,
		Skipped: c.skipped, Dropped: dropped, Errors: map[string]uint64{}, LastError: wire.ToProblem(c.open.Locate(last)), LastCollectNs: int64(c.took),
	}
	c.mu.Unlock()
	for blame, n := range failed {
		h.Errors[string(blame)] = n
	}
	if asked, ok := c.open.Impl.(sdk.Healther); ok {
		err := sdk.Recover("Health", func() error {
			status, text := asked.Health()
			h.Status, h.Text = wire.ComponentHealth_Status(status), text
			return nil
		})
		if err != nil {
			h.Status, h.Text = wire.ComponentHealth_FAILED, err.Error()
		}
	}
	return h
}
