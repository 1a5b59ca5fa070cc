package engine

import (
	"github.com/magpie-monitoring/magpie/daemon/internal/supervisor"
	"github.com/magpie-monitoring/magpie/daemon/internal/telemetry"
)

// Metrics are the status as samples for /metrics.
func (e *Engine) Metrics() []telemetry.Metric {
	s := e.Status()
	var m metrics
	m.gauge("magpie_build_info", "1, with the version as label.", 1, "version", s.Version)
	m.gauge("magpie_config_last_reload_successful", "1 if the configuration files were applied when they were last read.", truth(s.Config.Problem == ""))
	m.gauge("magpie_config_last_reload_success_timestamp_seconds", "When a configuration was last applied.", float64(s.Config.AppliedAt.UnixMilli())/1000)
	m.gauge("magpie_watched_files_stale", "1 while files of secrets or certificates have changed and what they hold now is not in effect.", truth(s.Config.Stale != ""))
	m.counter("magpie_config_reloads_total", "Reloads by result.", float64(s.Reloads[0]), "result", "applied")
	m.counter("magpie_config_reloads_total", "Reloads by result.", float64(s.Reloads[1]), "result", "refused")
	m.gauge("magpie_buffer_bytes", "Size of the log on disk.", float64(s.Buffer.Bytes))
	m.gauge("magpie_buffer_segments", "Segments of the log.", float64(s.Buffer.Segments))
	m.counter("magpie_buffer_samples_total", "Samples that became durable in the log since it was begun.", float64(s.Buffer.Samples))
	m.counter("magpie_buffer_failures_total", "Writes and fsyncs of the log that failed; what they were for is written again.", float64(s.Buffer.Failures))
	m.gauge("magpie_buffer_writable", "0 while the disk takes nothing, and sources wait.", truth(s.Buffer.Problem == ""))
	m.counter("magpie_buffer_damaged_total", "Damaged stretches of the log that were skipped.", float64(s.Buffer.Damaged))
	for reason, n := range s.Refused {
		m.counter("magpie_refused_samples_total", "Samples of sources that were not taken into the log.", float64(n), "reason", reason)
	}
	for _, c := range s.Components {
		m.component(c)
	}
	for i, p := range s.Processes {
		if i+1 < len(s.Processes) && s.Processes[i+1].Plugin == p.Plugin {
			continue // its successor is there: a series has one value
		}
		m.process(p)
	}
	for _, p := range s.Pipelines {
		m.pipeline(p)
	}
	return append(m, e.alerting.metrics()...)
}

type metrics []telemetry.Metric

func (m *metrics) gauge(name, help string, v float64, labels ...string) {
	*m = append(*m, telemetry.Metric{Name: name, Help: help, Value: v, Labels: pairs(labels)})
}

func (m *metrics) counter(name, help string, v float64, labels ...string) {
	*m = append(*m, telemetry.Metric{Name: name, Help: help, Value: v, Labels: pairs(labels), Counter: true})
}

func pairs(labels []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(labels); i += 2 {
		m[labels[i]] = labels[i+1]
	}
	return m
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *metrics) component(c ComponentStatus) {
	up := c.State == supervisor.StateRunning || c.State == supervisor.StateDegraded
	who := []string{"component", c.Address, "kind", string(c.Kind), "plugin", c.Plugin}
	m.gauge("magpie_component_up", "1 if the component is open and well enough to work.", truth(up), who...)
	if c.Kind != "source" {
		return
	}
	who = []string{"component", c.Address}
	m.counter("magpie_source_samples_total", "Samples that came from the source since it was opened.", float64(c.Samples), who...)
	m.gauge("magpie_source_series", "Live series of the source.", float64(c.Series), who...)
	if h := c.Health; h != nil {
		m.counter("magpie_source_collects_total", "Collections since the source was opened.", float64(h.Collects), who...)
		m.counter("magpie_source_skipped_total", "Ticks that came while a collection still ran.", float64(h.Skipped), who...)
		for reason, n := range h.Dropped {
			m.counter("magpie_source_dropped_samples_total", "Samples that the source itself had to drop.", float64(n), append(who, "reason", reason)...)
		}
		for blame, n := range h.Errors {
			m.counter("magpie_source_errors_total", "Errors by whom they blame.", float64(n), append(who, "blame", blame)...)
		}
	}
}

func (m *metrics) process(p ProcessStatus) {
	who := []string{"plugin", p.Plugin}
	m.gauge("magpie_plugin_up", "1 if the plugin's process runs.", truth(p.State == "running"), who...)
	m.counter("magpie_plugin_restarts_total", "Restarts of the plugin's process.", float64(p.Restarts), who...)
	m.counter("magpie_plugin_cpu_seconds_total", "CPU time of the plugin's process since it was started.", p.CPU, who...)
	m.gauge("magpie_plugin_resident_memory_bytes", "Resident memory of the plugin's process.", float64(p.RSS), who...)
	m.gauge("magpie_plugin_proportional_memory_bytes", "Its memory with shared pages by share.", float64(p.PSS), who...)
	m.gauge("magpie_plugin_info", "1, with the plugin's version as label.", 1, "plugin", p.Plugin, "version", p.Version)
}

func (m *metrics) pipeline(p PipelineStatus) {
	who := []string{"pipeline", p.Name, "sink", p.Sink}
	m.gauge("magpie_pipeline_up", "1 if the sink is connected and without trouble.", truth(p.Connected && p.Trouble == ""), who...)
	m.counter("magpie_pipeline_delivered_samples_total", "Samples handed to the sink, repetitions included.", float64(p.Delivered), who...)
	m.counter("magpie_pipeline_stored_samples_total", "Samples that the sink stored.", float64(p.Stored), who...)
	for reason, n := range p.Dropped {
		m.counter("magpie_pipeline_dropped_samples_total", "Samples that were not stored: dropped by the sink, by a processor, or by the bounds of the queue.", float64(n), append(who, "reason", reason)...)
	}
	m.counter("magpie_pipeline_lost_samples_total", "Samples deleted from the log before the sink took them.", float64(p.Lost), who...)
	m.gauge("magpie_pipeline_lag_records", "Records of the log that the sink has not acknowledged.", float64(p.Lag), who...)
	m.gauge("magpie_pipeline_backlog_bytes", "About how much of the log waits for the sink.", float64(p.Backlog), who...)
	m.gauge("magpie_pipeline_lag_samples", "Samples in the log that the sink has not acknowledged, whether they are for it or not.", float64(p.Buffered), who...)
	m.counter("magpie_pipeline_damaged_samples_total", "Samples of the log that could not be read, whether they were for the sink or not.", float64(p.Damaged), who...)
	m.gauge("magpie_pipeline_lag_seconds", "Since when the sink has acknowledged nothing although there was something.", p.Age.Seconds(), who...)
}
