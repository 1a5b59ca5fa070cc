package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Acquire waits until a coordinator gives the lease on a key, or ctx ends; after that ctx means nothing to the lease. It ends by
// itself when the coordinator says so, when the plugin dies or the stream breaks, and, by this process' own clock, when no
// answer says in time that it still holds: a plugin that hangs cannot hold it.
//
// Each answer says how long the lease holds from when the question came; that is counted from when it was asked. So an answer
// that was late, or read late, never makes it longer.
func (c *Conn) Acquire(ctx context.Context, component uint32, key string, ttl time.Duration) (*sdk.Lease, error) {
	if err := sdk.CheckLease(key, ttl); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	waiting := context.AfterFunc(ctx, cancel)
	lease, err := c.acquire(life, cancel, component, key, ttl)
	if err != nil {
		cancel()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	if !waiting() { // ctx has ended meanwhile, and the stream with it
		return nil, ctx.Err()
	}
	return lease, nil
}

func (c *Conn) acquire(life context.Context, cancel func(), component uint32, key string, ttl time.Duration) (*sdk.Lease, error) {
	stream, err := c.rpc.Acquire(life)
	if err == nil {
		err = stream.Send(&wire.LeaseCall{Call: &wire.LeaseCall_Acquire{Acquire: &wire.AcquireRequest{Component: component, Key: key, TtlNs: int64(ttl)}}})
	}
	if err != nil && !errors.Is(err, io.EOF) { // then Recv tells why
		return nil, err
	}
	m, err := stream.Recv()
	switch {
	case err != nil:
		return nil, err
	case m.Problem != nil:
		return nil, m.Problem.Err()
	case m.Fence == 0:
		return nil, errors.New("the coordinator gave a lease without a fence")
	}
	h := &holding{stream: stream, cancel: cancel, over: make(chan struct{})}
	if err := h.ask(); err != nil {
		return nil, err
	}
	left, err := h.answer()
	if err != nil {
		return nil, err
	}
	// What the plugin says counts. It asked its coordinator earlier than it was asked here: that part of the ttl has passed.
	h.lease = sdk.NewLease(m.Fence, ttl, h.asked.Add(left-ttl), h.release)
	if !h.lease.Extend(h.asked.Add(left)) {
		return nil, h.lease.Err()
	}
	go h.hear()
	go h.keep(ttl / 8)
	return h.lease, nil
}

// holding is the daemon's end of a lease.
type holding struct {
	stream grpc.BidiStreamingClient[wire.LeaseCall, wire.LeaseEvent]
	cancel func() // ends the stream
	lease  *sdk.Lease
	over   chan struct{} // the stream has ended
	final  error         // what it ended with

	mu     sync.Mutex // Send is for one goroutine at a time
	number uint64     // of the last question
	asked  time.Time
	silent bool // it was not answered yet
}

// ask asks how long the lease holds, unless the last question was not answered yet: the lease's clock runs on.
func (h *holding) ask() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.silent {
		return nil
	}
	h.number++
	h.silent, h.asked = true, time.Now()
	return h.stream.Send(&wire.LeaseCall{Call: &wire.LeaseCall_Ask{Ask: h.number}})
}

var errWithoutAWord = errors.New("the plugin ended the lease without a word")

// answer receives the next answer, or why there will be none.
func (h *holding) answer() (time.Duration, error) {
	for {
		m, err := h.stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return 0, errWithoutAWord
		case err != nil:
			return 0, fmt.Errorf("the plugin does not hold it any more: %w", err)
		case m.Problem != nil:
			return 0, m.Problem.Err()
		case m.Released:
			return 0, sdk.ErrReleased
		}
		h.mu.Lock()
		current := m.Answer == h.number
		h.silent = h.silent && !current
		h.mu.Unlock()
		if current {
			return time.Duration(m.LeftNs), nil
		}
	}
}

// hear extends the lease with every answer, and ends it with the stream.
func (h *holding) hear() {
	defer h.cancel()
	for {
		left, err := h.answer()
		if err != nil {
			h.lease.Lose(err)
			h.final = err
			close(h.over)
			return
		}
		h.mu.Lock()
		until := h.asked.Add(min(left, h.lease.TTL()))
		h.mu.Unlock()
		h.lease.Extend(until)
	}
}

// keep asks again and again until the lease has ended.
func (h *holding) keep(every time.Duration) {
	clock := time.NewTicker(every)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
			h.ask() // hear tells of what broke
		case <-h.lease.Done():
			if !errors.Is(h.lease.Err(), sdk.ErrReleased) {
				h.cancel()
			}
			return
		}
	}
}

// release tells the plugin, and waits until it has told its coordinator.
func (h *holding) release(ctx context.Context) error {
	defer h.cancel()
	h.mu.Lock()
	err := h.stream.Send(&wire.LeaseCall{Call: &wire.LeaseCall_Release{Release: true}})
	h.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-h.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	if errors.Is(h.final, sdk.ErrReleased) {
		return nil
	}
	return h.final
}

// Members announces a member until ctx ends or the coordinator fails, and tells all of them whenever they change. Without a name
// it only looks.
func (c *Conn) Members(ctx context.Context, component uint32, self sdk.Member, ttl time.Duration, changed func([]sdk.Member)) error {
	ctx, cancel := context.WithCancel(ctx) // a plugin that goes on sending is told to stop
	defer cancel()
	r := &wire.MembersRequest{Component: component, Self: wire.ToMembers([]sdk.Member{self})[0], TtlNs: int64(ttl)}
	stream, err := c.rpc.Members(ctx, r)
	for err == nil {
		var m *wire.MembersEvent
		switch m, err = stream.Recv(); {
		case errors.Is(err, io.EOF):
			return errWithoutAWord
		case err != nil:
		case m.Problem != nil:
			return m.Problem.Err()
		default:
			changed(sdk.SortMembers(wire.FromMembers(m.Members)))
		}
	}
	return err
}
