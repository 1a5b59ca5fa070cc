// Package dial makes the connections of sdk.HTTPClient: to the network, or, for the hosts that a test has put there, in memory.
package dial

import (
	"context"
	"net"
	"sync"
)

var (
	network net.Dialer
	hosts   sync.Map // of tests: host:port → func(context.Context) (net.Conn, error)
)

// Context dials an address.
func Context(ctx context.Context, kind, address string) (net.Conn, error) {
	if dial, ok := hosts.Load(address); ok {
		return dial.(func(context.Context) (net.Conn, error))(ctx)
	}
	return network.DialContext(ctx, kind, address)
}

// Put has an address be dialled by a function until remove is called.
func Put(address string, dial func(context.Context) (net.Conn, error)) (remove func()) {
	hosts.Store(address, dial)
	return func() { hosts.Delete(address) }
}
