package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dumpLinks asks the kernel for all network devices (rtnetlink(7), RTM_GETLINK) and hands out its answers as they come,
// each valid during the call.
func dumpLinks(buf []byte, each func(messages []byte) (done bool, err error)) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	patience := unix.Timeval{Sec: 2}
	if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	var request [unix.SizeofNlMsghdr + unix.SizeofIfInfomsg]byte
	binary.NativeEndian.PutUint32(request[0:], uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(s, request[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for {
		n, err := retry(func() (int, error) { return unix.Read(s, buf) }) // the kernel's datagrams fit into 32 KiB
		if err != nil {
			return os.NewSyscallError("recv", err)
		}
		if done, err := each(buf[:n]); done || err != nil {
			return err
		}
	}
}

var errMessage = errors.New("netlink: a message is cut short")

// parseLinks reads one answer of the kernel. done: it was the last.
func parseLinks(b []byte, found func(*link) error) (done bool, err error) {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return false, errMessage
		}
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return false, errMessage
		}
		body := b[unix.SizeofNlMsghdr:n]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, errMessage
			}
			return false, fmt.Errorf("netlink: %w", unix.Errno(-int32(binary.NativeEndian.Uint32(body))))
		case unix.RTM_NEWLINK:
			var l link
			if err := l.parse(body); err != nil {
				return false, err
			}
			if err := found(&l); err != nil {
				return false, err
			}
		}
		b = b[min(len(b), align(n)):]
	}
	return false, nil
}

// attributeKind masks the two flags of an attribute's type (NLA_TYPE_MASK).
const attributeKind = 0x3fff

// align rounds up to where the next message or attribute begins.
func align(n int) int { return (n + 3) &^ 3 }

// parse reads a link's message: struct ifinfomsg, then attributes (linux/if_link.h).
func (l *link) parse(b []byte) error {
	if len(b) < unix.SizeofIfInfomsg {
		return errMessage
	}
	l.kind = uint64(binary.NativeEndian.Uint16(b[2:]))
	l.index = uint64(binary.NativeEndian.Uint32(b[4:]))
	l.flags = uint64(binary.NativeEndian.Uint32(b[8:]))
	l.peer = l.index // the kernel leaves it out where it is the same
	promiscuous, allMulti := l.flags&unix.IFF_PROMISC != 0, l.flags&unix.IFF_ALLMULTI != 0
	for b = b[unix.SizeofIfInfomsg:]; len(b) >= unix.SizeofRtAttr; {
		n, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&attributeKind
		if n < unix.SizeofRtAttr || n > len(b) {
			return errMessage
		}
		value := b[unix.SizeofRtAttr:n]
		b = b[min(len(b), align(n)):]
		switch kind {
		case unix.IFLA_PROMISCUITY:
			promiscuous = small(value) > 0
		case unix.IFLA_ALLMULTI:
			allMulti = small(value) > 0
		default:
			l.attribute(kind, value)
		}
	}
	// The message has some flags that only say how the device is; /sys/class/net/*/flags, whose value node_exporter has,
	// is without them.
	l.dormant = l.flags&unix.IFF_DORMANT != 0
	l.flags &^= unix.IFF_RUNNING | unix.IFF_LOWER_UP | unix.IFF_DORMANT | unix.IFF_PROMISC | unix.IFF_ALLMULTI
	if promiscuous {
		l.flags |= unix.IFF_PROMISC
	}
	if allMulti {
		l.flags |= unix.IFF_ALLMULTI
	}
	return nil
}

func (l *link) attribute(kind uint16, value []byte) {
	switch kind {
	case unix.IFLA_IFNAME:
		l.name = text(value)
	case unix.IFLA_IFALIAS:
		l.alias = text(value)
	case unix.IFLA_ADDRESS:
		l.address = hardwareAddress(value)
	case unix.IFLA_BROADCAST:
		l.broadcast = hardwareAddress(value)
	case unix.IFLA_MTU:
		l.mtu = small(value)
	case unix.IFLA_LINK:
		l.peer = small(value)
	case unix.IFLA_TXQLEN:
		l.queue = small(value)
	case unix.IFLA_GROUP:
		l.group = small(value)
	case unix.IFLA_OPERSTATE:
		l.state = small(value)
	case unix.IFLA_LINKMODE:
		l.mode = small(value)
	case unix.IFLA_CARRIER:
		l.carrier = small(value)
	case unix.IFLA_CARRIER_CHANGES:
		l.changes = small(value)
	case unix.IFLA_CARRIER_UP_COUNT:
		l.ups = small(value)
	case unix.IFLA_CARRIER_DOWN_COUNT:
		l.downs = small(value)
	case unix.IFLA_STATS64:
		for i := range l.stats {
			if len(value) >= 8*(i+1) { // older kernels count less
				l.stats[i] = binary.NativeEndian.Uint64(value[8*i:])
			}
		}
		l.counted = true
	}
}

// small reads a number of one, two or four bytes.
func small(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return 0
}

// text reads a string that ends with a zero byte.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.ToValidUTF8(s, "\uFFFD")
}

// hardwareAddress writes an address as sysfs does: 02:fc:00:00:00:05.
func hardwareAddress(b []byte) string {
	const digits = "0123456789abcdef"
	s := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			s = append(s, ':')
		}
		s = append(s, digits[c>>4], digits[c&15])
	}
	return string(s)
}
