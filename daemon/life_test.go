package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const machine = `
source "host" "this" {}
store "tsdb" "main" { retention = "1d" }
`

func TestThisMachineIsSeenWithinTenSeconds(t *testing.T) {
	t.Parallel()
	m := start(t, machine)
	began := time.Now()
	m.value("node_load1")
	within(t, "node_load1 had a value", time.Since(began), 10*time.Second)
	if got := m.query(`up{job="node"}`); len(got) != 1 || got[0].Value[1] != "1" || got[0].Metric["instance"] == "" {
		t.Errorf("%v", got)
	}
}

// flock is a daemon under load: this machine, and targets that count their scrapes.
func flock(t *testing.T) *magpie {
	var page strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&page, "load_series{i=\"%d\"} %d\n", i, i)
	}
	target := func() string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(page.String())) }))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	return start(t, machine+fmt.Sprintf(`
source "prometheus" "load" {
  targets = [%q]
  target %q { labels = { instance = "two" } }
}
processor "relabel" "tidy" { drop = ["nothing_.*"] }
pipeline "all" {
  from    = [source]
  through = [processor.relabel.tidy]
  to      = [store.tsdb.main]
}
notifier "log" "main" {}
route { notify = [notifier.log.main] }
rules "r" {
  record "loads" { expr = "count(load_series)" }
}
service "console" "main" {}
`, target(), target()))
}

func TestAKilledPluginIsBackWithinASecondAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	m := flock(t)
	m.eventually("everything is collected and evaluated", func() bool { return len(m.query("loads")) == 1 && len(m.query("node_load1")) == 1 })
	for name, pid := range m.pids() {
		others := m.pids()
		delete(others, name)
		syscall.Kill(pid, syscall.SIGKILL)
		killed := time.Now()
		m.eventually(name+" is back", func() bool { now := m.pids()[name]; return now != 0 && now != pid })
		within(t, name+" was back", time.Since(killed), time.Second)
		for other, before := range others {
			if now := m.pids()[other]; now != before {
				t.Errorf("killing %s changed the process of %s", name, other)
			}
		}
	}
	m.explains()
	time.Sleep(4 * time.Second) // the series that are looked at must have gone on for a while
	for _, expr := range []string{`load_series{i="7",instance="two"}`, "node_load1"} {
		// An interval is 1 s: one may be missed when its own plugin is killed.
		within(t, "the next sample of "+expr+" came at the latest", m.longestGap(expr+"[1m]"), 2200*time.Millisecond)
	}
}

// explains asks how a source and the store are whose plugins were killed, and what is asked online while the daemon holds its addresses.
func (m *magpie) explains() {
	m.Helper()
	var source, store struct {
		Live struct {
			State, Since string
			Samples      uint64
			PerSecond    float64 `json:"samples_per_second"`
			Process      struct {
				Pid, Restarts int
				LastDeath     string `json:"last_death"`
			}
			Pipelines []struct {
				To     string
				Stored uint64
			}
		}
	}
	ask := func(address string, into any) bool {
		out, _, code := command(m, m.dir, "explain", "-json", address)
		return code == 0 && json.Unmarshal([]byte(out), into) == nil
	}
	m.eventually("explain says how a source is", func() bool {
		l := &source.Live
		return ask("source.host.this", &source) && l.State == "running" && l.Samples > 0 && l.PerSecond > 0 && l.Process.Restarts == 1 &&
			l.Process.Pid == m.pids()["host"] && strings.Contains(l.Process.LastDeath, "killed") && len(l.Pipelines) == 1 && l.Pipelines[0].Stored > 0
	})
	m.eventually("explain says how the store is", func() bool {
		return ask("store.tsdb.main", &store) && len(store.Live.Pipelines) == 1 && store.Live.Pipelines[0].To == "store.tsdb.main"
	})
	out, _, _ := command(m, m.dir, "explain", "source.host.this")
	if !regexp.MustCompile(`(?m)^  state       running for \d+\S*\n(  last error .*\n)?  samples     \d+ in \d+ series, about \S+ a second\n(  .*\n)?  process     \d+, running, 1 restart; the last death: .*\n  lag         pipeline.all → store.tsdb.main: `).MatchString(out) {
		m.Errorf("explain says\n%s", out)
	}
	if out, stderr, code := command(m, m.dir, "check", "-online", "-listen", strings.TrimRight(strings.TrimPrefix(m.url, "http://"), "/")); code != 0 || !regexp.MustCompile(`(?m)^ok +http +the address is in use by the daemon that runs$`).MatchString(out) {
		m.Errorf("check -online: exit %d\n%s%s", code, out, stderr)
	}
}

// longestGap is the longest time between two samples of a series.
func (m *magpie) longestGap(selector string) (longest time.Duration) {
	m.Helper()
	var times []float64
	m.eventually(selector+" has samples", func() bool {
		s := m.query(selector)
		if len(s) == 1 {
			for _, v := range s[0].Values {
				times = append(times, v[0].(float64))
			}
		}
		return len(times) > 2
	})
	slices.Sort(times)
	for i := 1; i < len(times); i++ {
		longest = max(longest, time.Duration((times[i]-times[i-1])*float64(time.Second)))
	}
	return longest
}

