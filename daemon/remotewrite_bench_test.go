package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
)

// ---- Scraping and writing to a receiver elsewhere, beside Prometheus in agent mode on the same targets at the same time.

// counter is a receiver of remote write that only counts: its work is in the benchmark's process, and in nobody's figures.
type counter struct {
	*httptest.Server
	samples, bytes, requests atomic.Int64
}

func newCounter(b *testing.B) *counter {
	c := &counter{}
	c.Server = httptest.NewServer(c)
	b.Cleanup(c.Close)
	return c
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	packed, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	body, err := snappy.Decode(nil, packed)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n := timeSeries(body)
	c.samples.Add(int64(n))
	c.bytes.Add(int64(len(packed)))
	c.requests.Add(1)
	if r.Header.Get("X-Prometheus-Remote-Write-Version") == "2.0.0" {
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", fmt.Sprint(n))
	}
	w.WriteHeader(http.StatusNoContent)
}

// timeSeries counts field 1 of protocol 1.0 and 5 of 2.0: both senders put one sample into each.
func timeSeries(body []byte) (n int) {
	for len(body) > 0 {
		key, k := binary.Uvarint(body)
		size, l := binary.Uvarint(body[k:])
		body = body[k+l+int(size):]
		if key>>3 == 1 || key>>3 == 5 {
			n++
		}
	}
	return n
}

// prometheusAgent starts the machine's Prometheus in agent mode on the same targets.
func prometheusAgent(b *testing.B, targets []string, url string) (pid int, version string) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		b.Skip("SKIPPED: there is no prometheus on this machine; make deps installs it")
	}
	out, _ := exec.Command(path, "--version").CombinedOutput()
	version = strings.Fields(string(out))[2]
	dir := b.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: %s}\nscrape_configs: [{job_name: bench, static_configs: [{targets: ['%s']}]}]\nremote_write: [{url: '%s'}]\n", benchInterval, strings.Join(targets, "','"), url)
	if err := os.WriteFile(filepath.Join(dir, "p.yml"), []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(path, "--enable-feature=agent", "--config.file="+filepath.Join(dir, "p.yml"), "--storage.agent.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid, version
}

func BenchmarkRemoteWriteBesidePrometheusAgent(b *testing.B) {
	for _, protocol := range []string{"1.0", "2.0"} {
		b.Run("protocol="+protocol, func(b *testing.B) { besideAgent(b, protocol) })
	}
}

func besideAgent(b *testing.B, protocol string) {
	targets := pages(b)
	mine, peers := newCounter(b), newCounter(b)
	pid, version := prometheusAgent(b, targets, peers.URL)
	m := start(b, fmt.Sprintf("source \"prometheus\" \"bench\" {\n  targets = [\"%s\"]\n  interval = \"%s\"\n}\nsink \"remote_write\" \"out\" {\n  url = \"%s\"\n  protocol = \"%s\"\n}\n",
		strings.Join(targets, `", "`), benchInterval, mine.URL, protocol))
	m.eventually("both have collected everything", func() bool {
		return mine.samples.Load() >= benchTargets*benchSeries && peers.samples.Load() >= benchTargets*benchSeries
	})
	time.Sleep(2 * benchInterval)

	ours, theirs := m.processes(), map[string]int{"the peer": pid}
	at := [4]int64{mine.samples.Load(), mine.bytes.Load(), peers.samples.Load(), peers.bytes.Load()}
	asked, peerAsked := mine.requests.Load(), peers.requests.Load()
	before, peerBefore := spent(b, ours), spent(b, theirs)
	var peak, peerPeak float64
	for end := time.Now().Add(benchLength); time.Now().Before(end); time.Sleep(time.Second) {
		peak, peerPeak = max(peak, pssOf(b, ours)), max(peerPeak, pssOf(b, theirs))
	}
	after, peerAfter := spent(b, ours), spent(b, theirs)
	samples, bytes := float64(mine.samples.Load()-at[0]), float64(mine.bytes.Load()-at[1])
	peerSamples, peerBytes := float64(peers.samples.Load()-at[2]), float64(peers.bytes.Load()-at[3])

	b.Logf("Prometheus %s, agent mode; %d targets × %d series every %s for %s; CPU of all processes; samples received: %.0f in %d requests from here, %.0f in %d from there",
		version, benchTargets, benchSeries, benchInterval, benchLength, samples, mine.requests.Load()-asked, peerSamples, peers.requests.Load()-peerAsked)
	if math.Abs(samples/peerSamples-1) > 0.05 {
		b.Errorf("the two did not do the same work")
	}
	total := func(before, after map[string]float64, samples float64) (sum float64) {
		for name := range after {
			b.Logf("%-12s %.3f s per million samples", name, (after[name]-before[name])/samples*1e6)
			sum += (after[name] - before[name]) / samples * 1e6
		}
		return sum
	}
	here, there := total(before, after, samples), total(peerBefore, peerAfter, peerSamples)
	b.ReportMetric(here, "s-cpu/Msample")
	b.ReportMetric(there, "s-cpu-agent/Msample")
	b.ReportMetric(here/there, "cpu-ratio")
	b.ReportMetric(peak/(1<<20), "MiB-peak-pss")
	b.ReportMetric(peerPeak/(1<<20), "MiB-peak-pss-agent")
	b.ReportMetric(peak/peerPeak, "memory-ratio")
	b.ReportMetric(bytes/samples, "wire-B/sample")
	b.ReportMetric(peerBytes/peerSamples, "wire-B-agent/sample")
	b.ReportMetric(0, "ns/op")
}
