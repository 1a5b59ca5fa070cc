package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() { serve.Main("aggregate", "0.1.0", offer()) }

func offer() sdk.Capability {
	return sdk.SampleProcessor(open, sdk.Example(exampleHCL), sdk.Doc("Makes sums, rates and quantiles of many series over windows of time."))
}
