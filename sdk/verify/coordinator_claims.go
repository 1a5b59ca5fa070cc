package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// peer is a process with a component of the example in it.
type peer struct {
	*session
	rpc    wire.PluginClient
	number uint32
	of     *client.Process
}

// here is one more component of the process under test.
func (s *session) here() (*peer, error) {
	c, err := s.open()
	if err != nil {
		return nil, err
	}
	return &peer{s, s.rpc, c.number, s.process}, nil
}

// elsewhere is a component of a process of its own; end kills it.
func (s *session) elsewhere() (p *peer, end func(), err error) {
	process, err := s.start()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(s.life)
	end = func() { cancel(); process.Kill(); <-process.Exited() }
	go process.ServeHost(ctx, (&hostSide{session: s, state: map[string][]byte{}}).answer)
	r := s.request(&s.blocks[0], s.blocks[0].settings(time.Hour))
	p = &peer{s, wire.NewPluginClient(process.Connection()), r.Component, process}
	stream, err := p.rpc.Open(ctx, r)
	for err == nil {
		var e *wire.OpenEvent
		switch e, err = stream.Recv(); {
		case err != nil:
		case e.Problem != nil:
			err = e.Problem.Err()
		case e.Opened != nil:
			return p, end, nil
		}
	}
	end()
	return nil, nil, fmt.Errorf("in another process it does not open: %w", err)
}

// claim is a lease that was asked for.
type claim struct {
	peer   *peer
	stream grpc.BidiStreamingClient[wire.LeaseCall, wire.LeaseEvent]
	giveUp context.CancelFunc
	events chan *wire.LeaseEvent // closed at the end of the stream
	ended  error
	asked  uint64
	fence  uint64
}

// claims asks for a lease, and does not wait.
func (p *peer) claims(key string, ttl time.Duration) (*claim, error) {
	ctx, cancel := context.WithCancel(p.ctx)
	stream, err := p.rpc.Acquire(ctx)
	if err == nil {
		err = stream.Send(acquiring(p.number, key, ttl))
	}
	if err != nil {
		cancel()
		return nil, p.cause(err)
	}
	c := &claim{peer: p, stream: stream, giveUp: cancel, events: make(chan *wire.LeaseEvent, 16)}
	go func() {
		defer close(c.events)
		for {
			e, err := stream.Recv()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					c.ended = err
				}
				return
			}
			p.hear(e)
			select {
			case c.events <- e:
			case <-ctx.Done():
				c.ended = ctx.Err()
				return
			}
		}
	}()
	return c, nil
}

func acquiring(number uint32, key string, ttl time.Duration) *wire.LeaseCall {
	return &wire.LeaseCall{Call: &wire.LeaseCall_Acquire{Acquire: &wire.AcquireRequest{Component: number, Key: key, TtlNs: int64(ttl)}}}
}

// next is the next event; nil: there is none for a while.
func (c *claim) next(within time.Duration) (*wire.LeaseEvent, error) {
	select {
	case e, more := <-c.events:
		if !more {
			return nil, c.peer.cause(fmt.Errorf("the stream of a lease ends without saying why: %w", errors.Join(c.ended, io.EOF)))
		}
		return e, nil
	case <-time.After(within):
		return nil, nil
	case <-c.peer.ctx.Done():
		return nil, c.peer.ctx.Err()
	}
}

// held waits until the lease is there.
func (c *claim) held(within time.Duration) error {
	e, err := c.next(within)
	switch {
	case err != nil:
		return err
	case e == nil:
		return fmt.Errorf("the lease does not come within %s", within.Round(100*time.Millisecond))
	case e.Problem.GetBlame() == wire.Problem_TARGET:
		return skip("what it coordinates by is elsewhere: %.150s", e.Problem.Text)
	case e.Problem != nil:
		return fmt.Errorf("the lease cannot be had: %s", e.Problem.Text)
	case e.Fence == 0:
		return errors.New("the lease comes without a fence")
	}
	c.fence = e.Fence
	return nil
}

// waits reports an error if the lease comes after all.
func (c *claim) waits(d time.Duration) error {
	e, err := c.next(d)
	switch {
	case err != nil:
		return err
	case e == nil:
		return nil
	case e.Problem != nil:
		return fmt.Errorf("who waits for a lease that is held is sent away: %s", e.Problem.Text)
	}
	return errors.New("two hold the same key at once")
}

// left asks how long it holds; 0: it has ended.
func (c *claim) left() (time.Duration, error) {
	c.asked++
	if err := c.stream.Send(&wire.LeaseCall{Call: &wire.LeaseCall_Ask{Ask: c.asked}}); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	for {
		e, err := c.next(c.peer.patient(2 * time.Second))
		switch {
		case err != nil:
			return 0, err
		case e == nil:
			return 0, errors.New("it does not answer how long a lease holds")
		case e.Problem != nil || e.Released:
			return 0, nil
		case e.Answer == c.asked:
			return time.Duration(e.LeftNs), nil
		}
	}
}

// release gives it back and waits for the answer.
func (c *claim) release() error {
	defer c.giveUp()
	if err := c.stream.Send(&wire.LeaseCall{Call: &wire.LeaseCall_Release{Release: true}}); err != nil {
		return err
	}
	for {
		e, err := c.next(c.peer.patient(2 * time.Second))
		switch {
		case err != nil:
			return err
		case e == nil:
			return errors.New("it does not answer that a lease is given back")
		case e.Problem != nil:
			return fmt.Errorf("a lease cannot be given back: %s", e.Problem.Text)
		case e.Released:
			return nil
		}
	}
}

// soon is how long what waits for nothing may take.
func (s *session) soon() time.Duration { return s.patient(5 * time.Second) }

// holds takes a lease that is free.
func (p *peer) holds(key string, ttl time.Duration) (*claim, error) {
	c, err := p.claims(key, ttl)
	if err == nil {
		if err = c.held(p.soon()); err != nil {
			c.giveUp()
		}
	}
	return c, err
}

// keyed is a key that no other check has used.
func (s *session) keyed(name string) string {
	return "verify/" + name + "/" + s.canary[len(s.canary)-8:]
}
