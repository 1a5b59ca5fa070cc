package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// host is what one component asks the daemon through.
type host struct {
	server    *Server
	component *component
	number    uint32
	address   string
	dir       string
	log       *slog.Logger
	source    sdk.SourceSettings
	last      []byte // checkpoint
}

func (h *host) Address() string            { return h.address }
func (h *host) Source() sdk.SourceSettings { return h.source }
func (h *host) Checkpoint() []byte         { return h.last }

func (h *host) Log() *slog.Logger {
	if h.log == nil {
		return h.server.log
	}
	return h.log
}

func (h *host) Fail(err error) {
	if h.component != nil && err != nil {
		h.component.fail(err)
	}
}

func (h *host) Status(s sdk.Status, text string) {
	if h.component != nil {
		h.component.setStatus(s, text)
	}
}

func (h *host) Dir() (string, error) {
	if h.dir == "" {
		return "", errors.New("the daemon gave this component no directory")
	}
	return h.dir, os.MkdirAll(h.dir, 0o700)
}

func (h *host) Listen(network, address string) (net.Listener, error) {
	return reusing.Listen(context.Background(), network, address)
}

func (h *host) ListenPacket(network, address string) (net.PacketConn, error) {
	if network != "unixgram" {
		return reusing.ListenPacket(context.Background(), network, address)
	}
	return replaceSocket(address)
}

// reusing binds where another socket of this user is bound already.
var reusing = net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
	var err error
	return errors.Join(conn.Control(func(fd uintptr) { err = reusePort(fd) }), err)
}}

// replaceSocket binds under a name of its own and moves the socket to its path, so that there is one at any time.
func replaceSocket(path string) (net.PacketConn, error) {
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().Type() != os.ModeSocket:
		return nil, fmt.Errorf("%s is there already, and is no socket", path)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	aside := fmt.Sprintf("%s.%d", path, os.Getpid())
	os.Remove(aside) // of a process of this number that was killed
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: aside, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err := os.Rename(aside, path); err != nil {
		return nil, errors.Join(err, conn.Close(), os.Remove(aside))
	}
	return conn, nil
}

func (h *host) Get(ctx context.Context, key string) ([]byte, bool, error) {
	r, err := h.server.host.ask(ctx, &wire.HostCall{Component: h.number, Call: &wire.HostCall_Get{Get: &wire.StateGet{Key: key}}})
	if err != nil {
		return nil, false, err
	}
	return r.Value, r.Found, nil
}

func (h *host) Put(ctx context.Context, key string, value []byte) error {
	_, err := h.server.host.ask(ctx, &wire.HostCall{Component: h.number, Call: &wire.HostCall_Put{Put: &wire.StatePut{Key: key, Value: value}}})
	return err
}

func (h *host) Query(ctx context.Context, q sdk.Query) (*sdk.Result, error) {
	r, err := h.server.host.ask(ctx, &wire.HostCall{Component: h.number, Call: &wire.HostCall_Query{Query: wire.ToQuery(0, q)}})
	if err != nil {
		return nil, err
	}
	if r.Result == nil {
		return nil, errNoHost
	}
	return r.Result.Result()
}

// hostCalls multiplexes the calls of all components over the one Host stream.
type hostCalls struct {
	mu      sync.Mutex
	stream  grpc.BidiStreamingServer[wire.HostReply, wire.HostCall]
	next    uint64
	waiting map[uint64]chan *wire.HostReply
	opened  chan struct{} // closed when the daemon has opened the stream
}

// hostPatience is how long a call waits for the stream. The daemon opens it before the first component, but calls that were made
// one after another may arrive in any order.
const hostPatience = 2 * time.Second

var errNoHost = errors.New("the daemon does not answer calls of this plugin")

func (h *hostCalls) ask(ctx context.Context, call *wire.HostCall) (*wire.HostReply, error) {
	answer := make(chan *wire.HostReply, 1)
	patience := time.NewTimer(hostPatience)
	defer patience.Stop()
	select {
	case <-h.opened:
	case <-patience.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	if h.stream == nil {
		h.mu.Unlock()
		return nil, errNoHost
	}
	h.next++
	call.Id = h.next
	h.waiting[call.Id] = answer
	err := h.stream.Send(call)
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting, call.Id)
	}()
	if err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		return r, r.Problem.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Host carries the calls until the daemon ends it.
func (s *Server) Host(stream grpc.BidiStreamingServer[wire.HostReply, wire.HostCall]) error {
	h := &s.host
	h.mu.Lock()
	h.stream = stream
	select {
	case <-h.opened: // once more
	default:
		close(h.opened)
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.stream = nil
		for _, w := range h.waiting {
			w <- &wire.HostReply{Problem: wire.ToProblem(errNoHost)}
		}
		clear(h.waiting)
	}()
	for {
		r, err := stream.Recv()
		if err != nil {
			return nil
		}
		h.mu.Lock()
		if w := h.waiting[r.Id]; w != nil {
			delete(h.waiting, r.Id)
			w <- r
		}
		h.mu.Unlock()
	}
}
