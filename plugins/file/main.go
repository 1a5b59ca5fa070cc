package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() { serve.Main("file", "0.1.0", capability()) }

func capability() sdk.Capability {
	return sdk.Sink(open, sdk.OutOfOrder(), sdk.Histograms(), sdk.Example(exampleHCL), sdk.Doc("Writes samples to files, as JSON lines or in OpenMetrics."))
}
