package serve

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// The plugin's half of go-plugin's protocol, as its guide for plugins in other languages has it: a line on stdout that says
// where the gRPC server is, a health service, and a call that ends the process. The daemon's half is go-plugin itself
// (sdk/client). Its own plugin.Serve knows net/rpc too, which finds methods by their names, so that the linker has to keep
// every method of every type, and renders pages with html/template: a quarter of an idle plugin's memory.

const (
	coreProtocol = 1                        // of go-plugin
	socketDirEnv = "PLUGIN_UNIX_SOCKET_DIR" // a directory of this process alone
)

// greet serves gRPC on a unix socket, tells the daemon of it, and returns when the daemon has ended the connection. What is
// printed goes the usual way, and the daemon reads it there.
func greet(server *Server) error {
	server.SocketDir = os.Getenv(socketDirEnv)
	listener, err := net.Listen("unix", filepath.Join(cmp.Or(server.SocketDir, os.TempDir()), fmt.Sprintf("plugin%d", os.Getpid())))
	if err != nil {
		return err
	}
	defer listener.Close()
	g := grpc.NewServer(wire.ServerOptions()...)
	healthy := health.NewServer()
	healthy.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(g, healthy)
	g.RegisterService(&controller, stopper(g.Stop))
	wire.RegisterPluginServer(g, server)

	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // Ctrl-C is for the daemon, which ends its plugins in order
	fmt.Printf("%d|%d|unix|%s|grpc|\n", coreProtocol, wire.Protocol, listener.Addr())
	return g.Serve(listener)
}

// stopper ends the server; its process goes on to its end.
type stopper func()

// controller is go-plugin's service of this name.
var controller = grpc.ServiceDesc{
	ServiceName: "plugin.GRPCController",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Shutdown",
		Handler: func(stop any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var none emptypb.Empty
			if err := decode(&none); err != nil {
				return nil, err
			}
			stop.(stopper)()
			return &none, nil
		},
	}},
}
