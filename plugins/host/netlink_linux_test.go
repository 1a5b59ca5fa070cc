package main

import (
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheKernelsDevicesAreThoseOfTheNetPackage(t *testing.T) {
	t.Parallel()
	want, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	got := map[string]link{}
	err = dumpLinks(make([]byte, 32<<10), func(messages []byte) (bool, error) {
		return parseLinks(messages, func(l *link) error {
			got[l.name] = *l
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range want {
		l, ok := got[i.Name]
		if !ok || l.index != uint64(i.Index) || l.mtu != uint64(i.MTU) || l.address != i.HardwareAddr.String() && i.Flags&net.FlagLoopback == 0 || l.up() != (i.Flags&net.FlagUp != 0) || !l.counted {
			t.Errorf("%+v is %+v", i, l)
		}
	}
}

func TestAnErrorOfTheKernelIsOneOfTheCollector(t *testing.T) {
	t.Parallel()
	message := make([]byte, unix.SizeofNlMsghdr+4)
	binary.NativeEndian.PutUint32(message, uint32(len(message)))
	binary.NativeEndian.PutUint16(message[4:], unix.NLMSG_ERROR)
	denied := -int32(unix.EPERM)
	binary.NativeEndian.PutUint32(message[unix.SizeofNlMsghdr:], uint32(denied))
	if _, err := parseLinks(message, nil); !errors.Is(err, unix.EPERM) {
		t.Errorf("the error is %v", err)
	}
}

func TestAMessageThatIsCutShortIsAnError(t *testing.T) {
	t.Parallel()
	whole := machineLinks()
	ends := map[int]bool{}
	for at := 0; at < len(whole); at += align(int(binary.NativeEndian.Uint32(whole[at:]))) {
		ends[at] = true
	}
	for n := range whole {
		done, err := parseLinks(whole[:n:n], func(*link) error { return nil })
		if done || (err == nil) != ends[n] {
			t.Errorf("%d of %d bytes: %v, %v", n, len(whole), done, err)
		}
	}
}

func FuzzLinks(f *testing.F) {
	f.Add(machineLinks())
	f.Fuzz(func(t *testing.T, messages []byte) {
		parseLinks(messages, func(l *link) error {
			if strings.ContainsRune(l.name, 0) {
				t.Errorf("the name %q", l.name)
			}
			return nil
		})
	})
}

func TestNetworkDevicesAreLeftOutByName(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) {
		c.Collect, c.NetDevicesExclude = []string{"arp", "netclass", "netdev"}, "^(bond|tun)"
	})
	h.dump = dumpOf(machineLinks())
	write(t, h.proc+"/net/arp", string(page(t, "proc/net/arp")))
	values, err := collectOnce(t, h)
	if err != nil {
		t.Fatal(err)
	}
	if values[`node_network_up{device="eth0"}`] != 1 || values[`node_arp_entries{device="eth0"}`] != 2 {
		t.Errorf("%v", values)
	}
	for s := range values {
		if strings.Contains(s, "bond0") || strings.Contains(s, "tun0") {
			t.Errorf("there is %s", s)
		}
	}
}

func TestTheSpeedOfALinkIsReadAnewWhenItsCarrierChanges(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) { c.Collect = []string{"netclass"} })
	changes := uint32(1)
	h.dump = func(buf []byte, each func([]byte) (bool, error)) error {
		return dumpOf(linkMessage(1, 2, 0x1003, attribute{unix.IFLA_IFNAME, []byte("eth0\x00")}, attribute{unix.IFLA_CARRIER_CHANGES, u32(changes)}))(buf, each)
	}
	s := newSeries()
	speed := func() float64 {
		t.Helper()
		if err := s.collect(t, h); err != nil {
			t.Fatal(err)
		}
		return s.values[`node_network_speed_bytes{device="eth0"}`]
	}
	file := h.sys + "/class/net/eth0/speed"
	write(t, file, "1000\n")
	if v := speed(); v != 125e6 {
		t.Errorf("at first it is %v", v)
	}
	write(t, file, "100\n")
	if v := speed(); v != 125e6 {
		t.Errorf("it was read anew for nothing: %v", v)
	}
	changes++
	if v := speed(); v != 12.5e6 {
		t.Errorf("after a change it is %v", v)
	}
	write(t, file, "10\n")
	for range slowEvery {
		speed()
	}
	if v := speed(); v != 1.25e6 {
		t.Errorf("after a while it is %v", v)
	}
	h.dump = dumpOf(nil)
	for range slowEvery + 1 {
		s.collect(t, h)
	}
	if len(h.links.facts) != 0 {
		t.Errorf("a device that is gone is kept: %v", h.links.facts)
	}
}

func TestTheNumberOfDevicesIsBounded(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) { c.Collect = []string{"netdev"} })
	h.dump = func(_ []byte, each func([]byte) (bool, error)) error {
		message := linkMessage(1, 2, 0, attribute{unix.IFLA_IFNAME, []byte("x\x00")})
		for {
			if done, err := each(message); done || err != nil {
				return err
			}
		}
	}
	if _, err := collectOnce(t, h); err == nil || !strings.Contains(err.Error(), "more than 50,000 network devices") {
		t.Errorf("the error is %v", err)
	}
}
