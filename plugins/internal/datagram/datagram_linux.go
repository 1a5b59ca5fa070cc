package datagram

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// enlarge asks for a receive buffer beyond net.core.rmem_max, which a privileged process gets, and says what is there now.
func enlarge(fd, size int) int {
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	granted, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return granted / 2 // the kernel doubles it for its own books
}

// stepAside connects a UDP socket to where nothing comes from: the kernel then gives new datagrams to the other sockets of
// the address, and keeps what is queued here.
func stepAside(fd int) {
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return
	}
	const discard = 9
	switch bound.(type) {
	case *unix.SockaddrInet4:
		unix.Connect(fd, &unix.SockaddrInet4{Port: discard, Addr: [4]byte{127, 0, 0, 1}})
	case *unix.SockaddrInet6:
		unix.Connect(fd, &unix.SockaddrInet6{Port: discard, Addr: [16]byte{15: 1}})
	}
}

func socketInode(fd int) uint64 {
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) != nil {
		return noInode
	}
	return stat.Ino
}

// Drops is how many datagrams the kernel dropped for want of room in the buffer; false where it does not tell. A unix
// socket drops none: its senders wait.
func (s *Socket) Drops() (uint64, bool) {
	if s.path != "" || s.inode == noInode {
		return 0, false
	}
	for _, table := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(text) {
			fields := bytes.Fields(line) // sl local remote st queues tr retrnsmt uid timeout inode ref pointer drops
			if len(fields) < 13 || string(fields[9]) != strconv.FormatUint(s.inode, 10) {
				continue
			}
			n, err := strconv.ParseUint(string(fields[12]), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
