package verify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// protocolChecks are about daemons of other versions. There has been one version of the contract so far: what can be tried is a
// daemon that speaks a later one too, and one that speaks nothing else.
var protocolChecks = []check{
	{"start/later-daemon", "a daemon that speaks a later protocol beside this one is answered with this one",
		"say in the handshake a protocol that you speak and that stands in $PLUGIN_PROTOCOL_VERSIONS", laterDaemon},
	{"start/too-late-daemon", "a daemon that speaks later protocols only learns which one it speaks, and does not wait",
		"say in the handshake what you speak, or a reason on stderr and an exit code: the daemon tells people which of the two to update", tooLateDaemon},
}

func laterDaemon(s *session) error {
	spoken, _, err := s.greeted(fmt.Sprintf("%d,%d", wire.Protocol, wire.Protocol+1))
	if err == nil && spoken != wire.Protocol {
		err = fmt.Errorf("it says that it speaks protocol %d, and its Describe is answered in %d", spoken, wire.Protocol)
	}
	return err
}

func tooLateDaemon(s *session) error {
	offered := fmt.Sprint(wire.Protocol + 1)
	spoken, last, err := s.greeted(offered)
	switch {
	case spoken == wire.Protocol+1:
		return fmt.Errorf("it says that it speaks protocol %s, which it does not", offered)
	case err != nil && last != "":
		return remark("it ends with: %s", last)
	}
	return err
}

// greeted starts the plugin as a daemon that offers these protocols does, and returns the one that it answers with. Where it ends
// instead, last is what it said on stderr.
func (s *session) greeted(offers string) (spoken int, last string, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.patient(3*time.Second))
	defer cancel()
	dir, err := s.newDir()
	if err != nil {
		return 0, "", err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, s.o.Binary)
	cmd.Dir = dir
	cmd.Env = []string{wire.CookieKey + "=" + wire.CookieValue, "PLUGIN_PROTOCOL_VERSIONS=" + offers, "PLUGIN_UNIX_SOCKET_DIR=" + dir, "TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	lines := bufio.NewScanner(out)
	said := lines.Scan()
	late := ctx.Err() != nil
	cancel()
	cmd.Wait()
	if !said {
		if late {
			return 0, "", errors.New("it says nothing, and does not end")
		}
		last = strings.TrimSpace(stderr.String())
		return 0, last, errors.New("it ends without a handshake: " + last)
	}
	parts := strings.Split(lines.Text(), "|")
	if len(parts) >= 5 {
		spoken, err = strconv.Atoi(parts[1])
	}
	if len(parts) < 5 || err != nil || filepath.Dir(parts[3]) != dir {
		return 0, "", fmt.Errorf("its handshake is %q", lines.Text())
	}
	return spoken, "", nil
}
