package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// giveBackTime is how long a lease is given back for when nobody waits for it any more; after that it ends by its ttl.
const giveBackTime = 500 * time.Millisecond

var errClosed = errors.New("the coordinator is closed")

type leaseStream = grpc.BidiStreamingServer[wire.LeaseCall, wire.LeaseEvent]

// Acquire takes a lease and keeps it until it is given back, it is lost, the component is closed, or the stream ends.
func (s *Server) Acquire(stream leaseStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	r := first.GetAcquire()
	if r == nil {
		return status.Error(codes.InvalidArgument, "the first message of Acquire has to say of what")
	}
	fail := func(err error) error { return stream.Send(&wire.LeaseEvent{Problem: wire.ToProblem(err)}) }
	ttl := time.Duration(r.TtlNs)
	c, arbiter, err := implementing[sdk.Arbiter](s, r.Component)
	if err == nil {
		err = sdk.CheckLease(r.Key, ttl)
	}
	if err != nil {
		return fail(err)
	}
	ctx, leave, open := c.during(stream.Context())
	if !open {
		return fail(errClosed)
	}
	defer leave()
	calls, ctx := heard(ctx, stream)
	var lease *sdk.Lease
	err = c.call("Acquire", func() (err error) {
		lease, err = arbiter.Acquire(ctx, r.Key, ttl)
		return err
	})
	switch {
	case err == nil && lease == nil:
		return fail(errors.New("Acquire returned neither a lease nor an error"))
	case err != nil && context.Cause(ctx) != nil:
		return fail(context.Cause(ctx))
	case err != nil:
		return fail(err)
	}
	if ctx.Err() != nil || lease.Left() == 0 {
		giveBack(ctx, lease)
		return fail(errors.Join(lease.Err(), context.Cause(ctx)))
	}
	return hold(ctx, stream, lease, calls)
}

// during has a call end with the component's life. Close waits for leave; open is false where it does not wait any more.
func (c *component) during(ctx context.Context) (_ context.Context, leave func(), open bool) {
	done, open := c.enter()
	if !open {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(c.life, func() { cancel(errClosed) })
	return ctx, func() { unhook(); cancel(nil); done() }, true
}

// heard receives what the daemon says; the context ends when it says no more.
func heard(ctx context.Context, stream leaseStream) (<-chan *wire.LeaseCall, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	calls := make(chan *wire.LeaseCall)
	go func() {
		for {
			m, err := stream.Recv()
			if err != nil {
				cancel(fmt.Errorf("nobody holds it any more: %w", err))
				return
			}
			select {
			case calls <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	return calls, ctx
}

// hold answers how long the lease still holds, until it ends.
func hold(ctx context.Context, stream leaseStream, lease *sdk.Lease, calls <-chan *wire.LeaseCall) error {
	defer giveBack(ctx, lease)
	err := stream.Send(&wire.LeaseEvent{Fence: lease.Fence()})
	for err == nil {
		select {
		case m := <-calls:
			if m.GetRelease() {
				err := sdk.Recover("Release", func() error { return lease.Release(ctx) })
				return stream.Send(&wire.LeaseEvent{Released: true, Problem: wire.ToProblem(err)})
			}
			if left := lease.Left(); left > 0 {
				err = stream.Send(&wire.LeaseEvent{Answer: m.GetAsk(), LeftNs: int64(left)})
			}
		case <-lease.Done():
			return stream.Send(&wire.LeaseEvent{Problem: wire.ToProblem(lease.Err())})
		case <-ctx.Done():
			giveBack(ctx, lease)
			return stream.Send(&wire.LeaseEvent{Problem: wire.ToProblem(context.Cause(ctx))})
		}
	}
	return err
}

// giveBack releases a lease that nobody holds, if it has not ended.
func giveBack(ctx context.Context, lease *sdk.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	sdk.Recover("Release", func() error { return lease.Release(ctx) })
}

// Members announces a member, and tells all, for as long as the daemon listens.
func (s *Server) Members(r *wire.MembersRequest, stream grpc.ServerStreamingServer[wire.MembersEvent]) error {
	fail := func(err error) error { return stream.Send(&wire.MembersEvent{Problem: wire.ToProblem(err)}) }
	c, arbiter, err := implementing[sdk.Arbiter](s, r.Component)
	if err != nil {
		return fail(err)
	}
	ctx, leave, open := c.during(stream.Context())
	if !open {
		return fail(errClosed)
	}
	defer leave()
	self := sdk.Member{Name: r.Self.GetName(), Facts: r.Self.GetFacts()}
	if self.Name != "" {
		if err = self.Check(); err == nil {
			err = sdk.CheckLease(self.Name, time.Duration(r.TtlNs))
		}
		if err != nil {
			return fail(err)
		}
	}
	err = c.call("Members", func() error {
		return arbiter.Members(ctx, self, time.Duration(r.TtlNs), func(all []sdk.Member) error {
			return stream.Send(&wire.MembersEvent{Members: wire.ToMembers(all)})
		})
	})
	switch {
	case stream.Context().Err() != nil:
		return nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil:
		err = errors.New("Members returned although nobody asked it to")
	}
	return fail(err)
}
