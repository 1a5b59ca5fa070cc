// Package python holds the SDK for plugins in Python and its tests: those in Python, and those from here, where the daemon's
// side of the contract speaks to plugins written with it.
package python

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/client"
)

// interpreter is Debian's Python, or what MAGPIE_PYTHON names. Without one that has grpc, tests fail: `make deps` installs it.
func interpreter(t testing.TB) string {
	t.Helper()
	python := os.Getenv("MAGPIE_PYTHON")
	if python == "" {
		python = "/usr/bin/python3"
	}
	if out, err := exec.Command(python, "-c", "import grpc, google.protobuf").CombinedOutput(); err != nil {
		t.Fatalf("%s cannot run plugins (make deps installs what is missing): %v\n%s", python, err, out)
	}
	return python
}

// inPython is a command of the interpreter that finds the SDK.
func inPython(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	sdk, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), interpreter(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+sdk, "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestTheTestsInPythonPass(t *testing.T) {
	t.Parallel()
	out, err := inPython(t, ".", "-W", "error::ResourceWarning", "-m", "unittest", "discover", "-s", "tests", "-t", ".")
	if err != nil || !strings.Contains(out, "OK") {
		t.Errorf("%v\n%s", err, out)
	}
	t.Log(out)
}

// pack makes a plugin's file.
func pack(t testing.TB, path string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(path), ".py"))
	if text, err := inPython(t, ".", "-m", "magpie", "pack", path, "-o", out); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// sockets is a directory with a path short enough for them.
func sockets(t testing.TB) string {
	dir, err := os.MkdirTemp("", "py")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// launch starts a packed plugin as the daemon does.
func launch(t testing.TB, path string, log func(client.Entry)) *client.Process {
	t.Helper()
	p, err := client.Launch(t.Context(), client.Options{Path: path, SocketDir: sockets(t), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(context.Background()) })
	return p
}

func TestTheSameSourcesArePackedToTheSameBytes(t *testing.T) {
	t.Parallel()
	var packed [2][]byte
	for i := range packed {
		b, err := os.ReadFile(pack(t, "testdata/every.py"))
		if err != nil {
			t.Fatal(err)
		}
		packed[i] = b
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("two packs of the same sources differ: the catalogue would ask the plugin again each time")
	}
}
