package verify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// buildPython packs a plugin in Python (python -m magpie pack) with the virtual environment beside its sources. Where there is
// none it is made, with what requirements.txt says.
func buildPython(ctx context.Context, dir, binary string) error {
	venv := filepath.Join(dir, ".venv")
	python := filepath.Join(venv, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		if err := makeVenv(ctx, dir, venv, python); err != nil {
			os.RemoveAll(venv) // half of one would be taken for a whole one
			return err
		}
	}
	return inPython(ctx, dir, python, "-m", "magpie", "pack", ".", "-o", binary)
}

// makeVenv makes a virtual environment. Debian's packages of grpc and protobuf are seen in it, and pip fetches what is missing.
func makeVenv(ctx context.Context, dir, venv, python string) error {
	base := cmp.Or(os.Getenv("MAGPIE_PYTHON"), "/usr/bin/python3")
	if _, err := os.Stat(base); err != nil {
		if base, err = exec.LookPath("python3"); err != nil {
			return fmt.Errorf("a plugin in Python needs Python 3.11 or newer: %w", err)
		}
	}
	if err := inPython(ctx, dir, base, "-m", "venv", "--system-site-packages", venv); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "requirements.txt")); err != nil {
		return nil
	}
	install := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"}
	if inPython(ctx, dir, python, append(install, "--no-build-isolation")...) == nil {
		return nil // with the machine's own setuptools nothing need be fetched to build the SDK
	}
	return inPython(ctx, dir, python, install...)
}

func inPython(ctx context.Context, dir, python string, args ...string) error {
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s in %s: %w\n%s", python, args[1], dir, err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
