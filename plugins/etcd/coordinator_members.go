package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxListed is how many members are read; a list has 256.
const maxListed = 1000

// Members keeps a key for self under an etcd lease, and watches those of all. When the list cannot be read for a ttl, that is an
// error: what was told last may be wrong by then.
func (c *coordinator) Members(ctx context.Context, self sdk.Member, ttl time.Duration, changed func([]sdk.Member) error) error {
	client, err := c.reach(ctx)
	if err != nil {
		return err
	}
	patience := max(ttl, answerTime)
	var announcing sync.WaitGroup
	defer announcing.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if self.Name != "" {
		id, err := c.put(ctx, client, encode(self), ttl)
		if err != nil {
			return err
		}
		announcing.Go(func() { cancel(c.announce(ctx, client, id, encode(self), ttl)) })
	}
	var last []sdk.Member
	read := time.Now()
	for first := true; ctx.Err() == nil; {
		all, revision, err := c.list(ctx, client)
		switch {
		case err != nil && (first || time.Since(read) > patience):
			return err
		case err != nil:
			c.host.Fail(err)
			pause(ctx, patience/20)
			continue
		case first || !sdk.SameMembers(all, last):
			if changed(all) != nil {
				return nil // nobody listens any more
			}
		}
		first, last, read = false, all, time.Now()
		watching, stop := context.WithTimeout(clientv3.WithRequireLeader(ctx), patience/2) // a member that hangs tells nothing
		for event := range client.Watch(watching, c.cfg.Prefix+"members/", clientv3.WithPrefix(), clientv3.WithRev(revision+1)) {
			if event.Err() != nil {
				pause(ctx, patience/50)
			}
			if event.Err() != nil || len(event.Events) > 0 {
				break
			}
		}
		stop()
	}
	return context.Cause(ctx)
}

// list reads the members, as the quorum knows them.
func (c *coordinator) list(ctx context.Context, client *clientv3.Client) ([]sdk.Member, int64, error) {
	asking, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	r, err := client.Get(asking, c.cfg.Prefix+"members/", clientv3.WithPrefix(), clientv3.WithLimit(maxListed))
	if err != nil {
		return nil, 0, c.failed(ctx, err)
	}
	var all []sdk.Member
	for _, kv := range r.Kvs {
		m, err := readMember(kv.Value)
		if err != nil {
			c.host.Fail(sdk.Target(fmt.Errorf("the key %q holds no member: %w", kv.Key, err)))
			continue
		}
		all = append(all, m)
	}
	return sdk.SortMembers(all), r.Header.Revision, nil
}

// announce keeps self's key until ctx ends. Where the etcd lease has run out, as while there was no quorum, it begins again.
func (c *coordinator) announce(ctx context.Context, client *clientv3.Client, id clientv3.LeaseID, value string, ttl time.Duration) error {
	for pause(ctx, ttl/4) {
		asking, cancel := context.WithTimeout(ctx, ttl/4)
		_, err := client.KeepAliveOnce(asking, id)
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			if id, err = c.put(ctx, client, value, ttl); err != nil {
				return err
			}
		default:
			c.host.Fail(c.failed(ctx, err))
		}
	}
	c.revoke(client, id)
	return nil
}

// put announces under a new lease.
func (c *coordinator) put(ctx context.Context, client *clientv3.Client, value string, ttl time.Duration) (clientv3.LeaseID, error) {
	asking, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	granted, err := client.Grant(asking, seconds(ttl))
	if err != nil {
		return 0, c.failed(ctx, err)
	}
	if _, err := client.Put(asking, fmt.Sprintf("%smembers/%016x", c.cfg.Prefix, granted.ID), value, clientv3.WithLease(granted.ID)); err != nil {
		c.tasks.Go(func() { c.revoke(client, granted.ID) })
		return 0, c.failed(ctx, err)
	}
	return granted.ID, nil
}

// look asks from time to time whether the cluster answers, and says how things are.
func (c *coordinator) look() {
	for {
		asking, cancel := context.WithTimeout(c.life, answerTime)
		client, err := c.reach(asking)
		if err == nil {
			if _, err = client.Get(asking, c.cfg.Prefix, clientv3.WithCountOnly()); err != nil {
				err = c.failed(asking, err)
			}
		}
		cancel()
		if c.life.Err() != nil {
			return
		}
		if err != nil {
			c.host.Fail(err)
		}
		c.note(func() { c.sick = err })
		pause(c.life, lookEvery)
	}
}

// note changes what is known, and says it in a line.
func (c *coordinator) note(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	parts := []string{"the cluster answers"}
	if c.sick != nil {
		parts[0] = c.sick.Error()
	}
	for _, key := range slices.Sorted(maps.Keys(c.held)) {
		parts = append(parts, fmt.Sprintf("holds %s with fence %d", key, c.held[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(c.waits)) {
		parts = append(parts, fmt.Sprintf("waits for %s, which %s holds", key, c.waits[key]))
	}
	const most = 5
	if len(parts) > most {
		parts = append(parts[:most], fmt.Sprintf("and %d more", len(parts)-most))
	}
	status := sdk.OK
	if c.sick != nil {
		status = sdk.Degraded
	}
	c.host.Status(status, strings.Join(parts, "; "))
}
