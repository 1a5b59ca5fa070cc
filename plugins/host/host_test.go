package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// testHost is what the daemon gives a component that a test opens without one.
type testHost struct {
	sdk.Host
	said   bytes.Buffer
	status sdk.Status
	text   string
}

func (h *testHost) Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(&h.said, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (h *testHost) Status(s sdk.Status, text string) { h.status, h.text = s, text }

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// cpuTime is what this process has spent.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bare opens a component on directories of the test's own with system calls that all fail.
func bare(t testing.TB, change func(*Config)) (*host, *testHost) {
	t.Helper()
	cfg := defaults()
	cfg.ProcPath, cfg.SysPath, cfg.RootPath = t.TempDir(), t.TempDir(), t.TempDir()
	if change != nil {
		change(cfg)
	}
	sys := system{
		statfs: func(string) (usage, error) { return usage{}, syscall.EIO }, uname: func() (u [6]string, err error) { return u, syscall.EIO },
		clock: func() (c clockState, err error) { return c, syscall.EPERM }, now: time.Now, pageSize: 4096,
		dump: func([]byte, func([]byte) (bool, error)) error { return syscall.EIO },
	}
	th := &testHost{}
	h, err := openOn(sys, cfg, th)
	if err != nil {
		t.Fatal(err)
	}
	return h, th
}

// series keeps the values of a component's series over several collects.
type series struct {
	batch  *sdk.Batch
	names  map[sdk.Ref]string
	values map[string]float64 // of the last collect
	order  []string
}

func newSeries() *series {
	return &series{batch: sdk.NewScope(sdk.SourceSettings{}, "", true).Batch(), names: map[sdk.Ref]string{}}
}

func (s *series) collect(t testing.TB, h *host) error {
	t.Helper()
	err := h.Collect(t.Context(), s.batch)
	s.values, s.order = map[string]float64{}, nil
	s.batch.Seal(func(c *sdk.Columns) {
		for _, d := range c.Define {
			s.names[d.Ref] = d.Series.Labels.String()
		}
		for i, ref := range c.Run.Refs {
			s.values[s.names[ref]] = c.Run.Values[i]
			s.order = append(s.order, s.names[ref])
		}
	})
	return err
}

// collectOnce collects with a batch of its own.
func collectOnce(t testing.TB, h *host) (map[string]float64, error) {
	t.Helper()
	s := newSeries()
	err := s.collect(t, h)
	return s.values, err
}

func TestTheTypeIsANodesToThoseWhoseRulesSelectByJob(t *testing.T) {
	t.Parallel()
	c := source(open)
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	if c.Type.Job != "node" {
		t.Errorf("its job is %q", c.Type.Job)
	}
}

func TestMistakesInABlockAreShownWhereTheyAre(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		cfg  plugintest.Config
		path string
		text string
	}{
		{plugintest.Config{"collect": []string{"cpu", "disk"}}, "collect[1]", `there is no collector "disk"; there are arp, bonding,`},
		{plugintest.Config{"exclude": []string{"default"}}, "exclude[0]", `there is no collector "default"`},
		{plugintest.Config{"collect": []string{"cpu"}, "exclude": []string{"cpu"}}, "exclude", "no collector is left to run"},
		{plugintest.Config{"proc_path": "proc"}, "proc_path", `"proc" is not an absolute path`},
		{plugintest.Config{"sys_path": "/nowhere"}, "sys_path", "no such file or directory"},
		{plugintest.Config{"root_path": "/proc/self/stat"}, "root_path", "/proc/self/stat is not a directory"},
		{plugintest.Config{"net_devices_exclude": "veth("}, "net_devices_exclude", "missing closing )"},
		{plugintest.Config{"fs_types_include": "ext4", "fs_types_exclude": "xfs"}, "fs_types_include", "exclude each other"},
		{plugintest.Config{"mount_points_include": "/", "mount_points_exclude": "/x"}, "mount_points_include", "exclude each other"},
	} {
		_, err := plugintest.TryOpen(t, source(open), x.cfg)
		p := sdk.AsProblem(err)
		if p == nil || p.Path.String() != x.path || p.Blame != sdk.BlameConfig || !strings.Contains(p.Error(), x.text) {
			t.Errorf("%v gives %v, and should give %q at %s", x.cfg, p, x.text, x.path)
		}
	}
	if diags := plugintest.Validate(t, source(open), nil); len(diags) > 0 {
		t.Errorf("an empty block is not good: %v", diags)
	}
}

