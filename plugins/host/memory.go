package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// memoryFields are the metrics by the fields of /proc/meminfo: all that Linux has had (fs/proc/meminfo.c and what the
// architectures, hugetlb, CMA and drivers add).
var memoryFields = declareMemory(`Active Active(anon) Active(file) AnonHugePages AnonPages Balloon Bounce Buffers Cached CmaFree CmaTotal
	CommitLimit Committed_AS DirectMap1G DirectMap2M DirectMap4M DirectMap4k Dirty EarlyMemtestBad FileHugePages FilePmdMapped
	GPUActive GPUReclaim HardwareCorrupted HighFree HighTotal Hugepagesize Hugetlb Inactive Inactive(anon) Inactive(file)
	KReclaimable KernelStack LowFree LowTotal Mapped MemAvailable MemFree MemTotal Mlocked MmapCopy NFS_Unstable PageTables Percpu
	Quicklists SReclaimable SUnreclaim SecPageTables ShadowCallStack Shmem ShmemHugePages ShmemPmdMapped Slab SwapCached SwapFree
	SwapTotal Unaccepted Unevictable VmallocChunk VmallocTotal VmallocUsed Writeback WritebackTmp Zswap Zswapped`,
	`HugePages_Free HugePages_Rsvd HugePages_Surp HugePages_Total`)

func declareMemory(sizes, counts string) map[string]*sdk.Metric {
	fields := map[string]*sdk.Metric{}
	declare := func(field, unit string) {
		name := strings.NewReplacer("(", "_", ")", "").Replace(field) + unit
		fields[field] = sdk.Gauge("node_memory_"+name, "Memory information field "+name+".")
	}
	for _, field := range strings.Fields(sizes) {
		declare(field, "_bytes")
	}
	for _, field := range strings.Fields(counts) {
		declare(field, "")
	}
	return fields
}

// meminfo is the collector of that name.
func (h *host) meminfo(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/meminfo")
	if err != nil {
		return err
	}
	return parseMeminfo(page, func(m *sdk.Metric, v float64) { out.Set(m, v) })
}

// parseMeminfo reads lines such as "MemTotal:  16384 kB".
func parseMeminfo(page []byte, found func(*sdk.Metric, float64)) error {
	for line := range bytes.Lines(page) {
		field, rest, _ := bytes.Cut(line, []byte(":"))
		m := memoryFields[string(field)]
		if m == nil {
			continue
		}
		number, unit := cut(rest)
		v, ok := integer(number, 10)
		if !ok {
			return fmt.Errorf("meminfo: %s is %q, not a number", field, number)
		}
		if string(bytes.TrimSpace(unit)) == "kB" {
			found(m, float64(v)*1024)
		} else {
			found(m, float64(v))
		}
	}
	return nil
}

// vmstatFields are what node_exporter takes of /proc/vmstat by default.
var vmstatFields = func() map[string]*sdk.Metric {
	fields := map[string]*sdk.Metric{}
	for _, f := range []string{"oom_kill", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "pswpin", "pswpout"} {
		fields[f] = sdk.Untyped("node_vmstat_"+f, "/proc/vmstat information field "+f+".")
	}
	return fields
}()

// vmstat is the collector of that name.
func (h *host) vmstat(_ context.Context, out *sdk.Batch) error {
	page, err := h.read(h.proc + "/vmstat")
	if err != nil {
		return err
	}
	return parseVmstat(page, func(m *sdk.Metric, v float64) { out.Set(m, v) })
}

// parseVmstat reads lines such as "pgfault 1234".
func parseVmstat(page []byte, found func(*sdk.Metric, float64)) error {
	for line := range bytes.Lines(page) {
		if line[0] != 'o' && line[0] != 'p' { // two hundred lines, seven of which we want
			continue
		}
		field, rest := cut(line)
		m := vmstatFields[string(field)]
		if m == nil {
			continue
		}
		number, _ := cut(rest)
		v, ok := integer(number, 10)
		if !ok {
			return fmt.Errorf("vmstat: %s is %q, not a number", field, number)
		}
		found(m, float64(v))
	}
	return nil
}
