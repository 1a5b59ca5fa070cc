package main

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxAnswer bounds an answer over gRPC; a status has about 100 bytes, a list about 200 a member.
const maxAnswer = 1 << 20

// A connection over which nothing comes is tried, and given up: the machine at its other end may be gone.
const (
	aliveEvery = 10 * time.Second // etcd ends connections that are tried more often than every 5 s
	aliveFor   = 5 * time.Second
)

// clients keeps one connection to each URL, so that every question reaches the member that it is meant for. A connection
// over which a question failed is closed: the next question makes a new one at once, where gRPC would wait out a back-off.
type clients struct {
	cfg *Reach
	tls *tls.Config

	mu   sync.Mutex
	open map[string]*clientv3.Client
}

func newClients(cfg *Reach) (*clients, error) {
	c := &clients{cfg: cfg, open: map[string]*clientv3.Client{}}
	if cfg.TLS == nil {
		return c, nil
	}
	var err error
	c.tls, err = cfg.TLS.Config()
	return c, err
}

// status asks the member at a URL for its status.
func (c *clients) status(ctx context.Context, url string) (r *etcdserverpb.StatusResponse, err error) {
	err = c.use(ctx, url, func(client *clientv3.Client) (err error) {
		r, err = etcdserverpb.NewMaintenanceClient(client.ActiveConnection()).Status(ctx, &etcdserverpb.StatusRequest{})
		return err
	})
	return r, err
}

// members asks the member at a URL for the member list; options say whether the cluster must agree to it.
func (c *clients) members(ctx context.Context, url string, options ...clientv3.OpOption) (list []*etcdserverpb.Member, err error) {
	err = c.use(ctx, url, func(client *clientv3.Client) error {
		r, err := client.MemberList(ctx, options...)
		if err == nil {
			list = r.Members
		}
		return err
	})
	return list, err
}

// use calls ask with the client of a URL, and says an error so that an ops team can use it.
func (c *clients) use(ctx context.Context, url string, ask func(*clientv3.Client) error) error {
	c.mu.Lock()
	client := c.open[url]
	delete(c.open, url) // ours meanwhile
	c.mu.Unlock()
	if client == nil {
		var err error
		if client, err = c.dial(ctx, url); err != nil {
			return c.explain(ctx, err)
		}
	}
	if err := ask(client); err != nil {
		client.Close()
		return c.explain(ctx, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[url] != nil {
		client.Close() // somebody else was asking, too
		return nil
	}
	c.open[url] = client
	return nil
}

// dial makes a client. With a user it waits for the member to accept the password, at most until ctx ends.
func (c *clients) dial(ctx context.Context, urls ...string) (*clientv3.Client, error) {
	life, end := context.WithCancel(context.Background())
	detach := context.AfterFunc(ctx, end)
	client, err := clientv3.New(clientv3.Config{
		Endpoints: urls, TLS: c.tls, DialKeepAliveTime: aliveEvery, DialKeepAliveTimeout: aliveFor, Username: c.cfg.Username, Password: c.cfg.Password.Reveal(), Context: life,
		Logger: zap.NewNop(), MaxUnaryRetries: 2, MaxCallRecvMsgSize: maxAnswer, MaxCallSendMsgSize: maxAnswer,
		DialOptions: []grpc.DialOption{grpc.WithNoProxy(), grpc.WithChainUnaryInterceptor(failFast)},
	})
	if err != nil {
		end()
		return nil, err
	}
	if !detach() {
		client.Close()
		return nil, ctx.Err()
	}
	return client, nil
}

// failFast undoes what the client does by default: to wait until ctx ends for a member that refuses connections.
func failFast(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, conn, append(slices.Clip(options), grpc.WaitForReady(false))...)
}

// keep closes the clients of all other URLs.
func (c *clients) keep(urls []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for url, client := range c.open {
		if !slices.Contains(urls, url) {
			client.Close()
			delete(c.open, url)
		}
	}
}

// explain says an error so that an ops team can use it.
func (c *clients) explain(ctx context.Context, err error) error { return c.cfg.explain(ctx, err) }

// explain blames the configuration for what it can mend, and else the member.
func (c *Reach) explain(ctx context.Context, err error) error {
	err = rpctypes.Error(err)
	if s, ok := status.FromError(err); ok {
		err = errors.New(s.Message())
		if s.Code() == codes.DeadlineExceeded || s.Code() == codes.Canceled {
			err = errNoAnswer
		}
	}
	switch {
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return sdk.Target(errNoAnswer)
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return sdk.Fix(sdk.At(&c.Username, err), "This cluster has authentication on: set username and password.")
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return sdk.Fix(sdk.At(&c.Username, err), "Check username and password.")
	}
	return sdk.Target(err)
}

var errNoAnswer = errors.New("no answer in time")

// isDenied reports whether the cluster knows the user and does not let it. The maintenance calls of 3.4 say so in other words.
func isDenied(err error) bool {
	return err != nil && (errors.Is(err, rpctypes.ErrPermissionDenied) || strings.HasSuffix(err.Error(), "permission denied"))
}
