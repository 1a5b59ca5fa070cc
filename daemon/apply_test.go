package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The operator's day with the real binary: plan, apply, confirm, history, rollback.

// say runs a command of the command line as the daemon's own user.
func (f *faulty) say(args ...string) (stdout, stderr string, code int) {
	f.Helper()
	cmd := exec.Command(f.binary, args...)
	cmd.Dir = f.dir
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	cmd.Run()
	return out.String(), errors.String(), cmd.ProcessState.ExitCode()
}

// says runs a command and wants its exit code and something that it says.
func (f *faulty) says(code int, pattern string, args ...string) string {
	f.Helper()
	stdout, stderr, got := f.say(args...)
	if got != code || !regexp.MustCompile(pattern).MatchString(stdout+stderr) {
		f.Fatalf("magpie %s: exit %d, and it does not say %s\n%s%s", strings.Join(args, " "), got, pattern, stdout, stderr)
	}
	return stdout
}

// numbered writes a file whose configuration has a note, by which it is known.
func (f *faulty) numbered(name, note string) {
	f.Helper()
	text := testConfig + f.config("rate = 1000", fmt.Sprintf("note = %q", note), "")
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.Fatal(err)
	}
}

// runs wants the configuration with the note.
func (f *faulty) runs(note string) {
	f.Helper()
	if out, _, _ := f.say("show"); !strings.Contains(out, fmt.Sprintf("note = %q", note)) {
		f.Fatalf("what runs has not the note %s:\n%s", note, out)
	}
}

// recorded waits until the history says something: what is applied runs a moment before it is recorded.
func (f *faulty) recorded(pattern string) {
	f.Helper()
	f.eventually("the history says "+pattern, func() bool {
		out, _, _ := f.say("history")
		return regexp.MustCompile(pattern).MatchString(out)
	})
}

func TestAnOperatorsDay(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 1000", "note = \"first\"", "")
	f.flows()
	f.says(0, "Nothing changes; 2 keep running", "plan")
	f.numbered("other.hcl", "second")
	plan := f.says(2, `note +"first" -> "second"`, "plan", "other.hcl")
	if strings.Contains(plan, "\x1b") {
		t.Error("a plan into a pipe is coloured")
	}
	if out, _, code := f.say("plan", "-json", "other.hcl"); code != 2 || !json.Valid([]byte(out)) {
		t.Errorf("exit %d\n%s", code, out)
	}
	f.says(1, "no terminal to ask on. Say -yes", "apply", "other.hcl")
	f.runs("first")
	if out := f.says(0, "Applied as configuration 2", "apply", "-yes", "other.hcl"); !strings.HasPrefix(out, plan) {
		t.Errorf("apply shows another plan:\n%s", out)
	}
	f.runs("second")
	f.says(0, "Nothing changes", "apply", "other.hcl") // there is nothing to ask
	os.WriteFile(filepath.Join(f.dir, "bad.hcl"), []byte("source \"numbers\" \"n\" {}\n"), 0o600)
	f.says(1, `bad.hcl:1:1: error: Missing argument`, "apply", "-yes", "bad.hcl")
	f.says(1, `bad.hcl:1:1: error: Missing argument`, "plan", "bad.hcl")
	if out, _, code := f.say("apply", "-yes", "-json", "other.hcl"); code != 0 || !strings.Contains(out, `"applied": true`) || !json.Valid([]byte(out)) {
		t.Errorf("exit %d\n%s", code, out)
	}

	f.restart() // the files did not change: neither does what runs
	f.runs("second")
	f.numbered("config.hcl", "third")
	f.cmd.Process.Signal(syscall.SIGHUP)
	f.eventually("it is reloaded", func() bool { out, _, _ := f.say("show"); return strings.Contains(out, `"third"`) })
	f.recorded(`SIGHUP +reload`)
	f.numbered("config.hcl", "fourth")
	f.restart() // they did
	f.runs("fourth")
	f.recorded(`start +start +applied, runs`)

	table := f.says(0, `uid \d+ \(\w+\) +apply +applied`, "history")
	for _, want := range []string{`(?m)^1 .* start +start +applied `, `(?m)^2 .* uid \d+ .*1 to update|(?m)^2 .* uid \d+ .*1 to replace`, `SIGHUP +reload`, `(?m) start +start +applied, runs`} {
		if !regexp.MustCompile(want).MatchString(table) {
			t.Errorf("history does not say %s:\n%s", want, table)
		}
	}
	f.says(0, regexp.QuoteMeta(plan), "history", "2")
	f.says(1, "there is no record 999", "history", "999")
	f.says(1, "one is no number of a record", "rollback", "one")
	f.says(1, "no configuration 999 is kept", "rollback", "-yes", "999")
	f.says(0, `(?s)Back to configuration 2:.*"fourth" -> "second".*Applied`, "rollback", "-yes", "2")
	f.runs("second")
	f.says(0, `(?s)"second" -> "fourth".*Applied`, "rollback", "-yes") // what ran before
	f.runs("fourth")
	var records []struct {
		Number       int
		Who, Outcome string
		Running      bool
	}
	out, _, _ := f.say("history", "-json")
	if err := json.Unmarshal([]byte(out), &records); err != nil || len(records) == 0 || !records[len(records)-1].Running {
		t.Errorf("%v\n%s", err, out)
	}
	f.complete()
}