func TestAKilledDaemonLeavesNothingBehindAndLosesNothing(t *testing.T) {
	t.Parallel()
	m := flock(t)
	m.eventually("everything is collected", func() bool { return len(m.query("loads")) == 1 && len(m.query("node_load1")) == 1 })
	pids := m.pids()
	if len(pids) < 6 {
		t.Fatalf("only %v run", pids)
	}
	guard := m.guard()
	m.cmd.Process.Kill()
	<-m.done
	killed := time.Now()
	for name, pid := range pids {
		m.eventually(name+" is gone", func() bool { return !aliveProcess(pid) })
	}
	m.eventually("the guardian is gone", func() bool { return !aliveProcess(guard) })
	within(t, "the last of them followed the daemon", time.Since(killed), 3*time.Second)
	before := float64(killed.Unix())
	m.run()
	m.eventually("it collects again", func() bool {
		s := m.query("timestamp(node_load1)")
		return len(s) == 1 && number(s[0].Value[1]) > before
	})
	m.eventually("what was there before is still there", func() bool {
		s := m.query("count_over_time(node_load1[5m])")
		return len(s) == 1 && number(s[0].Value[1]) >= 2
	})
}

func number(v any) float64 {
	f, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
	return f
}

// guard finds the guardian among the daemon's children.
func (m *magpie) guard() int {
	m.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", m.cmd.Process.Pid, m.cmd.Process.Pid))
	if err == nil && len(b) > 0 {
		for _, f := range strings.Fields(string(b)) {
			line, _ := os.ReadFile("/proc/" + f + "/cmdline")
			if strings.HasSuffix(strings.TrimRight(string(line), "\x00"), "\x00guard") {
				pid, _ := strconv.Atoi(f)
				return pid
			}
		}
	}
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, e := range entries {
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(e), "cmdline"))
		stat, _ := os.ReadFile(e)
		parent := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if strings.HasSuffix(strings.TrimRight(string(line), "\x00"), "\x00guard") && len(parent) > 1 && parent[1] == strconv.Itoa(m.cmd.Process.Pid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(e)))
			return pid
		}
	}
	m.Fatal("the daemon has no guardian")
	return 0
}

func TestTheDaemonStopsWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	m := flock(t)
	m.eventually("everything is collected", func() bool { return len(m.query("loads")) == 1 })
	pids := m.pids()
	began := time.Now()
	m.cmd.Process.Signal(syscall.SIGTERM)
	<-m.done
	within(t, "it stopped", time.Since(began), 5*time.Second)
	if code := m.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for name, pid := range pids {
		if aliveProcess(pid) {
			t.Errorf("%s still runs", name)
		}
	}
}

func TestASecondDaemonOnTheSameDataIsRefused(t *testing.T) {
	t.Parallel()
	m := start(t, machine)
	_, stderr, code := m.cli("run")
	if code != 1 || !strings.Contains(stderr, "another daemon uses the data directory") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	m.value("node_load1")
}

func TestAReloadLeavesWhatIsUnchangedAlone(t *testing.T) {
	t.Parallel()
	m := start(t, machine)
	m.value("node_load1")
	before := m.pids()
	m.write(machine + `notifier "log" "more" {}
route { notify = [notifier.log.more] }
`)
	out, stderr, code := m.cli("plan")
	if code != 2 || !strings.Contains(out, "+ notifier.log.more") || !strings.Contains(out, "2 keep running untouched") {
		t.Errorf("plan: exit %d\n%s%s", code, out, stderr)
	}
	m.cmd.Process.Signal(syscall.SIGHUP)
	m.eventually("the notifier runs", func() bool { return m.pids()["log"] != 0 })
	after := m.pids()
	for name, pid := range before {
		if after[name] != pid {
			t.Errorf("%s was restarted", name)
		}
	}
	if out, _, code := m.cli("plan"); code != 0 {
		t.Errorf("plan after the reload: exit %d\n%s", code, out)
	}

	m.write(machine + `source "host" { `)
	m.cmd.Process.Signal(syscall.SIGHUP)
	m.eventually("the refusal is logged", func() bool { return strings.Contains(m.logged(), "was not applied") })
	if s := m.status(); s.Config.Problem == "" || m.pids()["log"] != after["log"] {
		t.Errorf("%+v", s.Config)
	}
}

func TestTheLastConfigurationRunsIfTheNewOneIsInvalid(t *testing.T) {
	t.Parallel()
	m := start(t, machine)
	m.value("node_load1")
	m.cmd.Process.Signal(syscall.SIGTERM)
	<-m.done
	m.write(`source "hots" "this" {}`)
	m.run()
	m.eventually("this machine is seen", func() bool { return len(m.query("node_load1")) == 1 })
	if s := m.status(); s.Config.State != "last_applied" || !strings.Contains(s.Config.Problem, `Did you mean "host"`) {
		t.Errorf("%+v", s.Config)
	}
	if out, _, code := m.cli("status"); code != 0 || !strings.Contains(out, "config.hcl:7:8") {
		t.Errorf("status: exit %d\n%s", code, out)
	}
}

// At its start the daemon runs what can be run, and tells the rest with its place, as an apply would have.
func TestAComponentThatDoesNotOpenIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	m := start(t, machine+"\nsource \"prometheus\" \"typo\" {\n  targets = [\"app:80\", \"app:80/metrics\"]\n}\n")
	m.value("node_load1")
	place := regexp.MustCompile(`source\.prometheus\.typo +failed .*config\.hcl:\d+:24: target "app:80/metrics": `)
	m.eventually("status tells the place", func() bool { out, _, _ := m.cli("status"); return place.MatchString(out) })
	if log := m.logged(); !strings.Contains(log, `:24: target \"app:80/metrics\": `) {
		t.Error(log)
	}
}

func TestAnInvalidFirstConfigurationStartsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "config.hcl"), []byte(`source "hots" "this" {}`), 0o600)
	out, stderr, code := command(t, dir, "run")
	if code != 1 || !strings.Contains(stderr, "config.hcl:1:8") || !strings.Contains(stderr, "nothing was started") || out != "" {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("it left %v", left)
	}
}
