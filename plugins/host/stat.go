package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	statIntr     = sdk.Counter("node_intr_total", "Total number of interrupts serviced.")
	statSwitches = sdk.Counter("node_context_switches_total", "Total number of context switches.")
	statForks    = sdk.Counter("node_forks_total", "Total number of forks.")
	statBoot     = sdk.Gauge("node_boot_time_seconds", "Node boot time, in unixtime.")
	statRunning  = sdk.Gauge("node_procs_running", "Number of processes in runnable state.")
	statBlocked  = sdk.Gauge("node_procs_blocked", "Number of processes blocked waiting for I/O to complete.")
)

// statPage is /proc/stat, read once a collect for the collectors cpu and stat.
type statPage struct {
	cycle uint64
	err   error
	cpus  []cpuLine
	// by the words that lead the lines
	intr, ctxt, btime, processes, procsRunning, procsBlocked uint64
}

// cpuLine is a line such as "cpu0 10 0 3 99 …": what the CPU spent in each mode, in ticks of 1/100 s.
type cpuLine struct {
	id    int
	ticks [cpuModes]uint64
}

// procStat reads /proc/stat, once in each collect.
func (h *host) procStat() (*statPage, error) {
	s := &h.stat
	if s.cycle != h.cycle {
		s.cycle = h.cycle
		var page []byte
		if page, s.err = h.read(h.proc + "/stat"); s.err == nil {
			if s.err = s.parse(page); s.err != nil {
				s.err = fmt.Errorf("%s/stat: %w", h.proc, s.err)
			}
		}
	}
	return s, s.err
}

// parse reads the page; see proc_stat(5).
func (s *statPage) parse(page []byte) error {
	s.cpus = s.cpus[:0]
	for line := range bytes.Lines(page) {
		word, rest := cut(line)
		var into *uint64
		switch string(word) {
		case "intr": // followed by a number for each source, which make most of the page
			into = &s.intr
		case "ctxt":
			into = &s.ctxt
		case "btime":
			into = &s.btime
		case "processes":
			into = &s.processes
		case "procs_running":
			into = &s.procsRunning
		case "procs_blocked":
			into = &s.procsBlocked
		default:
			if err := s.parseCPU(word, rest); err != nil {
				return err
			}
			continue
		}
		var value [1]uint64
		if columns(value[:], rest, 10) == 0 {
			return fmt.Errorf("%q is followed by no number", word)
		}
		*into = value[0]
	}
	if len(s.cpus) == 0 {
		return errors.New("it names no CPU")
	}
	return nil
}

func (s *statPage) parseCPU(word, rest []byte) error {
	digits, isCPU := bytes.CutPrefix(word, []byte("cpu"))
	if !isCPU || len(digits) == 0 {
		return nil // the sum of all CPUs, or a line that we have no use for
	}
	id, ok := integer(digits, 10)
	if !ok || id >= maxCPU {
		return fmt.Errorf("%q is no CPU", word)
	}
	c := cpuLine{id: int(id)}
	if columns(c.ticks[:], rest, 10) < 4 { // Linux 2.4 had four; later ones added more
		return fmt.Errorf("%q is followed by too few numbers", word)
	}
	s.cpus = append(s.cpus, c)
	return nil
}

// kernelStat is the collector stat.
func (h *host) kernelStat(_ context.Context, out *sdk.Batch) error {
	s, err := h.procStat()
	if err != nil {
		return err
	}
	out.Set(statIntr, float64(s.intr))
	out.Set(statSwitches, float64(s.ctxt))
	out.Set(statForks, float64(s.processes))
	out.Set(statBoot, float64(s.btime))
	out.Set(statRunning, float64(s.procsRunning))
	out.Set(statBlocked, float64(s.procsBlocked))
	return nil
}
