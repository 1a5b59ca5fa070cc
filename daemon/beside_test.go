package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// ---- What benchmarks share that run beside Prometheus: the same targets, the same interval, at the same time.

// scenario is what is scraped, how often, and for how long it is measured.
type scenario struct {
	targets, series  int
	interval, length time.Duration
}

func (s scenario) String() string {
	return fmt.Sprintf("targets=%d/series=%d/interval=%s", s.targets, s.series, s.interval)
}

// all is how many series there are.
func (s scenario) all() int { return s.targets * s.series }

// source is the block that scrapes the targets.
func (s scenario) source(targets []string) string {
	return fmt.Sprintf("source \"prometheus\" \"bench\" {\n  targets = [\"%s\"]\n  interval = \"%s\"\n  timeout = \"%s\"\n  limit_series = %d\n}\n",
		strings.Join(targets, `", "`), s.interval, s.interval, 2*s.all())
}

// scraping is the configuration of a Prometheus that scrapes the same.
func (s scenario) scraping(targets []string) string {
	return fmt.Sprintf("global: {scrape_interval: %s, scrape_timeout: %s}\nscrape_configs: [{job_name: bench, static_configs: [{targets: ['%s']}]}]\n", s.interval, s.interval, strings.Join(targets, "','"))
}

// Many targets with full pages, and few that are asked seldom: there, what a process costs that only waits is most of it.
var (
	manyTargets  = scenario{targets: 100, series: 1000, interval: 5 * time.Second, length: 60 * time.Second}
	largeTargets = scenario{targets: 50, series: 4000, interval: 5 * time.Second, length: 60 * time.Second}
	fewTargets   = scenario{targets: 10, series: 2000, interval: 15 * time.Second, length: 90 * time.Second}
)

// pages serves targets whose values change at every scrape.
func (s scenario) pages(t testing.TB) (addresses []string) {
	var scrapes atomic.Int64
	for i := range s.targets {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		variants := [][]byte{exposition(i, s.series, 0), exposition(i, s.series, 1), exposition(i, s.series, 2)}
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			w.Write(variants[scrapes.Add(1)%3])
		}))
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// exposition is a page in the manner of node_exporter's.
func exposition(target, series, variant int) []byte {
	var b bytes.Buffer
	for family := 0; family*8 < series; family++ {
		name := fmt.Sprintf("node_subsystem%d_metric_%d_total", family%23, family)
		fmt.Fprintf(&b, "# HELP %s Help text of metric number %d as its collector tells it.\n# TYPE %s counter\n", name, family, name)
		for i := range 8 {
			value := float64((target+1)*(family+7)*(i+3)%99991) * 1.37
			switch i % 3 {
			case 0:
				value = float64(int(value)) + float64(variant)
			case 1:
				value += float64(variant) * 0.25
			}
			fmt.Fprintf(&b, "%s{device=\"nvme%dn1\",mode=\"mode%d\"} %s\n", name, family%4, i, strconv.FormatFloat(value, 'g', -1, 64))
		}
	}
	return b.Bytes()
}

// prometheus is a Prometheus to run beside.
type prometheus struct {
	path, version string
	agent         string // the flag that makes it an agent
}

// installed is the machine's.
func installed(t testing.TB) prometheus {
	t.Helper()
	path := plugintest.Program(t, "prometheus")
	out, _ := exec.Command(path, "--version").CombinedOutput()
	return prometheus{path: path, version: strings.Fields(string(out))[2], agent: "--enable-feature=agent"}
}

// newest is the one that plugins/tsdb is built with.
func newest(t testing.TB) (prometheus, error) {
	t.Helper()
	wanted := requiredPrometheus(t, "../go.mod")
	if there := requiredPrometheus(t, "testdata/prometheus/go.mod"); there != wanted {
		t.Errorf("plugins/tsdb has Prometheus %s, and testdata/prometheus %s", wanted, there)
	}
	path, err := buildNewest()
	return prometheus{path: path, version: wanted, agent: "--agent"}, err
}

// requiredPrometheus is the version in a go.mod.
func requiredPrometheus(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`github\.com/prometheus/prometheus (v\S+)`).FindSubmatch(b)
	if found == nil {
		t.Fatalf("%s requires no Prometheus", path)
	}
	return string(found[1])
}

