package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ---- The machine's Prometheus, and what benchmarks share that run beside it.

// scraping is the configuration of a Prometheus that scrapes the targets of a benchmark.
func scraping(targets []string) string {
	return fmt.Sprintf("global: {scrape_interval: %s}\nscrape_configs: [{job_name: bench, static_configs: [{targets: ['%s']}]}]\n", benchInterval, strings.Join(targets, "','"))
}

// startPrometheus starts the machine's Prometheus; storage is the flag for its directory.
func startPrometheus(t testing.TB, config, storage string, flags ...string) (pid int, url, version string) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("SKIPPED: there is no prometheus on this machine; make deps installs it")
	}
	out, _ := exec.Command(path, "--version").CombinedOutput()
	version = strings.Fields(string(out))[2]
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(path, append(flags, "--config.file="+filepath.Join(dir, "p.yml"), storage+"="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid, "http://" + address, version
}

// peaks is the most memory of two sets of processes, looked at every second while they are measured.
func peaks(b *testing.B, ours, theirs map[string]int) (mine, peers float64) {
	for end := time.Now().Add(benchLength); time.Now().Before(end); time.Sleep(time.Second) {
		mine, peers = max(mine, pssOf(b, ours)), max(peers, pssOf(b, theirs))
	}
	return mine, peers
}

// perMillion is the CPU time of a million samples in seconds, in all processes; what each of them took is logged.
func perMillion(b *testing.B, before, after map[string]float64, samples float64) (sum float64) {
	for name := range after {
		cost := (after[name] - before[name]) / samples * 1e6
		b.Logf("%-12s %.3f s per million samples", name, cost)
		sum += cost
	}
	return sum
}
