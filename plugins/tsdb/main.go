package main

import (
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

func main() {
	serve.Main("tsdb", version, sdk.Store(open, sdk.Mount("/api/v1"), sdk.Doc("Keeps metrics on this machine's disk, in Prometheus' time series database, and answers PromQL and Prometheus' HTTP API.")))
}
