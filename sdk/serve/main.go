// Package serve runs a plugin: Main does the handshake with the daemon, keeps the components that the daemon opens, their
// clocks and their configuration, and carries their batches.
//
//	main.go       handshake and start
//	server.go     the calls that the daemon makes
//	component.go  a component from Open to Close
//	source.go     the clock of a Collector, the life of a Streamer
//	sink.go       batches to a Writer, with retries and acknowledgements
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

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Main serves what a plugin offers until the daemon ends it. A capability without a name gets the plugin's.
func Main(name, version string, capabilities ...sdk.Capability) {
	if os.Getenv(wire.Handshake.MagicCookieKey) != wire.Handshake.MagicCookieValue {
		explain(os.Stderr, name, version, capabilities)
		os.Exit(2)
	}
	log := newLogger(os.Stderr) // before go-plugin puts a pipe in os.Stderr's place
	server, err := NewServer(name, version, log, capabilities...)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(2)
	}
	server.SocketDir = os.Getenv(plugin.EnvUnixSocketDir)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  wire.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{wire.Protocol: {wire.PluginName: &registered{server: server}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, wire.ServerOptions()...)...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
	server.Stop(context.Background())
}

// registered hands the server to go-plugin.
type registered struct {
	plugin.NetRPCUnsupportedPlugin
	server *Server
}

func (r *registered) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	wire.RegisterPluginServer(s, r.server)
	return nil
}

func (*registered) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a plugin is not a client")
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
