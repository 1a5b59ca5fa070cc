package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	load1  = sdk.Gauge("node_load1", "1m load average.")
	load5  = sdk.Gauge("node_load5", "5m load average.")
	load15 = sdk.Gauge("node_load15", "15m load average.")

	filesAllocated = sdk.Gauge("node_filefd_allocated", "File descriptor statistics: allocated.")
	filesMaximum   = sdk.Gauge("node_filefd_maximum", "File descriptor statistics: maximum.")

	entropyAvailable = sdk.Gauge("node_entropy_available_bits", "Bits of available entropy.")
	entropyPool      = sdk.Gauge("node_entropy_pool_size_bits", "Bits of entropy pool.")

	hungTasks = sdk.Counter("node_kernel_hung_tasks_total", "Total number of tasks that have been detected as hung since the system booted.")

	schedRunning    = sdk.Counter("node_schedstat_running_seconds_total", "Number of seconds CPU spent running a process.", "cpu")
	schedWaiting    = sdk.Counter("node_schedstat_waiting_seconds_total", "Number of seconds spent by processing waiting for this CPU.", "cpu")
	schedTimeslices = sdk.Counter("node_schedstat_timeslices_total", "Number of timeslices executed by CPU.", "cpu")
)

// loadavg is the collector of that name.
func (h *host) loadavg(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/loadavg")
	if err != nil {
		return err
	}
	for _, m := range []*sdk.Metric{load1, load5, load15} {
		var word []byte
		word, page = cut(page)
		v, err := float(word)
		if err != nil {
			return fmt.Errorf("loadavg: %w", err)
		}
		out.Set(m, v)
	}
	return nil
}

// filefd is the collector of that name: /proc/sys/fs/file-nr is "allocated 0 maximum".
func (h *host) filefd(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/sys/fs/file-nr")
	if err != nil {
		return err
	}
	var v [3]uint64
	if columns(v[:], page, 10) < len(v) {
		return fmt.Errorf("file-nr is %q, not three numbers", bytes.TrimSpace(page))
	}
	out.Set(filesAllocated, float64(v[0]))
	out.Set(filesMaximum, float64(v[2]))
	return nil
}

// entropy is the collector of that name.
func (h *host) entropy(_ context.Context, out *sdk.Batch) error {
	available, err := h.number(h.proc + "/sys/kernel/random/entropy_avail")
	if err != nil {
		return err
	}
	pool, err := h.number(h.proc + "/sys/kernel/random/poolsize")
	if err != nil {
		return err
	}
	out.Set(entropyAvailable, available)
	out.Set(entropyPool, pool)
	return nil
}

// kernelHung is the collector kernel_hung.
func (h *host) kernelHung(_ context.Context, out *sdk.Batch) error {
	n, err := h.number(h.proc + "/sys/kernel/hung_task_detect_count")
	if err != nil {
		return err
	}
	out.Set(hungTasks, n)
	return nil
}

// schedstat is the collector of that name.
func (h *host) schedstat(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/schedstat")
	if err != nil {
		return err
	}
	return parseSchedstat(page, func(cpu string, v *[9]uint64) {
		out.Set(schedRunning, float64(v[6])/1e9, cpu)
		out.Set(schedWaiting, float64(v[7])/1e9, cpu)
		out.Set(schedTimeslices, float64(v[8]), cpu)
	})
}

// parseSchedstat reads lines of nine numbers such as "cpu0 0 0 0 0 0 0 87 9 3", of which the last three are nanoseconds
// run, nanoseconds waited and timeslices (Documentation/scheduler/sched-stats.rst). It passes over the others.
func parseSchedstat(page []byte, found func(cpu string, v *[9]uint64)) error {
	for line := range bytes.Lines(page) {
		word, rest := cut(line)
		digits, isCPU := bytes.CutPrefix(word, []byte("cpu"))
		if !isCPU {
			continue
		}
		id, ok := integer(digits, 10)
		var v [9]uint64
		if !ok || id >= maxCPU || columns(v[:], rest, 10) < len(v) {
			return errors.New("schedstat: a line of a CPU is not nine numbers")
		}
		found(strconv.Itoa(int(id)), &v)
	}
	return nil
}
