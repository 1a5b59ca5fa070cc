package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ---- What plugins cost that do nothing: their start, and their memory at rest.

const manyPlugins = 30

// idlePlugins is a plugin directory with copies of a plugin that does nothing. Each copy is a file of its own with a hash of
// its own: nothing is shared that would not be among different plugins.
func idlePlugins(t testing.TB, copies int) (dir, config string) {
	t.Helper()
	dir = t.TempDir()
	first := filepath.Join(dir, "idle0")
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", first, "./testdata/idle")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	binary, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	for i := range copies {
		name := fmt.Sprintf("idle%d", i)
		config += fmt.Sprintf("notifier %q \"it\" {}\n", name)
		if err := os.WriteFile(filepath.Join(dir, name), append(binary, name...), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir, config
}

// BenchmarkStart measures from the start of the daemon's process until the last of many components runs, each in a plugin of
// its own: cold, when the daemon has never seen the plugins, and warm, when it knows what they offer.
func BenchmarkStart(b *testing.B) {
	magpieBinary(b)
	dir, config := idlePlugins(b, manyPlugins)
	time.Sleep(3 * time.Second) // files that were written just now are not trusted to stay as they are
	var m *magpie
	for _, catalogue := range []string{"cold", "warm"} {
		began := time.Now()
		if m == nil {
			m = start(b, config, "-plugin-dir", dir)
		} else {
			m.cmd.Process.Signal(syscall.SIGTERM)
			<-m.done
			began = time.Now()
			m.run()
		}
		b.ReportMetric(m.allRun(manyPlugins).Sub(began).Seconds()*1000, "ms-"+catalogue)
	}
	ps := m.processes()
	delete(ps, "magpie")
	delete(ps, "guard")
	b.ReportMetric(pssOf(b, ps)/manyPlugins/(1<<20), "MiB-pss/plugin")
	b.ReportMetric(0, "ns/op")
}

// allRun waits until so many components run, and returns when the last of them began to.
func (m *magpie) allRun(components int) (last time.Time) {
	m.Helper()
	m.eventually("all components run", func() bool {
		running := 0
		for _, c := range m.status().Components {
			if ms, err := strconv.ParseInt(c.SinceUnixMs, 10, 64); err == nil && c.State == "running" {
				running++
				if t := time.UnixMilli(ms); t.After(last) {
					last = t
				}
			}
		}
		return running == components
	})
	return last
}

// Each plugin has its own pages of its binary, so that what is linked counts: net/rpc and html/template alone, which
// go-plugin's Serve brings with it, were a quarter.
func TestAnIdlePluginIsSmall(t *testing.T) {
	t.Parallel()
	dir, config := idlePlugins(t, 1)
	m := start(t, config, "-plugin-dir", dir)
	m.allRun(1)
	pid := m.pids()["idle0"]
	pss, anonymous := memoryOf(t, pid, "Pss"), memoryOf(t, pid, "Anonymous")
	t.Logf("%.1f MiB PSS, %.1f MiB anonymous", pss/(1<<20), anonymous/(1<<20))
	if pss > 12<<20 || anonymous > 3<<20 {
		t.Errorf("an idle plugin takes %.1f MiB, of which %.1f MiB are its own: 10 and 2 are the goal", pss/(1<<20), anonymous/(1<<20))
	}
}

// BenchmarkMemoryAtRest measures all plugins with a component each, half a minute after the start.
func BenchmarkMemoryAtRest(b *testing.B) {
	receiver := newCounter(b)
	components := []string{
		`service "console" "c" {}`,
		`source "etcd" "e" { endpoints = ["http://127.0.0.1:9"] }`,
		fmt.Sprintf(`sink "file" "f" { path = %q }`, filepath.Join(b.TempDir(), "out.jsonl")),
		`source "host" "h" {}`,
		`source "influx" "i" { http_listen = "127.0.0.1:0" }`,
		`notifier "log" "l" {}`,
		`source "otlp" "o" {` + "\n" + `  grpc_listen = "127.0.0.1:0"` + "\n" + `  http_listen = "127.0.0.1:0"` + "\n}",
		`source "prometheus" "p" { targets = ["127.0.0.1:9"] }`,
		`processor "relabel" "r" { drop = ["go_.*"] }`,
		fmt.Sprintf(`sink "remote_write" "w" { url = %q }`, receiver.URL),
		`source "statsd" "s" { listen = ["udp://127.0.0.1:0"] }`,
		`store "tsdb" "t" {}`,
		fmt.Sprintf(`notifier "webhook" "w" { url = %q }`, receiver.URL),
	}
	m := start(b, strings.Join(components, "\n")+"\n")
	m.allRun(len(components))
	time.Sleep(30 * time.Second)
	all := m.processes()
	for name, pid := range all {
		b.Logf("%-14s %5.1f MiB PSS, %4.1f MiB anonymous", name, memoryOf(b, pid, "Pss")/(1<<20), memoryOf(b, pid, "Anonymous")/(1<<20))
	}
	b.ReportMetric(memoryOf(b, all["log"], "Pss")/(1<<20), "MiB-pss-idle")
	b.ReportMetric(memoryOf(b, all["log"], "Anonymous")/(1<<20), "MiB-anonymous-idle")
	b.ReportMetric(memoryOf(b, all["magpie"], "Pss")/(1<<20), "MiB-pss-daemon")
	delete(all, "magpie")
	delete(all, "guard")
	b.ReportMetric(pssOf(b, all)/(1<<20), "MiB-pss-all-plugins")
	b.ReportMetric(0, "ns/op")
}
