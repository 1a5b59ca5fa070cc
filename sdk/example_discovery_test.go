package sdk_test

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

type DNSConfig struct {
	Name    string        `hcl:"name" doc:"Name whose addresses are the targets."`
	Port    uint16        `hcl:"port" check:"min=1" doc:"Port of all of them."`
	Refresh time.Duration `hcl:"refresh,optional" default:"30s" check:"min=1s" doc:"How often to ask."`
}

type dns struct {
	cfg    *DNSConfig
	lookup func(ctx context.Context, name string) ([]string, error)
}

func openDNS(_ context.Context, cfg *DNSConfig, _ sdk.Host) (*dns, error) {
	return &dns{cfg, net.DefaultResolver.LookupHost}, nil
}

// Discover tells the whole list whenever it is another one. While the name cannot be looked up, the last list holds.
func (d *dns) Discover(ctx context.Context, found func([]sdk.Discovered) error) error {
	var told []sdk.Discovered
	for first := true; ; first = false {
		addresses, err := d.lookup(ctx, d.cfg.Name)
		if err == nil {
			now := []sdk.Discovered{}
			for _, a := range addresses {
				now = append(now, sdk.Discovered{Address: net.JoinHostPort(a, fmt.Sprint(d.cfg.Port)), Labels: map[string]string{"name": d.cfg.Name}})
			}
			if first || !reflect.DeepEqual(now, told) {
				if err := found(now); err != nil {
					return err
				}
				told = now
			}
		} else if first {
			return sdk.Target(err)
		}
		select {
		case <-time.After(d.cfg.Refresh):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var _ sdk.Finder = (*dns)(nil)

// A discovery.
func ExampleDiscovery() {
	_ = sdk.Discovery(openDNS) // for serve.Main

	ctx, cancel := context.WithCancel(context.Background())
	d := &dns{&DNSConfig{Name: "db", Port: 9100, Refresh: time.Minute}, func(context.Context, string) ([]string, error) { return []string{"10.0.0.1", "::1"}, nil }}
	fmt.Println(d.Discover(ctx, func(list []sdk.Discovered) error {
		for _, t := range list {
			fmt.Println(t.Address, t.Labels)
		}
		cancel()
		return nil
	}))
	// Output:
	// 10.0.0.1:9100 map[name:db]
	// [::1]:9100 map[name:db]
	// context canceled
}
