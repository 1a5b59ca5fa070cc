package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/magpie-monitoring/magpie/sdk"
)

// pressures are the files of /proc/pressure (Documentation/accounting/psi.rst). some: at least one task waited; full: no
// task could go on. The file of the CPU has a full line too, which says nothing; that of interrupts has no some.
var pressures = []struct {
	file       string
	some, full *sdk.Metric
}{
	{"cpu", sdk.Counter("node_pressure_cpu_waiting_seconds_total", "Total time in seconds that processes have waited for CPU time"), nil},
	{"io", sdk.Counter("node_pressure_io_waiting_seconds_total", "Total time in seconds that processes have waited due to IO congestion"),
		sdk.Counter("node_pressure_io_stalled_seconds_total", "Total time in seconds no process could make progress due to IO congestion")},
	{"memory", sdk.Counter("node_pressure_memory_waiting_seconds_total", "Total time in seconds that processes have waited for memory"),
		sdk.Counter("node_pressure_memory_stalled_seconds_total", "Total time in seconds no process could make progress due to memory congestion")},
	{"irq", nil, sdk.Counter("node_pressure_irq_stalled_seconds_total", "Total time in seconds no process could make progress due to IRQ congestion")},
}

// pressure is the collector of that name.
func (h *host) pressure(_ context.Context, out *sdk.Batch) error {
	var missing error
	found := false
	for _, p := range pressures {
		page, err := h.read(h.proc + "/pressure/" + p.file)
		if errors.Is(err, fs.ErrNotExist) { // irq: before Linux 6.1
			missing = err
			continue
		}
		if err != nil {
			return err // EOPNOTSUPP where it is compiled in and needs psi=1 at boot
		}
		found = true
		some, full := parsePressure(page)
		for _, x := range []struct {
			metric *sdk.Metric
			total  []byte
		}{{p.some, some}, {p.full, full}} {
			if x.metric == nil {
				continue
			}
			v, ok := integer(x.total, 10) // microseconds
			if !ok {
				return fmt.Errorf("pressure/%s has no total that is a number", p.file)
			}
			out.Set(x.metric, float64(v)/1000/1000)
		}
	}
	if !found {
		return missing
	}
	return nil
}

// parsePressure finds the totals of lines such as "some avg10=0.00 avg60=0.00 avg300=0.00 total=1234".
func parsePressure(page []byte) (some, full []byte) {
	for line := range bytes.Lines(page) {
		kind, rest := cut(line)
		_, total, _ := bytes.Cut(rest, []byte("total="))
		total, _ = cut(total)
		switch string(kind) {
		case "some":
			some = total
		case "full":
			full = total
		}
	}
	return some, full
}
