package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

func leaseOfKilled(s *session) error {
	return s.takenOver("killed", func(q *peer, c *claim) (func() error, error) {
		q.of.Kill()
		return nil, nil
	})
}

func leaseGivenUp(s *session) error {
	return s.takenOver("given-up", func(_ *peer, c *claim) (func() error, error) {
		c.giveUp()
		return nil, nil
	})
}

func leaseOfStopped(s *session) error {
	return s.takenOver("stopped", func(q *peer, c *claim) (func() error, error) {
		asked := time.Now()
		left, err := c.left()
		if err != nil {
			return nil, err
		}
		if err := syscall.Kill(q.of.Pid, syscall.SIGSTOP); err != nil {
			return nil, err
		}
		return func() error {
			early := time.Until(asked.Add(left))
			if err := syscall.Kill(q.of.Pid, syscall.SIGCONT); err != nil {
				return err
			}
			if early > 0 {
				return fmt.Errorf("another holds the lease %s before it has ended by what its holder answered", early)
			}
			if left, err := c.left(); err == nil && left > 0 {
				return fmt.Errorf("another holds the lease, and its old holder goes on and answers that it holds for %s", left)
			}
			return nil
		}, nil
	})
}

// takenOver has another process hold a lease, something happen to it, and wants to hold the lease after its ttl.
func (s *session) takenOver(name string, happens func(*peer, *claim) (afterwards func() error, err error)) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	q, kill, err := s.elsewhere()
	if err != nil {
		return err
	}
	defer kill()
	ttl := s.ttl()
	c, err := q.holds(s.keyed(name), ttl)
	if err != nil {
		return err
	}
	defer c.giveUp()
	afterwards, err := happens(q, c)
	if err != nil {
		return err
	}
	next, err := p.claims(s.keyed(name), long)
	if err != nil {
		return err
	}
	defer next.giveUp()
	if err := next.held(2*ttl + s.soon()); err != nil {
		return err
	}
	if afterwards != nil {
		if err := afterwards(); err != nil {
			return err
		}
	}
	if next.fence <= c.fence {
		return fmt.Errorf("the old holder has the fence %d, and the new one %d", c.fence, next.fence)
	}
	return next.release()
}

// presence is a call of Members.
type presence struct {
	peer  *peer
	lists chan *wire.MembersEvent
	leave context.CancelFunc
	last  []string
}

func (p *peer) announces(name string, ttl time.Duration) (*presence, error) {
	ctx, cancel := context.WithCancel(p.ctx)
	r := &wire.MembersRequest{Component: p.number, Self: &wire.Member{Name: name}, TtlNs: int64(ttl)}
	if name != "" {
		r.Self.Facts = map[string]string{"of": name}
	}
	stream, err := p.rpc.Members(ctx, r)
	if err != nil {
		cancel()
		return nil, p.cause(err)
	}
	x := &presence{peer: p, lists: make(chan *wire.MembersEvent), leave: cancel}
	go func() {
		defer close(x.lists)
		for {
			e, err := stream.Recv()
			if err != nil {
				return
			}
			p.hear(e)
			select {
			case x.lists <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return x, nil
}

// sees waits until the members are these.
func (x *presence) sees(within time.Duration, want ...string) error {
	for end := time.After(within); ; {
		select {
		case e, more := <-x.lists:
			switch {
			case !more:
				return x.peer.cause(errors.New("the call of Members ends"))
			case e.Problem.GetBlame() == wire.Problem_TARGET:
				return skip("what it coordinates by is elsewhere: %.150s", e.Problem.Text)
			case e.Problem != nil:
				return errors.New(e.Problem.Text)
			}
			x.last = nil
			for _, m := range e.Members {
				if x.last = append(x.last, m.Name); m.Facts["of"] != m.Name {
					return fmt.Errorf("the facts of %s are %v", m.Name, m.Facts)
				}
			}
			if slices.Equal(x.last, want) {
				return nil
			}
		case <-end:
			return fmt.Errorf("the members are %q, and should be %q", x.last, want)
		case <-x.peer.ctx.Done():
			return x.peer.ctx.Err()
		}
	}
}

func membersListed(s *session) error {
	return s.together(func(a, b *presence, _ func()) error { return nil })
}

func membersLeave(s *session) error {
	return s.together(func(a, b *presence, kill func()) error {
		look, err := a.peer.announces("", 0)
		if err != nil {
			return err
		}
		defer look.leave()
		if err := look.sees(s.soon(), "a", "b"); err != nil {
			return err
		}
		kill()
		if err := look.sees(3*s.ttl()+s.soon(), "a"); err != nil {
			return fmt.Errorf("b was killed: %w", err)
		}
		a.leave()
		if err := look.sees(3*s.ttl() + s.soon()); err != nil {
			return fmt.Errorf("a has ended: %w", err)
		}
		return nil
	})
}

// together has a in this process and b in another one see each other.
func (s *session) together(then func(a, b *presence, kill func()) error) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	a, err := p.announces("a", s.ttl())
	if err != nil {
		return err
	}
	defer a.leave()
	if err := a.sees(s.soon(), "a"); err != nil {
		return err
	}
	q, kill, err := s.elsewhere()
	if err != nil {
		return err
	}
	defer kill()
	b, err := q.announces("b", s.ttl())
	if err != nil {
		return err
	}
	defer b.leave()
	for _, x := range []*presence{a, b} {
		if err := x.sees(s.soon(), "a", "b"); err != nil {
			return err
		}
	}
	return then(a, b, kill)
}
