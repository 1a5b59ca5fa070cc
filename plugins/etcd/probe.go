package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// ProbeConfig is the block that makes the source act as a client.
type ProbeConfig struct {
	Prefix string `hcl:"prefix,optional" default:"magpie/probe/" doc:"Where the probe's key is. With authentication on, the user needs readwrite on this prefix."`
}

// Bounds of the probe's histograms, in seconds.
var probeBounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

var probeFamily = sdk.Family{Name: "etcd_probe_duration_seconds", Type: sdk.HistogramType, Unit: "seconds", Help: "How long the probe's operations took; of watch: from the begin of the put until its event came."}

// probe acts as a client: every interval it reads at every member, and at one of them, in turn, it writes a key, waits for
// the event and deletes it. The key hangs on a lease: whatever becomes of this process, etcd deletes it when the lease ends.
type probe struct {
	cfg     *ProbeConfig
	clients *clients
	ttl     time.Duration

	mu    sync.Mutex
	lease clientv3.LeaseID // 0: none yet
	at    string           // URL that it was last used at
	turn  int
}

func newProbe(cfg *ProbeConfig, clients *clients, interval time.Duration) *probe {
	if cfg == nil {
		return nil
	}
	return &probe{cfg: cfg, clients: clients, ttl: max(time.Minute, 4*interval)}
}

// writer chooses whose turn it is to take the writes.
func (p *probe) writer(members []*member) string {
	var urls []string
	for _, m := range members {
		if m.url != "" && !m.learner { // a learner takes no requests but serializable reads
			urls = append(urls, m.url)
		}
	}
	if p == nil || len(urls) == 0 {
		return ""
	}
	p.turn++
	return urls[p.turn%len(urls)]
}

// probed is what the probe knows of one member.
type probed struct {
	mu         sync.Mutex
	operations map[string]*latency
}

type latency struct {
	counts []uint64 // of each bound, and of all
	sum    float64
	well   bool // the last time
}

// note counts an operation; one that failed counts in success only.
func (p *probed) note(operation string, took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.operations == nil {
		p.operations = map[string]*latency{}
	}
	l := p.operations[operation]
	if l == nil {
		l = &latency{counts: make([]uint64, len(probeBounds)+1)}
		p.operations[operation] = l
	}
	if l.well = err == nil; !l.well {
		return
	}
	for i, bound := range probeBounds {
		if took.Seconds() <= bound {
			l.counts[i]++
		}
	}
	l.counts[len(probeBounds)]++
	l.sum += took.Seconds()
}

// set writes the histograms.
func (p *probed) set(t *sdk.Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, operation := range []string{"linearizable_read", "serializable_read", "put", "watch", "delete"} {
		l := p.operations[operation]
		if l == nil {
			continue
		}
		t.Set(probeSuccess, number(l.well), operation)
		put := func(suffix string, v float64, pairs ...string) {
			labels := sdk.Labels{}.Set(sdk.NameLabel, probeFamily.Name+suffix).Set("operation", operation)
			for i := 0; i+1 < len(pairs); i += 2 {
				labels = labels.Set(pairs[i], pairs[i+1])
			}
			t.Put(t.Series(sdk.Series{Labels: labels, Family: &probeFamily}), v)
		}
		for i, bound := range probeBounds {
			put("_bucket", float64(l.counts[i]), "le", number64(bound))
		}
		put("_bucket", float64(l.counts[len(probeBounds)]), "le", "+Inf")
		put("_count", float64(l.counts[len(probeBounds)]))
		put("_sum", l.sum)
	}
}

// read measures reads at a member: one that the quorum agrees to, and one that the member answers alone.
func (p *probe) read(ctx context.Context, m *member, to *probed) error {
	var errs []error
	for _, kind := range []struct {
		name    string
		options []clientv3.OpOption
	}{{"serializable_read", []clientv3.OpOption{clientv3.WithSerializable()}}, {"linearizable_read", nil}} {
		if m.learner && kind.options == nil {
			continue
		}
		err := p.clients.use(ctx, m.url, func(client *clientv3.Client) error {
			began := time.Now()
			_, err := client.Get(ctx, p.cfg.Prefix+"read", kind.options...)
			if isDenied(err) {
				err = nil // that the user may not read it took as long
			}
			to.note(kind.name, time.Since(began), err)
			return err
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", strings.ReplaceAll(kind.name, "_", " "), err))
		}
	}
	return join(errs...)
}

// write measures a put, its event and a delete at a member: two writes for the cluster, and a lease kept alive.
func (p *probe) write(ctx context.Context, m *member, to *probed) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = m.url
	operation := "put"
	err := p.clients.use(ctx, m.url, func(client *clientv3.Client) error {
		if err := p.keepLease(ctx, client); err != nil {
			return err
		}
		watching, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
		defer stop()
		key := p.cfg.Prefix + hex(uint64(p.lease))
		events := client.Watch(watching, key, clientv3.WithCreatedNotify(), clientv3.WithFilterDelete())
		operation = "watch"
		if r, ok := <-events; !ok || r.Err() != nil {
			return orTimeout(ctx, r.Err())
		}
		operation = "put"
		began := time.Now()
		if _, err := client.Put(ctx, key, began.UTC().Format(time.RFC3339), clientv3.WithLease(p.lease)); err != nil {
			return err
		}
		to.note("put", time.Since(began), nil)
		operation = "watch"
		if r, ok := <-events; !ok || r.Err() != nil {
			return orTimeout(ctx, r.Err())
		}
		to.note("watch", time.Since(began), nil)
		operation, began = "delete", time.Now()
		if _, err := client.Delete(ctx, key); err != nil {
			return err
		}
		to.note("delete", time.Since(began), nil)
		return nil
	})
	if err == nil {
		return nil
	}
	to.note(operation, 0, err)
	if isDenied(err) {
		command := fmt.Sprintf("etcdctl role grant-permission ROLE --prefix=true readwrite %s", quoted(p.cfg.Prefix))
		return sdk.Fix(sdk.At(&p.cfg.Prefix, fmt.Errorf("the probe's %s: %w: the user may not write under %q", operation, err, p.cfg.Prefix)), "Let a role of the user do it: %s", command)
	}
	return fmt.Errorf("the probe's %s: %w", operation, err)
}

func orTimeout(ctx context.Context, err error) error {
	if err == nil {
		err = errors.New("the watch ended")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// keepLease prolongs the lease, or takes one.
func (p *probe) keepLease(ctx context.Context, client *clientv3.Client) error {
	if p.lease != 0 {
		_, err := client.KeepAliveOnce(ctx, p.lease)
		if err == nil || !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
	}
	p.lease = 0
	r, err := client.Grant(ctx, int64(p.ttl/time.Second))
	if err == nil {
		p.lease = r.ID
	}
	return err
}

// end gives the lease back, and with it what hangs on it.
func (p *probe) end(ctx context.Context) {
	if p == nil || p.lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	p.clients.use(ctx, p.at, func(client *clientv3.Client) error {
		_, err := client.Revoke(ctx, p.lease)
		return err
	})
}

// checkPrefix keeps the probe away from keys that others may have.
func (c *ProbeConfig) checkPrefix(d *sdk.Diags) {
	if c.Prefix == "" || len(c.Prefix) > 256 || slices.Contains([]string{"/", "/registry", "/registry/"}, c.Prefix) {
		d.Errorf(&c.Prefix, "prefix %q is not the probe's own: write one that nobody else uses, such as \"magpie/probe/\"", c.Prefix)
	}
}