func TestCollectorsAreChosenByName(t *testing.T) {
	t.Parallel()
	count := func(list []*collector) (names []string) {
		for _, c := range list {
			names = append(names, c.name)
		}
		return names
	}
	all := count(chosen(defaults()))
	if len(all) != len(collectors)-1 || slices.Contains(all, "threads") {
		t.Errorf("by default there run %v", all)
	}
	got := count(chosen(&Config{Collect: []string{"default", "threads"}, Exclude: []string{"cpu"}}))
	if len(got) != len(all) || !slices.Contains(got, "threads") || slices.Contains(got, "cpu") {
		t.Errorf("with threads and without cpu there run %v", got)
	}
	if got := count(chosen(&Config{Collect: []string{"uname", "cpu"}})); !slices.Equal(got, []string{"cpu", "uname"}) {
		t.Errorf("of two there run %v", got)
	}
	if !slices.IsSortedFunc(collectors, func(a, b *collector) int { return strings.Compare(a.name, b.name) }) {
		t.Error("the collectors are not in order")
	}
}

func TestTheManualNamesEveryCollector(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("host.go")
	if err != nil {
		t.Fatal(err)
	}
	manual, _, _ := strings.Cut(string(source), "\npackage main\n")
	manual = strings.ReplaceAll(strings.ReplaceAll(manual, "\n// ", " "), " and vmstat.", ", vmstat")
	if !strings.Contains(manual, "The collectors are "+names()) {
		t.Errorf("the package comment does not say: The collectors are %s", names())
	}
}

func TestACollectorThatFailsLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	h, th := bare(t, func(c *Config) { c.Collect = []string{"loadavg", "meminfo", "uname", "schedstat"} })
	write(t, h.proc+"/loadavg", "1 2 3 1/2 3\n")
	write(t, h.proc+"/meminfo", "MemTotal: lots kB\n")
	for range 3 {
		if _, err := collectOnce(t, h); err != nil {
			t.Fatal(err)
		}
	}
	values, _ := collectOnce(t, h)
	for collector, want := range map[string]float64{"loadavg": 1, "meminfo": 0, "uname": 0, "schedstat": 0} {
		if got := values[`node_scrape_collector_success{collector="`+collector+`"}`]; got != want {
			t.Errorf("%s: success is %v, and should be %v", collector, got, want)
		}
	}
	if values["node_load5"] != 2 {
		t.Errorf("node_load5 is %v", values["node_load5"])
	}
	for text, want := range map[string]int{"collector=meminfo": 1, `"lots\", not a number"`: 1, "collector=uname": 1, "finds nothing here\" collector=schedstat": 1} {
		if n := strings.Count(th.said.String(), text); n != want {
			t.Errorf("the log says %q %d times, and should %d times:\n%s", text, n, want, th.said.String())
		}
	}
	if th.status != sdk.Degraded || !strings.Contains(th.text, "meminfo") || strings.Contains(th.text, "schedstat") {
		t.Errorf("the status is %v %q", th.status, th.text)
	}

	write(t, h.proc+"/meminfo", "MemTotal: 1 kB\n")
	h.system.uname = func() (u [6]string, err error) { return u, nil }
	values, _ = collectOnce(t, h)
	if values["node_memory_MemTotal_bytes"] != 1024 || th.status != sdk.OK || strings.Count(th.said.String(), "works again") != 2 {
		t.Errorf("after the repair the status is %v %q and the log says\n%s", th.status, th.text, th.said.String())
	}
}

func TestOnlyWhenEveryCollectorFailsDoesTheComponent(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) { c.Collect = []string{"loadavg", "uname"} })
	_, err := collectOnce(t, h)
	p := sdk.AsProblem(err)
	if p == nil || p.Blame != sdk.BlameHost || !strings.Contains(p.Error(), "every collector failed") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}

func TestAPanicIsTheCollectorsOwn(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, func(c *Config) { c.Collect = []string{"uname", "loadavg"} })
	h.system.uname = func() ([6]string, error) { panic("ouch") }
	write(t, h.proc+"/loadavg", "1 2 3 1/2 3\n")
	values, err := collectOnce(t, h)
	if err != nil || values["node_load1"] != 1 || values[`node_scrape_collector_success{collector="uname"}`] != 0 {
		t.Errorf("%v, %v", values, err)
	}
}

func TestACollectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	h, _ := bare(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Collect(ctx, sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
