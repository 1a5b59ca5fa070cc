package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// The fault runs: a numbered source, the daemon, a checking sink, and something that goes wrong. After each, everything
// that was acknowledged is there, and what the log received is exactly what was stored, dropped by a reason, or is buffered.
// In the suite they are short; make soak runs them at full length.

// atLength is how much of a fault run is made: in the suite, and in make soak.
func atLength(suite, soak int) int {
	if os.Getenv("MAGPIE_SOAK") != "" {
		return soak
	}
	return suite
}

// within says how long something took. What is promised of time is asked of make soak, where one test runs at a time: in the
// suite the whole machine is busy with others, and it is only told.
func within(t testing.TB, what string, took, promised time.Duration) {
	t.Helper()
	if took > promised && os.Getenv("MAGPIE_SOAK") != "" {
		t.Errorf("%s after %s, and %s are promised", what, took.Round(time.Millisecond), promised)
	}
	t.Logf("%s after %s", what, took.Round(time.Millisecond))
}

// faulty is a daemon with a numbered source and a checking sink.
type faulty struct {
	*magpie
	notes string // the directory that source and sink write to
}

// onlyDaemon builds the daemon without the plugins: none of them is needed here.
var onlyDaemon = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "magpie-bin")
	if err != nil {
		return "", err
	}
	builtDaemon = dir
	cmd := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", filepath.Join(dir, "magpie"), "./daemon")
	cmd.Dir = ".."
	if text, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build ./daemon: %w\n%s", err, text)
	}
	return dir, nil
})

var builtDaemon string // what TestMain removes

// fault starts a daemon; source and sink are more arguments of their blocks, others are plugins that more needs.
func fault(t *testing.T, source, sink, more string, others ...string) *faulty {
	t.Helper()
	bin, err := onlyDaemon()
	if err != nil {
		t.Fatal(err)
	}
	plugins := t.TempDir()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"numbers", "checker"} { // what a plugin offers is remembered by its content: they must differ
		if err := os.WriteFile(filepath.Join(plugins, name), append(self, name...), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range others {
		cmd := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", filepath.Join(plugins, name), "./plugins/"+name)
		cmd.Dir = ".."
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build ./plugins/%s: %v\n%s", name, err, text)
		}
	}
	notes := t.TempDir()
	f := &faulty{notes: notes}
	m := &magpie{TB: t, dir: t.TempDir(), args: []string{"-plugin-dir", plugins}, binary: filepath.Join(bin, "magpie")}
	f.magpie = m
	m.write(f.config(source, sink, more))
	m.run()
	m.endWithTheTest()
	return f
}

func (f *faulty) config(source, sink, more string) string {
	return fmt.Sprintf("source \"numbers\" \"n\" {\n  dir = %q\n  %s\n}\nsink \"checker\" \"c\" {\n  dir = %q\n  %s\n}\n%s", f.notes, source, f.notes, sink, more)
}

// rests stops the source, and waits until everything that it emitted is acknowledged: from then on nothing more comes.
func (f *faulty) rests() {
	f.Helper()
	f.clear("resting")
	f.set("stop")
	f.eventually("the source rests", func() bool { return is(f.notes, "resting") })
}

// set and clear make and remove a file that source or sink look for.
func (f *faulty) set(name string)   { os.WriteFile(filepath.Join(f.notes, name), nil, 0o600) }
func (f *faulty) clear(name string) { os.Remove(filepath.Join(f.notes, name)) }

// flows waits until more is acknowledged.
func (f *faulty) flows() {
	f.Helper()
	before := f.written("acknowledged")
	f.eventually("more is acknowledged", func() bool { return f.written("acknowledged") > before })
}

func (f *faulty) written(name string) int64 {
	info, err := os.Stat(filepath.Join(f.notes, name))
	if err != nil {
		return 0
	}
	return info.Size()
}

// account are the terms of the equation.
type account struct{ received, stored, dropped, buffered float64 }

