package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// CoordinatorConfig is the block of the coordinator.
type CoordinatorConfig struct {
	Reach
	Prefix string `hcl:"prefix,optional" default:"magpie/" doc:"Where leases and members are kept, ending with /. Daemons that have it in common share their work; the user needs to read and write what is below it."`
}

// Validate checks what no tag can say.
func (c *CoordinatorConfig) Validate(d *sdk.Diags) {
	c.Reach.Validate(d)
	if len(c.Prefix) > 200 || !strings.HasSuffix(c.Prefix, "/") || strings.ContainsFunc(c.Prefix, unicode.IsControl) {
		d.Errorf(&c.Prefix, "prefix has at most 200 bytes, ends with / and holds no control characters")
	}
}

// answerTime bounds a question that nobody's ttl bounds, and lookEvery is how often the coordinator looks whether etcd answers.
const (
	answerTime = 5 * time.Second
	lookEvery  = 10 * time.Second
)

// coordinator is an open component. One client knows all endpoints: it asks another where one fails.
type coordinator struct {
	cfg    *CoordinatorConfig
	host   sdk.Host
	holder holder
	dialer *clients
	now    func() time.Time // before a question; a test has a clock that is slow
	life   context.Context
	stop   context.CancelFunc
	tasks  sync.WaitGroup

	mu     sync.Mutex
	client *clientv3.Client
	held   map[string]uint64 // keys with their fences
	waits  map[string]string // keys, and by whom they are held
	sick   error             // of the last look
}

func openCoordinator(_ context.Context, cfg *CoordinatorConfig, host sdk.Host) (*coordinator, error) {
	dialer, err := newClients(&cfg.Reach)
	if err != nil {
		return nil, err
	}
	name, _ := os.Hostname()
	life, stop := context.WithCancel(context.Background())
	c := &coordinator{
		cfg: cfg, host: host, dialer: dialer, now: time.Now, life: life, stop: stop, holder: holder{Host: name, PID: os.Getpid(), Address: host.Address()},
		held: map[string]uint64{}, waits: map[string]string{},
	}
	c.tasks.Go(c.look)
	return c, nil
}

// reach is the client. With users it is there when a member has accepted the password.
func (c *coordinator) reach(ctx context.Context) (*clientv3.Client, error) {
	c.mu.Lock()
	client := c.client
	c.mu.Unlock()
	if client != nil {
		return client, nil
	}
	client, err := c.dialer.dial(ctx, c.cfg.urls()...)
	if err != nil {
		return nil, c.cfg.explain(ctx, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil { // somebody else was faster
		client.Close()
		return c.client, nil
	}
	c.client = client
	return client, nil
}

// Acquire waits until the key is not there, and makes it under an etcd lease, in one transaction. The fence is the revision at
// which that happened: etcd counts one up with every change of anything, so that each lease on a key has a greater one.
func (c *coordinator) Acquire(ctx context.Context, name string, ttl time.Duration) (*sdk.Lease, error) {
	client, err := c.reach(ctx)
	if err != nil {
		return nil, err
	}
	key := c.cfg.Prefix + "leases/" + name
	defer c.note(func() { delete(c.waits, name) })
	for {
		if err := c.free(ctx, client, key, name, ttl); err != nil {
			return nil, err
		}
		lease, err := c.take(ctx, client, key, name, ttl)
		if lease != nil || err != nil {
			return lease, err
		}
	}
}

// free waits until the key is not there, as far as can be seen; after a ttl it looks again in any case.
func (c *coordinator) free(ctx context.Context, client *clientv3.Client, key, name string, ttl time.Duration) error {
	for {
		asking, cancel := context.WithTimeout(ctx, answerTime)
		r, err := client.Get(asking, key)
		cancel()
		switch {
		case err != nil:
			return c.failed(ctx, err)
		case len(r.Kvs) == 0:
			return nil
		}
		c.note(func() { c.waits[name] = readHolder(r.Kvs[0].Value).String() })
		watching, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), ttl)
		for event := range client.Watch(watching, key, clientv3.WithRev(r.Header.Revision+1), clientv3.WithFilterPut()) {
			if event.Err() != nil || len(event.Events) > 0 {
				break
			}
		}
		broken := watching.Err() == nil
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if broken { // or deleted: then the next look finds that; a member without a leader ends every watch at once
			pause(ctx, 20*time.Millisecond)
		}
	}
}

