// The service "console" is Magpie's web page: what the daemon shows at http://127.0.0.1:9470/.
//
// The page has seven tabs:
//
//   - this machine, or another one whose node_* series are in the store, with live charts
//   - the dashboards of the configuration and of its packs: Grafana's files, of which lines and areas, figures, gauges,
//     tables and texts are drawn, with their variables; other panels say what they are
//   - the sources with their targets
//   - the alerts that are pending and firing, with the rules behind them
//   - the diagnosers, each with a button that asks it, and the reports that are kept
//   - the plugin processes with their health, CPU, memory and restarts, and what `magpie plugin verify` found of their
//     binaries, by the reports beside these: a check that failed stands there with what to do
//   - a box for PromQL that draws a graph and lists the values of now
//
// The address holds what is shown (/?tab=query&expr=up&range=1h), so a link can be shared.
//
// The plugin itself only serves files, and the page asks no host but the daemon that it came from: Prometheus' HTTP API
// at /api/v1 and Magpie's own at /api/magpie/v1. The page is built beforehand and is part of the binary: building Magpie
// needs no Node.
//
// # How it is tested
//
// In a real Chromium: tab by tab against a stand-in for the daemon that gives canned answers, and as a whole against a real
// daemon with its plugins.
//
// # Files
//
//	console.go  the service
//	assets.go   the built page as an HTTP handler
//	ui/         the page's sources: TypeScript, React, Mantine, uPlot, CodeMirror
//	dist/       what `make ui` makes of them; committed
package main

import (
	"context"
	_ "embed"
	"net/http"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block service "console". There is nothing to choose.
type Config struct{}

//go:embed example.hcl
var exampleHCL string

var capability = sdk.Service(open, sdk.Mount("/"), sdk.Example(exampleHCL),
	sdk.Doc("A web page that shows this machine, the sources, alerts and plugin processes, and draws PromQL expressions."))

type console struct{ *assets }

func open(context.Context, *Config, sdk.Host) (*console, error) {
	files, err := loadAssets(dist)
	if err != nil {
		return nil, err
	}
	return &console{files}, nil
}

// Run waits: all that a console does, it does when it is asked over HTTP.
func (*console) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

var (
	_ sdk.Runner   = (*console)(nil)
	_ http.Handler = (*console)(nil)
)