func (f *faulty) account() (a account) {
	f.Helper()
	page := f.get("/metrics")
	a.received = sumOf(page, "magpie_buffer_samples_total")
	a.stored = sumOf(page, "magpie_pipeline_stored_samples_total")
	for _, reason := range []string{"dropped", "lost", "damaged"} {
		a.dropped += sumOf(page, "magpie_pipeline_"+reason+"_samples_total")
	}
	a.buffered = sumOf(page, "magpie_pipeline_lag_samples")
	return a
}

// balanced stops the source, waits until nothing moves, and asserts that received = stored + dropped + buffered, exactly.
// began is the account at a moment when nothing moved, or nothing had come yet.
func (f *faulty) balanced(began account) {
	f.Helper()
	f.rests()
	a := f.account()
	f.eventually("nothing moves any more", func() bool {
		time.Sleep(300 * time.Millisecond)
		before := a
		a = f.account()
		return a == before && a.received > 0 && (a.buffered == 0 || is(f.notes, "down"))
	})
	a.received -= began.received - began.buffered // what was done before
	a.stored -= began.stored
	a.dropped -= began.dropped
	if a.received != a.stored+a.dropped+a.buffered {
		f.Errorf("received %.0f is not stored %.0f + dropped %.0f + buffered %.0f: %.0f are missing", a.received, a.stored, a.dropped, a.buffered, a.received-a.stored-a.dropped-a.buffered)
	}
	f.Logf("received %.0f = stored %.0f + dropped %.0f + buffered %.0f", a.received, a.stored, a.dropped, a.buffered)
}

// lost counts the numbers that were acknowledged and did not come.
func (f *faulty) lost() (n uint64) {
	f.Helper()
	acknowledged, all := ranges(f, f.notes, "acknowledged")
	got, _ := ranges(f, f.notes, "got")
	i := 0
	var missing [][2]uint64
	for _, r := range acknowledged {
		for at := r[0]; at < r[1]; {
			for i < len(got) && got[i][1] <= at {
				i++
			}
			if i == len(got) || got[i][0] >= r[1] {
				missing = append(missing, [2]uint64{at, r[1]})
				break
			}
			if got[i][0] > at {
				missing = append(missing, [2]uint64{at, got[i][0]})
			}
			at = got[i][1]
		}
	}
	for _, r := range missing {
		n += r[1] - r[0]
	}
	f.Logf("%d samples were acknowledged; lost: %d", all, n)
	if n > 0 {
		f.Logf("missing: %v", missing[:min(len(missing), 20)])
	}
	return n
}

// complete stops the source, waits until the sink has everything, and asserts that nothing that was acknowledged is missing.
func (f *faulty) complete() {
	f.Helper()
	f.clear("down")
	f.rests()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if a := f.account(); a.received > 0 && a.buffered == 0 {
			break
		} else if time.Now().After(deadline) {
			f.Fatalf("the sink has not everything within a minute: %+v\n%s", a, f.get("/api/magpie/v1/Status"))
		}
	}
	if n := f.lost(); n != 0 {
		f.Errorf("%d acknowledged samples were lost", n)
	}
	if strings.Contains(string(f.get("/metrics")), `magpie_pipeline_dropped_samples_total{pipeline="default",reason="rejected"`) {
		f.Error("the sink got what was not sent")
	}
}

// dies kills the daemon, waits until no process of it is left, and starts it again: took is how long that was.
func (f *faulty) dies() (took time.Duration) {
	f.Helper()
	pids := f.processes()
	delete(pids, "magpie")
	f.cmd.Process.Kill()
	<-f.done
	for name, pid := range pids {
		f.eventually(name+" is gone", func() bool { return pid == 0 || !aliveProcess(pid) })
	}
	began := time.Now()
	f.run()
	return time.Since(began)
}

func (f *faulty) rss() int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.cmd.Process.Pid))
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	if found == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(found[1]), 10, 64)
	return n << 10
}

func TestADaemonKilledAtRandomLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 100000", "", "buffer { segment_size = \"1MiB\" }\n")
	f.flows()
	kills := atLength(8, 1000)
	var restarts []time.Duration
	for range kills {
		time.Sleep(rand.N(700 * time.Millisecond))
		restarts = append(restarts, f.dies())
	}
	slices.Sort(restarts)
	half := restarts[len(restarts)/2] // the slowest say more of what else this machine does
	if half > 2*time.Second {
		t.Errorf("half of the restarts took more than %s", half)
	}
	t.Logf("%d kills; restarts took %s, the slowest %s", kills, half.Round(time.Millisecond), restarts[len(restarts)-1].Round(time.Millisecond))
	f.flows()
	f.complete()
	if size := f.metric("magpie_buffer_bytes"); size > 512<<20 {
		t.Errorf("the log has grown to %.0f bytes", size)
	}

	f.set("down")
	f.clear("stop")
	f.flows()
	f.set("stop")
	f.eventually("all is durable", func() bool { return f.account().buffered > 0 })
	f.cmd.Process.Kill()
	<-f.done
	f.run()
	var began account
	f.eventually("the backlog is seen again", func() bool { began = f.account(); return began.buffered > 0 })
	f.balanced(began)
	f.clear("down")
	f.balanced(began)
}

func TestKilledPluginsLoseNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 100000", "", "")
	f.flows()
	files, routines := f.openFiles(), f.goroutines()
	for i := range atLength(4, 100) {
		name := []string{"numbers", "checker"}[i%2]
		pid := 0
		f.eventually(name+" runs", func() bool { pid = f.pids()[name]; return pid != 0 })
		f.flows()
		syscall.Kill(pid, syscall.SIGKILL)
		limit := time.Now().Add(3 * time.Minute) // after five deaths in a minute the supervisor waits for one
		for now := pid; now == pid || now == 0; now = f.pids()[name] {
			if time.Sleep(20 * time.Millisecond); time.Now().After(limit) {
				t.Fatalf("%s is not back", name)
			}
		}
	}
	f.flows()
	f.complete()
	f.balanced(account{})
	f.eventually("the daemon has no more files open than before", func() bool { return f.openFiles() <= files+files/20+1 })
	f.eventually("the daemon does no more than before", func() bool { return f.goroutines() <= routines+routines/20+2 })
}