// take makes the key; nil: another was faster.
func (c *coordinator) take(ctx context.Context, client *clientv3.Client, key, name string, ttl time.Duration) (*sdk.Lease, error) {
	asked := c.now()
	asking, cancel := context.WithTimeout(ctx, min(ttl/2, answerTime))
	defer cancel()
	granted, err := client.Grant(asking, seconds(ttl))
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	r, err := client.Txn(asking).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, c.holder.encode(), clientv3.WithLease(granted.ID))).
		Commit()
	if err != nil || !r.Succeeded {
		c.tasks.Go(func() { c.revoke(client, granted.ID) }) // also where nobody knows whether it was done
		if err != nil {
			err = c.failed(ctx, err)
		}
		return nil, err
	}
	l := &tenure{c: c, client: client, id: granted.ID, key: key, name: name}
	l.Lease = sdk.NewLease(uint64(r.Header.Revision), ttl, asked, func(ctx context.Context) error {
		_, err := client.Revoke(ctx, l.id)
		if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return c.failed(ctx, err)
		}
		return nil
	})
	c.note(func() { c.held[name] = l.Fence() })
	c.tasks.Go(l.keep)
	return l.Lease, nil
}

// seconds is the ttl as etcd counts it: it may be longer than asked for, never shorter. etcd makes it at least its election
// timeout and a half.
func seconds(ttl time.Duration) int64 { return int64((ttl + time.Second - 1) / time.Second) }

// revoke ends an etcd lease that is not needed, if that can be done soon; otherwise it ends by itself.
func (c *coordinator) revoke(client *clientv3.Client, id clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime/10)
	defer cancel()
	client.Revoke(ctx, id)
}

// tenure is a lease that is held.
type tenure struct {
	*sdk.Lease
	c         *coordinator
	client    *clientv3.Client
	id        clientv3.LeaseID
	key, name string
}

var errTaken = errors.New("its key is gone, or another's")

// keep renews the lease until it has ended.
func (l *tenure) keep() {
	for wait := l.TTL() / 4; ; {
		select {
		case <-time.After(wait):
		case <-l.c.life.Done(): // nobody keeps it any more: it ends by its ttl
			return
		case <-l.Done():
			l.c.note(func() {
				if l.c.held[l.name] == l.Fence() {
					delete(l.c.held, l.name)
				}
			})
			if !errors.Is(l.Err(), sdk.ErrReleased) {
				l.c.host.Log().Warn("lost a lease", "key", l.name, "fence", l.Fence(), "error", l.Err())
				l.c.revoke(l.client, l.id)
			}
			return
		}
		asked := l.c.now()
		switch err := l.renew(); {
		case err == nil:
			l.Renewed(asked)
			wait = l.TTL() / 4
		case errors.Is(err, errTaken):
			l.Lose(err)
		default: // perhaps the next member answers
			l.c.host.Fail(l.c.failed(l.c.life, err))
			wait = l.TTL() / 40
		}
	}
}

// renew asks for a whole ttl, and then whether the key is still the same: a leader that was paused, and does not know yet that
// there is another one, prolongs leases that are no more; the second question goes through the quorum.
func (l *tenure) renew() error {
	ctx, cancel := context.WithTimeout(l.c.life, l.TTL()/4)
	defer cancel()
	if _, err := l.client.KeepAliveOnce(ctx, l.id); errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return errTaken
	} else if err != nil {
		return err
	}
	r, err := l.client.Get(ctx, l.key)
	if err == nil && (len(r.Kvs) == 0 || uint64(r.Kvs[0].CreateRevision) != l.Fence() || r.Kvs[0].Lease != int64(l.id)) {
		err = errTaken
	}
	return err
}

// failed says an error so that an ops team can use it; ctx is the caller's.
func (c *coordinator) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if isDenied(err) {
		return sdk.Fix(sdk.At(&c.cfg.Username, rpctypes.Error(err)), "The user needs a role that may read and write what is below %s.", c.cfg.Prefix)
	}
	return c.cfg.explain(ctx, err)
}

// Probe asks whether the cluster answers, and lets the user read below the prefix; it writes nothing.
func (c *coordinator) Probe(ctx context.Context) error {
	client, err := c.reach(ctx)
	if err != nil {
		return err
	}
	r, err := client.Get(ctx, c.cfg.Prefix+"leases/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return c.failed(ctx, err)
	}
	sdk.Progress(ctx, fmt.Sprintf("%d leases are held below %s", r.Count, c.cfg.Prefix))
	return nil
}

// Close ends what is left; the leases were given back before it.
func (c *coordinator) Close(ctx context.Context) error {
	c.stop()
	done := make(chan struct{})
	go func() { c.tasks.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		c.client.Close()
		c.client = nil
	}
	return nil
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

var (
	_ sdk.Arbiter   = (*coordinator)(nil)
	_ sdk.Prober    = (*coordinator)(nil)
	_ sdk.Closer    = (*coordinator)(nil)
	_ sdk.Validator = (*CoordinatorConfig)(nil)
)
