package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// What a process holds is read from /proc; elsewhere the checks that need it do not apply.

var errNoProc = skip("this machine has no /proc to see it in")

// holding is what a process holds of the machine.
type holding struct {
	fds, threads, files int
	memory              uint64 // of its own, bytes
}

func (h holding) String() string {
	return fmt.Sprintf("%d descriptors, %d threads, %d KiB", h.fds, h.threads, h.memory>>10)
}

// holdingOf reads what a process holds; dir is where its temporary files go.
func holdingOf(pid int, dir string) (h holding, err error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return h, errNoProc
	}
	h.fds = len(fds)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return h, errNoProc
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "Threads":
			h.threads = int(n)
		case "RssAnon":
			h.memory = n << 10
		}
	}
	filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		switch {
		case err == nil && d.IsDir() && d.Name() == "data": // what a component keeps, it may
			return filepath.SkipDir
		case err == nil && !d.IsDir():
			h.files++
		}
		return nil
	})
	return h, nil
}

// relative is a process that another one started.
type relative struct {
	pid, group int
	name       string
}

// descendants are the processes that a process started, and those that these started.
func descendants(pid int) (found []relative, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, errNoProc
	}
	children := map[int][]relative{}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n))
		if err != nil {
			continue // it has ended
		}
		name, rest, ok := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 3 || fields[0] == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		group, _ := strconv.Atoi(fields[2])
		_, name, _ = strings.Cut(name, "(")
		children[parent] = append(children[parent], relative{n, group, name})
	}
	if len(children) == 0 {
		return nil, errNoProc
	}
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		for _, c := range children[next[0]] {
			found = append(found, c)
			next = append(next, c.pid)
		}
	}
	return found, nil
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && syscall.Kill(pid, 0) == nil
}
