package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leaseFor is how long what was written outlives us.
const leaseFor = 60

// work is a workload that has begun: its keys have a lease that is kept alive.
type work struct {
	*settings
	cluster *cluster
	clients []*clientv3.Client // that share the connections: a hundred askers to each
	lease   clientv3.LeaseID
	alive   context.CancelFunc
	value   string
	request func(ctx context.Context, n int64) (name string, err error)
	written atomic.Int64 // bytes
	events  *events
}

var errBytes = errors.New("all bytes that it may write are written (-bytes)")

// begin takes a lease and writes what is to be read.
func (s *settings) begin(ctx context.Context, c *cluster) (w *work, err error) {
	w = &work{settings: s, cluster: c, value: strings.Repeat("v", s.valueSize), clients: []*clientv3.Client{c.client}}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.end(context.WithoutCancel(ctx)))
			w = nil
		}
	}()
	for len(w.clients) < (s.clients+99)/100 {
		more, err := s.dial()
		if err != nil {
			return w, err
		}
		w.clients = append(w.clients, more)
	}
	if n, err := c.client.Get(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithCountOnly()); err != nil {
		return w, err
	} else if n.Count > 0 {
		return w, fmt.Errorf("there are %d keys under %s: somebody else's, or of a run that was killed less than a minute ago; give another -prefix", n.Count, s.prefix)
	}
	granted, err := c.client.Grant(ctx, leaseFor)
	if err != nil {
		return w, err
	}
	w.lease = granted.ID
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.alive = cancel
	kept, err := c.client.KeepAlive(alive, w.lease)
	if err != nil {
		return w, err
	}
	go func() {
		for range kept {
		}
	}()
	switch s.workload {
	case "write":
		w.request = w.put
	case "read", "mixed":
		w.request = w.readOrPut
		return w, w.fill(ctx)
	case "watch":
		w.request = w.put
		return w, w.watch(alive)
	case "lease":
		w.request = w.leaseCycle
	}
	return w, nil
}

// end deletes all that was written.
func (w *work) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if w.alive != nil {
		w.alive()
	}
	for _, more := range w.clients[1:] {
		more.Close()
	}
	if w.lease == 0 {
		return nil
	}
	if err := w.clear(ctx); err != nil {
		return fmt.Errorf("what was written under %s is still there, until its lease ends in at most %d s: %w", w.prefix, leaseFor, err)
	}
	client := w.cluster.client
	if _, err := client.Revoke(ctx, w.lease); err != nil {
		return fmt.Errorf("giving back the lease: %w", err)
	}
	if !w.compact {
		return nil
	}
	now, err := client.Get(ctx, w.prefix, clientv3.WithCountOnly())
	if err == nil {
		_, err = client.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil {
		return fmt.Errorf("compacting: %w", err)
	}
	return nil
}

// atOnce is how many keys one request deletes: in one of all, every other request waits for it.
const atOnce = 2000

func (w *work) clear(ctx context.Context) error {
	client := w.cluster.client
	for from := w.prefix; ; {
		some, err := client.Get(ctx, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(w.prefix)), clientv3.WithKeysOnly(), clientv3.WithLimit(atOnce))
		if err != nil || len(some.Kvs) == 0 {
			return err
		}
		to := string(some.Kvs[len(some.Kvs)-1].Key) + "\x00"
		if _, err := client.Delete(ctx, from, clientv3.WithRange(to)); err != nil {
			return err
		}
		from = to
	}
}

// fill writes every key once, by all clients.
func (w *work) fill(ctx context.Context) error {
	var next atomic.Int64
	var filling sync.WaitGroup
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	for i := range min(w.settings.clients, 64) {
		filling.Go(func() {
			for n := next.Add(1) - 1; n < int64(w.keys) && ctx.Err() == nil; n = next.Add(1) - 1 {
				if err := w.putBy(ctx, i, n); err != nil {
					abort(err)
				}
			}
		})
	}
	filling.Wait()
	return context.Cause(ctx)
}

// pace is the time at which the next request is due. What was missed while all clients waited is not made up for, as in etcdctl check
// perf: a stall would be followed by a burst, and that be measured.
type pace struct {
	mu    sync.Mutex
	every time.Duration
	next  time.Time
}

func (p *pace) wait(ctx context.Context) bool {
	p.mu.Lock()
	due := time.Now()
	if p.next.After(due) {
		due = p.next
	}
	p.next = due.Add(p.every)
	p.mu.Unlock()
	return sleepUntil(ctx, due)
}

