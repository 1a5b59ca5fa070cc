package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() {
	serve.Main("relabel", "0.1.0", sdk.Processor(open, sdk.Example(exampleHCL), sdk.Doc("Drops, renames and relabels series with Prometheus' relabel rules.")))
}
