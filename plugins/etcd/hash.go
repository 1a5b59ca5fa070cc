package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// hashed is what a member's data come to at a revision.
type hashed struct {
	*member
	at        time.Time
	hash      uint32
	compacted int64 // the member had forgotten what was before: hashes are comparable where this is equal
	err       error
}

// hashKV asks the member at a URL for the hash of its data at a revision.
func (c *clients) hashKV(ctx context.Context, url string, revision int64) (r *etcdserverpb.HashKVResponse, err error) {
	err = c.use(ctx, url, func(client *clientv3.Client) (err error) {
		r, err = etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).HashKV(ctx, &etcdserverpb.HashKVRequest{Revision: revision})
		return err
	})
	return r, err
}

// hashAll asks the members side by side for their hashes at one revision: the newest that all of them have. Those that do not
// answer are left out of that, and those with a larger database than upTo.
func (c *clients) hashAll(ctx context.Context, members []*member, upTo int64) (revision int64, all []hashed) {
	revisions := make([]int64, len(members))
	all = make([]hashed, len(members))
	sideBySide(len(members), func(i int) {
		all[i].member = members[i]
		r, err := c.status(ctx, members[i].url)
		if err == nil && r.DbSize > upTo {
			err = fmt.Errorf("its database of %s is larger than hash_up_to", size(float64(r.DbSize)))
		}
		if all[i].err = err; err == nil {
			revisions[i] = r.GetHeader().GetRevision()
		}
	})
	quiet := true
	for i, r := range revisions {
		if all[i].err != nil {
			continue
		}
		quiet = quiet && (revision == 0 || r == revision)
		if revision == 0 || r < revision {
			revision = r
		}
	}
	sideBySide(len(members), func(i int) {
		if h := &all[i]; h.err == nil {
			h.hash, h.compacted, h.err = c.hashAt(ctx, h.url, revision, quiet)
			h.at = time.Now()
		}
	})
	return revision, all
}

// comparison is the outcome of comparing hashes.
type comparison struct {
	revision int64
	all      []hashed
	compared int      // members whose hash was compared with another's
	alone    []hashed // members that answered, and have nobody to be compared with
	odd      []string // instances that differ from the majority of their kind; both sides where there is no majority
	split    bool     // there is no majority
}

// compare compares what can be compared: hashes of the same revision with the same compacted revision.
func compare(revision int64, all []hashed) comparison {
	c := comparison{revision: revision, all: all}
	kinds := map[int64][]hashed{}
	for _, h := range all {
		if h.err == nil {
			kinds[h.compacted] = append(kinds[h.compacted], h)
		}
	}
	for _, kind := range kinds {
		if len(kind) < 2 {
			c.alone = append(c.alone, kind...)
			continue
		}
		c.compared += len(kind)
		votes := map[uint32]int{}
		for _, h := range kind {
			votes[h.hash]++
		}
		if len(votes) == 1 {
			continue
		}
		most := slices.MaxFunc(kind, func(a, b hashed) int { return cmp.Compare(votes[a.hash], votes[b.hash]) }).hash
		clear := votes[most]*2 > len(kind)
		c.split = c.split || !clear
		for _, h := range kind {
			if !clear || h.hash != most {
				c.odd = append(c.odd, h.instance)
			}
		}
	}
	slices.Sort(c.odd)
	return c
}

// disagreement compares the members' data, and again where they differ, after a pause and at a newer revision: etcd before
// 3.6 answers with another hash while it compacts. Only what differs both times is odd.
func (c *clients) disagreement(ctx context.Context, members []*member, upTo int64, pause time.Duration) comparison {
	first := compare(c.hashAll(ctx, members, upTo))
	if len(first.odd) == 0 {
		return first
	}
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
	second := compare(c.hashAll(ctx, members, upTo))
	second.odd = slices.DeleteFunc(second.odd, func(i string) bool { return !slices.Contains(first.odd, i) })
	return second
}

// incomparable is why a member was left out, without repeating what is the same for all.
func (c comparison) incomparable() error {
	var errs []error
	var said []string
	for _, h := range c.all {
		if h.err != nil && !slices.Contains(said, h.err.Error()) {
			said = append(said, h.err.Error())
			errs = append(errs, h.err)
		}
	}
	return join(errs...)
}

// minor is the minor version that is part of a version, such as 3.4 of 3.4.23.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// sideBySide calls f for 0 to n-1 at the same time and waits for all. A call that panics leaves the plugin alive.
func sideBySide(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { sdk.Recover("a question", func() error { f(i); return nil }) })
	}
	all.Wait()
}

// hashAt asks for a hash at a revision. While nobody writes, that is the present one: then it is asked for as such, for where
// it was compacted as well, 3.4 refuses it by its number, and 3.6 and later answer with a hash kept from the compaction, which
// a member that was restarted does not have.
func (c *clients) hashAt(ctx context.Context, url string, revision int64, present bool) (hash uint32, compacted int64, err error) {
	if present {
		r, err := c.hashKV(ctx, url, 0)
		if err != nil || r.GetHeader().GetRevision() == revision {
			return r.GetHash(), r.GetCompactRevision(), err
		}
	}
	r, err := c.hashKV(ctx, url, revision)
	return r.GetHash(), r.GetCompactRevision(), err
}
