// Package client is the daemon's side of a plugin: it starts the process, speaks the contract with it, and says in one
// error why it died. The supervisor, the CLI's plugin commands and the test kit use it.
//
//	launch.go     a process from start to death
//	runner.go     how go-plugin is made to start it: process group, death signal, filtered stdout
//	output.go     what it prints
//	conn.go       the calls, each with a deadline
//	clean.go      secrets are taken out of what it answers
//	catalogue.go  the plugins in the plugin directories and what they offer
//	hashes.go     which file has which hash, so that none is read again for it
//	guard.go      the guardian, who outlives the daemon by a moment
//	usage.go      what a process costs
package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Options say how to start a plugin.
type Options struct {
	Path      string   // of the binary
	Env       []string // beside what the handshake needs; nothing else is inherited
	SocketDir string   // a directory that only we can enter, with a short path (sockets have 108 bytes)
	Timeout   time.Duration
	Log       func(Entry)              // what the plugin logs and prints, rate-limited; may be nil
	Clean     func(text string) string // takes secrets out of what the plugin says and prints; nil: it was handed none
	Started   func(pgid int)           // the process group exists; may be nil
	Ended     func(pgid int)

	Printed func(stream, line string) // every line on stdout and stderr as it came, the handshake among them; may be nil
}

// Process is a running plugin.
type Process struct {
	Conn
	Pid    int
	run    *run
	client *plugin.Client
	done   chan struct{}
	stop   sync.Once
}

const startTimeout = 10 * time.Second

// Launch starts a plugin and connects to it.
func Launch(ctx context.Context, o Options) (p *Process, err error) {
	defer func() {
		if v := recover(); v != nil { // go-plugin panics on some handshakes
			err = fmt.Errorf("plugin %s: the handshake broke: %v", filepath.Base(o.Path), v)
		}
	}()
	if o.Timeout == 0 {
		o.Timeout = startTimeout
	}
	r := newRun(o)
	config := &plugin.ClientConfig{
		HandshakeConfig:  plugin.HandshakeConfig{ProtocolVersion: wire.Protocol, MagicCookieKey: wire.CookieKey, MagicCookieValue: wire.CookieValue},
		VersionedPlugins: map[int]plugin.PluginSet{wire.Protocol: {wire.PluginName: &connected{}}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, dir string) (runner.Runner, error) {
			return r.prepare(spec, dir), nil
		},
		SkipHostEnv:      true,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: o.SocketDir},
		StartTimeout:     o.Timeout,
		SyncStdout:       r.output.stray("stdout"),
		SyncStderr:       r.output.stray("stderr"),
		Logger:           hclog.NewNullLogger(),
		GRPCDialOptions:  slices.Concat(wire.DialOptions(), cleaning(o.Clean), []grpc.DialOption{grpc.WithContextDialer(r.dial)}),
	}
	p = &Process{run: r, client: plugin.NewClient(config), done: make(chan struct{})}
	conn, err := p.connect(ctx)
	if err != nil {
		if cause := r.cause(time.Second); cause != nil {
			err = cause
		}
		r.kill()
		go p.client.Kill() // frees what go-plugin holds; may wait for the process
		return nil, fmt.Errorf("plugin %s did not start: %w", filepath.Base(o.Path), err)
	}
	p.Conn = Conn{rpc: wire.NewPluginClient(conn), conn: conn}
	p.Pid = r.pid
	go func() {
		<-r.exited
		conn.Close()
		p.client.Kill()
		close(p.done)
	}()
	return p, nil
}

func (p *Process) connect(ctx context.Context) (*grpc.ClientConn, error) {
	type result struct {
		conn *grpc.ClientConn
		err  error
	}
	got := make(chan result, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				got <- result{err: fmt.Errorf("the handshake broke: %v", v)}
			}
		}()
		protocol, err := p.client.Client()
		if err != nil {
			got <- result{err: err}
			return
		}
		conn, err := protocol.Dispense(wire.PluginName)
		if err != nil {
			got <- result{err: err}
			return
		}
		got <- result{conn: conn.(*grpc.ClientConn)}
	}()
	select {
	case r := <-got:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// connected hands go-plugin's connection out.
type connected struct{ plugin.NetRPCUnsupportedPlugin }

func (*connected) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("a daemon is not a plugin")
}

func (*connected) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// Done is closed when the process has died and its remains are cleared away.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exited is closed as soon as the process is dead.
func (p *Process) Exited() <-chan struct{} { return p.run.exited }

// Cause says why the process died: exit code or signal, and the last lines that it printed. nil while it lives, and
// after a Stop or Kill.
func (p *Process) Cause() error {
	select {
	case <-p.run.exited:
		return p.run.cause(100 * time.Millisecond)
	default:
		return nil
	}
}

// Status is how the process ended, as Wait has it: nil for exit code 0. It waits for the end.
func (p *Process) Status() error {
	<-p.run.exited
	return p.run.status
}

// Stop asks the plugin to end, and kills its process group when ctx ends or a while after it was asked. It returns when
// the process is dead.
func (p *Process) Stop(ctx context.Context) {
	p.stop.Do(func() {
		p.run.ours.Store(true)
		go p.client.Kill() // a Shutdown call, and SIGKILL after 2 s if the plugin answers but does not end
	})
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	case <-time.After(3 * time.Second):
	}
	p.run.kill()
	<-p.run.exited
}

// Kill ends the process group at once.
func (p *Process) Kill() { p.run.kill() }

// dial connects to the plugin's socket and checks that it is the plugin that answers there.
func (r *run) dial(ctx context.Context, _ string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", r.socket)
	if err != nil {
		return nil, err
	}
	if err := r.checkPeer(conn.(*net.UnixConn)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// DialHTTP connects to the socket of the plugin's HTTP handlers, with the same checks.
func (p *Process) DialHTTP(ctx context.Context, socket string) (net.Conn, error) {
	if !p.run.owns(socket) {
		return nil, fmt.Errorf("the plugin named a socket outside its own directory: %s", socket)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	if err := p.run.checkPeer(conn.(*net.UnixConn)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// owns reports whether a socket lies directly in the plugin's own directory.
func (r *run) owns(socket string) bool {
	return filepath.Dir(socket) == r.dir && !strings.Contains(socket, "\x00")
}

// kill ends the whole process group.
func (r *run) kill() {
	if r.pid > 0 {
		r.ours.Store(true)
		syscall.Kill(-r.pid, syscall.SIGKILL)
		syscall.Kill(r.pid, syscall.SIGKILL)
	}
}

// PrepareSockets makes a directory for sockets and sweeps what a dead daemon left in it. Nobody else
// may use it.
func PrepareSockets(dir string) error {
	if len(dir) > 60 { // a socket's path has 108 bytes, and go-plugin adds some 40
		return fmt.Errorf("the directory for sockets has too long a path (%d bytes, 60 are possible): %s", len(dir), dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s must be a directory that nobody else can enter (mode 0700)", dir)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "plugin-dir") {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return err
}
