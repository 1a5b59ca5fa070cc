// Package serve runs a plugin: Main does the handshake with the daemon, keeps the components that the daemon opens, their
// clocks and their configuration, and carries their batches.
//
//	main.go       start
//	handshake.go  the plugin's half of go-plugin's protocol
//	server.go     the calls that the daemon makes
//	component.go  a component from Open to Close
//	source.go     the clock of a Collector, the life of a Streamer
//	sink.go       batches to a Writer, with retries and acknowledgements
//	lease.go      the leases of a coordinator, each a stream; its members
//	host.go       what a component can ask of the daemon
package serve

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Main serves what a plugin offers until the daemon ends it. A capability without a name gets the plugin's.
func Main(name, version string, capabilities ...sdk.Capability) {
	if os.Getenv(wire.CookieKey) != wire.CookieValue {
		explain(os.Stderr, name, version, capabilities)
		os.Exit(2)
	}
	log := newLogger(os.Stderr)
	slog.SetDefault(log) // of what no component says
	server, err := NewServer(name, version, log, capabilities...)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(2)
	}
	if err := greet(server); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	server.Stop(context.Background())
}

// explain is what a person sees who starts a plugin by hand.
func explain(w io.Writer, name, version string, capabilities []sdk.Capability) {
	var types []string
	for _, c := range capabilities {
		types = append(types, fmt.Sprintf("%s %q", c.Type.Kind, cmp.Or(c.Type.Name, name)))
	}
	fmt.Fprintf(w, "%s %s is a plugin of Magpie: it offers %s.\nPut it into a plugin directory (see magpie run -help) and use it in config.hcl.\n",
		name, version, strings.Join(types, ", "))
}

// newLogger writes lines that the daemon reads back: JSON with hclog's keys.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				a.Key = "@timestamp"
			case slog.LevelKey:
				a = slog.String("@level", strings.ToLower(a.Value.String()))
			case slog.MessageKey:
				a.Key = "@message"
			}
			return a
		},
	}))
}
