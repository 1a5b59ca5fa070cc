package main

import (
	_ "embed"
	"runtime/debug"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() {
	debug.SetGCPercent(50) // most of the heap stays
	serve.Main("statsd", "0.1.0", capability())
}

func capability() sdk.Capability {
	return sdk.StreamSource(open, sdk.Example(exampleHCL), sdk.Doc("Receives what applications send to StatsD, and makes Prometheus' counters, gauges, summaries and histograms of it."))
}
