package main

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	frequencyGovernor = sdk.Gauge("node_cpu_scaling_governor", "Current enabled CPU frequency governor.", "cpu", "governor")
	frequencyFiles    = []struct {
		file   string
		metric *sdk.Metric
	}{
		{"cpuinfo_cur_freq", sdk.Gauge("node_cpu_frequency_hertz", "Current CPU thread frequency in hertz.", "cpu")},
		{"cpuinfo_avg_freq", sdk.Gauge("node_cpu_frequency_avg_hertz", "Average CPU thread frequency in hertz.", "cpu")},
		{"cpuinfo_min_freq", sdk.Gauge("node_cpu_frequency_min_hertz", "Minimum CPU thread frequency in hertz.", "cpu")},
		{"cpuinfo_max_freq", sdk.Gauge("node_cpu_frequency_max_hertz", "Maximum CPU thread frequency in hertz.", "cpu")},
		{"scaling_cur_freq", sdk.Gauge("node_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz.", "cpu")},
		{"scaling_min_freq", sdk.Gauge("node_cpu_scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz.", "cpu")},
		{"scaling_max_freq", sdk.Gauge("node_cpu_scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz.", "cpu")},
	}
)

// cpufreq is the collector of that name. Of a CPU's seven files only those with a current frequency are read in each
// collect; limits and governors change by hand.
func (h *host) cpufreq(_ context.Context, out *sdk.Batch) error {
	return h.sense(out, &h.frequency, "", h.findFrequencies)
}

func (h *host) findFrequencies() (found []sensor, err error) {
	root := h.sys + "/devices/system/cpu"
	names, err := entries(root, "cpu")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // as node_exporter: no CPU scales its frequency
	}
	for _, name := range names {
		id := strings.TrimPrefix(name, "cpu")
		if _, err := strconv.Atoi(id); err == nil {
			found = h.frequenciesOf(found, root+"/"+name+"/cpufreq/", id)
		}
	}
	return found, err
}

func (h *host) frequenciesOf(found []sensor, dir, id string) []sensor {
	for _, f := range frequencyFiles {
		if strings.HasSuffix(f.file, "cur_freq") || strings.HasSuffix(f.file, "avg_freq") {
			if unix.Access(dir+f.file, unix.R_OK) == nil { // reading it can take a while
				found = append(found, sensor{path: dir + f.file, metric: f.metric, scale: 1000, labels: []string{id}})
			}
		} else if kHz, err := h.number(dir + f.file); err == nil {
			found = append(found, sensor{metric: f.metric, scale: kHz * 1000, labels: []string{id}})
		}
	}
	governor, err := h.word(dir + "scaling_governor")
	if err != nil || governor == "" {
		return found
	}
	available, _ := h.word(dir + "scaling_available_governors")
	for _, g := range strings.Fields(available) {
		found = append(found, sensor{metric: frequencyGovernor, scale: truth(g == governor), labels: []string{id, g}})
	}
	return found
}
