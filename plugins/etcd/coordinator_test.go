package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
	"github.com/magpie-monitoring/magpie/sdk/verify"
)

// coordinate opens a coordinator of a cluster.
func (c *cluster) coordinate(t *testing.T) *plugintest.Component {
	t.Helper()
	return plugintest.Open(t, sdk.Coordinator(openCoordinator), plugintest.Config{"endpoints": c.urls()})
}

// TestItsLeasesKeepTheContractOnARealCluster makes the checks of magpie plugin verify with the plugin as a process: holders are
// killed and stopped there.
func TestItsLeasesKeepTheContractOnARealCluster(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	f, err := verify.Find(".", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Build(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("coordinator \"etcd\" \"verify\" {\n  endpoints = [%q]\n}\n", c.url(0))
	r, err := verify.Run(t.Context(), verify.Options{Binary: f.Binary, Example: &verify.Example{Name: "verify.hcl", Text: []byte(text)}, Patience: 10, Only: []string{"lease/", "members/", "close/", "beside/", "health/"}})
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, x := range r.Results {
		if x.State == verify.Failed {
			t.Errorf("%s: %s: %s", x.Of, x.Check, x.Text)
		}
		if strings.HasPrefix(x.Of, "coordinator") && x.State == verify.OK && (strings.HasPrefix(x.Check, "lease/") || strings.HasPrefix(x.Check, "members/")) {
			made++
		}
	}
	if made != 13 {
		t.Errorf("%d checks of leases and members were made", made)
	}
}

// tenures is what several holders did.
type tenures struct {
	mu   sync.Mutex
	held []tenureSeen
	acts []act
}

// tenureSeen is from when to when a holder was sure to hold.
type tenureSeen struct {
	fence       uint64
	first, last time.Time
}

// act is one that the cluster accepted, at a revision.
type act struct {
	revision int64
	fence    uint64
}

// contend takes the lease, acts as long as it holds and a while has not passed, gives it back, and so on until ctx ends.
func (a *tenures) contend(ctx context.Context, t *testing.T, p *plugintest.Component, client *clientv3.Client, ttl time.Duration) {
	for ctx.Err() == nil {
		lease, err := p.Acquire(ctx, p.Number, "leader", ttl)
		if err != nil {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		seen := tenureSeen{fence: lease.Fence(), first: time.Now()}
		for {
			now := time.Now()
			if lease.Left() == 0 || now.Sub(seen.first) > ttl || ctx.Err() != nil {
				break
			}
			seen.last = now
			asking, cancel := context.WithTimeout(ctx, time.Second)
			if r, ok := actOn(asking, client, "leader", lease.Fence()); ok {
				a.mu.Lock()
				a.acts = append(a.acts, act{r, lease.Fence()})
				a.mu.Unlock()
			}
			cancel()
			pause(ctx, 20*time.Millisecond)
		}
		a.mu.Lock()
		a.held = append(a.held, seen)
		a.mu.Unlock()
		giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		lease.Release(giving)
		cancel()
	}
}

// actOn does something on behalf of a lease: a transaction that the cluster refuses where the key is not that of the fence.
func actOn(ctx context.Context, client *clientv3.Client, name string, fence uint64) (revision int64, accepted bool) {
	r, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision("magpie/leases/"+name), "=", int64(fence))).
		Then(clientv3.OpPut("acted", fmt.Sprint(fence))).Commit()
	if err != nil || !r.Succeeded {
		return 0, false
	}
	return r.Header.Revision, true
}

func (a *tenures) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.acts)
}

// check holds what was done against what must not be: two who are sure to hold at once, acts of an older holder after those of a
// newer one.
func (a *tenures) check(t *testing.T) {
	t.Helper()
	slices.SortFunc(a.acts, func(x, y act) int { return int(x.revision - y.revision) })
	fences := map[uint64]bool{}
	for i, x := range a.acts {
		fences[x.fence] = true
		if i > 0 && x.fence < a.acts[i-1].fence {
			t.Errorf("at revision %d an act with the fence %d was accepted, after one with %d", x.revision, x.fence, a.acts[i-1].fence)
		}
	}
	slices.SortFunc(a.held, func(x, y tenureSeen) int { return x.first.Compare(y.first) })
	for i := 1; i < len(a.held); i++ {
		x, y := a.held[i-1], a.held[i]
		if y.first.Before(x.last) {
			t.Errorf("fence %d was sure to hold until %s, and %d from %s", x.fence, x.last, y.fence, y.first)
		}
		if y.fence <= x.fence {
			t.Errorf("after the fence %d comes %d", x.fence, y.fence)
		}
	}
	t.Logf("%d tenures, %d acts accepted of %d fences", len(a.held), len(a.acts), len(fences))
}

