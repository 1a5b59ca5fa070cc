package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/verify"
)

// Plugins in Python, made outside of the tree (examples/plugins): packed as their authors do it, found and run by a daemon as
// any other.

// inPython runs a program of Debian's Python (or MAGPIE_PYTHON's) that finds the SDK.
func inPython(t testing.TB, dir string, args ...string) string {
	t.Helper()
	sdk, err := filepath.Abs("../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	python := os.Getenv("MAGPIE_PYTHON")
	if python == "" {
		python = "/usr/bin/python3"
	}
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+sdk, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v (make deps installs what it needs): %v\n%s", python, args, err, out)
	}
	return string(out)
}

func TestPluginsInPythonAreSourcesAndProcessorsLikeAllOthers(t *testing.T) {
	t.Parallel()
	plugins := t.TempDir()
	for _, name := range []string{"hello_python", "sqlite", "inventory", "smooth"} {
		dir := filepath.Join("../examples/plugins", name)
		if tests, _ := filepath.Glob(filepath.Join(dir, "test_*.py")); len(tests) > 0 {
			inPython(t, dir, "-m", "unittest")
		}
		inPython(t, dir, "-m", "magpie", "pack", "-o", filepath.Join(plugins, name))
	}
	db := filepath.Join(t.TempDir(), "shop.db")
	sql := func(statements ...string) {
		t.Helper()
		inPython(t, ".", append([]string{"-c", "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\nfor s in sys.argv[2:]: db.execute(s)\ndb.commit()", db}, statements...)...)
	}
	sql("CREATE TABLE orders (state TEXT, amount REAL)", "INSERT INTO orders VALUES ('open', 3), ('open', 4.5), ('sent', 1)")
	crowd := t.TempDir()
	config := `
store "tsdb" "main" {}
source "hello_python" "crowd" { path = %q }
source "sqlite" "shop" {
  path   = %q
  labels = { machine = "shop1" }
  query "shop_orders" {
    sql = "SELECT state, %s AS value FROM orders GROUP BY state"
  }
}
processor "inventory" "machines" {
  label = "machine"
  table = "host,owner,room\nshop1,Zoë,A 2\n"
}
processor "smooth" "crowd" { match = "hello_.*" }
pipeline "all" {
  from    = [source.sqlite.shop, source.hello_python.crowd]
  through = [processor.inventory.machines, processor.smooth.crowd]
  to      = [store.tsdb.main]
}
`
	ours := filepath.Join(filepath.Dir(magpieBinary(t)), "plugins")
	m := start(t, fmt.Sprintf(config, crowd, db, "count(*)"), "-plugin-dir", ours, "-plugin-dir", plugins)
	enriched := `shop_orders{state="open", job="sqlite", owner="Zoë", room="A 2"}`
	m.eventually("what the source asked and the processor knows is in the store", func() bool {
		return len(m.query(enriched+" == 2")) == 1 && len(m.query(`up{job="sqlite"} == 1`)) == 1 && len(m.query(`{__name__="hello_directory_entries:smooth", job="crowd"} == 0`)) == 1
	})

	if out, stderr, code := m.cli("plugin", "describe", "-plugin-dir", plugins, "sqlite"); code != 0 || !strings.Contains(out, "SELECT with a column called value") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}

	before := m.pids()["sqlite"]
	if before == 0 {
		t.Fatalf("there is no process of the plugin: %v", m.pids())
	}
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	sql("INSERT INTO orders VALUES ('open', 100)")
	m.eventually("another process goes on", func() bool { return len(m.query(enriched+" == 3")) == 1 })
	if now := m.pids()["sqlite"]; now == 0 || now == before {
		t.Errorf("process %d was killed, and %d is there now", before, now)
	}

	m.write(fmt.Sprintf(config, crowd, db, "missing()"))
	m.cmd.Process.Signal(syscall.SIGHUP)
	m.eventually("the mistake in the query is counted as one of the configuration", func() bool {
		return len(m.query(`up{job="sqlite"} == 0`)) == 1
	})
	m.eventually("and said", func() bool {
		out, _, _ := m.cli("status", "-addr", m.url)
		return strings.Contains(out, "no such function: missing")
	})

	m.write(strings.Replace(fmt.Sprintf(config, crowd, db, "count(*)"), `label = "machine"`, "label = \"machine\"\n  file = \"/nonexistent\"", 1))
	m.cmd.Process.Signal(syscall.SIGHUP)
	m.eventually("what the plugin refuses is not applied", func() bool {
		return strings.Contains(m.status().Config.Problem, "the inventory is in a file or in a table: write one of them")
	})
}

func TestTheExamplesInPythonKeepTheContract(t *testing.T) {
	t.Parallel()
	plugins := t.TempDir()
	var running sync.WaitGroup
	for _, name := range []string{"sqlite", "inventory", "smooth"} {
		from := filepath.Join("../examples/plugins", name)
		inPython(t, from, "-m", "magpie", "pack", "-o", filepath.Join(plugins, name))
		f, err := verify.Find(from, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { keepsTheContract(t, name, filepath.Join(plugins, name), f) })
	}
	running.Wait()
}

// keepsTheContract makes the checks of magpie plugin verify.
func keepsTheContract(t *testing.T, name, binary string, f *verify.Found) {
	r, err := verify.Run(t.Context(), verify.Options{Binary: binary, Example: f.Example, Shown: f.Shown, Patience: 10})
	if err != nil {
		t.Error(err)
		return
	}
	for _, x := range r.Results {
		if x.State == verify.Failed {
			t.Errorf("%s: %s: %s: %s\n%s", name, x.Of, x.Check, x.About, x.Text)
		}
	}
	t.Logf("%s: %s", name, r.Summary())
}

// What `magpie plugin new` writes is a plugin as it is: it keeps the contract, and a daemon runs it.
func TestANewPluginInPythonKeepsTheContractAndRuns(t *testing.T) {
	if os.Getenv("MAGPIE_SOAK") == "" {
		t.Skip("it makes a virtual environment: make soak does; what new writes is tried in daemon/internal/cli")
	}
	t.Parallel()
	sdk, err := filepath.Abs("../sdk")
	if err != nil {
		t.Fatal(err)
	}
	work, ours := t.TempDir(), filepath.Join(filepath.Dir(magpieBinary(t)), "plugins") // built before the clock runs
	began := time.Now()
	stdout, stderr, code := command(t, work, "plugin", "new", "-lang", "python", "-kind", "source", "-replace", sdk, "demo")
	if code != 0 || !strings.Contains(stdout, "magpie plugin verify .") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	if _, stderr, code := command(t, work, "plugin", "new", "-lang", "python", "demo"); code != 1 || !strings.Contains(stderr, "nothing is written over") {
		t.Errorf("a second time: exit %d\n%s", code, stderr)
	}
	dir := filepath.Join(work, "demo")
	f, err := verify.Find(dir, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plugins := t.TempDir()
	if err := f.Build(t.Context(), plugins); err != nil { // makes the virtual environment
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, ".venv", "bin", "python"), "-m", "unittest")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("its own tests: %v\n%s", err, out)
	}
	keepsTheContract(t, "demo", filepath.Join(plugins, "demo"), f)
	page := httptest.NewServer(http.NotFoundHandler())
	defer page.Close()
	m := start(t, fmt.Sprintf("store \"tsdb\" \"main\" {}\nsource \"demo\" \"here\" { url = %q }\n", page.URL), "-plugin-dir", ours, "-plugin-dir", plugins)
	m.value(`up{job="here"}`)
	within(t, "a new plugin in Python is tested, verified, and queried in a daemon", time.Since(began), time.Minute)
}
