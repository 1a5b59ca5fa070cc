package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/magpie-monitoring/magpie/sdk"
)

// page is a file of the machine in testdata.
func page(t testing.TB, name string) []byte {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/machine.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	t.Fatalf("the machine has no %s", name)
	return nil
}

// TestPagesThatAreNotAsDocumentedAreErrorsThatNameTheFile puts bad pages in the place of the machine's.
func TestPagesThatAreNotAsDocumentedAreErrorsThatNameTheFile(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ collector, file, content, text string }{
		{"stat", "stat", "cpu 1 2 3 4\nctxt 5\n", "stat: it names no CPU"},
		{"stat", "stat", "cpu0 1 2\n", `stat: "cpu0" is followed by too few numbers`},
		{"cpu", "stat", "cpu99999 1 2 3 4\n", `stat: "cpu99999" is no CPU`},
		{"stat", "stat", "cpu0 1 2 3 4\nbtime soon\n", `stat: "btime" is followed by no number`},
		{"loadavg", "loadavg", "1 2", `loadavg: "" is not a number`},
		{"meminfo", "meminfo", "MemFree: -1 kB\n", `meminfo: MemFree is "-1", not a number`},
		{"vmstat", "vmstat", "pgfault\n", `vmstat: pgfault is "", not a number`},
		{"filefd", "sys/fs/file-nr", "1 2\n", `file-nr is "1 2", not three numbers`},
		{"entropy", "sys/kernel/random/entropy_avail", "many\n", `entropy_avail: "many" is not a number`},
		{"schedstat", "schedstat", "cpu0 1 2 3\n", "schedstat: a line of a CPU is not nine numbers"},
		{"pressure", "pressure/io", "some avg10=0.00 total=1\n", "pressure/io has no total that is a number"},
		{"diskstats", "diskstats", "8 0\n", "diskstats: a line does not begin with two numbers and a name"},
		{"filesystem", "1/mountinfo", "1 2 8:1 / /\n", "mountinfo: a line is not as proc_pid_mountinfo(5) says"},
		{"netstat", "net/snmp", "Tcp: ActiveOpens\nUdp: 1\n", `netstat: names of "Tcp:" are followed by values of "Udp:"`},
		{"netstat", "net/netstat", "IpExt: InOctets OutOctets\nIpExt: 1\n", `netstat: IpExt: OutOctets: "" is not a number`},
		{"netstat", "net/snmp6", "Ip6InOctets x\n", `snmp6: Ip6InOctets: "x" is not a number`},
		{"sockstat", "net/sockstat", "TCP: inuse\n", `sockstat: TCP inuse: "" is not a number`},
		{"udp_queues", "net/udp", "header\n1: a b 07 12\n", `udp: the queues of a socket are "12"`},
		{"softnet", "net/softnet_stat", "0 0 0\n", "softnet_stat: a line has fewer than 9 numbers"},
		{"conntrack", "net/stat/nf_conntrack", "header\n0 0 0\n", "nf_conntrack: a line has fewer than 16 numbers"},
		{"processes", "42/stat", "42 (x\n", "42/stat is not as proc_pid_stat(5) says"},
		{"mdadm", "mdstat", "Personalities :\nmd0 : active\n", "mdstat"},
	} {
		dir := t.TempDir()
		archive, err := txtar.ParseFile("testdata/machine.txtar")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.HasPrefix(f.Name, "proc/") {
				write(t, filepath.Join(dir, f.Name), string(f.Data))
			}
		}
		write(t, filepath.Join(dir, "proc", x.file), x.content)
		h, _ := bare(t, func(c *Config) { c.Collect, c.ProcPath = []string{x.collector}, dir+"/proc" })
		if _, err := collectOnce(t, h); err == nil || !strings.Contains(err.Error(), x.text) {
			t.Errorf("%s %q gives %v, and should say %s", x.file, x.content, err, x.text)
		}
	}
}

