// Command magpie is the daemon and its command line. Its rooms, from the outside in; an arrow is an import, and house_test.go
// keeps that there are no others:
//
//	cli → api → engine → the rooms below, which do not know each other
//
//	internal/cli         one file for each command
//	internal/api         HTTP: the control API, Prometheus' API, handlers of plugins; one table of routes
//	internal/engine      applies configurations; the only room that knows the others
//	internal/plan        a configuration and the schemas of plugins → what should run; what a change costs
//	internal/supervisor  processes and components: start, watch, restart, stop
//	internal/pipeline    sources → buffer → processors → sinks; acknowledgements, staleness
//	internal/buffer      the durable log and its cursors; FORMAT.md draws the bytes (pipeline → buffer)
//	internal/rule        groups on a clock: pending, firing, resolved; recording
//	internal/notify      routes, groups, repeats; what was told
//	internal/state       small durable facts
//	internal/telemetry   the daemon's own metrics
//	internal/gen         generated code and manuals, for developers
//
// What the daemon shares with other programs is in the SDK: sdk/language (HCL), sdk/client (starting plugins), sdk/wire (the
// bytes between processes), sdk/template (texts of alerts).
package main

import (
	"os"

	"github.com/magpie-monitoring/magpie/daemon/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Terminal()))
}
