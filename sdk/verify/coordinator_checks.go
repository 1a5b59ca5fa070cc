package verify

import (
	"errors"
	"fmt"
	"strings"
	"time"
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