// contended runs three holders while a cluster is broken in one way after another; after each the work goes on.
func contended(t *testing.T, c *cluster, faults []func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var a tenures
	var running sync.WaitGroup
	for range 3 {
		p := c.coordinate(t)
		client, err := clientv3.New(clientv3.Config{Endpoints: c.urls(), DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		running.Go(func() { a.contend(ctx, t, p, client, 2*time.Second) })
	}
	defer running.Wait()
	defer cancel()
	for _, fault := range append([]func(){func() {}}, faults...) {
		fault()
		before := a.count()
		eventually(t, "holders act again", func() error {
			if n := a.count() - before; n < 10 {
				return fmt.Errorf("%d acts since", n)
			}
			return nil
		})
	}
	cancel()
	running.Wait()
	a.check(t)
}

func TestNeverTwoHoldWhileMembersArePausedKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	onOthers(t, func(t *testing.T, binary string) { contendedThroughFaults(t, startOn(t, 3, binary, nil)) })
}

func contendedThroughFaults(t *testing.T, c *cluster) {
	lead := func() int {
		for i := range 3 {
			client := c.client(i, "", "")
			r, err := client.Status(within(t), c.url(i))
			client.Close()
			if err == nil && r.Leader == r.Header.MemberId {
				return i
			}
		}
		t.Fatal("there is no leader")
		return 0
	}
	again := func(all ...int) {
		for _, i := range all {
			c.run(i)
		}
		for _, i := range all {
			c.serves(i)
		}
	}
	contended(t, c, []func(){
		func() { // the leader hangs, others lead, and it comes back
			i := lead()
			c.pause(i)
			c.serves((i + 1) % 3)
			time.Sleep(5 * time.Second)
			c.resume(i)
		},
		func() { i := (lead() + 1) % 3; c.kill(i); again(i) },
		func() { i := lead(); c.kill(i); c.serves((i + 1) % 3); again(i) },
		func() { c.kill(0); c.kill(1); time.Sleep(5 * time.Second); again(0, 1) }, // no quorum for longer than the ttl
		func() { c.kill(0); c.kill(1); c.kill(2); again(0, 1, 2) },
	})
}

func TestNeverTwoHoldWhileMembersEndOn37(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	contended(t, c, []func(){
		func() { c.stop(0); c.run(0); c.ready() },
		func() {
			c.stop(1)
			c.stop(2)
			time.Sleep(4 * time.Second)
			c.run(1)
			c.run(2)
			c.ready()
		},
	})
}

// TestTheActsOfAHolderWhoseClockIsSlowAreRefused: it is sure that it holds, and it is wrong. That is what the fence is for.
func TestTheActsOfAHolderWhoseClockIsSlowAreRefused(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	const ttl = 2 * time.Second
	cfg := &CoordinatorConfig{Reach: Reach{Endpoints: c.urls()}, Prefix: "magpie/"}
	slow, err := openCoordinator(t.Context(), cfg, quietHost{})
	if err != nil {
		t.Fatal(err)
	}
	slow.now = func() time.Time { return time.Now().Add(time.Hour) } // of what it thinks has passed, most has not
	lease, err := slow.Acquire(t.Context(), "leader", ttl)
	if err != nil {
		t.Fatal(err)
	}
	admin := c.client(0, "", "")
	defer admin.Close()
	if _, ok := actOn(within(t), admin, "leader", lease.Fence()); !ok {
		t.Error("the act of a holder is refused")
	}
	slow.Close(t.Context()) // nothing renews it any more
	next, err := c.coordinate(t).Acquire(within(t), 1, "leader", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if lease.Left() == 0 || next.Left() == 0 || next.Fence() <= lease.Fence() {
		t.Errorf("the slow one has %s left, the other %s; the fences are %d and %d", lease.Left(), next.Left(), lease.Fence(), next.Fence())
	}
	if _, ok := actOn(within(t), admin, "leader", lease.Fence()); ok {
		t.Error("the act of a holder whose clock is slow is accepted while another holds")
	}
	if _, ok := actOn(within(t), admin, "leader", next.Fence()); !ok {
		t.Error("the act of the new holder is refused")
	}
}

type quietHost struct{ sdk.Host }

func (quietHost) Address() string           { return "coordinator.etcd.test" }
func (quietHost) Status(sdk.Status, string) {}
func (quietHost) Fail(error)                {}

func TestACoordinatorSaysHowItIsAndBlamesTheCluster(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	c.login()
	capability := sdk.Coordinator(openCoordinator)
	bad := plugintest.Open(t, capability, plugintest.Config{"endpoints": c.urls()})
	if _, err := bad.Acquire(within(t), bad.Number, "leader", time.Minute); err == nil || sdk.AsProblem(err).Blame == sdk.BlamePlugin {
		t.Errorf("without a password: %v", err)
	}
	good := plugintest.Open(t, capability, plugintest.Config{"endpoints": c.urls(), "username": "root", "password": "rootpw"})
	lease, err := good.Acquire(within(t), good.Number, "leader", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if text := good.Health().Text; !strings.Contains(text, fmt.Sprintf("holds leader with fence %d", lease.Fence())) {
		t.Errorf("its health: %q", text)
	}
	found, err := plugintest.Probe(t, capability, plugintest.Config{"endpoints": c.urls(), "username": "root", "password": "rootpw"})
	if err != nil || len(found) != 1 || found[0] != "1 leases are held below magpie/" {
		t.Errorf("%q, %v", found, err)
	}
	if _, err := plugintest.Probe(t, capability, plugintest.Config{"endpoints": []string{"http://127.0.0.1:1"}}); err == nil {
		t.Error("nobody is there, and nothing is wrong")
	}
	down := plugintest.Open(t, capability, plugintest.Config{"endpoints": []string{"http://127.0.0.1:1"}})
	eventually(t, "it says that nobody answers", func() error {
		if h := down.Health(); h.Status == 0 {
			return fmt.Errorf("%s %q", h.Status, h.Text)
		}
		return nil
	})
}

func FuzzStored(f *testing.F) {
	f.Add([]byte(holder{"vm1", 7, "coordinator.etcd.ha"}.encode()))
	f.Add([]byte(`{"name":"vm1","facts":{"zone":"a"}}`))
	f.Add([]byte(`{"name":`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text := readHolder(b).String(); len(text) > 300 {
			t.Errorf("a holder of %d bytes", len(text))
		}
		m, err := readMember(b)
		if err != nil {
			return
		}
		again, err := readMember([]byte(encode(m)))
		if err != nil || !sdk.SameMembers([]sdk.Member{m}, []sdk.Member{again}) {
			t.Errorf("%+v becomes %+v, %v", m, again, err)
		}
	})
}
