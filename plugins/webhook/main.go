package main

import (
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

const version = "0.1.0"

func main() {
	serve.Main("webhook", version, sdk.Notifier(open, sdk.Doc("Posts notifications to a URL as the JSON of Alertmanager's webhook.")))
}
