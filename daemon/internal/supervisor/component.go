package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// The states of a component.
const (
	StateOpening  = "opening"
	StateRunning  = "running"
	StateDegraded = "degraded"
	StateFailed   = "failed"
	StateClosed   = "closed"
)

// Component is a configured block at work. It stays open across restarts of its process, under a new number each time.
type Component struct {
	Spec
	process *process

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change of what follows
	handle  *Handle       // nil: not open now
	state   string
	text    string
	since   time.Time
	err     error // of the last opening
	tried   bool
	health  *wire.ComponentHealth
	closing bool
	lent    int // to those who have not returned it
}

// Handle is an open component in one life of its process.
type Handle struct {
	*client.Process
	Number uint32
	socket string
}

// DialHTTP connects to the component's HTTP handler; requests go to /<number>/….
func (h *Handle) DialHTTP(ctx context.Context) (net.Conn, error) {
	if h.socket == "" {
		return nil, errors.New("the component serves no HTTP")
	}
	return h.Process.DialHTTP(ctx, h.socket)
}

// Use waits until the component is open.
func (c *Component) Use(ctx context.Context) (*Handle, error) {
	h, back, err := c.Borrow(ctx)
	back()
	return h, err
}

// Borrow waits until the component is open. Until it is given back it is not closed, as long as Close has time.
func (c *Component) Borrow(ctx context.Context) (h *Handle, back func(), err error) {
	for {
		c.mu.Lock()
		h, closed, changed := c.handle, c.closing, c.changed
		if h != nil {
			c.lent++
		}
		c.mu.Unlock()
		switch {
		case h != nil:
			return h, func() { c.change(func() { c.lent-- }) }, nil
		case closed:
			return nil, func() {}, fmt.Errorf("%s is closed", c.Address)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, func() {}, fmt.Errorf("%s is not open: %w", c.Address, ctx.Err())
		}
	}
}

