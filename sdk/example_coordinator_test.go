package sdk_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// seats is a coordinator of those who are in one process; a real one asks what all daemons can reach.
type seats struct {
	mu    sync.Mutex
	fence uint64
	taken map[string]chan struct{} // closed when it is free
}

// Acquire waits until the key is free, and takes it.
func (s *seats) Acquire(ctx context.Context, key string, ttl time.Duration) (*sdk.Lease, error) {
	for {
		asked := time.Now() // before anything that the ttl is counted from
		s.mu.Lock()
		busy := s.taken[key]
		if busy == nil {
			s.fence++
			free := make(chan struct{})
			s.taken[key] = free
			lease := sdk.NewLease(s.fence, ttl, asked, func(context.Context) error { return nil })
			s.mu.Unlock()
			go s.keep(lease, key, free)
			return lease, nil
		}
		s.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// keep renews the lease until it has ended.
func (s *seats) keep(lease *sdk.Lease, key string, free chan struct{}) {
	for {
		select {
		case <-time.After(lease.TTL() / 4):
			lease.Renewed(time.Now())
		case <-lease.Done():
			s.mu.Lock()
			delete(s.taken, key)
			s.mu.Unlock()
			close(free)
			return
		}
	}
}

// Members knows of nobody else.
func (s *seats) Members(ctx context.Context, self sdk.Member, _ time.Duration, changed func([]sdk.Member) error) error {
	if err := changed(sdk.SortMembers([]sdk.Member{self})); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

var _ sdk.Arbiter = (*seats)(nil)

// A coordinator.
func ExampleCoordinator() {
	type Config struct{}
	s := &seats{taken: map[string]chan struct{}{}}
	_ = sdk.Coordinator(func(context.Context, *Config, sdk.Host) (*seats, error) { return s, nil }) // for serve.Main

	for range 2 {
		lease, err := s.Acquire(context.Background(), "leader", time.Minute)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("fence", lease.Fence(), "holds:", lease.Left() > 0)
		lease.Release(context.Background())
		fmt.Println(lease.Err())
	}
	// Output:
	// fence 1 holds: true
	// it was given back
	// fence 2 holds: true
	// it was given back
}
