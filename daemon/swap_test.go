package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
)

// A binary that is another by now takes the place of the plugin's process, and of nothing else.

// aloneConfig is of a source that only one can be at a time; it does not open in a binary that ends in "broken".
type aloneConfig struct {
	Dir string `hcl:"dir" change:"exclusive" doc:"Whose file lock only one holds."`
}

type aloneSource struct{ lock *os.File }

var aloneUp = sdk.Gauge("alone", "1.")

func openAlone(_ context.Context, cfg *aloneConfig, _ sdk.Host) (*aloneSource, error) {
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil && bytes.HasSuffix(self, []byte(broken)) {
		err = errors.New("this binary is broken")
	}
	if err != nil {
		return nil, err
	}
	lock, err := os.Create(filepath.Join(cfg.Dir, "lock"))
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	return &aloneSource{lock}, err
}

func (s *aloneSource) Collect(_ context.Context, out *sdk.Batch) error {
	out.Set(aloneUp, 1)
	return nil
}

func (s *aloneSource) Close(context.Context) error { return s.lock.Close() }

// install puts a binary of a test's plugin into its directory: what it ends in makes it another.
func install(t *testing.T, dir, name, end string) {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "magpie-new"), append(self, end...), 0o700) // a name that is no plugin's
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, "magpie-new"), filepath.Join(dir, name))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// takePlugins has the daemon take the binaries that are there.
func (m *magpie) takePlugins() (answer struct {
	Applied bool
	Text    string
}) {
	m.Helper()
	r, err := patient.Post(m.url+"/api/magpie/v1/Reload", "application/json", strings.NewReader(`{"plugins": true}`))
	if err != nil {
		m.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || r.StatusCode != http.StatusOK {
		m.Fatalf("%s: %v", r.Status, err)
	}
	return answer
}

func TestNewBinariesUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	f := fault(t, "rate = 100000", "", "")
	f.flows()
	for i := range atLength(4, 200) {
		name, other := "numbers", "checker"
		if i%2 == 1 {
			name, other = other, name
		}
		f.eventually("the source has told its series", func() bool { return f.metric("magpie_source_series") == slots })
		before := f.pids()
		install(t, f.args[1], name, fmt.Sprint(i))
		if a := f.takePlugins(); !a.Applied || !strings.Contains(a.Text, "1 to replace") || !strings.Contains(a.Text, "plugin  ") {
			t.Fatalf("round %d: %+v", i, a)
		}
		f.eventually("one process takes the place of the other", func() bool {
			now := f.pids()
			return now[name] != before[name] && now[name] != 0 && !aliveProcess(before[name])
		})
		if now := f.pids()[other]; now != before[other] {
			t.Errorf("round %d: the process of %s was touched: %d, and now %d", i, other, before[other], now)
		}
		f.flows()
	}
	if a := f.takePlugins(); !a.Applied || !strings.Contains(a.Text, "Nothing changes") {
		t.Errorf("%+v", a)
	}
	f.complete()
	f.balanced(account{})
}

// What holds something that only one can hold is closed before its successor opens, and is there again, in the process that it
// had, if the successor does not open.
func TestABinaryThatDoesNotOpenChangesNothing(t *testing.T) {
	t.Parallel()
	plugins, notes := t.TempDir(), t.TempDir()
	install(t, plugins, "alone", "first")
	install(t, plugins, "checker", "checker")
	bin, err := onlyDaemon()
	if err != nil {
		t.Fatal(err)
	}
	m := &magpie{TB: t, dir: t.TempDir(), args: []string{"-plugin-dir", plugins}, binary: filepath.Join(bin, "magpie")}
	m.write(fmt.Sprintf("source \"alone\" \"a\" { dir = %q }\nsink \"checker\" \"c\" { dir = %q }\n", notes, notes))
	m.run()
	m.endWithTheTest()
	running := func() bool {
		s := m.status()
		return len(s.Components) == 2 && s.Components[1].Address == "source.alone.a" && s.Components[1].State == "running"
	}
	m.eventually("it runs", running)
	before := m.pids()["alone"]
	install(t, plugins, "alone", broken)
	if a := m.takePlugins(); a.Applied || !strings.Contains(a.Text, "this binary is broken") {
		t.Errorf("%+v", a)
	}
	m.eventually("the old one runs again", running)
	if now := m.pids()["alone"]; now != before {
		t.Errorf("it was process %d, and is %d", before, now)
	}
	install(t, plugins, "alone", "second")
	if a := m.takePlugins(); !a.Applied || !strings.Contains(a.Text, "1 to restart") {
		t.Errorf("%+v", a)
	}
	m.eventually("the new one runs, in a process of its own", func() bool {
		now := m.pids()["alone"]
		return running() && now != before && now != 0 && !aliveProcess(before)
	})
}

