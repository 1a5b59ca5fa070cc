// Package telemetry shows the daemon's own metrics on /metrics: what it is handed, and what the Go runtime and the process
// tell of themselves.
package telemetry

import (
	"maps"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metric is one sample. All samples of a name have the same label names, the same help and type.
type Metric struct {
	Name    string
	Help    string
	Counter bool
	Labels  map[string]string
	Value   float64
}

// Handler serves what collect returns at each request, in the text formats of Prometheus.
func Handler(collect func() []Metric) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector(collect))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

type collector func() []Metric

// Describe describes nothing: what there is depends on the configuration.
func (collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, m := range c() {
		kind := prometheus.GaugeValue
		if m.Counter {
			kind = prometheus.CounterValue
		}
		names := slices.Sorted(maps.Keys(m.Labels))
		values := make([]string, 0, len(names))
		for _, n := range names {
			values = append(values, m.Labels[n])
		}
		metric, err := prometheus.NewConstMetric(prometheus.NewDesc(m.Name, m.Help, names, nil), kind, m.Value, values...)
		if err != nil {
			metric = prometheus.NewInvalidMetric(prometheus.NewDesc(m.Name, m.Help, names, nil), err)
		}
		out <- metric
	}
}
