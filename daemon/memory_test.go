package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// A running daemon may take 64 MiB and 200 B for each series that lives: its labels as they came, their hash, and the place
// of each in a layout.
const (
	allowedAtRest = 64 << 20
	allowedSeries = 200
)

// liveSeries scrapes so many series into the store and measures the daemon once everything is known and stored several
// times over: its peak, which what it does at the start belongs to, and what it takes then.
func liveSeries(t testing.TB, s scenario) (peak, steady float64) {
	m := start(t, s.source(s.pages(t))+"store \"tsdb\" \"main\" {}\n")
	m.eventually("all series are stored four times", func() bool {
		time.Sleep(s.interval / 4)
		return m.metric("magpie_pipeline_stored_samples_total") >= float64(4*s.all())
	})
	pid := m.cmd.Process.Pid
	for end := time.Now().Add(s.length); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		steady = max(steady, memoryOf(t, pid, "Rss"))
	}
	return peakOf(t, pid), steady
}

// peakOf is the most memory that a process ever had, in bytes.
func peakOf(t testing.TB, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kib float64
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	fmt.Sscan(rest, &kib)
	return kib * 1024
}

func TestTheDaemonsMemoryFollowsItsLiveSeries(t *testing.T) {
	t.Parallel()
	s := scenario{targets: 10, series: 2000, interval: time.Second, length: 2 * time.Second}
	peak, steady := liveSeries(t, s)
	t.Logf("%d series: %.1f MiB, at most %.1f MiB", s.all(), steady/(1<<20), peak/(1<<20))
	if bound := float64(allowedAtRest + allowedSeries*s.all()); peak > bound {
		t.Errorf("%d series: %.1f MiB at most, and %.1f are allowed", s.all(), peak/(1<<20), bound/(1<<20))
	}
}

func BenchmarkDaemonMemory(b *testing.B) {
	s := largeTargets
	s.length = 20 * time.Second
	peak, steady := liveSeries(b, s)
	bound := float64(allowedAtRest + allowedSeries*s.all())
	if peak > bound {
		b.Errorf("%d series: %.1f MiB at most, and %.1f are allowed", s.all(), peak/(1<<20), bound/(1<<20))
	}
	b.ReportMetric(steady/(1<<20), "MiB-rss")
	b.ReportMetric(peak/(1<<20), "MiB-rss-peak")
	b.ReportMetric(bound/(1<<20), "MiB-allowed")
	b.ReportMetric(0, "ns/op")
}
