package main

import (
	"runtime/debug"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

func main() {
	debug.SetGCPercent(50) // most of the heap stays
	serve.Main("influx", "0.1.0", capability())
}

func capability() sdk.Capability {
	return sdk.StreamSource(open, sdk.Doc("Receives what Telegraf and other clients of InfluxDB write: line protocol over HTTP and UDP."))
}
