package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // senders may compress
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	serviceName = "opentelemetry.proto.collector.metrics.v1.MetricsService"
	exportName  = "/" + serviceName + "/Export"
)

// bytesCodec passes messages as they are: they are read in place, and the generated service would bring a gateway along.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = bytesCodec{}

// grpcServer serves Export. To the wire a unary call is a stream of one message each way; taken as a stream, the sender is
// known before its message is read.
func (r *reader) grpcServer() *grpc.Server {
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(bytesCodec{}),
		grpc.MaxRecvMsgSize(int(r.cfg.MaxRequestSize)), // after decompression too
		grpc.MaxConcurrentStreams(64),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.MaxHeaderListSize(64<<10),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 10 * time.Minute}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName, HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Export", Handler: r.export, ClientStreams: true, ServerStreams: true}},
	}, r)
	return s
}

// serveGRPC answers until ctx ends, and then lets requests end, for a while.
func (r *reader) serveGRPC(ctx context.Context, l net.Listener) error {
	server := r.grpcServer()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	done := make(chan struct{})
	go func() { server.GracefulStop(); close(done) }()
	select {
	case <-done:
	case <-time.After(receiver.CloseDeadline):
		server.Stop()
	}
	return ctx.Err()
}

func (r *reader) export(_ any, stream grpc.ServerStream) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	header := ""
	if given := md["authorization"]; len(given) == 1 {
		header = given[0]
	}
	admitted, err := r.cfg.Admits(receiver.Authorization(header))
	if err != nil {
		r.host.Fail(err)
		return later(codes.Unavailable, "the password file cannot be read")
	}
	if !admitted {
		return status.Error(codes.Unauthenticated, "the authorization header is not the one that is asked for")
	}
	leave, ok := r.enter()
	if !ok {
		return later(codes.ResourceExhausted, "too many requests at the same time")
	}
	request, err := receive(stream)
	if err != nil {
		leave()
		return err
	}
	rejected, err := r.take(request, leave)
	switch {
	case err == nil:
		answer := partialSuccess(rejected)
		return stream.SendMsg(&answer)
	case errors.Is(err, errMalformed):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, sdk.ErrFull):
		return later(codes.ResourceExhausted, err.Error())
	}
	return later(codes.Unavailable, err.Error())
}

// receive reads the one message, within receiver.ReadTimeout; the stream's end frees a read that is still waiting.
func receive(stream grpc.ServerStream) ([]byte, error) {
	ctx, cancel := context.WithTimeout(stream.Context(), receiver.ReadTimeout)
	defer cancel()
	type read struct {
		request []byte
		err     error
	}
	got := make(chan read, 1)
	go func() {
		var r read
		r.err = stream.RecvMsg(&r.request)
		got <- r
	}()
	select {
	case r := <-got:
		return r.request, r.err
	case <-ctx.Done():
		return nil, status.Error(codes.DeadlineExceeded, fmt.Sprintf("the request did not arrive in %s", receiver.ReadTimeout))
	}
}

// later asks the sender to come again.
func later(code codes.Code, why string) error {
	s := status.New(code, why)
	if with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryPause)}); err == nil {
		s = with
	}
	return s.Err()
}
