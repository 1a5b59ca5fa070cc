package plugintest

import (
	"os/exec"
	"testing"
)

// Program is the path of a program that a test runs against. Without it the test fails: one that is skipped says that all is well.
func Program(t testing.TB, name string) (path string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: install it (in Magpie's own repository, make deps does)", err)
	}
	return path
}
