package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// run is a plugin's process, as go-plugin's runner.Runner.
type run struct {
	o      Options
	cmd    *exec.Cmd
	dir    string // of its sockets
	socket string // that it announced
	pid    int
	output *output
	hello  *io.PipeReader // the handshake line and nothing else
	quiet  *io.PipeReader // an empty stderr for go-plugin; ours is read in output
	exited chan struct{}
	status error       // of Wait, set when exited
	ours   atomic.Bool // we have ended it
	ended  bool        // it was us who did; set when exited
}

func newRun(o Options) *run {
	return &run{o: o, exited: make(chan struct{}), output: newOutput(o.Log, o.Printed, o.Clean)}
}

// prepare builds the command ourselves: of go-plugin's only the environment is of use.
func (r *run) prepare(spec *exec.Cmd, dir string) *run {
	r.dir = dir
	path := r.o.Path
	if filepath.Base(path) == path { // in the plugin directory ".", not on the PATH
		path = "./" + path
	}
	r.cmd = exec.Command(path)
	r.cmd.Env = append(append([]string{}, r.o.Env...), spec.Env...)
	r.cmd.Env = append(r.cmd.Env, "TMPDIR="+dir)
	r.cmd.SysProcAttr = processAttributes()
	return r
}

// starts runs every fork on one thread that never ends: the death signal follows the thread that forked.
var starts = func() chan func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
}()

func (r *run) Start(context.Context) error {
	stdout, stdoutW, err := os.Pipe()
	if err != nil {
		return err
	}
	stderr, stderrW, err := os.Pipe()
	if err != nil {
		return err
	}
	r.cmd.Stdout, r.cmd.Stderr = stdoutW, stderrW
	started := make(chan error)
	starts <- func() { started <- r.cmd.Start() }
	err = <-started
	stdoutW.Close()
	stderrW.Close()
	if err != nil {
		close(r.exited)
		r.status = err
		stdout.Close()
		stderr.Close()
		return err
	}
	r.pid = r.cmd.Process.Pid
	if r.o.Started != nil {
		r.o.Started(r.pid)
	}
	var helloW, quietW *io.PipeWriter
	r.hello, helloW = io.Pipe()
	r.quiet, quietW = io.Pipe()
	go r.output.stdout(stdout, helloW)
	go r.output.stderr(stderr)
	go func() {
		status := r.cmd.Wait()
		r.ended = r.ours.Load()
		syscall.Kill(-r.pid, syscall.SIGKILL) // what it left behind in its group
		if r.o.Ended != nil {
			r.o.Ended(r.pid)
		}
		r.output.drained(50 * time.Millisecond) // a grandchild may hold the pipes for ever
		stdout.Close()
		stderr.Close()
		helloW.Close()
		quietW.Close()
		r.status = status
		close(r.exited)
	}()
	return nil
}

func (r *run) Wait(context.Context) error { <-r.exited; return r.status }

func (r *run) Kill(context.Context) error { r.kill(); return nil }

func (r *run) Stdout() io.ReadCloser           { return r.hello }
func (r *run) Stderr() io.ReadCloser           { return r.quiet }
func (r *run) Name() string                    { return filepath.Base(r.o.Path) }
func (r *run) Diagnose(context.Context) string { return "" }

func (r *run) ID() string {
	if r.pid == 0 {
		return ""
	}
	return strconv.Itoa(r.pid)
}

// PluginToHost refuses every address but a unix socket in the plugin's own directory.
func (r *run) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" || !r.owns(address) {
		return "", "", fmt.Errorf("it wants to be reached at %s %s, which is not a unix socket in its own directory", network, address)
	}
	r.socket = address
	return network, address, nil
}

func (r *run) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// cause says why the process died, with the last lines that it printed; nil if it lives on for patience, or we ended it.
func (r *run) cause(patience time.Duration) error {
	select {
	case <-r.exited:
	case <-time.After(patience):
		return nil
	}
	if r.ended {
		return nil
	}
	return &Death{Status: r.status, Output: r.output.last()}
}

// Death is why a process died.
type Death struct {
	Status error    // of Wait: nil for exit code 0
	Output []string // the last lines on stderr
}

func (d *Death) Error() string {
	text := "it exited with code 0"
	var exit *exec.ExitError
	switch {
	case errors.As(d.Status, &exit):
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			text = "it was ended by a signal: " + ws.Signal().String()
			if ws.Signal() == syscall.SIGKILL {
				text = "it was killed, by hand or by the kernel for its memory"
			}
		} else {
			text = fmt.Sprintf("it exited with code %d", exit.ExitCode())
		}
	case d.Status != nil:
		text = d.Status.Error()
	}
	if len(d.Output) > 0 {
		text += "; its last words:\n  " + strings.Join(d.Output, "\n  ")
	}
	return text
}

// checkPeer makes sure that the process behind a socket is the plugin or a member of its group.
func (r *run) checkPeer(conn *net.UnixConn) error {
	pid, err := peerPid(conn)
	if err != nil || pid == 0 || pid == r.pid {
		return err
	}
	if group, err := syscall.Getpgid(pid); err != nil || group != r.pid {
		return fmt.Errorf("process %d answers on the plugin's socket, and the plugin is process %d", pid, r.pid)
	}
	return nil
}
