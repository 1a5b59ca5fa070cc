package main

import (
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

func main() {
	serve.Main("log", "0.1.0", sdk.Notifier(open, sdk.Doc("Writes notifications into the daemon's log.")))
}
