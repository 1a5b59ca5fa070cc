package main

import (
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

func main() {
	serve.Main("relabel", "0.1.0", sdk.Processor(open, sdk.Doc("Drops, renames and relabels series with Prometheus' relabel rules.")))
}