func TestAnApplyThatIsNotConfirmedRollsBackByItself(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 1000", "note = \"first\"", "")
	f.says(1, "nothing waits for confirmation", "confirm")
	f.numbered("second.hcl", "second")
	f.numbered("third.hcl", "third")

	f.says(0, "say magpie confirm by then", "apply", "-yes", "-confirm", "1s", "second.hcl")
	f.eventually("it is rolled back", func() bool { out, _, _ := f.say("show"); return strings.Contains(out, `"first"`) })
	f.recorded(`magpie +rollback to 1, not confirmed in time +applied, runs`)
	f.says(0, `apply +rolled back`, "history")

	f.says(0, "Applied", "apply", "-yes", "-confirm", "10m", "second.hcl")
	f.runs("second")
	f.says(0, `waits for confirmation: configuration \d+ comes back in (10m0s|9m\d+s) unless`, "status")
	f.says(1, "waits for confirmation until .* magpie confirm, or magpie rollback, first", "apply", "-yes", "third.hcl")
	f.restart() // and waits on
	f.runs("second")
	f.says(0, `waits for confirmation`, "status")
	f.says(0, "stays", "confirm")
	f.says(0, `applied, confirmed by uid`, "history")
	f.says(1, "nothing waits for confirmation", "confirm")

	f.says(0, "Applied", "apply", "-yes", "-confirm", "10m", "third.hcl")
	f.says(0, "Applied", "rollback", "-yes")
	f.runs("second")
	f.says(1, "nothing waits for confirmation", "confirm")

	f.says(0, "Applied", "apply", "-yes", "-confirm", "2s", "third.hcl")
	f.cmd.Process.Kill() // and its time runs out while the daemon is down
	<-f.done
	time.Sleep(2 * time.Second)
	f.run()
	f.runs("second")
	f.recorded(`start +rollback to \d+, not confirmed in time +applied, runs`)
	f.restart()
	f.runs("second")

	f.numbered("config.hcl", "fourth")
	f.says(0, "Applied", "apply", "-yes", "-confirm", "8s") // the daemon's own file
	f.cmd.Process.Kill()
	<-f.done
	f.run()
	f.runs("fourth")
	f.eventually("it is rolled back after the restart", func() bool { out, _, _ := f.say("show"); return strings.Contains(out, `"second"`) })
	f.restart() // the file is still what was not confirmed
	f.runs("second")
	f.complete()
}

func TestAppliesAtOnceAreOneAfterAnother(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 1000", "note = \"first\"", "")
	const people = 8
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	for i := range people {
		f.numbered(fmt.Sprintf("%d.hcl", i), fmt.Sprint(i))
		wg.Go(func() {
			stdout, stderr, code := f.say("apply", "-yes", fmt.Sprintf("%d.hcl", i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case code == 0 && strings.Contains(stdout, "Applied as configuration"):
				outcomes["applied"]++
			case code == 1 && regexp.MustCompile(`the plan that you saw is for what configuration \d+ made, and \d+ runs by now. Look at the plan again`).MatchString(stderr):
				outcomes["refused"]++
			default:
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
		})
	}
	wg.Wait()
	if outcomes["applied"] == 0 || outcomes["applied"]+outcomes["refused"] != people {
		t.Error(outcomes)
	}
	out, _, _ := f.say("history")
	if n := strings.Count(out, "apply"); n != outcomes["applied"] {
		t.Errorf("%d of %d are in the history:\n%s", n, outcomes["applied"], out)
	}
	f.flows()
	f.complete()
}

func TestTheHistoryIsBoundedAndHoldsNoSecretInClear(t *testing.T) {
	t.Parallel()
	const canary = "canary-in-a-literal"
	f := fault(t, "rate = 1000", "", fmt.Sprintf("locals {\n  word = %q\n}\n", canary))
	for i := range 105 {
		f.write(f.config("rate = 1000", fmt.Sprintf("note = \"%d\"", i%2), fmt.Sprintf("locals {\n  word = %q\n}\n", canary)))
		if i%10 == 3 {
			f.write("source \"numbers\" " + canary)
		}
		patient.Post(f.url+"/-/reload", "", nil)
	}
	out, _, _ := f.say("history")
	if n := strings.Count(out, "\n"); n != 101 || !strings.Contains(out, "failed") || !strings.Contains(out, "HTTP from 127.0.0.1") {
		t.Errorf("%d lines:\n%s", n, out)
	}
	err := filepath.WalkDir(filepath.Join(f.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if b, _ := os.ReadFile(path); bytes.Contains(b, []byte(canary)) {
			t.Errorf("%s holds what may be a secret", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
