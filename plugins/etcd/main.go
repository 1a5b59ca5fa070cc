package main

import (
	_ "embed"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

//go:embed example.hcl
var exampleHCL string

func main() {
	serve.Main("etcd", "0.1.0",
		sdk.Source(open, sdk.Job("etcd"), sdk.Example(exampleHCL), sdk.Doc("Watches every member of an etcd cluster: its metrics page, its status and its health.")),
		sdk.Diagnoser(openDiagnoser, sdk.Example(exampleHCL), sdk.Doc("Finds out what is wrong with an etcd cluster, with evidence and the next safe steps. It changes nothing.")),
		sdk.Coordinator(openCoordinator, sdk.Example(exampleHCL), sdk.Doc("Gives leases to daemons that reach one etcd cluster, each with a fence, and tells them of each other.")),
	)
}
