package language

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	secretWithin  = 10 * time.Second // that a program has to give a secret
	maxSecretSize = 64 << 10         // bytes of it
)

// Ask runs a program for a secret, and gives what it prints: secret("exec:/usr/bin/pass show etcd"). There is no shell: what stands between spaces is an
// argument. The program has the daemon's environment and rights, no input, ten seconds and 64 KiB; what it prints on stderr is shown to nobody, since it may
// be what is secret.
func Ask(command string) (string, error) {
	words := strings.Fields(command)
	if len(words) == 0 || !filepath.IsAbs(words[0]) {
		return "", fmt.Errorf(`a program is named by its whole path: secret("exec:/usr/bin/pass show etcd")`)
	}
	ctx, cancel := context.WithTimeout(context.Background(), secretWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with what it started
	cmd.WaitDelay = time.Second
	out := &atMost{left: maxSecretSize, full: cancel}
	cmd.Stdout = out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case out.left < 0:
		return "", fmt.Errorf("%s printed more than %d KiB", words[0], maxSecretSize>>10)
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s did not end within %s, and was killed", words[0], secretWithin)
	case errors.As(err, &exit):
		return "", fmt.Errorf("%s failed: %s. What it says of that is not shown, as it may hold the secret: run it by hand", words[0], exit.ProcessState)
	case err != nil:
		return "", fmt.Errorf("the program for the secret does not start: %w", err)
	}
	text := strings.TrimRight(out.text.String(), "\r\n")
	if text == "" {
		return "", fmt.Errorf("%s printed nothing", words[0])
	}
	return text, nil
}

// atMost keeps what is written, up to a bound.
type atMost struct {
	text bytes.Buffer
	left int
	full func()
}

var errTooMuch = errors.New("it is too much")

func (a *atMost) Write(b []byte) (int, error) {
	if a.left -= len(b); a.left < 0 {
		a.full()
		return 0, errTooMuch
	}
	return a.text.Write(b)
}