func TestWhatAKernelLacksIsNoError(t *testing.T) {
	t.Parallel()
	for collector, files := range map[string]map[string]string{
		"netstat":    {"net/netstat": "IpExt: InOctets\nIpExt: 1\n", "net/snmp": "Tcp: InErrs\nTcp: 2\n"}, // no IPv6
		"sockstat":   {},
		"udp_queues": {"net/udp6": "header\n"},
		"pressure":   {"pressure/cpu": "some avg10=0.00 total=5\n"},                  // no memory, no irq
		"softnet":    {"net/softnet_stat": "1 2 3 0 0 0 0 0 9\n4 5 6 0 0 0 0 0 9\n"}, // Linux 2.6
		"conntrack":  {"sys/net/netfilter/nf_conntrack_count": "1", "sys/net/netfilter/nf_conntrack_max": "2", "net/stat/nf_conntrack": "h\n0 1 2 3 4 5 6 7 8 9 a b c d e f\n"},
	} {
		h, _ := bare(t, func(c *Config) { c.Collect = []string{collector} })
		for name, content := range files {
			write(t, filepath.Join(h.proc, name), content)
		}
		if _, err := collectOnce(t, h); err != nil {
			t.Errorf("%s: %v", collector, err)
		}
	}
}

// fuzzPage fuzzes a parser of a page, beginning with the machine's.
func fuzzPage(f *testing.F, file string, parse func(page []byte)) {
	f.Add(page(f, file))
	f.Add([]byte(nil))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, page []byte) {
		before := bytes.Clone(page)
		parse(page)
		if !bytes.Equal(before, page) {
			t.Error("the parser has changed the page")
		}
	})
}

func ignore(*sdk.Metric, float64) {}

func FuzzStat(f *testing.F) {
	fuzzPage(f, "proc/stat", func(b []byte) {
		var s statPage
		if s.parse(b) == nil {
			(&cpuState{}).update(s.cpus)
		}
	})
}
func FuzzMeminfo(f *testing.F) {
	fuzzPage(f, "proc/meminfo", func(b []byte) { parseMeminfo(b, ignore) })
}
func FuzzVmstat(f *testing.F) { fuzzPage(f, "proc/vmstat", func(b []byte) { parseVmstat(b, ignore) }) }
func FuzzNetstat(f *testing.F) {
	fuzzPage(f, "proc/net/netstat", func(b []byte) { parseNetstat(b, ignore) })
}
func FuzzSNMP6(f *testing.F) { fuzzPage(f, "proc/net/snmp6", func(b []byte) { parseSNMP6(b, ignore) }) }
func FuzzSockstat(f *testing.F) {
	fuzzPage(f, "proc/net/sockstat", func(b []byte) { parseSockstat(b, 4096, ignore) })
}
func FuzzUDP(f *testing.F)      { fuzzPage(f, "proc/net/udp", func(b []byte) { parseUDP(b) }) }
func FuzzARP(f *testing.F)      { fuzzPage(f, "proc/net/arp", func(b []byte) { parseARP(b) }) }
func FuzzPressure(f *testing.F) { fuzzPage(f, "proc/pressure/io", func(b []byte) { parsePressure(b) }) }
func FuzzUdev(f *testing.F)     { fuzzPage(f, "root/run/udev/data/b8_0", func(b []byte) { parseUdev(b) }) }
func FuzzConntrack(f *testing.F) {
	fuzzPage(f, "proc/net/stat/nf_conntrack", func(b []byte) { parseConntrack(b) })
}
func FuzzSoftnet(f *testing.F) {
	fuzzPage(f, "proc/net/softnet_stat", func(b []byte) { parseSoftnet(b, func(string, *[13]uint64) {}) })
}
func FuzzSchedstat(f *testing.F) {
	fuzzPage(f, "proc/schedstat", func(b []byte) { parseSchedstat(b, func(string, *[9]uint64) {}) })
}
func FuzzProcessStat(f *testing.F) {
	fuzzPage(f, "proc/42/stat", func(b []byte) {
		if state, _, ok := parseProcessStat(b); ok && state >= 128 {
			panic("a state that no table has")
		}
	})
}
func FuzzDiskstats(f *testing.F) {
	fuzzPage(f, "proc/diskstats", func(b []byte) {
		filter := newDiskFilter(defaults())
		for line := range bytes.Lines(b) {
			filter.of(line[:len(line)-len(skip(line, 3))])
		}
	})
}
func FuzzOSRelease(f *testing.F) {
	fuzzPage(f, "root/etc/os-release", func(b []byte) {
		for _, v := range parseOSRelease(string(b)) {
			majorMinor(v)
		}
		selinuxMode(string(b))
	})
}
func FuzzTextfile(f *testing.F) {
	fuzzPage(f, "root/var/textfile/backup.prom", func(b []byte) { parseTextfile(b, "x.prom") })
}