// returned waits until nobody has the component.
func (c *Component) returned(ctx context.Context) {
	for ctx.Err() == nil {
		c.mu.Lock()
		lent, changed := c.lent, c.changed
		c.mu.Unlock()
		if lent == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (c *Component) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.state
	f()
	if c.state != before {
		c.since = time.Now()
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// Opened waits until the component is open, or a first try has failed: the error says why.
func (c *Component) Opened(ctx context.Context) error {
	for {
		c.mu.Lock()
		h, tried, err, changed := c.handle, c.tried, c.err, c.changed
		c.mu.Unlock()
		if h != nil {
			return nil
		}
		if tried && err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s did not open in time: %w", c.Address, ctx.Err())
		}
		if death := c.processFailed(); death != nil {
			return death
		}
	}
}

// processFailed is why the plugin's process cannot be started, nil if it can or was not tried.
func (c *Component) processFailed() error {
	c.process.mu.Lock()
	defer c.process.mu.Unlock()
	if c.process.running == nil && c.process.state == "backoff" {
		return c.process.lastDeath
	}
	return nil
}

// open opens the component in a process that has just started, or that it has just joined; a failure that is not for good
// is tried again while the process lives.
func (c *Component) open(in *client.Process) {
	for pause := time.Second; ; pause = min(2*pause, longestPause) {
		err := c.openOnce(in)
		if err == nil {
			return
		}
		var problem *sdk.Problem
		if !errors.As(err, &problem) { // the pipe broke or the plugin is silent
			select {
			case <-in.Exited():
			default:
				c.process.log.Error("opening got no answer: the plugin is killed", "component", c.Address, "error", err)
				in.Kill()
			}
			return
		}
		text := c.process.o.Place(c.Address, err)
		c.change(func() { c.tried, c.err, c.state, c.text = true, err, StateFailed, text })
		c.process.log.Warn("the component could not be opened: it is tried again", "component", c.Address, "in", pause, "error", text)
		select {
		case <-time.After(max(pause, problem.RetryAfter)):
		case <-in.Exited():
			return
		}
		if c.isClosing() {
			return
		}
	}
}

func (c *Component) openOnce(in *client.Process) error {
	number, err := c.process.o.Number()
	if err != nil {
		return &sdk.Problem{Blame: sdk.BlameHost, Err: err}
	}
	var checkpoint []byte
	if c.Kind == sdk.KindSource {
		checkpoint = c.process.o.Opening(number, &c.Spec)
	}
	o := client.Opening{
		Config:    client.Config{Kind: c.Kind, Type: c.Type, Address: c.Address, JSON: c.Config},
		Component: number, Dir: c.Dir, Source: c.Source, Instance: c.Instance, Checkpoint: checkpoint,
	}
	if c.Targets != nil {
		o.Targets = c.Targets()
	}
	socket, err := in.Open(context.Background(), o, func(text string) {
		c.change(func() { c.state, c.text = StateOpening, text })
	})
	if err != nil {
		c.process.o.Gone(number)
		return err
	}
	closing := false
	c.change(func() {
		if closing = c.closing; closing {
			return
		}
		c.handle = &Handle{in, number, socket}
		c.tried, c.err, c.state, c.text = true, nil, StateRunning, ""
	})
	if closing {
		in.Close(context.Background(), number, time.Second)
		c.process.o.Gone(number)
	}
	return nil
}

func (c *Component) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

func (c *Component) processDied(was *client.Process) {
	var number uint32
	c.change(func() {
		if c.handle != nil && c.handle.Process == was {
			number = c.handle.Number
			c.handle, c.state, c.text, c.health = nil, StateOpening, "its process ended", nil
		}
	})
	if number != 0 {
		c.process.o.Gone(number)
	}
}

// diedOpening ends the wait for a first opening that the process has not survived: the next one may fare the same.
func (c *Component) diedOpening(err error) {
	c.change(func() {
		if c.handle == nil && !c.tried {
			c.tried, c.err = true, err
		}
	})
}

// Reconfigure hands a changed configuration to the component in place; a restart of its process uses it too.
func (c *Component) Reconfigure(ctx context.Context, config []byte) error {
	h, err := c.Use(ctx)
	if err != nil {
		return err
	}
	if err := h.Reconfigure(ctx, h.Number, config); err != nil {
		return err
	}
	c.change(func() { c.Config = config })
	return nil
}

// Hold keeps the component's process, though the component is closed, until release: where its plugin's file is another by
// now, nothing else could open it again as it was.
func (c *Component) Hold() (release func()) {
	c.process.hold(1)
	return func() { c.process.hold(-1) }
}

// Close ends the component: what it collected is received before Close returns, within the time.
func (c *Component) Close(ctx context.Context, within time.Duration) {
	var h *Handle
	c.change(func() {
		h = c.handle
		c.handle, c.closing, c.state, c.text = nil, true, StateClosed, ""
	})
	if h != nil {
		wait, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		c.returned(wait)
		ctx, cancel := context.WithTimeout(ctx, within+time.Second)
		defer cancel()
		last, err := h.Close(ctx, h.Number, within)
		if err != nil {
			c.process.log.Warn("the component did not close cleanly", "component", c.Address, "error", err)
		}
		if c.Kind == sdk.KindSource {
			c.process.waitReceived(ctx, last)
		}
		c.process.o.Gone(h.Number)
	}
	c.process.remove(ctx, c)
}

func (c *Component) has(number uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handle != nil && c.handle.Number == number
}

func (c *Component) healthOf(h *wire.ComponentHealth) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handle == nil || c.handle.Number != h.Component {
		return
	}
	c.health = h
	before := c.state
	switch h.Status {
	case wire.ComponentHealth_OK:
		c.state = StateRunning
	case wire.ComponentHealth_DEGRADED:
		c.state = StateDegraded
	case wire.ComponentHealth_FAILED:
		c.state = StateFailed
	}
	if c.state != before {
		c.since = time.Now()
	}
	c.text = h.Text
}

// ComponentState is how a component is.
type ComponentState struct {
	State  string
	Text   string
	Since  time.Time
	Number uint32 // 0: not open
	Health *wire.ComponentHealth
}

// Report says how the component is.
func (c *Component) Report() ComponentState {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := ComponentState{State: c.state, Text: c.text, Since: c.since, Health: c.health}
	if c.handle != nil {
		st.Number = c.handle.Number
	}
	return st
}
