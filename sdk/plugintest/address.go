package plugintest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
)

// FreeAddress is a host:port of this machine's loopback that nobody listens on, over TCP or UDP, and that is the test's own until
// it ends: for a server that is told its port, is killed and started again, or is not to be there. A port that the system chose,
// by listening on port 0 and closing it, may be that of another listener or connection a moment later.
func FreeAddress(t testing.TB) string {
	t.Helper()
	lowest, beyond := 10_000, firstChosenBySystem()
	for range 10_000 {
		port := lowest + 2*rand.IntN((beyond-lowest)/2)
		// Who listens on the odd port above has the even one: other tests, in this process or another, look there first.
		owner, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err != nil {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if !isFree(address) {
			owner.Close()
			continue
		}
		t.Cleanup(func() { owner.Close() })
		return address
	}
	t.Fatalf("no port between %d and %d is free", lowest, beyond)
	return ""
}

func isFree(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	l.Close()
	p, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	p.Close()
	return true
}

// firstChosenBySystem is the lowest port that the system gives to who asks for none, connections that go out among them.
func firstChosenBySystem() int {
	first := 32_768 // of Linux, if it is not told otherwise; others begin at 49152 (RFC 6335)
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		var told int
		if _, err := fmt.Sscan(string(text), &told); err == nil && told > 11_000 { // below, there is no room
			first = told
		}
	}
	return min(first, 60_000)
}
