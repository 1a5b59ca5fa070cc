package main

import (
	"runtime/debug"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

func main() {
	debug.SetGCPercent(50) // most of the heap stays
	serve.Main("statsd", "0.1.0", capability())
}

func capability() sdk.Capability {
	return sdk.StreamSource(open, sdk.Doc("Receives what applications send to StatsD, and makes Prometheus' counters, gauges, summaries and histograms of it."))
}
