package plan_test

import (
	"bytes"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// cpu is what the process has used of it.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// checkAndPlan is what check and plan do with 5,000 sources in 200 files of which one line has changed: it tells what each took of CPU.
func checkAndPlan(t testing.TB) (check, planned time.Duration) {
	sources, types := large(5000), offers(t)
	defer language.RoomForGarbage()() // as the commands have
	began := cpu(t)
	cfg, diags := language.Parse(sources)
	running, more := plan.Build(cfg, types, env())
	if len(sources) != 200 || diags.HasErrors() || more.HasErrors() || len(running.Components) != 5001 {
		t.Fatal(len(sources), diags, more)
	}
	check = cpu(t) - began

	sources[77].Bytes = bytes.Replace(sources[77].Bytes, []byte(`interval = "30s"`), []byte(`interval = "31s"`), 1)
	began = cpu(t)
	cfg, diags = language.Parse(sources)
	desired, more := plan.Build(cfg, types, env())
	p := plan.Diff(running, desired)
	if err := p.Print(io.Discard, false); err != nil || diags.HasErrors() || more.HasErrors() {
		t.Fatal(err, diags, more)
	}
	planned = cpu(t) - began
	changed := 0
	for _, s := range p.Steps {
		if s.Action != plan.Keep {
			changed++
		}
	}
	if changed != 1 || len(p.Steps) != 5001 || len(p.Settings)+len(p.Pipelines)+len(p.Groups)+len(p.Route) != 0 {
		t.Errorf("one line changed, and the plan has %d steps of %d", changed, len(p.Steps))
	}
	runtime.KeepAlive(running)
	return check, planned
}

// The promise is 2 s of CPU for each; a machine may be three times as slow. It runs alone, so that nobody else's work is counted.
func TestFiveThousandSourcesAreCheckedAndPlannedQuickly(t *testing.T) {
	check, planned := checkAndPlan(t)
	t.Logf("check: %s of CPU, plan after one change: %s", check.Round(time.Millisecond), planned.Round(time.Millisecond))
	if limit := 6 * time.Second; check > limit || planned > limit {
		t.Errorf("check took %s of CPU and plan %s", check, planned)
	}
}

func BenchmarkPlanOfFiveThousandSources(b *testing.B) {
	var check, planned time.Duration
	for b.Loop() {
		c, p := checkAndPlan(b)
		check, planned = check+c, planned+p
	}
	b.ReportMetric(check.Seconds()/float64(b.N), "check-cpu-s/op")
	b.ReportMetric(planned.Seconds()/float64(b.N), "plan-cpu-s/op")
}
