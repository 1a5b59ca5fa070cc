package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	cpuSeconds         = sdk.Counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", "cpu", "mode")
	cpuGuest           = sdk.Counter("node_cpu_guest_seconds_total", "Seconds the CPUs spent in guests (VMs) for each mode.", "cpu", "mode")
	cpuIsolated        = sdk.Gauge("node_cpu_isolated", "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.", "cpu")
	cpuOnline          = sdk.Gauge("node_cpu_online", "CPUs that are online and being scheduled.", "cpu")
	cpuCoreThrottle    = sdk.Counter("node_cpu_core_throttles_total", "Number of times this CPU core has been throttled.", "package", "core")
	cpuPackageThrottle = sdk.Counter("node_cpu_package_throttles_total", "Number of times this CPU package has been throttled.", "package")
)

// cpuModeNames are the modes in the order of /proc/stat; the last two are the guests', which user and nice contain.
var cpuModeNames = [cpuModes]string{"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "user", "nice"}

const (
	cpuModes  = 10
	modeIdle  = 3
	modeGuest = 8
	userHZ    = 100 // ticks a second, in what the kernel shows to programs
	// jumpBack is how far idle time falls when a CPU was taken away and came back: then all its counters began anew.
	jumpBack = 3 * userHZ
)

// cpuState is what the collector cpu keeps.
type cpuState struct {
	ticks     map[int]*[cpuModes]uint64 // the highest seen
	throttles sensors
}

// cpu is the collector of that name.
func (h *host) cpu(_ context.Context, out *sdk.Batch) error {
	s, err := h.procStat()
	if err != nil {
		return err
	}
	h.cpus.update(s.cpus)
	for _, line := range s.cpus {
		ticks, name := h.cpus.ticks[line.id], strconv.Itoa(line.id)
		for mode := range modeGuest {
			out.Set(cpuSeconds, float64(ticks[mode])/userHZ, name, cpuModeNames[mode])
		}
		for mode := modeGuest; mode < cpuModes; mode++ {
			out.Set(cpuGuest, float64(ticks[mode])/userHZ, name, cpuModeNames[mode])
		}
	}
	return h.cpuTopology(out)
}

// update takes new readings. The kernel's idle and iowait counters can step back a little; such a step is ignored, so that
// it does not look like a reset.
func (c *cpuState) update(lines []cpuLine) {
	if c.ticks == nil {
		c.ticks = map[int]*[cpuModes]uint64{}
	}
	for i := range lines {
		line := &lines[i]
		held := c.ticks[line.id]
		if held == nil {
			held = &[cpuModes]uint64{}
			c.ticks[line.id] = held
		}
		if line.ticks[modeIdle]+jumpBack <= held[modeIdle] {
			*held = line.ticks
		}
		for mode, v := range line.ticks {
			held[mode] = max(held[mode], v)
		}
	}
	if len(c.ticks) == len(lines) {
		return
	}
	here := map[int]*[cpuModes]uint64{}
	for _, line := range lines {
		here[line.id] = c.ticks[line.id]
	}
	c.ticks = here
}

// cpuTopology sets what sysfs says of the CPUs: isolated, online, throttled.
func (h *host) cpuTopology(out *sdk.Batch) error {
	dir := h.sys + "/devices/system/cpu"
	if list, err := h.slowly(dir + "/isolated"); err == nil {
		ids, err := cpuList(list)
		if err != nil {
			return err
		}
		for _, id := range ids {
			out.Set(cpuIsolated, 1, strconv.Itoa(id))
		}
	}
	online, err := h.word(dir + "/online")
	if err != nil {
		return nil // a kernel without CPU hotplug
	}
	if _, err := h.slowly(dir + "/cpu0/online"); err == nil { // node_exporter's condition for the metric
		if err := h.cpusOnline(out, dir, online); err != nil {
			return err
		}
	}
	return h.sense(out, &h.cpus.throttles, online, h.findThrottles)
}

func (h *host) cpusOnline(out *sdk.Batch, dir, online string) error {
	on, err := cpuList(online)
	if err != nil {
		return err
	}
	all, err := h.presentCPUs(dir)
	if err != nil {
		return err
	}
	set := make(map[int]bool, len(on))
	for _, id := range on {
		set[id] = true
	}
	for _, id := range all {
		out.Set(cpuOnline, truth(set[id]), strconv.Itoa(id))
	}
	return nil
}

// presentCPUs are the CPUs that the machine has, online or not.
func (h *host) presentCPUs(dir string) ([]int, error) {
	list, err := h.slowly(dir + "/present")
	if err != nil {
		return nil, err
	}
	return cpuList(list)
}

// findThrottles finds the counters of thermal throttling: one of each core, one of each package, in the directories of
// the CPUs that share them.
func (h *host) findThrottles() (found []sensor, err error) {
	dir := h.sys + "/devices/system/cpu"
	cpus, err := h.presentCPUs(dir)
	if err != nil {
		return nil, nil
	}
	seen := map[string]bool{}
	for _, id := range cpus {
		cpu := fmt.Sprintf("%s/cpu%d", dir, id)
		pkg, errP := h.word(cpu + "/topology/physical_package_id")
		core, errC := h.word(cpu + "/topology/core_id")
		if errP != nil || errC != nil {
			continue // offline
		}
		for _, x := range []sensor{
			{path: cpu + "/thermal_throttle/core_throttle_count", metric: cpuCoreThrottle, scale: 1, labels: []string{pkg, core}},
			{path: cpu + "/thermal_throttle/package_throttle_count", metric: cpuPackageThrottle, scale: 1, labels: []string{pkg}},
		} {
			key := x.metric.Name + fmt.Sprint(x.labels)
			if seen[key] {
				continue
			}
			n := len(found)
			found = h.present(found, x)
			seen[key] = len(found) > n
		}
	}
	return found, nil
}
