package main

import (
	"context"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// powerFiles are files of /sys/class/power_supply/<supply> (Documentation/ABI/testing/sysfs-class-power) with a number:
// the metric's name where it is not the file's, and what a unit of it is.
var powerFiles = declarePower(
	powerUnit{1, 0, `authentic calibrate capacity capacity_alert_max capacity_alert_min cycle_count:cyclecount online present
		time_to_empty_now:time_to_empty_seconds time_to_full_now:time_to_full_seconds`},
	powerUnit{1, 1e6, `current_boot current_max current_now:current_ampere energy_empty energy_empty_design energy_full energy_full_design
		energy_now:energy_watthour voltage_boot voltage_max voltage_max_design voltage_min voltage_min_design voltage_now:voltage_volt
		voltage_ocv charge_control_limit charge_control_limit_max charge_counter charge_empty charge_empty_design charge_full
		charge_full_design charge_now:charge_ampere charge_term_current constant_charge_current constant_charge_current_max
		constant_charge_voltage constant_charge_voltage_max precharge_current input_current_limit power_now:power_watt`},
	powerUnit{1, 10, `temp:temp_celsius temp_alert_max:temp_alert_max_celsius temp_alert_min:temp_alert_min_celsius
		temp_ambient:temp_ambient_celsius temp_ambient_alert_max:temp_ambient_max_celsius temp_ambient_alert_min:temp_ambient_min_celsius
		temp_max:temp_max_celsius temp_min:temp_min_celsius`},
)

type powerUnit struct {
	scale, per float64
	names      string
}

type powerFile struct {
	file       string
	metric     *sdk.Metric
	scale, per float64
}

func declarePower(units ...powerUnit) (files []powerFile) {
	for _, u := range units {
		for _, x := range strings.Fields(u.names) {
			file, name, renamed := strings.Cut(x, ":")
			if !renamed {
				name = file
			}
			m := sdk.Gauge("node_power_supply_"+name, name+" value of /sys/class/power_supply/<power_supply>.", "power_supply")
			files = append(files, powerFile{file, m, u.scale, u.per})
		}
	}
	return files
}

var (
	powerInfo = sdk.Gauge("node_power_supply_info", "info of /sys/class/power_supply/<power_supply>.", append([]string{"power_supply"}, powerTexts...)...)
	// powerTexts are the files with a text; a label is named like its file.
	powerTexts = []string{"capacity_level", "charge_type", "health", "manufacturer", "model_name", "serial_number", "status", "technology",
		"type", "usb_type", "scope"}
)

// powerSupplies is the collector powersupplyclass. The texts, among them the status, are read in each collect too.
func (h *host) powerSupplies(_ context.Context, out *sdk.Batch) error {
	root := h.sys + "/class/power_supply"
	if err := h.sense(out, &h.power, "", func() ([]sensor, error) { return h.findPower(root) }); err != nil {
		return err
	}
	last := ""
	for _, s := range h.power.list {
		if supply := s.labels[0]; supply != last {
			h.powerInfo(out, root, supply)
			last = supply
		}
	}
	return nil
}

func (h *host) findPower(root string) (found []sensor, err error) {
	names, err := entries(root, "")
	for _, name := range names {
		for _, f := range powerFiles {
			found = h.present(found, sensor{path: root + "/" + name + "/" + f.file, metric: f.metric, scale: f.scale, per: f.per, labels: []string{name}})
		}
	}
	return found, err
}

func (h *host) powerInfo(out *sdk.Batch, root, supply string) {
	labels := []string{supply}
	for _, file := range powerTexts {
		text, _ := h.word(root + "/" + supply + "/" + file)
		labels = append(labels, text)
	}
	out.Set(powerInfo, 1, labels...)
}
