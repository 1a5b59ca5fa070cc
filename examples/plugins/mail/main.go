package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() { serve.Main("mail", "0.1.0", capability) }

// capability is what the plugin offers; the tests open it, too.
var capability = sdk.Notifier(open, sdk.Example(exampleHCL), sdk.Doc("Sends notifications by mail, over SMTP."))