// goroutines counts the daemon's.
func (f *faulty) goroutines() int {
	f.Helper()
	found := regexp.MustCompile(`"goroutineCount":(\d+)`).FindSubmatch(f.get("/api/v1/status/runtimeinfo"))
	if found == nil {
		f.Fatal("the API does not tell of goroutines")
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}

// openFiles counts the daemon's, but for the segments of its log.
func (f *faulty) openFiles() (n int) {
	dir := fmt.Sprintf("/proc/%d/fd", f.cmd.Process.Pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && !strings.Contains(to, "/buffer/") {
			n++
		}
	}
	return n
}

// A source that leaves checkpoints goes on where it was: no number is left out, and none comes twice.
func TestASourceGoesOnFromItsCheckpointWhateverDies(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 100000\nresume = true", "", "buffer { segment_size = \"1MiB\" }\n")
	for i := range atLength(9, 100) {
		f.flows()
		time.Sleep(rand.N(500 * time.Millisecond))
		if i%3 == 2 {
			f.dies()
		} else if pid := f.pids()["numbers"]; pid != 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	f.flows()
	f.complete()
	got, n := ranges(t, f.notes, "got")
	if len(got) != 1 || got[0][0] != 0 {
		t.Errorf("numbers were left out: %v", got)
	}
	if received := f.account().received; received != float64(n) {
		t.Errorf("%.0f samples are in the log, and there are %d numbers", received, n)
	}
	t.Logf("%d numbers, each once", n)
}

// What a processor makes counts every sample exactly once: the counts of all windows are those of the numbers of their
// time, as the other sink got them.
func TestAProcessorCountsEverySampleOnceWhateverDies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := fault(t, "rate = 100000", "", fmt.Sprintf(`
sink "checker" "windows" { dir = %q }
processor "aggregate" "a" {
  window   = "1s"
  lateness = "1s"
  output %q {
    select   = "__name__ = 'number'"
    function = "count"
  }
}
pipeline "raw" {
  from = [source.numbers.n]
  to   = [sink.checker.c]
}
pipeline "counted" {
  from    = [source.numbers.n]
  through = [processor.aggregate.a]
  to      = [sink.checker.windows]
}
buffer { segment_size = "1MiB" }
`, dir, made), "aggregate")
	f.flows()
	for i := range atLength(8, 200) {
		f.flows()
		time.Sleep(rand.N(1500 * time.Millisecond))
		switch name := []string{"aggregate", "checker", "magpie", "numbers"}[i%4]; name {
		case "magpie":
			f.dies()
		default:
			if pid := f.pids()[name]; pid != 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	f.flows()
	f.complete()
	counts := map[uint64]uint64{} // by the end of the window
	for _, w := range numbersIn(t, dir, "made", 2) {
		if before, twice := counts[w[0]]; twice && before != w[1] { // the sink may get a batch again, which is the same
			t.Errorf("the window until %d has %d samples and %d", w[0], before, w[1])
		}
		counts[w[0]] = w[1]
	}
	want, seen, all, last := map[uint64]uint64{}, map[uint64]bool{}, uint64(0), uint64(0)
	for _, r := range numbersIn(t, f.notes, "times", 3) {
		if !seen[r[0]] {
			seen[r[0]] = true
			want[(r[2]/1000+1)*1000] += r[1] - r[0]
			last = max(last, r[2])
		}
	}
	for end, n := range want {
		if end+1000 > last { // may be open
			continue
		}
		all += n
		if counts[end] != n {
			t.Errorf("the window until %d counts %d of %d samples", end, counts[end], n)
		}
	}
	if all == 0 {
		t.Error("no window was closed")
	}
	t.Logf("%d windows count %d samples, each once", len(counts), all)
}

func TestASinkThatIsDownCostsNoMemoryAndNothingIsLost(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 100000", "", "buffer { segment_size = \"4MiB\" }\n")
	f.flows()
	time.Sleep(2 * time.Second)
	before := f.rss()
	f.set("down")
	received, since := f.account().received, time.Now()
	var peak int64
	for end := time.Now().Add(time.Duration(atLength(6, 600)) * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		peak = max(peak, f.rss())
	}
	last := f.account()
	live, backlog := (last.received-received)/time.Since(since).Seconds(), last.buffered
	f.clear("down")
	began := time.Now()
	f.eventually("the backlog is gone", func() bool {
		a := f.account()
		if a.stored == last.stored { // it pauses after a failure: what counts is from its first batch on
			began = time.Now()
		}
		peak = max(peak, f.rss())
		return a.buffered < live/10
	})
	speed := (f.account().stored - last.stored) / time.Since(began).Seconds()
	t.Logf("a backlog of %.0f samples; the daemon's memory went from %.1f MiB to at most %.1f MiB; it drained at %.1f × the live rate", backlog, float64(before)/(1<<20), float64(peak)/(1<<20), speed/live)
	if peak-before > 32<<20 {
		t.Errorf("the daemon grew by %d MiB", (peak-before)>>20)
	}
	if speed < 5*live && os.Getenv("MAGPIE_SOAK") != "" { // as within
		t.Errorf("it drained at %.0f samples a second only, with %.0f coming in", speed, live)
	}
	f.complete()
	f.balanced(account{})
}

func TestASlowSinkIsWaitedForByNobody(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 100000", "slow = \"100ms\"", fmt.Sprintf("sink \"checker\" \"fast\" { dir = %q }\n", t.TempDir()))
	f.flows()
	time.Sleep(time.Duration(atLength(3, 60)) * time.Second)
	lag := func(sink string) (n float64) {
		for line := range strings.Lines(string(f.get("/metrics"))) {
			if strings.HasPrefix(line, "magpie_pipeline_lag_samples{") && strings.Contains(line, `sink="sink.checker.`+sink+`"`) {
				n, _ = strconv.ParseFloat(strings.Fields(line)[1], 64)
			}
		}
		return n
	}
	f.eventually("the fast sink is not behind", func() bool { return lag("fast") < 50000 })
	f.set("hurry") // what waits for the slow one would take it ten times as long
	f.complete()
}

func TestAFloodIsBoundedAndItsDropsAreCounted(t *testing.T) {
	t.Parallel()
	f := fault(t, "", "slow = \"20ms\"", "buffer {\n  max_size = \"64MiB\"\n  segment_size = \"4MiB\"\n}\n")
	f.flows()
	var peak int64
	for end := time.Now().Add(time.Duration(atLength(10, 300)) * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		peak = max(peak, f.rss())
	}
	f.balanced(account{})
	a := f.account()
	t.Logf("%.0f received, %.0f dropped; the daemon's memory was at most %.1f MiB", a.received, a.dropped, float64(peak)/(1<<20))
	if peak > 256<<20 {
		t.Errorf("the daemon took %d MiB", peak>>20)
	}
}

func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 100000", "", "")
	f.flows()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.args[1], "leaky"), append(self, "leaky"...), 0o700); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	reloads, failed := atLength(14, 1000), map[string]int{}
	for i := range reloads {
		note := func(who int) string { return fmt.Sprintf("note = \"%d\"", (i+who)/2) } // the source in one, the sink in the next
		source, sink, more := "rate = 100000\n"+note(0), note(1), ""
		kind := ""
		switch i % 14 {
		case 1:
			kind, source = "an argument that is not known", source+"\n nonsense = 1"
		case 3: // the sink would open, and the source does not
			kind, source = "a source that does not open", fmt.Sprintf("rate = 100000\n note = %q", broken)
		case 4:
			kind, sink = "a sink that does not open", fmt.Sprintf("note = %q", broken)
		case 6:
			kind, more = "a plugin that dies in opening", "source \"leaky\" \"x\" { how = \"exit\" }\n"
		case 8:
			kind, more = "a plugin that starts and does not open", "source \"leaky\" \"x\" { how = \"open\" }\n"
		case 9:
			kind, more = "a plugin that finds it invalid", "source \"leaky\" \"x\" { how = \"validate\" }\n"
		case 11:
			kind, more = "a file with a mistake of syntax", "source \"leaky\" {{\n"
		case 12:
			kind, more = "a secret that is not there", "source \"leaky\" \"x\" { password = secret(\"file:/nowhere\") }\n"
		}
		bad := kind != ""
		f.write(f.config(source, sink, more))
		f.eventually("the source has told its series", func() bool { return f.metric("magpie_source_series") == slots })
		ran := f.running()
		before, refused := f.metric("magpie_config_reloads_total"), f.refused()
		f.cmd.Process.Signal(syscall.SIGHUP)
		f.eventually("the reload is done", func() bool { return f.metric("magpie_config_reloads_total") > before })
		if got := f.refused() > refused; got != bad {
			t.Errorf("reload %d: refused %v, wanted %v", i, got, bad)
		}
		if bad {
			failed[kind]++
			if now := f.running(); now != ran {
				t.Errorf("reload %d failed, and changed what runs:\n%s\nand now:\n%s", i, ran, now)
			}
		}
	}
	t.Logf("%d reloads took %s each; among them those that change nothing: %v", reloads, (time.Since(began) / time.Duration(reloads)).Round(time.Millisecond), failed)
	f.flows()
	f.complete()
	f.balanced(account{})
}

