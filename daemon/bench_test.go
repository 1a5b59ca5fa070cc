package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// ---- Three processes: a source that sends as fast as it may, the daemon with its log, a sink that only counts.

type blastConfig struct {
	Batch int `hcl:"batch" doc:"Samples a batch."`
}

type blast struct{ size int }

func openBlast(_ context.Context, cfg *blastConfig, _ sdk.Host) (*blast, error) {
	return &blast{cfg.Batch}, nil
}

func (s *blast) Stream(ctx context.Context, out sdk.Emitter) error {
	b := out.Batch()
	refs := make([]sdk.Ref, s.size)
	for i := range refs {
		refs[i] = b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "blast_metric", "cluster", "prod", "device", fmt.Sprint("nvme", i%8), "mode", fmt.Sprint(i))})
	}
	for v := 0.0; ; v++ {
		for _, r := range refs {
			b.Put(r, v)
		}
		if err := out.Emit(ctx, b); err != nil {
			return err
		}
	}
}

type holeConfig struct{}

type hole struct{ samples atomic.Int64 }

func openHole(context.Context, *holeConfig, sdk.Host) (*hole, error) { return &hole{}, nil }

func (h *hole) Write(_ context.Context, in *sdk.Batch) error {
	for _, r := range in.Runs() {
		h.samples.Add(int64(len(r.Values)))
	}
	return nil
}

// benchPlugins is a plugin directory with the plugins of this test binary.
func benchPlugins(b *testing.B) string {
	dir := b.TempDir()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"blast", "hole"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

func BenchmarkThreeProcesses(b *testing.B) {
	for _, batch := range []int{500, 5000, 50000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			m := start(b, fmt.Sprintf("source \"blast\" \"b\" { batch = %d }\nsink \"hole\" \"h\" {}\n", batch), "-plugin-dir", benchPlugins(b))
			m.eventually("samples flow", func() bool { return m.metric(`magpie_pipeline_stored_samples_total`) > 0 })
			time.Sleep(2 * time.Second)
			before := m.usage()
			time.Sleep(8 * time.Second)
			after := m.usage()
			n := after.samples - before.samples
			if n == 0 {
				b.Fatal("nothing was stored")
			}
			b.ReportMetric((after.cpu["all"]-before.cpu["all"])/n*1e9, "ns-cpu/sample")
			b.ReportMetric((after.cpu["blast"]-before.cpu["blast"])/n*1e9, "ns-source/sample")
			b.ReportMetric((after.cpu["magpie"]-before.cpu["magpie"])/n*1e9, "ns-daemon/sample")
			b.ReportMetric((after.cpu["hole"]-before.cpu["hole"])/n*1e9, "ns-sink/sample")
			b.ReportMetric((after.mallocs-before.mallocs)/n, "daemon-allocs/sample")
			b.ReportMetric(n/8/1e6, "Msamples/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// used is what a daemon and its plugins have used and done.
type used struct {
	cpu     map[string]float64 // seconds, by process and "all"
	samples float64
	mallocs float64
}

func (m *magpie) usage() used {
	m.Helper()
	u := used{cpu: map[string]float64{}, samples: m.metric("magpie_pipeline_stored_samples_total"), mallocs: m.metric("go_memstats_mallocs_total")}
	for name, cpu := range spent(m, m.processes()) {
		u.cpu[name] = cpu
		u.cpu["all"] += cpu
	}
	return u
}

// processes are the daemon's, its guardian's and its plugins'.
func (m *magpie) processes() map[string]int {
	pids := m.pids()
	pids["magpie"], pids["guard"] = m.cmd.Process.Pid, m.guard()
	return pids
}

// metric sums a metric of the daemon over its labels.
func (m *magpie) metric(name string) (sum float64) {
	return sumOf(m.get("/metrics"), name)
}

func sumOf(page []byte, name string) (sum float64) {
	lines := bufio.NewScanner(bytes.NewReader(page))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok && (rest[0] == ' ' || rest[0] == '{') {
			v, _ := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			sum += v
		}
	}
	return sum
}

// cpuOf sums the CPU time of a process' threads, to the nanosecond. Go's threads do not end while it is measured.
func cpuOf(t testing.TB, pid int) float64 {
	t.Helper()
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if len(threads) == 0 {
		t.Fatalf("process %d is gone", pid)
	}
	total := 0.0
	for _, f := range threads {
		b, err := os.ReadFile(f)
		if err == nil {
			ns, _ := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
			total += ns / 1e9
		}
	}
	return total
}

// pssOf is the memory of processes in bytes; what they share with others counts in proportion.
func pssOf(t testing.TB, pids map[string]int) (sum float64) {
	t.Helper()
	for _, pid := range pids {
		sum += memoryOf(t, pid, "Pss")
	}
	return sum
}

// memoryOf is an entry of a process' smaps_rollup in bytes: Pss, Rss, Anonymous.
func memoryOf(t testing.TB, pid int, entry string) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + entry + `:\s+(\d+) kB`).FindSubmatch(b)
	if found == nil {
		t.Fatalf("no %s of process %d", entry, pid)
	}
	kib, _ := strconv.ParseFloat(string(found[1]), 64)
	return kib * 1024
}

// ---- Scraping into the store, beside Prometheus.

func BenchmarkScrapeToTSDBBesidePrometheus(b *testing.B) {
	for _, s := range []scenario{manyTargets, largeTargets, fewTargets} {
		b.Run(s.String(), func(b *testing.B) {
			targets := s.pages(b)
			m := start(b, s.source(targets)+"store \"tsdb\" \"main\" {}\n")
			sides := []*side{{name: "magpie", pids: m.processes, samples: func() float64 { return m.metric("magpie_pipeline_stored_samples_total") }}}
			for _, p := range peers(b) {
				pid, url := p.start(b, s.scraping(targets), "--storage.tsdb.path")
				page := &magpie{TB: b, url: url}
				sides = append(sides, &side{name: p.version, pids: only(pid), samples: func() float64 {
					return sumOf(page.get("/metrics"), "prometheus_tsdb_head_samples_appended_total")
				}})
			}
			s.race(b, sides)
		})
	}
}

// spent is the CPU time of processes in seconds.
func spent(t testing.TB, pids map[string]int) map[string]float64 {
	cpu := map[string]float64{}
	for name, pid := range pids {
		cpu[name] = cpuOf(t, pid)
	}
	return cpu
}
