package datagram

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

type none struct{}

type source struct{ host sdk.Host }

func (source) Stream(ctx context.Context, _ sdk.Emitter) error {
	<-ctx.Done()
	return ctx.Err()
}

// hostOf is a component's host, as serve gives it.
func hostOf(t *testing.T) (host sdk.Host) {
	plugintest.Open(t, sdk.StreamSource(func(_ context.Context, _ *none, h sdk.Host) (source, error) {
		host = h
		return source{h}, nil
	}), nil)
	return host
}

func listen(t *testing.T, host sdk.Host, network, address string) *Socket {
	t.Helper()
	s, err := Listen(host, network, address, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A sender that never pauses, while one receiver follows another: each datagram reaches one of them.
func TestNoDatagramIsLostWhileReceiversFollowEachOther(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp4", "udp6", "udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			host := hostOf(t)
			address := map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0", "udp": ":0", "unixgram": ""}[network]
			if network == "unixgram" {
				dir, err := os.MkdirTemp("", "dg")
				if err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(dir)
				address = filepath.Join(dir, "s")
			}
			receiver := listen(t, host, network, address)
			to := address
			if network != "unixgram" {
				to = receiver.Addr().String()
				if network == "udp" {
					_, port, _ := net.SplitHostPort(to)
					to = "127.0.0.1:" + port
				}
			}
			var got atomic.Int64
			var readers sync.WaitGroup
			read := func(s *Socket) context.CancelFunc {
				ctx, cancel := context.WithCancel(t.Context())
				readers.Go(func() {
					s.Read(ctx, func([]byte) { got.Add(1) })
					s.Close()
				})
				return cancel
			}
			end := read(receiver)
			stop, sent := make(chan struct{}), make(chan int64)
			go func() { sent <- send(network, to, stop, &got) }()
			for range 20 {
				before := got.Load()
				for wait := time.Now().Add(5 * time.Second); got.Load() < before+100 && time.Now().Before(wait); {
					time.Sleep(time.Millisecond)
				}
				bind := to
				if network == "udp" {
					bind = receiver.Addr().String()
				}
				next := listen(t, host, network, bind)
				endNext := read(next)
				end()
				end, receiver = endNext, next
			}
			close(stop)
			n := <-sent
			for wait := time.Now().Add(2 * time.Minute); got.Load() < n && time.Now().Before(wait); {
				time.Sleep(time.Millisecond)
			}
			end()
			readers.Wait()
			if got.Load() != n || n < 2000 {
				t.Errorf("%d of %d datagrams came", got.Load(), n)
			}
		})
	}
}

// send sends from many sockets in turn, as the kernel spreads senders over receivers, and says how many were sent.
func send(network, to string, stop chan struct{}, got *atomic.Int64) (sent int64) {
	var conns []net.Conn
	var local *net.UnixConn
	if network == "unixgram" {
		local, _ = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "", Net: "unixgram"})
		defer local.Close()
	} else {
		for range 16 {
			c, err := net.Dial(network, to)
			if err != nil {
				return -1
			}
			defer c.Close()
			conns = append(conns, c)
		}
	}
	for {
		select {
		case <-stop:
			return sent
		default:
		}
		if sent-got.Load() > 200 { // the buffer's size is not what is tested
			time.Sleep(10 * time.Microsecond)
			continue
		}
		var err error
		if local != nil {
			_, err = local.WriteTo([]byte("x"), &net.UnixAddr{Name: to, Net: "unixgram"})
		} else {
			_, err = conns[sent%16].Write([]byte("x"))
		}
		if err == nil {
			sent++
		}
	}
}

func TestWhatTheKernelDropsIsKnown(t *testing.T) {
	t.Parallel()
	s, err := Listen(hostOf(t), "udp", "127.0.0.1:0", 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n, ok := s.Drops(); !ok || n != 0 {
		t.Fatalf("%d, %v", n, ok)
	}
	c, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 100 {
		c.Write(make([]byte, 1000))
	}
	if n, ok := s.Drops(); !ok || n < 50 || n >= 100 {
		t.Errorf("%d dropped, %v", n, ok)
	}
}

func TestAPathThatIsNoSocketIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(hostOf(t), "unixgram", path, 4096); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file is now %q", text)
	}
	_, err := Listen(hostOf(t), "udp", "300.0.0.1:1", 4096)
	if fmt.Sprint(err) == "<nil>" {
		t.Error("a bad address was taken")
	}
}
