package main

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// machine is a machine made of testdata/machine.txtar, in a directory of the test's own.
func machine(t testing.TB) (dir string, sys system) {
	archive, err := txtar.ParseFile("testdata/machine.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, f := range archive.Files {
		name := f.Name
		if udev, ok := strings.CutPrefix(name, "root/run/udev/data/"); ok {
			name = "root/run/udev/data/" + strings.Replace(udev, "_", ":", 1)
		}
		write(t, filepath.Join(dir, name), string(f.Data))
	}
	for hwmon, device := range map[string]string{"hwmon0": "coretemp.0", "hwmon1": "nct6775.656", "hwmon2": "nct6775.656"} {
		if err := os.Symlink("../../../devices/platform/"+device, filepath.Join(dir, "sys/class/hwmon", hwmon, "device")); err != nil {
			t.Fatal(err)
		}
	}
	return dir, system{statfs: machineStatfs(dir + "/root"), uname: machineUname, clock: machineClock, dump: dumpOf(machineLinks()), now: machineNow, pageSize: 4096}
}

func machineStatfs(root string) func(string) (usage, error) {
	answers := map[string]usage{
		"":                {100e9, 60e9, 55e9, 6e6, 5e6},
		"/srv/with space": {1e12, 4e11, 4e11, 1e8, 9e7},
		"/mnt/nfs":        {2e12, 1e12, 1e12, 0, 0},
		"/run":            {1e9, 9e8, 9e8, 1e5, 99000},
	}
	return func(path string) (usage, error) {
		u, ok := answers[strings.TrimPrefix(path, root)]
		if !ok {
			return u, syscall.EIO
		}
		return u, nil
	}
}

func machineUname() ([6]string, error) {
	return [6]string{"Linux", "6.18.0", "#1 SMP", "x86_64", "machine", "(none)"}, nil
}

func machineClock() (clockState, error) {
	return clockState{1, -0.000123, 1.0000019, 0.5, 0.25, 8193, 7, 0.01, 0, 0, 0, 0, 0, 0, 0, 0, 37}, nil
}

func machineNow() time.Time {
	return time.Unix(1795245722, 250_000_000).In(time.FixedZone("CET", 3600))
}

// attribute is one of a netlink message.
type attribute struct {
	kind  uint16
	value []byte
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// linkMessage is what the kernel says of a device: RTM_NEWLINK.
func linkMessage(kind uint16, index, flags uint32, attributes ...attribute) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_NEWLINK)
	binary.NativeEndian.PutUint16(b[18:], kind)
	binary.NativeEndian.PutUint32(b[20:], index)
	binary.NativeEndian.PutUint32(b[24:], flags)
	for _, a := range attributes {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(a.value)))
		b = binary.NativeEndian.AppendUint16(b, a.kind)
		b = append(b, a.value...)
		b = append(b, make([]byte, align(len(b))-len(b))...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

func machineLinks() []byte {
	mac := func(last byte) []byte { return []byte{2, 0xfc, 0, 0, 0, last} }
	all := slices.Repeat([]byte{0xff}, 6)
	stats := func(first uint64) (b []byte) {
		for i := range uint64(linkStats) {
			b = binary.NativeEndian.AppendUint64(b, first+i)
		}
		return b
	}
	eth0 := linkMessage(1, 2, 0x1003|unix.IFF_RUNNING|unix.IFF_LOWER_UP,
		attribute{unix.IFLA_IFNAME, []byte("eth0\x00")}, attribute{unix.IFLA_TXQLEN, u32(1000)}, attribute{unix.IFLA_OPERSTATE, []byte{6}},
		attribute{unix.IFLA_LINKMODE, []byte{0}}, attribute{unix.IFLA_MTU, u32(1500)}, attribute{unix.IFLA_GROUP, u32(0)},
		attribute{unix.IFLA_PROMISCUITY, u32(1)}, attribute{unix.IFLA_ALLMULTI, u32(2)}, attribute{unix.IFLA_CARRIER, []byte{1}},
		attribute{unix.IFLA_CARRIER_CHANGES, u32(2)}, attribute{unix.IFLA_CARRIER_UP_COUNT, u32(1)}, attribute{unix.IFLA_CARRIER_DOWN_COUNT, u32(1)},
		attribute{unix.IFLA_ADDRESS, mac(5)}, attribute{unix.IFLA_BROADCAST, all}, attribute{unix.IFLA_IFALIAS, []byte("uplink\x00")},
		attribute{unix.IFLA_STATS64, stats(1000)}, attribute{unix.IFLA_AF_SPEC | unix.NLA_F_NESTED, u32(7)})
	tun0 := linkMessage(65534, 7, 0x90,
		attribute{unix.IFLA_IFNAME, []byte("tun0\x00")}, attribute{unix.IFLA_TXQLEN, u32(500)}, attribute{unix.IFLA_OPERSTATE, []byte{2}},
		attribute{unix.IFLA_MTU, u32(1420)}, attribute{unix.IFLA_GROUP, u32(3)}, attribute{unix.IFLA_LINK, u32(12)},
		attribute{unix.IFLA_STATS64, stats(0)[:8*rxNoHandler]}) // an older kernel's, without the last counter
	bond0 := linkMessage(1, 9, 0x1003|unix.IFF_LOWER_UP|unix.IFF_DORMANT,
		attribute{unix.IFLA_IFNAME, []byte("bond0\x00")}, attribute{unix.IFLA_TXQLEN, u32(1000)}, attribute{unix.IFLA_OPERSTATE, []byte{5}},
		attribute{unix.IFLA_MTU, u32(9000)}, attribute{unix.IFLA_CARRIER, []byte{1}}, attribute{unix.IFLA_CARRIER_CHANGES, u32(2)},
		attribute{unix.IFLA_CARRIER_UP_COUNT, u32(1)}, attribute{unix.IFLA_CARRIER_DOWN_COUNT, u32(1)},
		attribute{unix.IFLA_ADDRESS, mac(6)}, attribute{unix.IFLA_BROADCAST, all})
	return slices.Concat(eth0, tun0, bond0)
}

// dumpOf answers with messages, and that they are all.
func dumpOf(messages []byte) func([]byte, func([]byte) (bool, error)) error {
	return func(_ []byte, each func([]byte) (bool, error)) error {
		if done, err := each(messages); done || err != nil {
			return err
		}
		end := make([]byte, unix.SizeofNlMsghdr+4)
		binary.NativeEndian.PutUint32(end, uint32(len(end)))
		binary.NativeEndian.PutUint16(end[4:], unix.NLMSG_DONE)
		_, err := each(end)
		return err
	}
}

// onMachine is the plugin's capability, with the machine's system calls.
func onMachine(sys system) sdk.Capability {
	return source(func(_ context.Context, cfg *Config, h sdk.Host) (*host, error) { return openOn(sys, cfg, h) })
}

func machineConfig(dir string) plugintest.Config {
	return plugintest.Config{
		"collect": []string{"default", "threads"}, "proc_path": dir + "/proc", "sys_path": dir + "/sys", "root_path": dir + "/root",
		"textfile_dirs": []string{dir + "/root/var/text*"},
	}
}

func TestTheMachineIsReportedAsTheGoldenFileHasIt(t *testing.T) {
	t.Parallel()
	dir, sys := machine(t)
	samples := plugintest.Open(t, onMachine(sys), machineConfig(dir)).Cycle()
	plugintest.Golden(t, "machine.metrics", samples, dir, "DIR", `(?m)((?:_duration_seconds|^node_textfile_mtime_seconds)(?:\{[^}]*\})?) .*$`, "$1 …")
}
