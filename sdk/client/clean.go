package client

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// cleaning takes secrets out of every text that a plugin answers: errors, remarks, states, labels, reasons. Packets are not looked at here, but for their
// definitions at the daemon's door; nor are the series that a query gives.
func cleaning(clean func(string) string) []grpc.DialOption {
	if clean == nil {
		return nil
	}
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
			err := invoke(ctx, method, request, reply, conn, o...)
			cleanMessage(reply, clean)
			return err
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			s, err := open(ctx, d, conn, method, o...)
			return cleanStream{s, clean}, err
		}),
	}
}

type cleanStream struct {
	grpc.ClientStream
	clean func(string) string
}

func (s cleanStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		cleanMessage(m, s.clean)
	}
	return err
}

func cleanMessage(m any, clean func(string) string) {
	switch m := m.(type) {
	case *wire.Packet:
	case *wire.QueryResponse:
		if m.Problem != nil {
			cleanFields(m.Problem.ProtoReflect(), clean)
		}
		if m.Mistake != nil {
			cleanFields(m.Mistake.ProtoReflect(), clean)
		}
	case proto.Message:
		cleanFields(m.ProtoReflect(), clean)
	}
}

// cleanFields goes through all that is set. The keys of maps are texts too: reasons, names of labels.
func cleanFields(m protoreflect.Message, clean func(string) string) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		isText, isMessage := f.Kind() == protoreflect.StringKind, f.Message() != nil
		switch {
		case f.IsMap():
			all := v.Map()
			all.Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				key, value := k, e
				if f.MapKey().Kind() == protoreflect.StringKind {
					key = protoreflect.ValueOfString(clean(k.String())).MapKey()
				}
				if f.MapValue().Kind() == protoreflect.StringKind {
					value = protoreflect.ValueOfString(clean(e.String()))
				} else if f.MapValue().Message() != nil {
					cleanFields(e.Message(), clean)
				}
				if key.String() != k.String() {
					all.Clear(k)
				}
				all.Set(key, value)
				return true
			})
		case f.IsList() && isText:
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfString(clean(v.List().Get(i).String())))
			}
		case f.IsList() && isMessage:
			for i := range v.List().Len() {
				cleanFields(v.List().Get(i).Message(), clean)
			}
		case f.IsList():
		case isText:
			if s := v.String(); clean(s) != s {
				m.Set(f, protoreflect.ValueOfString(clean(s)))
			}
		case isMessage:
			cleanFields(v.Message(), clean)
		}
		return true
	})
}
