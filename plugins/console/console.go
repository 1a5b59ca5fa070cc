// Command console is the plugin of Magpie's web page: what the daemon shows at http://127.0.0.1:9470/.
//
// The page has five tabs: this machine (or another one whose node_* series are in the store) with live charts; the sources
// with their targets; the alerts that are pending and firing, with the rules behind them; the plugin processes with health,
// CPU, memory and restarts; and a PromQL box that draws a graph and lists the values of now. The address holds what is
// shown (/?tab=query&expr=up&range=1h), so a link can be shared.
//
// The plugin itself only serves files. The page gets its data from the daemon that it came from: Prometheus' HTTP API at
// /api/v1 and Magpie's own at /api/magpie/v1. It asks no other host for anything.
//
//	console.go  the service
//	assets.go   the built page as an HTTP handler
//	ui/         the page's sources: TypeScript, React, Mantine, uPlot, CodeMirror
//	dist/       what `npm ci && npm run build` makes of them; committed, so that building Magpie needs no Node
package main

import (
	"context"
	"net/http"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block service "console". There is nothing to choose.
type Config struct{}

var capability = sdk.Service(open, sdk.Mount("/"),
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
