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
	debug.SetGCPercent(75) // as Prometheus' own server
	serve.Main("tsdb", version, capability(open))
}

func capability(open sdk.Open[Config, *store]) sdk.Capability {
	return sdk.Store(open, sdk.Mount("/api/v1"), sdk.Histograms(), sdk.Exemplars(),
		sdk.Example(exampleHCL), sdk.Doc("Keeps metrics on this machine's disk, in Prometheus' time series database, and answers PromQL and Prometheus' HTTP API."))
}
