package main

import (
	"runtime/debug"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

func main() {
	debug.SetGCPercent(50) // what is known of series stays; little is allocated
	serve.Main("remote_write", version, sink())
}

func sink() sdk.Capability {
	return sdk.Sink(openSink, sdk.Doc("Sends samples to whatever receives Prometheus' remote write, protocol 1.0 and 2.0."))
}
