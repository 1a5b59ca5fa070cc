package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

const version = "0.1.0"

func main() {
	serve.Main("webhook", version, sdk.Notifier(open, sdk.Example(exampleHCL), sdk.Doc("Posts notifications to a URL as the JSON of Alertmanager's webhook.")))
}
