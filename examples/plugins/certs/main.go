package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() { serve.Main("certs", "0.1.0", capability) }

// capability is what the plugin offers; the tests open it, too.
var capability = sdk.Source(open, sdk.Job("certs"), sdk.Example(exampleHCL), sdk.Doc("Tells until when the certificates in files are valid."))
