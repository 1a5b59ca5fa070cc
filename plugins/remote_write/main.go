package main

import (
	_ "embed"
	"runtime/debug"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() {
	debug.SetGCPercent(50) // what is known of series stays; little is allocated
	serve.Main("remote_write", version, sink(), source(), prometheusStore())
}

func sink() sdk.Capability {
	return sdk.Sink(openSink, sdk.Gathers(gathered), sdk.Histograms(), sdk.Exemplars(), sdk.Example(exampleHCL), sdk.Doc("Sends samples to whatever receives Prometheus' remote write, protocol 1.0 and 2.0."))
}

func source() sdk.Capability {
	return sdk.StreamSource(openSource, sdk.OwnLabels(), sdk.Mount("/api/v1/write"),
		sdk.Example(exampleHCL), sdk.Doc("Receives Prometheus' remote write, protocol 1.0 and 2.0, and answers when what came is durable."))
}

func prometheusStore() sdk.Capability {
	return sdk.Store(openStore, sdk.Named("prometheus"), sdk.Gathers(gathered), sdk.Histograms(), sdk.Exemplars(), sdk.Mount("/api/v1"),
		sdk.Example(exampleHCL), sdk.Doc("Keeps metrics in any server that takes remote write and answers Prometheus' HTTP API: Prometheus, Mimir, Thanos, VictoriaMetrics."))
}
