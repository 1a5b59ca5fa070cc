package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// long is a ttl that no check waits for.
const long = time.Minute

// coordinatorChecks take leases in one process, and beside it in another one.
var coordinatorChecks = []check{
	{"lease/held", "a lease has a fence, and holds for its ttl at most, each time that it is asked",
		"answer with Lease.Left: from when the coordinator was asked, and no longer than the ttl", leaseHeld},
	{"lease/renewed", "a lease that nobody gives back holds for longer than its ttl",
		"renew it several times in each ttl, and count from when that was asked: Lease.Renewed", leaseRenewed},
	{"lease/one", "while one holds a key nobody else does, in this process or in another; other keys are free",
		"let the coordinator decide in one step who has the key: a transaction, or the making of a file", leaseOfOne},
	{"lease/fence", "each lease on a key has a greater fence than the one before it, also of another process",
		"take the fence from the coordinator, with the lease: a revision or a number that it counts up", fencesRise},
	{"lease/released", "a lease that was given back is another's at once",
		"tell the coordinator in Release; who waits hears of it, or looks often", leaseReleased},
	{"lease/cancelled", "an Acquire that is given up ends, and has no lease afterwards",
		"Acquire heeds its context, and gives back what it gets too late", leaseCancelled},
	{"lease/closed", "Close ends the leases of the component, and another gets them at once",
		"give back what is held when the component is closed", leaseClosed},
	{"lease/junk", "a key or a ttl that cannot be, or a component that is not open, is answered with a problem",
		"check as sdk.CheckLease does", leaseJunk},
}

// coordinatorFaultChecks have holders die and stop.
var coordinatorFaultChecks = []check{
	{"lease/killed", "when the process of a holder is killed, another gets the lease after the ttl",
		"leave it to the coordinator, or to those who wait, to see that a lease is not renewed", leaseOfKilled},
	{"lease/stopped", "when the process of a holder is stopped, it holds no more before another does, nor when it goes on",
		"count by a monotonic clock and look at it before each answer, as sdk.Lease does", leaseOfStopped},
	{"lease/given-up", "a lease whose stream breaks is another's after the ttl at the latest",
		"give back, or do not renew, what nobody holds any more", leaseGivenUp},
	{"members/lists", "who announces itself sees itself, and all others, with their facts",
		"call changed as soon as the list is known, and whenever it changes", membersListed},
	{"members/leave", "who ends, or is killed, is no member after its ttl",
		"announce under a lease, or by something that must be repeated", membersLeave},
}

// ttl is one that checks wait for.
func (s *session) ttl() time.Duration {
	return min(max(s.patient(2*time.Second), 2*time.Second), 5*time.Second)
}

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

func leaseHeld(s *session) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	ttl := s.ttl()
	c, err := p.holds(s.keyed("held"), ttl)
	if err != nil {
		return err
	}
	defer c.giveUp()
	for range 10 {
		switch left, err := c.left(); {
		case err != nil:
			return err
		case left <= 0:
			return errors.New("the lease ends although it was not given back")
		case left > ttl:
			return fmt.Errorf("of a ttl of %s there are %s left", ttl, left)
		}
	}
	return c.release()
}

func leaseRenewed(s *session) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	ttl := s.ttl()
	c, err := p.holds(s.keyed("renewed"), ttl)
	if err != nil {
		return err
	}
	defer c.giveUp()
	if e, err := c.next(ttl + ttl/2); err != nil {
		return err
	} else if e != nil {
		return fmt.Errorf("it ends after its ttl, although nothing was wrong: %s", e.Problem.GetText())
	}
	if left, err := c.left(); err != nil || left <= 0 {
		return errors.Join(err, fmt.Errorf("after its ttl there are %s left", left))
	}
	return c.release()
}

