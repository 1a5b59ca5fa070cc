package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() {
	serve.Main("log", "0.1.0", sdk.Notifier(open, sdk.Example(exampleHCL), sdk.Doc("Writes notifications into the daemon's log.")))
}
