package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() { serve.Main("file", "0.1.0", capability(), follows()) }

func capability() sdk.Capability {
	return sdk.Sink(open, sdk.OutOfOrder(), sdk.Histograms(), sdk.Logs(), sdk.Example(exampleHCL), sdk.Doc("Writes samples and lines of logs to files, as JSON lines or in OpenMetrics."))
}

func follows() sdk.Capability {
	return sdk.StreamSource(openSource, sdk.Example(exampleHCL), sdk.Doc("Follows files of logs, each line a record, over their rotation and over restarts."))
}
