package supervisor

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

const (
	healthEvery   = 2 * time.Second
	healthMisses  = 3 // in a row: the process hangs, and is killed
	firstPause    = 100 * time.Millisecond
	longestPause  = 30 * time.Second
	steadyAfter   = time.Minute // a process that lived so long starts its back-off anew
	circuitDeaths = 5           // within circuitTime: the circuit opens, and is tried each circuitTime
	circuitTime   = time.Minute
)

// process keeps one plugin running while it has components.
type process struct {
	o      *Options
	plugin client.Plugin
	log    hclog.Logger

	mu         sync.Mutex
	components []*Component
	held       int // by whom it must not end without components
	running    *client.Process
	state      string
	started    time.Time
	starts     int
	deaths     []time.Time
	lastDeath  error
	keeping    context.CancelFunc // of the goroutine that keeps it; nil: none
	kept       chan struct{}

	seqMu sync.Mutex
	seq   uint64        // of the last packet received
	more  chan struct{} // closed and replaced at each
}

func newProcess(plugin client.Plugin, o *Options) *process {
	return &process{o: o, plugin: plugin, log: o.Log.Named(plugin.Name), state: "stopped", more: make(chan struct{})}
}

// add takes a component in, and starts the process for its first one.
func (p *process) add(c *Component) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.components = append(p.components, c)
	if p.running != nil {
		go c.open(p.running)
	}
	if p.keeping == nil {
		ctx, cancel := context.WithCancel(context.Background())
		before := p.kept
		p.keeping, p.kept = cancel, make(chan struct{})
		go p.keep(ctx, before, p.kept)
	}
}

// remove lets a component go, and ends the process with its last one.
func (p *process) remove(ctx context.Context, c *Component) {
	p.mu.Lock()
	p.components = slices.DeleteFunc(p.components, func(x *Component) bool { return x == c })
	end := p.ending(len(p.components)+p.held == 0)
	p.mu.Unlock()
	end(ctx)
}

// hold keeps the process, once it has no components, until it is let go.
func (p *process) hold(n int) {
	p.mu.Lock()
	p.held += n
	end := p.ending(len(p.components)+p.held == 0)
	p.mu.Unlock()
	end(context.Background())
}

func (p *process) stop(ctx context.Context) {
	p.mu.Lock()
	end := p.ending(true)
	p.mu.Unlock()
	end(ctx)
}

// ending takes the running process, if wanted, from whoever comes next, and returns what ends it. The caller holds the lock.
func (p *process) ending(wanted bool) func(context.Context) {
	cancel, kept, running := p.keeping, p.kept, p.running
	if cancel == nil || !wanted {
		return func(context.Context) {}
	}
	p.keeping = nil
	return func(ctx context.Context) {
		cancel()
		if running != nil {
			running.Stop(ctx)
		}
		<-kept
	}
}

func (p *process) current() *client.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// keep starts the process again and again until ctx ends; first it waits for the end of its predecessor.
func (p *process) keep(ctx context.Context, before, done chan struct{}) {
	defer close(done)
	if before != nil {
		<-before
	}
	for pause := firstPause; ; {
		p.set("starting")
		began := time.Now()
		running, err := client.Launch(ctx, client.Options{
			Path: p.plugin.Path, Env: p.o.Env, SocketDir: p.o.Run, Log: p.logEntry, Clean: p.o.Clean, Started: p.o.Guard.Add, Ended: p.o.Guard.Remove,
		})
		if err == nil {
			err = p.watch(ctx, running)
		}
		if ctx.Err() != nil {
			p.set("stopped")
			return
		}
		if time.Since(began) > steadyAfter {
			pause = firstPause
		}
		wait := rand.N(pause)
		pause = min(2*pause, longestPause)
		if p.died(err) {
			wait = circuitTime
		}
		p.set("backoff")
		p.mu.Lock()
		components := slices.Clone(p.components)
		p.mu.Unlock()
		for _, c := range components {
			c.diedOpening(err)
		}
		p.log.Error("the plugin's process ended: it is started again", "components", p.addresses(), "in", wait.Round(time.Millisecond), "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			p.set("stopped")
			return
		}
	}
}

// died notes a death and reports whether the circuit opens.
func (p *process) died(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.lastDeath = err
	p.deaths = slices.DeleteFunc(append(p.deaths, now), func(t time.Time) bool { return now.Sub(t) > circuitTime })
	return len(p.deaths) > circuitDeaths
}

