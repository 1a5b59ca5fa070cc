package client

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Usage is what a process has used.
type Usage struct {
	CPU float64 // seconds, user and system
	RSS uint64  // bytes
	PSS uint64  // bytes: shared pages by share; 0 where the kernel does not say
}

const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on

// UsageOf reads /proc about a process.
func UsageOf(pid int) (u Usage, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	i := bytes.LastIndexByte(b, ')') // the name before it may hold anything
	fields := strings.Fields(string(b[i+1:]))
	if i < 0 || len(fields) < 22 {
		return u, fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	pages, _ := strconv.ParseUint(fields[21], 10, 64)
	u.CPU, u.RSS = (user+system)/ticksPerSecond, pages*uint64(os.Getpagesize())
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return u, nil
	}
	for line := range strings.Lines(string(rollup)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			u.PSS = kib << 10
		}
	}
	return u, nil
}
