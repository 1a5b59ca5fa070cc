package main

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

var (
	timeSeconds     = sdk.Gauge("node_time_seconds", "System time in seconds since epoch (1970).")
	timeZone        = sdk.Gauge("node_time_zone_offset_seconds", "System time zone offset in seconds.", "time_zone")
	clocksAvailable = sdk.Gauge("node_time_clocksource_available_info", "Available clocksources read from '/sys/devices/system/clocksource'.", "device", "clocksource")
	clockCurrent    = sdk.Gauge("node_time_clocksource_current_info", "Current clocksource read from '/sys/devices/system/clocksource'.", "device", "clocksource")
)

// time is the collector of that name.
func (h *host) time(_ context.Context, out *sdk.Batch) error {
	now := h.now()
	out.Set(timeSeconds, float64(now.UnixNano())/1e9)
	zone, offset := now.Zone()
	out.Set(timeZone, float64(offset), zone)
	for i := 0; ; i++ {
		device := strconv.Itoa(i)
		dir := h.sys + "/devices/system/clocksource/clocksource" + device
		current, err := h.word(dir + "/current_clocksource") // the kernel leaves one that it finds unstable
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		available, err := h.slowly(dir + "/available_clocksource")
		if err != nil {
			return err
		}
		for _, clock := range strings.Fields(available) {
			out.Set(clocksAvailable, 1, device, clock)
		}
		out.Set(clockCurrent, 1, device, current)
	}
}

// timexMetrics are the metrics of adjtimex(2), in the order of clockState's values.
var timexMetrics = [...]*sdk.Metric{
	sdk.Gauge("node_timex_sync_status", "Is clock synchronized to a reliable server (1 = yes, 0 = no)."),
	sdk.Gauge("node_timex_offset_seconds", "Time offset in between local system and reference clock."),
	sdk.Gauge("node_timex_frequency_adjustment_ratio", "Local clock frequency adjustment."),
	sdk.Gauge("node_timex_maxerror_seconds", "Maximum error in seconds."),
	sdk.Gauge("node_timex_estimated_error_seconds", "Estimated error in seconds."),
	sdk.Gauge("node_timex_status", "Value of the status array bits."),
	sdk.Gauge("node_timex_loop_time_constant", "Phase-locked loop time constant."),
	sdk.Gauge("node_timex_tick_seconds", "Seconds between clock ticks."),
	sdk.Gauge("node_timex_pps_frequency_hertz", "Pulse per second frequency."),
	sdk.Gauge("node_timex_pps_jitter_seconds", "Pulse per second jitter."),
	sdk.Gauge("node_timex_pps_shift_seconds", "Pulse per second interval duration."),
	sdk.Gauge("node_timex_pps_stability_hertz", "Pulse per second stability, average of recent frequency changes."),
	sdk.Counter("node_timex_pps_jitter_total", "Pulse per second count of jitter limit exceeded events."),
	sdk.Counter("node_timex_pps_calibration_total", "Pulse per second count of calibration intervals."),
	sdk.Counter("node_timex_pps_error_total", "Pulse per second count of calibration errors."),
	sdk.Counter("node_timex_pps_stability_exceeded_total", "Pulse per second count of stability limit exceeded events."),
	sdk.Gauge("node_timex_tai_offset_seconds", "International Atomic Time (TAI) offset."),
}

// clockState are the values of timexMetrics.
type clockState [len(timexMetrics)]float64

// timex is the collector of that name.
func (h *host) timex(_ context.Context, out *sdk.Batch) error {
	state, err := h.clock()
	if err != nil {
		return err
	}
	for i, v := range state {
		out.Set(timexMetrics[i], v)
	}
	return nil
}
