package verify

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
)

// coordinating starts the healthy coordinator of these tests in a process of its own.
func coordinating(t *testing.T, shared string) *client.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "vl") // sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "lease-healthy")
	if err := os.Symlink(self, binary); err != nil {
		t.Fatal(err)
	}
	p, err := client.Launch(context.Background(), client.Options{Path: binary, SocketDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); <-p.Exited() })
	opening := client.Opening{Component: 1, Config: client.Config{Kind: sdk.KindCoordinator, Type: "defect", Address: "coordinator.defect.main", JSON: []byte(`{"dir":"` + shared + `"}`)}}
	if _, err := p.Open(t.Context(), opening, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestALeaseEndsAtTheDaemonWhateverHappensToThePlugin holds what the daemon is to see: it stops in time, before another holds.
func TestALeaseEndsAtTheDaemonWhateverHappensToThePlugin(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Second
	for name, happens := range map[string]func(p *client.Process) error{
		"its process is killed":  func(p *client.Process) error { p.Kill(); return nil },
		"its process is stopped": func(p *client.Process) error { return syscall.Kill(p.Pid, syscall.SIGSTOP) },
		"the connection breaks":  func(p *client.Process) error { return p.Connection().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := t.TempDir()
			p, q := coordinating(t, shared), coordinating(t, shared)
			lease, err := p.Acquire(t.Context(), 1, "leader", ttl)
			if err != nil {
				t.Fatal(err)
			}
			if lease.Left() == 0 || lease.Left() > ttl {
				t.Fatalf("there are %s left: %v", lease.Left(), lease.Err())
			}
			next := make(chan *sdk.Lease)
			go func() {
				l, err := q.Acquire(t.Context(), 1, "leader", ttl)
				if err != nil {
					t.Error(err)
				}
				next <- l
			}()
			if err := happens(p); err != nil {
				t.Fatal(err)
			}
			second := <-next
			if lease.Left() != 0 || lease.Err() == nil || errors.Is(lease.Err(), sdk.ErrReleased) {
				t.Errorf("another holds it, and here there are %s left: %v", lease.Left(), lease.Err())
			}
			if second == nil || second.Fence() <= lease.Fence() {
				t.Errorf("after the fence %d comes %v", lease.Fence(), second)
			}
			syscall.Kill(p.Pid, syscall.SIGCONT)
			if lease.Left() != 0 {
				t.Error("what has ended holds again")
			}
			t.Logf("it ended with %q", lease.Err())
		})
	}
}

func TestALeaseIsGivenBackAndItsWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p := coordinating(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	lease, err := p.Acquire(ctx, 1, "leader", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // means nothing to a lease that is held
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := p.Acquire(short, 1, "leader", time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waits for what is held: %v", err)
	}
	if lease.Left() == 0 {
		t.Errorf("it is lost: %v", lease.Err())
	}
	if err := lease.Release(t.Context()); err != nil || !errors.Is(lease.Err(), sdk.ErrReleased) {
		t.Errorf("%v, %v", err, lease.Err())
	}
	again, err := p.Acquire(t.Context(), 1, "leader", time.Minute)
	if err != nil || again.Fence() <= lease.Fence() {
		t.Fatalf("%v, %v", again, err)
	}
	if _, err := p.Close(t.Context(), 1, 5*time.Second); err != nil {
		t.Error(err)
	}
	<-again.Done()
	if _, err := p.Acquire(t.Context(), 1, "leader", time.Minute); err == nil {
		t.Error("a coordinator that is closed gives leases")
	}
	if _, err := p.Acquire(t.Context(), 1, "", time.Minute); err == nil {
		t.Error("the empty key is taken")
	}
}