func TestDevTakesEveryChangeThatWorksAndTellsOfThoseThatDoNot(t *testing.T) {
	t.Parallel()
	ours := filepath.Join(filepath.Dir(magpieBinary(t)), "plugins")
	dir := authored(t, "source", "demo")
	source := filepath.Join(dir, "demo.go")
	in(t, dir, "make", "build")
	binary := filepath.Join(dir, "demo") // where its sources are, as the daemon's data is: neither begins a build
	if err := os.Rename(filepath.Join(dir, "bin", "demo"), binary); err != nil {
		t.Fatal(err)
	}
	m := start(t, `
store "tsdb" "main" {}
source "demo" "self" { url = "http://127.0.0.1:1/" }
`, "-plugin-dir", dir, "-plugin-dir", ours, "-data-dir", filepath.Join(dir, "data"))
	m.eventually("it is asked", func() bool { return len(m.query(`up{job="self"} == 0`)) == 1 })

	cmd := exec.Command(magpieBinary(t), "plugin", "dev", "-addr", m.url, dir)
	cmd.Env = atHome(dir)
	told := &magpie{TB: t}
	cmd.Stdout, cmd.Stderr = told, told
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Process.Kill()
	says := func(what, pattern string) {
		t.Helper()
		re := regexp.MustCompile(pattern)
		m.eventually(what+"; it says\n"+told.logged(), func() bool { return re.MatchString(told.logged()) })
	}
	says("the first build is the same binary", `demo is in its place already`)
	before := m.pids()

	original, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) {
		t.Helper()
		text := strings.Replace(string(original), old, new, 1)
		if text == string(original) {
			t.Fatalf("there is no %q in\n%s", old, text)
		}
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const collects = "	start := time.Now()\n"
	added := strings.Replace(string(original), "// Config is", "var tries = sdk.Gauge(\"demo_tries\", \"Times that it asked.\")\n\n// Config is", 1)
	original = []byte(added)
	edit(collects, collects+"	out.Set(tries, 1)\n")
	m.eventually("what was added can be asked for", func() bool { return len(m.query(`demo_tries{job="self"} == 1`)) == 1 })
	says("the new one runs", `demo 0.1.0 runs after .*: pid \d+, source.demo.self`)
	now := m.pids()
	if now["demo"] == before["demo"] || now["tsdb"] != before["tsdb"] {
		t.Errorf("processes were %v, and are %v", before, now)
	}

	if list := in(t, dir, magpieBinary(t), "plugin", "list", "-plugin-dir", ".", "-addr", m.url); !strings.Contains(list, "COMPONENTS") || strings.Contains(list, "another binary") {
		t.Errorf("the list is\n%s", list)
	}
	in(t, dir, "go", "build", "-o", "elsewhere/demo", ".") // with other flags: another binary
	if list := in(t, dir, magpieBinary(t), "plugin", "list", "-plugin-dir", "elsewhere", "-addr", m.url); !strings.Contains(list, "another binary than this one runs") {
		t.Errorf("the list is\n%s", list)
	}
	edit(collects, collects+"	out.Set(tries, 1\n")
	says("the mistake is shown where it is", `(?s)it does not build: what ran before goes on.*demo\.go:4\d:\d+: syntax error`)
	edit("	client, err := cfg.Client(host.Source().Timeout, 1)\n", "	client, err := cfg.Client(host.Source().Timeout, 1)\n	if cfg.URL == \"http://127.0.0.1:1/\" {\n		return nil, sdk.At(&cfg.URL, context.Canceled)\n	}\n")
	says("what the block of the daemon does not open with is shown there", `(?s)the daemon does not take it: what ran before goes on.*config.hcl.*The component does not open.*Nothing was changed`)
	if after := m.pids(); after["demo"] != now["demo"] || len(m.query(`demo_tries{job="self"} == 1`)) != 1 {
		t.Errorf("the process was %d, and is %d", now["demo"], after["demo"])
	}
	syscall.Kill(now["demo"], syscall.SIGKILL)
	m.eventually("what is started again is the one that ran", func() bool {
		s := m.status()
		pid := m.pids()["demo"]
		return pid != 0 && pid != now["demo"] && len(s.Components) == 2 && s.Components[0].State == "running"
	})

	cmd.Process.Signal(os.Interrupt)
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".magpie-dev-*")); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
	says("how to verify what is there now", "not verified: magpie plugin verify -o "+binary+".verify.json "+dir)
	if said := told.logged(); strings.Count(said, "is in its place already") != 1 || strings.Count(said, "what ran before goes on") != 2 {
		t.Errorf("it builds what has not changed:\n%s", said)
	}
}
