// Package peer runs the programs that plugins are compared with in their tests: Prometheus and Alertmanager.
package peer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// Peer is a program on a loopback port of the test's own. It runs until the test ends; its log is shown if the test fails.
type Peer struct {
	URL  string
	t    testing.TB
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// Prometheus starts one with a configuration in YAML.
func Prometheus(t testing.TB, config string, flags ...string) *Peer {
	t.Helper()
	return begin(t, "prometheus", config, "--storage.tsdb.path", flags...)
}

// Alertmanager starts one with a configuration in YAML.
func Alertmanager(t testing.TB, config string) *Peer {
	t.Helper()
	return begin(t, "prometheus-alertmanager", config, "--storage.path", "--cluster.listen-address=")
}

// begin starts a program; storage is its flag for its data.
func begin(t testing.TB, program, config, storage string, flags ...string) *Peer {
	t.Helper()
	dir, address := t.TempDir(), plugintest.FreeAddress(t)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Peer{URL: "http://" + address, t: t, args: append([]string{
		plugintest.Program(t, program), "--config.file=" + file, storage + "=" + filepath.Join(dir, "data"), "--web.listen-address=" + address, "--log.level=warn",
	}, flags...)}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", program, p.log.String())
		}
	})
	p.Start()
	return p
}

// Start starts it again after Kill, and waits until it answers.
func (p *Peer) Start() {
	p.t.Helper()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.Eventually("it is ready", func() bool {
		r, err := http.Get(p.URL + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// Kill ends it as a crash would.
func (p *Peer) Kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// Eventually waits until something holds.
func (p *Peer) Eventually(what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// Value is of one series, as Prometheus writes it.
type Value struct {
	Labels sdk.Labels
	Value  string
}

// Query asks Prometheus for a vector of now.
func (p *Peer) Query(expr string) (vector []Value) {
	p.t.Helper()
	r, err := http.Get(p.URL + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any // time and value
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || answer.Error != "" {
		p.t.Fatalf("%s: %v %s", expr, err, answer.Error)
	}
	for _, s := range answer.Data.Result {
		v := Value{Value: s.Value[1].(string)}
		for name, value := range s.Metric {
			v.Labels = v.Labels.Set(name, value)
		}
		vector = append(vector, v)
	}
	return vector
}
