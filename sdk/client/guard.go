package client

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
)

// GuardCommand is the argument that makes the daemon's binary a guardian.
const GuardCommand = "guard"

// Guard is a second process of the daemon's binary, in a session of its own. It is told the process group of every plugin
// over a pipe, and kills them all when the pipe closes: when the daemon has died, however that came about. The kernel's
// death signal reaches the plugins themselves; the guardian reaches what they started.
type Guard struct {
	mu     sync.Mutex
	groups map[int]bool
	pipe   io.WriteCloser
	cmd    *exec.Cmd
}

// StartGuard starts the guardian.
func StartGuard() (*Guard, error) {
	g := &Guard{groups: map[int]bool{}}
	return g, g.start()
}

func (g *Guard) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, GuardCommand)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if g.pipe, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	g.cmd = cmd
	go cmd.Wait()
	for group := range g.groups {
		fmt.Fprintf(g.pipe, "+%d\n", group)
	}
	return nil
}

// Add puts a process group under guard.
func (g *Guard) Add(group int) { g.tell(group, true) }

// Remove takes it out.
func (g *Guard) Remove(group int) { g.tell(group, false) }

func (g *Guard) tell(group int, alive bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sign := '-'
	if delete(g.groups, group); alive {
		sign = '+'
		g.groups[group] = true
	}
	if _, err := fmt.Fprintf(g.pipe, "%c%d\n", sign, group); err != nil {
		g.start() // somebody killed it: another one takes over with what is alive
	}
}

// Close ends the guardian; by then the groups should be gone.
func (g *Guard) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pipe.Close()
}

// RunGuard is the guardian's main: it returns when the daemon is gone and the groups are killed.
func RunGuard(in io.Reader) {
	groups := map[int]bool{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		switch {
		case err != nil:
		case n > 1:
			groups[n] = true
		default:
			delete(groups, -n)
		}
	}
	for group := range groups {
		syscall.Kill(-group, syscall.SIGKILL)
	}
}
