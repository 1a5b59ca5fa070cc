package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestMountPointsAreUnescaped(t *testing.T) {
	t.Parallel()
	for escaped, want := range map[string]string{
		`/a\040b\011c\012d\134e\043`: "/a b\tc\nd\\e#", `/no\escape\04`: `/no\escape\04`, "/\xff": "/\uFFFD", `\999`: `\999`, `x\`: `x\`,
	} {
		if got := unescape([]byte(escaped)); got != want {
			t.Errorf("%q is %q, and should be %q", escaped, got, want)
		}
	}
}

func TestNoNameOfAMountBreaksTheList(t *testing.T) {
	t.Parallel()
	list, err := parseMountinfo([]byte("1 2 8:1 / / rw - ext4 /dev/sda rw\n3 1 0:50 / /home/u/a\rb\x01 rw - fuse.sshfs  rw,user_id=7\n"))
	if err != nil || len(list) != 2 || list[1].point != "/home/u/a\rb\x01" || list[1].device != "" || list[1].readonly {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestMountsAreWatchedByPointAndType(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	for i, m := range []string{"/ ext4", "/boot vfat", "/dev/shm tmpfs", "/proc proc", "/var/lib/docker/overlay2/x overlay", "/mnt/nfs nfs4", "/run/user/7 tmpfs", "/devices ext4"} {
		point, fstype, _ := strings.Cut(m, " ")
		fmt.Fprintf(&page, "%d 1 8:%d / %s rw - %s /dev/x%d rw\n", i, i, point, fstype, i)
	}
	all, err := parseMountinfo([]byte(page.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, "/ /boot /mnt/nfs /run/user/7 /devices"},
		{func(c *Config) { c.MountPointsExclude = "^/mnt" }, "/ /boot /dev/shm /run/user/7 /devices"},
		{func(c *Config) { c.MountPointsInclude = "^/(dev|boot)" }, "/boot /dev/shm /devices"},
		{func(c *Config) { c.FSTypesExclude = "tmpfs|vfat" }, "/ /mnt/nfs /devices"},
		{func(c *Config) { c.FSTypesInclude = "overlay|proc|vfat" }, "/boot"},
		{func(c *Config) { c.FSTypesInclude, c.MountPointsInclude = "overlay", "." }, "/var/lib/docker/overlay2/x"},
		{func(c *Config) { c.FSTypesExclude, c.MountPointsExclude = "", "" }, "/ /boot /dev/shm /proc /var/lib/docker/overlay2/x /mnt/nfs /run/user/7 /devices"},
	} {
		cfg := defaults()
		x.change(cfg)
		table := newMountTable(cfg)
		table.take(all, "")
		var got []string
		for _, m := range table.list {
			got = append(got, m.point)
		}
		if strings.Join(got, " ") != x.want {
			t.Errorf("%q is watched, and %q should be", got, x.want)
		}
	}
}

func TestAContainersRootIsTakenOffTheMountPoints(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ root, point, path, name string }{
		{"", "/", "/", "/"}, {"", "/home", "/home", "/home"},
		{"/host", "/host", "/host", "/"}, {"/host", "/host/home", "/host/home", "/home"}, // the container's own list
		{"/host", "/", "/host", "/"}, {"/host", "/home", "/host/home", "/home"}, // the machine's
		{"/host", "/hosting", "/host/hosting", "/hosting"},
	} {
		if path, name := underRoot(x.root, x.point); path != x.path || name != x.name {
			t.Errorf("%s under %q is at %s and called %s; should be %s and %s", x.point, x.root, path, name, x.path, x.name)
		}
	}
}

func TestAMountThatTwoAreOnIsAskedOnceAndTheUpperCounts(t *testing.T) {
	t.Parallel()
	all, err := parseMountinfo([]byte("1 1 0:1 / /m rw - tmpfs tmpfs rw\n2 1 0:2 / /m ro - tmpfs tmpfs rw\n3 1 0:3 / /m rw - ext4 /dev/a rw\n"))
	if err != nil {
		t.Fatal(err)
	}
	table := newMountTable(defaults())
	table.take(all, "")
	if len(table.paths) != 1 || len(table.list) != 2 || !table.list[0].readonly || table.list[0].minor != "2" {
		t.Errorf("%q, %+v", table.paths, table.list)
	}
}

func TestTheListOfMountsIsOurOwnWhereTheFirstProcessIsHidden(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) { c.Collect = []string{"filesystem"} })
	write(t, h.proc+"/self/mountinfo", "1 1 8:1 / / rw - ext4 /dev/own rw\n")
	h.statfs = func(string) (usage, error) { return usage{size: 7}, nil }
	s := newSeries()
	if err := s.collect(t, h); err != nil || s.values[`node_filesystem_size_bytes{device="/dev/own", fstype="ext4", mountpoint="/"}`] != 7 {
		t.Fatalf("%v, %v", s.values, err)
	}
	write(t, h.proc+"/1/mountinfo", "1 1 8:1 / /data rw - xfs /dev/first rw\n")
	if err := s.collect(t, h); err != nil || s.values[`node_filesystem_size_bytes{device="/dev/first", fstype="xfs", mountpoint="/data"}`] != 7 {
		t.Errorf("a new list is not taken: %v, %v", s.values, err)
	}
}

func FuzzMountinfo(f *testing.F) {
	fuzzPage(f, "proc/1/mountinfo", func(b []byte) {
		list, err := parseMountinfo(b)
		if err != nil {
			return
		}
		table := newMountTable(defaults())
		table.take(list, "/root")
		for _, m := range table.list {
			if m.path >= len(table.paths) {
				panic("a mount without a path")
			}
		}
	})
}