// refused counts the reloads that failed.
func (f *faulty) refused() float64 {
	found := regexp.MustCompile(`magpie_config_reloads_total\{result="refused"\} (\d+)`).FindSubmatch(f.get("/metrics"))
	if found == nil {
		return 0
	}
	n, _ := strconv.ParseFloat(string(found[1]), 64)
	return n
}

// running is what must be the same after a reload that failed: processes, since when components are open, and their configuration.
func (f *faulty) running() string {
	f.Helper()
	s := f.status()
	var b strings.Builder
	for _, p := range s.Processes {
		fmt.Fprintln(&b, p.Plugin, p.Pid, p.Restarts)
	}
	for _, c := range s.Components {
		fmt.Fprintln(&b, c.Address, c.State, c.SinceUnixMs, c.Series)
	}
	b.Write(f.get("/api/magpie/v1/Show"))
	return b.String()
}

// ---- Faults of the disk.

func TestAFullDiskStopsTheSourcesAndLosesNothing(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("magpie-test", disk, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("SKIPPED: a disk of a fixed size needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	f := fault(t, "", "", "")
	f.cmd.Process.Signal(syscall.SIGTERM)
	<-f.done
	os.RemoveAll(filepath.Join(f.dir, "data"))
	for _, name := range []string{"acknowledged", "got", "emitted"} {
		os.Remove(filepath.Join(f.notes, name))
	}
	f.args = append(f.args, "-data-dir", filepath.Join(disk, "data"))
	f.write(f.config("", "", "buffer { segment_size = \"4MiB\" }\n"))
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f.run()
	f.set("down")
	f.eventually("the disk is full", func() bool { return f.metric("magpie_buffer_writable") == 0 })
	if _, err := os.Stat(filepath.Join(disk, "data/buffer/reserve")); err == nil {
		t.Error("the reserve was not given up")
	}
	f.eventually("the daemon says that it is not ready", func() bool { ready, _ := f.cliReady(); return !ready })
	var stopped int64
	f.eventually("it acknowledges nothing more", func() bool { // what was given up for the cursors may have let a little more in
		stopped = f.written("acknowledged")
		time.Sleep(time.Second)
		return f.written("acknowledged") == stopped
	})
	os.Remove(ballast)
	freed := time.Now()
	f.eventually("it goes on", func() bool { return f.written("acknowledged") > stopped })
	within(t, "there was room again, and it went on", time.Since(freed), 5*time.Second)
	f.eventually("the disk is full again", func() bool { return f.metric("magpie_buffer_writable") == 0 })
	f.cmd.Process.Kill() // and with a full disk it dies, and starts again
	<-f.done
	f.set("stop")
	f.run()
	f.complete()
}

// cliReady asks whether the daemon is ready.
func (m *magpie) cliReady() (bool, string) {
	r, err := patient.Get(m.url + "/-/ready")
	if err != nil {
		return false, err.Error()
	}
	r.Body.Close()
	return r.StatusCode == 200, r.Status
}

func TestAFailedFsyncIsNoAcknowledgement(t *testing.T) {
	t.Parallel()
	strace := plugintest.Program(t, "strace")
	f := fault(t, "rate = 100000", "", "buffer { segment_size = \"1MiB\" }\n")
	f.flows()
	for i := range atLength(3, 100) {
		// Every third fsync of the daemon fails for a second, or all of them do.
		inject := []string{"error=EIO:when=1+3", "error=EIO", "error=ENOSPC:when=2+2"}[i%3]
		cmd := exec.Command(strace, "-f", "-q", "-p", fmt.Sprint(f.cmd.Process.Pid), "-e", "trace=fsync", "-e", "inject=fsync:"+inject, "-o", "/dev/null")
		var out strings.Builder
		cmd.Stderr = &out
		before := f.metric("magpie_buffer_failures_total")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		gone := make(chan struct{})
		go func() { cmd.Wait(); close(gone) }()
		f.eventually("an fsync fails", func() bool {
			select {
			case <-gone:
				if strings.Contains(out.String(), "ermitted") {
					t.Skipf("SKIPPED: strace may not trace here: %s", out.String())
				}
				t.Fatalf("strace ended: %s", out.String())
			default:
			}
			return f.metric("magpie_buffer_failures_total") > before
		})
		time.Sleep(time.Second)
		cmd.Process.Signal(syscall.SIGINT)
		<-gone
		f.flows()
	}
	f.complete()
	f.balanced(account{})
	t.Logf("%.0f writes or fsyncs failed", f.metric("magpie_buffer_failures_total"))
}
