package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	zoneTemp       = sdk.Gauge("node_thermal_zone_temp", "Zone temperature in Celsius", "zone", "type")
	coolingCurrent = sdk.Gauge("node_cooling_device_cur_state", "Current throttle state of the cooling device", "name", "type")
	coolingMax     = sdk.Gauge("node_cooling_device_max_state", "Maximum throttle state of the cooling device", "name", "type")
)

// thermalZones is the collector thermal_zone.
func (h *host) thermalZones(_ context.Context, out *sdk.Batch) error {
	return h.sense(out, &h.thermal, "", h.findThermal)
}

func (h *host) findThermal() (found []sensor, err error) {
	dir := h.sys + "/class/thermal"
	names, err := entries(dir, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // as node_exporter: no zones is an answer
	}
	for _, name := range names {
		path := dir + "/" + name
		kind, _ := h.word(path + "/type")
		if zone, ok := strings.CutPrefix(name, "thermal_zone"); ok {
			found = h.present(found, sensor{path: path + "/temp", metric: zoneTemp, scale: 1, per: 1000, labels: []string{zone, kind}})
		}
		if device, ok := strings.CutPrefix(name, "cooling_device"); ok {
			labels := []string{device, kind}
			found = h.present(found,
				sensor{path: path + "/cur_state", metric: coolingCurrent, scale: 1, labels: labels},
				sensor{path: path + "/max_state", metric: coolingMax, scale: 1, labels: labels})
		}
	}
	return found, err
}
