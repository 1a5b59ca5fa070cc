package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// loadKeys is how many keys the load writes: so few that it does not fill the database.
const loadKeys = 50

// Load writes and reads small keys, so many times a second, until stop is called. Failures are what a client sees of a break, and are
// not its end.
func (c *Cluster) Load(rate int) (stop func(), err error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	const clients = 4 // one that waits holds up only its share
	for n := range clients {
		working.Go(func() {
			for i := n; ; i += clients {
				select {
				case <-ctx.Done():
					return
				case <-time.After(clients * time.Second / time.Duration(rate)):
				}
				key := fmt.Sprintf("load/%02d", i%loadKeys)
				within(ctx, 2*time.Second, func(ctx context.Context) error {
					if _, err := client.Put(ctx, key, strings.Repeat("v", 64)); err != nil {
						return err
					}
					_, err := client.Get(ctx, key)
					return err
				})
			}
		})
	}
	return func() { cancel(); working.Wait(); client.Close() }, nil
}

// Compact forgets the history and gives the room back, followers first: what a full database needs, and what keeps a demo from
// becoming one.
func (c *Cluster) Compact(ctx context.Context) error {
	leader, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	err = c.with(leader, func(client *clientv3.Client) error {
		s, err := client.Status(ctx, c.URL(leader))
		if err != nil {
			return err
		}
		_, err = client.Compact(ctx, s.Header.Revision, clientv3.WithCompactPhysical())
		return err
	})
	if err != nil && !strings.Contains(err.Error(), "has been compacted") {
		return err
	}
	for n := range c.members {
		i := (leader + 1 + n) % len(c.members)
		if err := c.with(i, func(client *clientv3.Client) error {
			_, err := client.Defragment(ctx, c.URL(i))
			return err
		}); err != nil {
			return err
		}
	}
	return c.with(leader, func(client *clientv3.Client) error {
		_, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		return err
	})
}
