package wire

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
)

// Protocol is the major version of the contract; go-plugin's handshake negotiates it.
const Protocol = 1

// Version is the version of the SDK.
const Version = "0.1.0"

// PluginName is the name of the one plugin in go-plugin's set.
const PluginName = "magpie"

// The cookie of go-plugin's handshake, in the environment: it says that a daemon started this binary.
const (
	CookieKey   = "MAGPIE_PLUGIN"
	CookieValue = "喜鹊"
)

// MaxMessage bounds a message in either direction.
const MaxMessage = 4 << 20

// window is HTTP/2's flow control window: large enough for a few packets on the way.
const window = 4 << 20

// ComponentKey is the metadata key of Consume: the number of the sink.
const ComponentKey = "magpie-component"

// DerivesKey is the metadata key of Consume for a processor of samples: the number of the stream of its output.
const DerivesKey = "magpie-derives"

// ServerOptions are a plugin's.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(Codec()), grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window), experimental.BufferPool(Pool),
	}
}

// DialOptions are the daemon's.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(Codec()), grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window), grpc.WithDisableRetry(),
		experimental.WithBufferPool(Pool),
	}
}