func leaseOfOne(s *session) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	c, err := p.holds(s.keyed("one"), long)
	if err != nil {
		return err
	}
	defer c.giveUp()
	q, err := s.here()
	if err != nil {
		return err
	}
	r, end, err := s.elsewhere()
	if err != nil {
		return err
	}
	defer end()
	for _, other := range []*peer{p, q, r} {
		waiting, err := other.claims(s.keyed("one"), long)
		if err != nil {
			return err
		}
		defer waiting.giveUp()
		if err := waiting.waits(s.patient(300 * time.Millisecond)); err != nil {
			return err
		}
	}
	free, err := r.holds(s.keyed("another"), long)
	if err != nil {
		return fmt.Errorf("while one key is held, another is not free: %w", err)
	}
	return errors.Join(free.release(), c.release())
}

func fencesRise(s *session) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	q, end, err := s.elsewhere()
	if err != nil {
		return err
	}
	defer end()
	last := uint64(0)
	for _, holder := range []*peer{p, q, q, p, p, q} {
		c, err := holder.holds(s.keyed("fence"), long)
		if err != nil {
			return err
		}
		if c.fence <= last {
			return fmt.Errorf("after a lease with the fence %d comes one with %d", last, c.fence)
		}
		last = c.fence
		if err := c.release(); err != nil {
			return err
		}
	}
	return nil
}

func leaseReleased(s *session) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	return s.passedOn(p, "released", func(c *claim) error { return c.release() })
}

func leaseClosed(s *session) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	return s.passedOn(p, "closed", func(c *claim) error {
		if err := s.closes(p.number); err != nil {
			return err
		}
		if left, err := c.left(); err == nil && left > 0 {
			return fmt.Errorf("it is closed, and a lease holds for %s", left)
		}
		return nil
	})
}

// passedOn has another process wait for a lease, ends it, and wants the other to hold it long before its ttl.
func (s *session) passedOn(p *peer, name string, end func(*claim) error) error {
	c, err := p.holds(s.keyed(name), long)
	if err != nil {
		return err
	}
	defer c.giveUp()
	q, kill, err := s.elsewhere()
	if err != nil {
		return err
	}
	defer kill()
	waiting, err := q.claims(s.keyed(name), long)
	if err != nil {
		return err
	}
	defer waiting.giveUp()
	if err := waiting.waits(s.patient(200 * time.Millisecond)); err != nil {
		return err
	}
	if err := end(c); err != nil {
		return err
	}
	return waiting.held(s.soon())
}

func leaseCancelled(s *session) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	q, err := s.here()
	if err != nil {
		return err
	}
	c, err := p.holds(s.keyed("cancelled"), long)
	if err != nil {
		return err
	}
	defer c.giveUp()
	for range 3 {
		waiting, err := q.claims(s.keyed("cancelled"), long)
		if err != nil {
			return err
		}
		if err := waiting.waits(s.patient(100 * time.Millisecond)); err != nil {
			return err
		}
		waiting.giveUp()
	}
	if err := s.closes(q.number); err != nil {
		return fmt.Errorf("three have given up to wait, and then: %w", err)
	}
	if err := c.release(); err != nil {
		return err
	}
	again, err := p.holds(s.keyed("cancelled"), long)
	if err != nil {
		return fmt.Errorf("three have given up to wait, and then: %w", err)
	}
	return again.release()
}

func leaseJunk(s *session) error {
	p, err := s.here()
	if err != nil {
		return err
	}
	for _, x := range []struct {
		what   string
		number uint32
		key    string
		ttl    time.Duration
	}{
		{"an empty key", p.number, "", long}, {"a key with a line end", p.number, "a\nb", long}, {"a key of 10 KiB", p.number, strings.Repeat("x", 10<<10), long},
		{"no ttl", p.number, "a", 0}, {"a ttl of a year", p.number, "a", 365 * 24 * time.Hour}, {"a component that is not open", 4_000_000, "a", long},
	} {
		c, err := (&peer{s, s.rpc, x.number, s.process}).claims(x.key, x.ttl)
		if err != nil {
			return err
		}
		e, err := c.next(s.soon())
		c.giveUp()
		switch {
		case err != nil:
			return err
		case e.GetProblem() == nil:
			return fmt.Errorf("asked with %s it answers no problem", x.what)
		}
	}
	return nil
}

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
