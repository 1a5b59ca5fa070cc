package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	processesState      = sdk.Gauge("node_processes_state", "Number of processes in each state.", "state")
	processesPids       = sdk.Gauge("node_processes_pids", "Number of PIDs")
	processesMaxPids    = sdk.Gauge("node_processes_max_processes", "Number of max PIDs limit")
	processesThreads    = sdk.Gauge("node_processes_threads", "Allocated threads in system")
	processesMaxThreads = sdk.Gauge("node_processes_max_threads", "Limit of threads in the system")
	threadsState        = sdk.Gauge("node_processes_threads_state", "Number of threads in each state.", "thread_state")
)

// processTable is what /proc says of the processes, read once a collect for the collectors processes and threads.
type processTable struct {
	cycle   uint64
	err     error
	all     int
	threads uint64
	states  [128]int  // by the letter
	many    []process // those with more than one thread
	single  [128]int  // states of those with one

	seen, seenThreads [128]bool // states since the component opened
}

// process is a process with more than one thread.
type process struct {
	pid   string
	state byte // of its first thread
}

// processes is the collector of that name.
func (h *host) processes(_ context.Context, out *sdk.Batch) error {
	t, err := h.processTable()
	if err != nil {
		return err
	}
	maxThreads, err := h.number(h.proc + "/sys/kernel/threads-max")
	if err != nil {
		return err
	}
	maxPids, err := h.number(h.proc + "/sys/kernel/pid_max")
	if err != nil {
		return err
	}
	setStates(out, processesState, &t.states, &t.seen)
	out.Set(processesPids, float64(t.all))
	out.Set(processesMaxPids, maxPids)
	out.Set(processesThreads, float64(t.threads))
	out.Set(processesMaxThreads, maxThreads)
	return nil
}

// setStates sets how many are in each state, 0 for a state that there were some in before: node_exporter's series comes
// and goes then.
func setStates(out *sdk.Batch, m *sdk.Metric, states *[128]int, seen *[128]bool) {
	for letter, n := range states {
		if seen[letter] = seen[letter] || n > 0; seen[letter] {
			out.Set(m, float64(n), string(rune(letter)))
		}
	}
}

// threads is the collector of that name. The state of a process is that of its first thread.
func (h *host) threads(_ context.Context, out *sdk.Batch) error {
	t, err := h.processTable()
	if err != nil {
		return err
	}
	states := t.single
	for _, p := range t.many {
		tasks, err := pids(h.proc + "/" + p.pid + "/task")
		if err != nil && !gone(err) {
			return err
		}
		for _, tid := range tasks {
			if tid == p.pid {
				states[p.state]++
				continue
			}
			state, _, err := h.processStat(p.pid + "/task/" + tid)
			if gone(err) {
				continue
			}
			if err != nil {
				return err
			}
			states[state]++
		}
	}
	setStates(out, threadsState, &states, &t.seenThreads)
	return nil
}

// processTable reads the state and number of threads of every process, once in each collect.
func (h *host) processTable() (*processTable, error) {
	t := &h.procs
	if t.cycle == h.cycle {
		return t, t.err
	}
	*t = processTable{cycle: h.cycle, many: t.many[:0], seen: t.seen, seenThreads: t.seenThreads}
	t.err = h.listProcesses(t)
	return t, t.err
}

func (h *host) listProcesses(t *processTable) error {
	all, err := pids(h.proc)
	if err != nil {
		return err
	}
	for _, pid := range all {
		state, threads, err := h.processStat(pid)
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		t.all++
		t.threads += threads
		t.states[state]++
		if threads > 1 {
			t.many = append(t.many, process{pid, state})
		} else {
			t.single[state]++
		}
	}
	return nil
}

// pids lists the entries of a directory of processes or threads that are numbers.
func pids(dir string) (list []string, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	for _, name := range names {
		if name[0] >= '1' && name[0] <= '9' { // all others begin with a letter
			list = append(list, name)
		}
	}
	return list, err
}

// gone says that a process ended between being listed and being read.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// processStat reads the stat of a process or thread.
func (h *host) processStat(pid string) (state byte, threads uint64, err error) {
	page, err := h.glance(h.proc + "/" + pid + "/stat")
	if err != nil {
		return 0, 0, err
	}
	state, threads, ok := parseProcessStat(page)
	if !ok {
		return 0, 0, fmt.Errorf("%s/stat is not as proc_pid_stat(5) says", pid)
	}
	return state, threads, nil
}

// parseProcessStat reads fields 3, the state, and 20, the number of threads, of "pid (name) S …". The name may hold spaces
// and parentheses.
func parseProcessStat(page []byte) (state byte, threads uint64, ok bool) {
	letter, rest := cut(page[bytes.LastIndexByte(page, ')')+1:])
	number, _ := cut(skip(rest, 16))
	threads, ok = integer(number, 10)
	if len(letter) != 1 || letter[0] >= 128 {
		return 0, 0, false
	}
	return letter[0], threads, ok
}