// run sends requests until ctx ends, at the rate if there is one. Those under way then are waited for, unless all ends.
func (w *work) run(ctx, all context.Context, m *measured, abort context.CancelCauseFunc) {
	var next atomic.Int64
	var asking sync.WaitGroup
	p := &pace{every: time.Second / time.Duration(max(w.rate, 1))}
	for i := range w.settings.clients {
		asking.Go(func() {
			by := context.WithValue(all, clientKey{}, i)
			for ctx.Err() == nil {
				if w.rate > 0 && !p.wait(ctx) {
					return
				}
				n := next.Add(1) - 1
				at := time.Now()
				name, err := w.request(by, n)
				switch took := time.Since(at); {
				case errors.Is(err, errBytes):
					abort(errBytes)
					return
				case err != nil && all.Err() != nil: // nobody waits for it any more
				default:
					m.add(name, took, err)
				}
				if err != nil { // of a cluster that refuses, not as many as this machine can ask
					sleepUntil(ctx, time.Now().Add(50*time.Millisecond))
				}
			}
		})
	}
	asking.Wait()
	if w.events != nil {
		w.events.into(m)
	}
}

type clientKey struct{}

// client is the connection of the client that asks.
func (w *work) client(ctx context.Context) *clientv3.Client {
	i, _ := ctx.Value(clientKey{}).(int)
	return w.clients[i%len(w.clients)]
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *work) key(n int64) string { return fmt.Sprintf("%s%09d", w.prefix, n%int64(w.keys)) }

// requestFor is how long a request may take.
const requestFor = 10 * time.Second

func (w *work) put(ctx context.Context, n int64) (string, error) {
	if w.events != nil { // the value says when it was sent
		return "put", w.putValue(ctx, n, strconv.FormatInt(time.Since(w.events.began).Nanoseconds(), 10)+w.value)
	}
	return "put", w.putValue(ctx, n, w.value)
}

func (w *work) putBy(ctx context.Context, i int, n int64) error {
	return w.putValue(context.WithValue(ctx, clientKey{}, i), n, w.value)
}

func (w *work) putValue(ctx context.Context, n int64, value string) error {
	if w.written.Add(w.perPut()) > w.bytes {
		return errBytes
	}
	ctx, cancel := context.WithTimeout(ctx, requestFor)
	defer cancel()
	_, err := w.client(ctx).Put(ctx, w.key(n), value, clientv3.WithLease(w.lease))
	return err
}

func (w *work) readOrPut(ctx context.Context, n int64) (string, error) {
	if w.workload == "mixed" && rand.IntN(100) >= w.reads {
		return w.put(ctx, n)
	}
	ctx, cancel := context.WithTimeout(ctx, requestFor)
	defer cancel()
	var options []clientv3.OpOption
	if w.serializable {
		options = append(options, clientv3.WithSerializable())
	}
	_, err := w.client(ctx).Get(ctx, w.key(rand.Int64()), options...)
	return "get", err
}

// leaseCycle is one of grant, keep alive and revoke, in turn for each client.
func (w *work) leaseCycle(ctx context.Context, n int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestFor)
	defer cancel()
	client := w.client(ctx)
	granted, err := client.Grant(ctx, leaseFor)
	if err != nil {
		return "grant, keep alive, revoke", err
	}
	if _, err := client.KeepAliveOnce(ctx, granted.ID); err != nil {
		return "grant, keep alive, revoke", err
	}
	_, err = client.Revoke(ctx, granted.ID)
	return "grant, keep alive, revoke", err
}

// events are what watchers see.
type events struct {
	began time.Time
	mu    sync.Mutex
	took  measured
}

// watch begins as many watches of the prefix as there are clients.
func (w *work) watch(ctx context.Context) error {
	w.events = &events{began: time.Now()}
	for i := range w.settings.clients {
		begun := w.clients[i%len(w.clients)].Watch(ctx, w.prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		select {
		case first, ok := <-begun:
			if !ok || first.Err() != nil {
				return fmt.Errorf("the watch does not begin: %w", first.Err())
			}
		case <-time.After(requestFor):
			return errors.New("the watch does not begin within 10 s")
		}
		go w.events.take(begun)
	}
	return nil
}

func (e *events) take(watch clientv3.WatchChan) {
	for some := range watch {
		for _, event := range some.Events {
			text, _, _ := strings.Cut(string(event.Kv.Value), "v")
			sent, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				continue // a deletion
			}
			e.mu.Lock()
			e.took.add("event", time.Since(e.began)-time.Duration(sent), nil)
			e.mu.Unlock()
		}
	}
}

// into adds what the watchers saw to what was measured, once those on their way had a moment.
func (e *events) into(m *measured) {
	time.Sleep(200 * time.Millisecond)
	e.mu.Lock()
	defer e.mu.Unlock()
	m.merge(&e.took)
}
