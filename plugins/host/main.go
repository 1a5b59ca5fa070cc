package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() { serve.Main("host", "0.1.0", source(open)) }

// source offers the type with a way to open it: tests have one that looks at a machine of their own.
func source(open sdk.Open[Config, *host]) sdk.Capability {
	return sdk.Source(open, sdk.Job("node"),
		sdk.Example(exampleHCL), sdk.Doc("This machine: CPU, memory, disks, filesystems, network, pressure and processes, under the names that node_exporter gives them."))
}
