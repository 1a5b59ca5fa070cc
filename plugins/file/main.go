package main

import (
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

func main() { serve.Main("file", "0.1.0", capability()) }

func capability() sdk.Capability {
	return sdk.Sink(open, sdk.OutOfOrder(), sdk.Histograms(), sdk.Doc("Writes samples to files, as JSON lines or in OpenMetrics."))
}
