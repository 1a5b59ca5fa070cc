// Package datagram is the receiving socket of sources that are sent datagrams, "udp" or "unixgram": with a large buffer, with
// the count of what the kernel dropped, and given up in a way that loses nothing while a successor is bound beside it.
package datagram

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	// Max is the largest datagram there is.
	Max = 64 << 10

	quiet   = 20 * time.Millisecond // nothing for so long: the queue of a socket that is given up is empty
	giveUp  = 2 * time.Second       // and if it does not become quiet
	noInode = 0
)

// Socket is bound to an address.
type Socket struct {
	conn    packetConn
	network string
	path    string // of a unix socket
	inode   uint64 // of the socket, or of the path of a unix socket
	Granted int    // bytes of receive buffer, which can be less than were asked for
}

// packetConn is what net's connections of both kinds can do.
type packetConn interface {
	net.PacketConn
	syscall.Conn
	Read([]byte) (int, error)
	SetReadBuffer(int) error
}

// Listen binds to an address and asks for a receive buffer.
func Listen(host sdk.Host, network, address string, buffer sdk.Bytes) (*Socket, error) {
	bound, err := host.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	conn, ok := bound.(packetConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is no network of datagrams", network), bound.Close())
	}
	s := &Socket{conn: conn, network: network}
	if network == "unixgram" {
		s.path = address
		s.inode = inodeOf(address)
	}
	if err := conn.SetReadBuffer(int(buffer)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	err = raw.Control(func(fd uintptr) {
		s.Granted = enlarge(int(fd), int(buffer))
		if s.path == "" {
			s.inode = socketInode(int(fd))
		}
	})
	return s, err
}

// Addr is where the socket is bound.
func (s *Socket) Addr() net.Addr { return s.conn.LocalAddr() }

// Read hands over datagrams until ctx ends, and then those that are still queued. What is handed over is valid during the
// call.
func (s *Socket) Read(ctx context.Context, take func([]byte)) error {
	stop := context.AfterFunc(ctx, func() { s.conn.SetReadDeadline(time.Now()) })
	defer stop()
	buf := make([]byte, Max)
	for {
		n, err := s.conn.Read(buf)
		switch {
		case err == nil:
			take(buf[:n])
		case ctx.Err() != nil:
			s.drain(buf, take)
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return err
		case errors.Is(err, os.ErrDeadlineExceeded): // set by an earlier Read of this socket, whose ctx ended
			s.conn.SetReadDeadline(time.Time{})
		default:
			return err
		}
	}
}

// drain takes the socket out of the way of new datagrams, and reads those that came before.
func (s *Socket) drain(buf []byte, take func([]byte)) {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return
	}
	if s.path == "" {
		raw.Control(func(fd uintptr) { stepAside(int(fd)) })
	} else if inodeOf(s.path) == s.inode { // no successor has taken the path
		os.Remove(s.path)
	}
	// A deadline would end the reading of a process that had to wait for the CPU although there is something to read: it is looked,
	// and quiet is what was so at the beginning of a look that found nothing.
	for began, last := time.Now(), time.Now(); time.Since(began) < giveUp; {
		n, look := 0, time.Now()
		if raw.Control(func(fd uintptr) { n, _, err = syscall.Recvfrom(int(fd), buf, syscall.MSG_DONTWAIT) }) != nil {
			return
		}
		switch {
		case err == nil:
			take(buf[:n])
			last = time.Now()
		case errors.Is(err, syscall.EAGAIN):
			if look.Sub(last) >= quiet {
				return
			}
			time.Sleep(time.Millisecond)
		case !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EINTR): // nobody is where stepAside connects to
			return
		}
	}
}

// Close closes the socket; what is queued is lost unless Read has returned.
func (s *Socket) Close() error {
	if s.path != "" && inodeOf(s.path) == s.inode {
		os.Remove(s.path)
	}
	return s.conn.Close()
}

func inodeOf(path string) uint64 {
	info, err := os.Lstat(path)
	if err != nil {
		return noInode
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Ino)
	}
	return noInode
}
