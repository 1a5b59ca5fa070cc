package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

const version = "0.1.0"

var source = sdk.StreamSource(openSource, sdk.OwnLabels(), sdk.Example(exampleHCL), sdk.Doc("Receives metrics from OpenTelemetry SDKs and Collectors: OTLP over gRPC and over HTTP."))

var sink = sdk.Sink(openSink, sdk.Gathers(gathered), sdk.Histograms(), sdk.Exemplars(), sdk.Example(exampleHCL), sdk.Doc("Sends metrics to an OpenTelemetry Collector, or to whatever else takes OTLP, over gRPC or HTTP."))

func main() {
	serve.Main("otlp", version, source, sink)
}
