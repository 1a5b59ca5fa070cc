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
	serve.Main("influx", "0.1.0", capability())
}

func capability() sdk.Capability {
	return sdk.StreamSource(open, sdk.Example(exampleHCL), sdk.Doc("Receives what Telegraf and other clients of InfluxDB write: line protocol over HTTP and UDP."))
}