// watch serves a running process until it dies; the error is why.
func (p *process) watch(ctx context.Context, running *client.Process) error {
	alive, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.seqMu.Lock()
	p.seq = 0
	p.seqMu.Unlock()
	p.mu.Lock()
	p.running, p.state, p.started = running, "running", time.Now()
	p.starts++
	components := slices.Clone(p.components)
	p.mu.Unlock()

	go running.ServeHost(alive, p.answer)
	if slices.ContainsFunc(p.plugin.Types, func(t sdk.Type) bool { return t.Kind == sdk.KindSource }) {
		go func() {
			err := p.o.Produce(alive, func(ctx context.Context) (wire.PacketStream, error) { return running.Produce(ctx) }, p.received)
			select {
			case <-running.Exited(): // the error is of its death
			case <-alive.Done():
			case <-time.After(250 * time.Millisecond):
				cancel(err)
				running.Kill()
			}
		}()
	}
	go p.checkHealth(alive, running, cancel)
	for _, c := range components {
		go c.open(running)
	}
	select {
	case <-running.Exited():
	case <-ctx.Done():
		running.Stop(context.Background())
	}
	p.mu.Lock()
	p.running = nil
	components = slices.Clone(p.components)
	p.mu.Unlock()
	for _, c := range components {
		c.processDied(running)
	}
	<-running.Done()
	if cause := context.Cause(alive); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if cause := running.Cause(); cause != nil {
		return cause
	}
	return errors.New("it ended without being asked to")
}

// checkHealth kills a process that does not answer. All are asked at the same moments: waking up costs more than asking.
func (p *process) checkHealth(ctx context.Context, running *client.Process, fail context.CancelCauseFunc) {
	next := time.NewTimer(untilHealth())
	defer next.Stop()
	for misses := 0; ; {
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		asked := time.Now()
		report, err := running.Health(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			misses = 0
			p.healthOf(report)
			next.Reset(untilHealth())
		default:
			if misses++; misses == healthMisses {
				fail(errors.New("it did not answer three health checks in a row: it hangs, and was killed"))
				running.Kill()
				return
			}
			next.Reset(healthEvery - time.Since(asked))
		}
	}
}

// untilHealth is the time to the next moment at which processes are asked, but for one that is near.
func untilHealth() time.Duration {
	now := time.Now()
	return now.Add(healthEvery / 2).Truncate(healthEvery).Add(healthEvery).Sub(now)
}

func (p *process) healthOf(report *wire.HealthReport) {
	p.mu.Lock()
	components := slices.Clone(p.components)
	p.mu.Unlock()
	for _, h := range report.Components {
		for _, c := range components {
			c.healthOf(h)
		}
	}
}

// received notes the number of a packet, for Close to wait for.
func (p *process) received(seq uint64) {
	p.seqMu.Lock()
	defer p.seqMu.Unlock()
	p.seq = seq
	close(p.more)
	p.more = make(chan struct{})
}

// waitReceived waits until the packet seq came.
func (p *process) waitReceived(ctx context.Context, seq uint64) {
	for {
		p.seqMu.Lock()
		at, more := p.seq, p.more
		p.seqMu.Unlock()
		if at >= seq {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

func (p *process) answer(ctx context.Context, call *wire.HostCall) *wire.HostReply {
	p.mu.Lock()
	components := slices.Clone(p.components)
	p.mu.Unlock()
	for _, c := range components {
		if c.has(call.Component) {
			return p.o.Answer(ctx, c.Address, call)
		}
	}
	return &wire.HostReply{Problem: wire.ToProblem(errors.New("the call names a component that is not open"))}
}

func (p *process) logEntry(e client.Entry) {
	log := p.log
	var args []any
	if e.Component != "" {
		args = append(args, "component", e.Component)
	}
	for k, v := range e.Fields {
		args = append(args, k, v)
	}
	log.Log(hclog.LevelFromString(e.Level), e.Text, args...)
}

func (p *process) set(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

func (p *process) addresses() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.components {
		all = append(all, c.Address)
	}
	slices.Sort(all)
	return all
}

// ProcessState is how a process is.
type ProcessState struct {
	Plugin     string
	Path       string
	Version    string
	SHA256     string
	Pid        int
	State      string // running, starting, backoff, stopped
	Restarts   int
	Started    time.Time
	LastDeath  error
	Components []string
}

func (p *process) report() ProcessState {
	addresses := p.addresses()
	p.mu.Lock()
	defer p.mu.Unlock()
	st := ProcessState{
		Plugin: p.plugin.Name, Path: p.plugin.Path, Version: p.plugin.Version, SHA256: p.plugin.SHA256, State: p.state, Restarts: max(p.starts-1, 0), Started: p.started,
		LastDeath: p.lastDeath, Components: addresses,
	}
	if p.running != nil {
		st.Pid = p.running.Pid
	}
	return st
}
