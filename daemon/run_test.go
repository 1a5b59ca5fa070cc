package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/cluster"
	"github.com/magpie-monitoring/magpie/examples/03-etcd-demo/demo"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

// The tests of this folder run the real binaries: they are built once, as make build does, into a directory of the test.

var binaries = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "magpie-bin"); err != nil {
		return "", err
	}
	built = dir
	for _, target := range [][2]string{{"magpie", "./daemon"}, {"plugins/", "./plugins/..."}} {
		out := filepath.Join(dir, target[0])
		if strings.HasSuffix(target[0], "/") {
			os.MkdirAll(out, 0o755)
			out += "/"
		}
		cmd := exec.Command("go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w", "-o", out, target[1])
		cmd.Dir = ".."
		if text, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("go build %s: %w\n%s", target[1], err, text)
		}
	}
	return dir, nil
})

var built string // what TestMain removes

// The test binary is also the members of etcd clusters, and the plugins of the benchmarks and of the fault runs: what it is follows from its name.
func TestMain(m *testing.M) {
	cluster.RunMember()
	if name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "one-of-many-"); ok {
		serve.Main(name, "0.0.0", sdk.Service(openIdler))
		return
	}
	switch filepath.Base(os.Args[0]) {
	case "etcd-demo":
		os.Exit(demo.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout))
	case "blast":
		serve.Main("blast", "0.0.0", sdk.StreamSource(openBlast))
		return
	case "hole":
		serve.Main("hole", "0.0.0", sdk.Sink(openHole))
		return
	case "numbers":
		serve.Main("numbers", "0.0.0", sdk.StreamSource(openNumbers))
		return
	case "doctor":
		serve.Main("doctor", "0.0.0", sdk.Diagnoser(openDoctor))
		return
	case "checker":
		serve.Main("checker", "0.0.0", sdk.Sink(openChecker))
		return
	case "alone":
		serve.Main("alone", "0.0.0", sdk.Source(openAlone))
		return
	case "leaky":
		serve.Main("leaky", "0.0.0", sdk.StreamSource(openLeaky), sdk.Notifier(openLeakyNotifier))
		return
	}
	code := m.Run()
	os.RemoveAll(built)
	os.RemoveAll(builtDaemon)
	os.RemoveAll(builtPeer)
	os.Exit(code)
}

func magpieBinary(t testing.TB) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "magpie")
}

// magpie is a running daemon.
type magpie struct {
	testing.TB
	dir    string // of config.hcl and data
	args   []string
	env    []string // beside that of the test
	binary string   // "": the one that is built with all plugins
	url    string
	cmd    *exec.Cmd
	mu     sync.Mutex
	log    bytes.Buffer
	done   chan struct{}
}

// config begins every configuration of a test: a free port, a quick clock.
const testConfig = `
daemon {
  data_dir = "data"
  interval = "1s"
}
http { listen = "127.0.0.1:0" }
`

// start writes a configuration and starts the daemon in a directory of its own.
func start(t testing.TB, config string, args ...string) *magpie {
	t.Helper()
	m := &magpie{TB: t, dir: t.TempDir(), args: args}
	m.write(config)
	m.run()
	m.endWithTheTest()
	return m
}

// endWithTheTest stops the daemon at the end of the test, and shows the end of its log if that has failed.
func (m *magpie) endWithTheTest() {
	m.Cleanup(func() {
		began := time.Now()
		m.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-m.done:
			within(m, "the daemon stops", time.Since(began), 10*time.Second)
		case <-time.After(time.Minute):
			m.cmd.Process.Kill()
			m.Error("the daemon did not stop within a minute")
		}
		if m.Failed() {
			text := m.logged()
			m.Logf("the daemon's log:\n%s", text[max(0, len(text)-32<<10):])
		}
	})
}

func (m *magpie) write(config string) {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, "config.hcl"), []byte(testConfig+config), 0o600); err != nil {
		m.Fatal(err)
	}
}

var lookAt = regexp.MustCompile(`Look at (http://[^/]+)/`)

// run starts the daemon and waits until it says where it is.
func (m *magpie) run() {
	m.Helper()
	if m.binary == "" {
		m.binary = magpieBinary(m)
	}
	m.cmd = exec.Command(m.binary, append([]string{"run"}, m.args...)...)
	m.cmd.Dir = m.dir
	m.cmd.Env = append(os.Environ(), m.env...)
	m.cmd.Stdout, m.cmd.Stderr = m, m
	m.done = make(chan struct{})
	from := len(m.logged())
	if err := m.cmd.Start(); err != nil {
		m.Fatal(err)
	}
	go func() { m.cmd.Wait(); close(m.done) }()
	m.eventually("the daemon says where it is", func() bool {
		found := lookAt.FindStringSubmatch(m.logged()[from:])
		if found != nil {
			m.url = found[1]
		}
		return found != nil
	})
}

// restart stops the daemon as a service is stopped, and runs it with what its files are now.
func (m *magpie) restart() {
	m.Helper()
	m.cmd.Process.Signal(syscall.SIGTERM)
	<-m.done
	m.run()
}

func (m *magpie) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(b)
}

func (m *magpie) logged() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

func (m *magpie) eventually(what string, condition func() bool) {
	m.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.Fatalf("not within two minutes: %s\nthe daemon's log:\n%s", what, m.logged())
		}
	}
}

// cli runs a command of the command line against the daemon.
func (m *magpie) cli(args ...string) (stdout, stderr string, code int) {
	m.Helper()
	return command(m, m.dir, args...)
}

func command(t testing.TB, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	binary := magpieBinary(t) // built before the clock runs
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	cmd.Run()
	return out.String(), errors.String(), cmd.ProcessState.ExitCode()
}

type series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
	Values [][2]any          `json:"values"`
}

// query asks for a vector; while the store is not there yet, the answer is nil.
func (m *magpie) query(expr string) []series {
	m.Helper()
	return m.ask("/api/v1/query?query=" + url.QueryEscape(expr))
}

func (m *magpie) ask(path string) []series {
	m.Helper()
	var answer struct {
		Status string
		Data   struct{ Result []series }
	}
	if err := json.Unmarshal(m.get(path), &answer); err != nil || answer.Status != "success" {
		return nil
	}
	return answer.Data.Result
}

// patient waits for an answer longer than any takes.
var patient = &http.Client{Timeout: 2 * time.Minute}

func (m *magpie) get(path string) []byte {
	m.Helper()
	r, err := patient.Get(m.url + path)
	if os.IsTimeout(err) {
		m.Errorf("GET %s hangs: %v", path, err)
	}
	if err != nil {
		return nil
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return b
}

// value waits until an expression has exactly one value.
func (m *magpie) value(expr string) (v string) {
	m.Helper()
	m.eventually(expr+" has a value", func() bool {
		if s := m.query(expr); len(s) == 1 {
			v = fmt.Sprint(s[0].Value[1])
		}
		return v != ""
	})
	return v
}

// status asks the control API.
func (m *magpie) status() (s struct {
	Components []struct{ Address, State, Text, SinceUnixMs, Series string }
	Processes  []struct {
		Plugin   string
		Pid      int
		State    string
		Restarts int
	}
	Config struct{ State, Problem string }
}) {
	m.Helper()
	json.Unmarshal(m.get("/api/magpie/v1/Status"), &s)
	return s
}

// pids are the plugins' processes by name.
func (m *magpie) pids() map[string]int {
	pids := map[string]int{}
	for _, p := range m.status().Processes {
		pids[p.Plugin] = p.Pid
	}
	return pids
}

func aliveProcess(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(b, ')')
	return err == nil && i > 0 && b[i+2] != 'Z'
}