// buildNewest takes minutes the first time, and needs some modules that nothing else here does.
var buildNewest = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "magpie-peer")
	if err != nil {
		return "", err
	}
	builtPeer = dir
	path := filepath.Join(dir, "prometheus")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "remove_all_sd", "-ldflags", "-s -w", "-o", path, "github.com/prometheus/prometheus/cmd/prometheus")
	cmd.Dir = "testdata/prometheus"
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of Prometheus: %w\n%s", err, text)
	}
	return path, nil
})

var builtPeer string // what TestMain removes

// peers are the Prometheus to run beside: the machine's, and the newest if it can be built here.
func peers(b *testing.B) []prometheus {
	all := []prometheus{installed(b)}
	p, err := newest(b)
	if err != nil {
		fmt.Printf("SKIPPED, LOUDLY: no row for Prometheus %s, which cannot be built here: %v\n", p.version, err)
		return all
	}
	return append(all, p)
}

// only is one process.
func only(pid int) func() map[string]int {
	return func() map[string]int { return map[string]int{"prometheus": pid} }
}

// start starts a Prometheus; storage is the flag for its directory.
func (p prometheus) start(t testing.TB, config, storage string, flags ...string) (pid int, url string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := plugintest.FreeAddress(t)
	cmd := exec.Command(p.path, append(flags, "--config.file="+filepath.Join(dir, "p.yml"), storage+"="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid, "http://" + address
}

// side is one of those that do the same work at the same time.
type side struct {
	name    string
	pids    func() map[string]int
	samples func() float64 // it has delivered so far
	sent    func() float64 // bytes on the wire so far; nil: there is no wire

	processes               map[string]int // what follows is of the time in which it was measured
	cpu, count, bytes, peak float64
	used                    map[string]float64
}

// race measures all sides at the same time. While it is measured nobody is asked anything: an answer costs more than the
// samples of a second.
func (s scenario) race(b *testing.B, sides []*side) {
	b.Helper()
	m := &magpie{TB: b}
	m.eventually("all sides have collected everything", func() bool {
		for _, x := range sides {
			if x.samples() < float64(s.all()) {
				return false
			}
		}
		return true
	})
	time.Sleep(max(s.interval, 10*time.Second))
	look := func(sign float64) {
		for _, x := range sides {
			x.count += sign * x.samples()
			if x.sent != nil {
				x.bytes += sign * x.sent()
			}
		}
	}
	for _, x := range sides {
		x.processes = x.pids()
	}
	look(-1)
	for _, x := range sides {
		x.used = spent(b, x.processes)
	}
	for end := time.Now().Add(s.length); time.Now().Before(end); time.Sleep(time.Second) {
		for _, x := range sides {
			x.peak = max(x.peak, pssOf(b, x.processes))
		}
	}
	for _, x := range sides {
		after := spent(b, x.processes)
		for name := range after {
			x.used[name] = after[name] - x.used[name]
			x.cpu += x.used[name]
		}
	}
	look(1)
	s.report(b, sides)
}

// report gives the figures of all sides; the first is ours, and the ratios are to each of the others.
func (s scenario) report(b *testing.B, sides []*side) {
	for i, x := range sides {
		suffix := ""
		if i > 0 {
			suffix = "-" + x.name
		}
		text := fmt.Sprintf("%s: %.0f samples;", x.name, x.count)
		for name, used := range x.used {
			text += fmt.Sprintf(" %s %.3f,", name, used/x.count*1e6)
		}
		b.Logf("%s seconds of CPU a million samples", strings.TrimSuffix(text, ","))
		b.ReportMetric(x.cpu/x.count*1e6, "s-cpu/Msample"+suffix)
		b.ReportMetric(x.peak/(1<<20), "MiB-peak-pss"+suffix)
		if x.sent != nil {
			b.ReportMetric(x.bytes/x.count, "wire-B/sample"+suffix)
		}
		if i == 0 {
			continue
		}
		if ratio := sides[0].count / x.count; ratio < 0.95 || ratio > 1.05 {
			b.Errorf("%s and %s did not do the same work: %.0f and %.0f samples", sides[0].name, x.name, sides[0].count, x.count)
		}
		b.ReportMetric(sides[0].cpu/sides[0].count/(x.cpu/x.count), "cpu-ratio"+suffix)
		b.ReportMetric(sides[0].peak/x.peak, "memory-ratio"+suffix)
	}
	b.ReportMetric(0, "ns/op")
}
