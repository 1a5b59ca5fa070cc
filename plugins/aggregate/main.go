package main

import (
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

func main() { serve.Main("aggregate", "0.1.0", offer()) }

func offer() sdk.Capability {
	return sdk.SampleProcessor(open, sdk.Doc("Makes sums, rates and quantiles of many series over windows of time."))
}
