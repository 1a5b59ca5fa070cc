// Package peer runs the programs that plugins are compared with in their tests: Prometheus and Alertmanager, where they are
// installed.
package peer

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// Start runs a program with a configuration in YAML, on a free loopback port until the test ends, and gives its address; its
// log is shown if the test fails. storage is the program's flag for its data. It may not answer yet.
func Start(t testing.TB, binary, config, storage string, flags ...string) (url string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := plugintest.FreeAddress(t)
	var log bytes.Buffer
	cmd := exec.Command(binary, append(flags, "--config.file="+file, storage+"="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return "http://" + address
}
