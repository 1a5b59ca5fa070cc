package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// cluster is a real etcd cluster within the test.
type cluster struct {
	t       *testing.T
	configs []*embed.Config
	servers []*embed.Etcd // nil while stopped
	tls     transport.TLSInfo

	binary    string // runs members as processes; "": they are embedded
	processes []*exec.Cmd
}

// start runs a cluster of n members, m0, m1, …; change may change each one's configuration.
func start(t *testing.T, n int, change func(*embed.Config)) *cluster {
	t.Helper()
	return startOn(t, n, "", change)
}

// startTLS runs a cluster of n members that speak TLS and want certificates; tls is the block that has one.
func startTLS(t *testing.T, n int) (c *cluster, tls plugintest.Config) {
	t.Helper()
	authority := certificates.New(t)
	pair := authority.Issue()
	c = start(t, n, func(m *embed.Config) {
		m.ListenClientUrls[0].Scheme, m.AdvertiseClientUrls[0].Scheme = "https", "https"
		m.ListenPeerUrls[0].Scheme, m.AdvertisePeerUrls[0].Scheme = "https", "https"
		m.ClientTLSInfo = transport.TLSInfo{TrustedCAFile: authority.File, CertFile: pair.Cert, KeyFile: pair.Key, ClientCertAuth: true}
		m.PeerTLSInfo = m.ClientTLSInfo
	})
	return c, plugintest.Config{"ca_file": authority.File, "cert_file": pair.Cert, "key_file": pair.Key}
}

func startOn(t *testing.T, n int, binary string, change func(*embed.Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, binary: binary, processes: make([]*exec.Cmd, n)}
	for i := range n {
		c.configs = append(c.configs, newMember(t, fmt.Sprintf("m%d", i), change))
	}
	var initial []string
	for _, m := range c.configs {
		initial = append(initial, m.Name+"="+m.AdvertisePeerUrls[0].String())
	}
	for _, m := range c.configs {
		m.InitialCluster = strings.Join(initial, ",")
		c.tls = m.ClientTLSInfo
		c.servers = append(c.servers, nil)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.stop(i)
		}
	})
	for i := range c.configs {
		c.run(i)
	}
	c.ready()
	return c
}

func newMember(t *testing.T, name string, change func(*embed.Config)) *embed.Config {
	m := embed.NewConfig()
	m.Name, m.Dir = name, t.TempDir()
	peer, client := freeURL(t), freeURL(t)
	m.ListenPeerUrls, m.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	m.ListenClientUrls, m.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	m.TickMs, m.ElectionMs = 100, 1500
	m.UnsafeNoFsync = true
	m.BcryptCost = 4 // the least: passwords are not what is tested
	// A question about its state that a member still answers while it closes its database is a panic, of the whole test.
	m.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.WaitForHandlers(true)}
	m.LogLevel, m.LogOutputs = "error", []string{os.DevNull}
	if change != nil {
		change(m)
	}
	return m
}

func freeURL(t *testing.T) url.URL {
	return url.URL{Scheme: "http", Host: plugintest.FreeAddress(t)}
}

// run starts member i, again if it was stopped.
func (c *cluster) run(i int) {
	c.t.Helper()
	if c.binary != "" {
		c.process(i)
		c.configs[i].ClusterState = embed.ClusterStateFlagExisting
		return
	}
	server, err := embed.StartEtcd(c.configs[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.servers[i] = server
	c.configs[i].ClusterState = embed.ClusterStateFlagExisting
}

// ready waits until every running member serves.
func (c *cluster) ready() {
	c.t.Helper()
	for i, s := range c.servers {
		if c.processes[i] != nil {
			c.serves(i)
		}
		if s == nil {
			continue
		}
		select {
		case <-s.Server.ReadyNotify():
		case <-time.After(time.Minute):
			c.t.Fatalf("member %d is not ready after a minute", i)
		}
	}
}

func (c *cluster) stop(i int) {
	c.kill(i)
	server := c.servers[i]
	if server == nil {
		return
	}
	select {
	case <-server.Server.ReadyNotify():
	default:
		server.Server.HardStop() // Close waits for a server that never got ready
	}
	server.Close()
	c.servers[i] = nil
}

// url is the client URL of member i.
func (c *cluster) url(i int) string { return c.configs[i].AdvertiseClientUrls[0].String() }

// host is the instance of member i.
func (c *cluster) host(i int) string { return c.configs[i].AdvertiseClientUrls[0].Host }

func (c *cluster) urls() (all []string) {
	for i := range c.configs {
		all = append(all, c.url(i))
	}
	return all
}

// client speaks to member i, as user if one is given.
func (c *cluster) client(i int, user, password string) *clientv3.Client {
	c.t.Helper()
	config := clientv3.Config{Endpoints: []string{c.url(i)}, Username: user, Password: password, Logger: zap.NewNop()}
	if !c.tls.Empty() {
		var err error
		if config.TLS, err = c.tls.ClientConfig(); err != nil {
			c.t.Fatal(err)
		}
	}
	client, err := clientv3.New(config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { client.Close() })
	return client
}

// login turns authentication on, with a user "monitor" who has no role.
func (c *cluster) login() {
	c.t.Helper()
	admin, ctx := c.client(0, "", ""), within(c.t)
	for _, step := range []func() error{
		func() error { _, err := admin.UserAdd(ctx, "root", "rootpw"); return err },
		func() error { _, err := admin.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := admin.UserAdd(ctx, "monitor", "s3cret-word"); return err },
		func() error { _, err := admin.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// within is a context for a step of a test.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
