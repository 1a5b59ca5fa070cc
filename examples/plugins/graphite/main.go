package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() { serve.Main("graphite", "0.1.0", capability) }

// capability is what the plugin offers; the tests open it, too. Far away a batch takes as long as a sample: so many of them
// go in one. Graphite takes samples in any order.
var capability = sdk.Sink(open, sdk.Gathers(5000), sdk.OutOfOrder(), sdk.Example(exampleHCL), sdk.Doc("Sends samples to Graphite, in its plaintext protocol over TCP."))
