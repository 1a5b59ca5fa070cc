package plugintest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/internal/dial"
)

// Serve serves a handler in memory until the test's end. An sdk.HTTPClient reaches it by the server's URL, and so does what the
// server's Client gives; nothing else does. It needs no port, and in a bubble of package testing/synctest (see the package's
// comment) a plugin can wait for it while the clock goes on, which it does not for a socket.
func Serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	m := listen()
	s := &httptest.Server{Listener: m, Config: &http.Server{Handler: h}}
	s.Start()
	s.Client().Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return m.dial(ctx) }
	remove := dial.Put(m.address, m.dial)
	t.Cleanup(func() {
		remove()
		s.CloseClientConnections() // whoever still asks has the answer that nobody is there
		s.Close()
	})
	return s
}

// memory is a network of one listener.
type memory struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

var numbers atomic.Uint64

func listen() *memory {
	return &memory{address: fmt.Sprintf("target%d.test:80", numbers.Add(1)), conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (m *memory) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case m.conns <- there:
		return here, nil
	case <-m.closed:
		return nil, &net.OpError{Op: "dial", Net: m.Network(), Addr: m, Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: m.Network(), Addr: m, Err: ctx.Err()}
	}
}

// Accept is that of net.Listener.
func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close is that of net.Listener.
func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

// Addr is that of net.Listener.
func (m *memory) Addr() net.Addr { return m }

// Network is that of net.Addr.
func (m *memory) Network() string { return "memory" }

// String is that of net.Addr: an address that is nowhere.
func (m *memory) String() string { return m.address }
