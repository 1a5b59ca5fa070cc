package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestProbeAsksEveryEndpoint(t *testing.T) {
	t.Parallel()
	c := start(t, 1, nil)
	dead := freeURL(t)
	for want, endpoints := range map[string][]string{
		"":                                   {c.url(0)},
		dead.String() + ": connection error": {c.url(0), dead.String()},
	} {
		cfg := &Config{Access: Access{Reach: Reach{Endpoints: endpoints}, DiscoverMembers: true}}
		s, err := open(t.Context(), cfg, noHost{})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Probe(within(t))
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("probing %q gives %q, want %q", endpoints, got, want)
		}
		if err != nil && sdk.AsProblem(err).Blame != sdk.BlameConfig {
			t.Errorf("it blames %q", sdk.AsProblem(err).Blame)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// noHost is a host that gives a source no settings, as for a probe.
type noHost struct{ sdk.Host }

func (noHost) Source() sdk.SourceSettings { return sdk.SourceSettings{} }

func TestAMistakeInTheBlockIsFoundOffline(t *testing.T) {
	t.Parallel()
	good := []string{"http://a:2379"}
	for _, c := range []struct {
		cfg  plugintest.Config
		want string
	}{
		{plugintest.Config{"endpoints": good}, ""},
		{plugintest.Config{"endpoints": []string{}}, "endpoints: endpoints is empty: give the client URL of at least one member"},
		{plugintest.Config{"endpoints": []string{"a:2379"}}, `endpoints[0]: endpoint "a:2379" does not start with http://host or https://host`},
		{plugintest.Config{"endpoints": []string{"http://[::1"}}, `endpoints[0]: endpoint "http://[::1" is no URL: write http://host:port or https://host:port`},
		{plugintest.Config{"endpoints": []string{"http://a"}}, `endpoints[0]: endpoint "http://a" has no port: etcd's is usually 2379`},
		{plugintest.Config{"endpoints": []string{"http://a:1/metrics"}}, `endpoints[0]: endpoint "http://a:1/metrics" goes on after the port: write http://a:1`},
		{plugintest.Config{"endpoints": []string{"http://me:pw@a:1"}}, `endpoints[0]: endpoint "http://me:xxxxx@a:1" holds a user: write it into username and password`},
		{plugintest.Config{"endpoints": []string{"http://a:1", "http://b:1", "http://a:1/"}}, "endpoints[2]: endpoint http://a:1 is there twice: remove one"},
		{plugintest.Config{"endpoints": good, "username": "me"}, "username: username needs a password beside it"},
		{plugintest.Config{"endpoints": good, "password": "pw"}, "password: password needs a username beside it"},
		{plugintest.Config{"endpoints": good, "username": "me", "password": "pw"}, "warning: endpoints: the password goes over the network in clear text: no endpoint is https://"},
		{plugintest.Config{"endpoints": good, "tls": plugintest.Config{"ca_file": "x"}}, "warning: tls: tls has no effect on the endpoints: none is https://"},
		{plugintest.Config{"endpoints": []string{"https://a:1"}, "tls": plugintest.Config{"cert_file": "x"}}, "tls: cert_file and key_file go together: one of them is missing"},
		{plugintest.Config{"endpoints": good, "metrics_endpoints": map[string]string{"m0": "b:2381"}}, `metrics_endpoints: metrics endpoint of "m0": "b:2381" does not start with http://host or https://host`},
	} {
		if got := plugintest.Remarks(t, etcd, c.cfg); got != c.want {
			t.Errorf("%v\n got %q\nwant %q", c.cfg, got, c.want)
		}
	}
}
