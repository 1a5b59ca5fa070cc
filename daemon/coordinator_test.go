package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestADaemonOpensACoordinatorAndSaysHowItIs: what it would share through it is not there yet, and that is said, too.
func TestADaemonOpensACoordinatorAndSaysHowItIs(t *testing.T) {
	t.Parallel()
	const block = "coordinator \"etcd\" \"ha\" {\n  endpoints = [\"http://127.0.0.1:1\"]\n}\n"
	m := start(t, block)
	m.eventually("the coordinator is shown with what is wrong", func() bool {
		out, err := exec.Command(magpieBinary(t), "status", "-addr", m.url).CombinedOutput()
		return err == nil && strings.Contains(string(out), "coordinator.etcd.ha") && strings.Contains(string(out), "degraded")
	})
	file := filepath.Join(t.TempDir(), "config.hcl")
	if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
		code int
	}{
		{[]string{"check", file}, "Nothing is coordinated yet", 0},
		{[]string{"check", "-online", file}, "connection refused", 1},
	} {
		cmd := exec.Command(magpieBinary(t), append(c.args[:len(c.args):len(c.args)], "-plugin-dir", filepath.Join(filepath.Dir(magpieBinary(t)), "plugins"))...)
		cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir())
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.says) {
			t.Errorf("%q: %s\n%s", c.args, cmd.ProcessState, out)
		}
	}
}