func TestOSReleaseIsReadAsTheShellWould(t *testing.T) {
	t.Parallel()
	got := parseOSRelease("A=plain\nB=\"with space\"\n# C=no\nD='single \\'\nE=\"a \\\"quote\\\" and \\$\"\nF=\nnonsense\nG=back\\ slash\nH=\"\n")
	for name, want := range map[string]string{"A": "plain", "B": "with space", "C": "", "D": `single \`, "E": `a "quote" and $`, "F": "", "G": "back slash", "H": `"`} {
		if got[name] != want {
			t.Errorf("%s is %q, and should be %q", name, got[name], want)
		}
	}
	for version, want := range map[string]float64{"12.4.1": 12.4, "20.04": 20.04, "7": 7, "": 0, "rolling": 0, ".5": 0, "38 (x)": 38, "1..2": 1} {
		if got := majorMinor(version); got != want {
			t.Errorf("version %q is %v, and should be %v", version, got, want)
		}
	}
}

func TestAProcessMayHaveAnyName(t *testing.T) {
	t.Parallel()
	for stat, want := range map[string]byte{"7 (a) b) Z 1": 0, string(page(t, "proc/42/stat")): 'R', "7 (\xff) S" + strings.Repeat(" 9", 17): 'S'} {
		state, threads, ok := parseProcessStat([]byte(stat))
		if state != want && want != 0 || ok != (want != 0) || ok && threads != 3 && threads != 9 {
			t.Errorf("%q: %q, %d, %v", stat, state, threads, ok)
		}
	}
}

func TestAProcessThatEndsWhileItIsReadIsNotMissed(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) { c.Collect = []string{"processes", "threads"} })
	for name, content := range map[string]string{"1/stat": string(page(t, "proc/1/stat")), "sys/kernel/threads-max": "9", "sys/kernel/pid_max": "8", "77/task/77/x": "", "self/stat": "x"} {
		write(t, filepath.Join(h.proc, name), content)
	}
	s := newSeries()
	if err := s.collect(t, h); err != nil {
		t.Fatal(err)
	}
	if s.values["node_processes_pids"] != 1 || s.values[`node_processes_state{state="S"}`] != 1 {
		t.Errorf("%v", s.values)
	}
	os.Remove(filepath.Join(h.proc, "1/stat"))
	if err := s.collect(t, h); err != nil {
		t.Fatal(err)
	}
	if v, ok := s.values[`node_processes_state{state="S"}`]; !ok || v != 0 {
		t.Errorf("when the last sleeper is gone there are %v sleeping, %v", v, ok)
	}
}

func TestACounterOfACPUDoesNotStepBackAndBeginsAnewAfterHotplug(t *testing.T) {
	t.Parallel()
	var c cpuState
	at := func(id int, idle, iowait uint64) cpuLine {
		return cpuLine{id, [cpuModes]uint64{3: idle, 4: iowait}}
	}
	for i, x := range []struct {
		line         cpuLine
		idle, iowait uint64
	}{
		{at(0, 1000, 50), 1000, 50},
		{at(0, 1001, 49), 1001, 50}, // iowait is known to fall
		{at(0, 702, 60), 1001, 60},  // 2.99 s: a step back
		{at(0, 701, 60), 701, 60},   // 3 s: the CPU was away
		{at(0, 705, 10), 705, 60},   // a step back again
		{at(0, 100, 2), 100, 2},
	} {
		c.update([]cpuLine{x.line, at(1, 5, 5)})
		if got := c.ticks[0]; got[3] != x.idle || got[4] != x.iowait {
			t.Errorf("step %d: idle %d, iowait %d; should be %d and %d", i, got[3], got[4], x.idle, x.iowait)
		}
	}
	c.update([]cpuLine{at(1, 5, 5)})
	if len(c.ticks) != 1 {
		t.Errorf("a CPU that is gone is kept: %v", c.ticks)
	}
}
