package main

import (
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// The sink's probe asks a source, over both protocols, with and without what that wants to see.
func TestAProbeSendsNoPointsAndBlamesTheAttribute(t *testing.T) {
	t.Parallel()
	authority := certificates.New(t)
	pair := authority.Issue()
	_, grpc, http := listening(t, plugintest.Config{
		"bearer_token": "right", "tls": plugintest.Config{"cert_file": pair.Cert, "key_file": pair.Key},
	})
	ca := plugintest.Config{"ca_file": authority.File}
	for protocol, address := range map[string]string{"grpc": grpc, "http": http} {
		for _, c := range []struct {
			cfg  plugintest.Config
			want string
		}{
			{plugintest.Config{"tls": ca, "bearer_token": "right"}, ""},
			{plugintest.Config{"tls": ca, "bearer_token": "wrong"}, "bearer_token"},
			{plugintest.Config{"tls": ca}, "endpoint"},
			{plugintest.Config{"bearer_token": "right"}, "endpoint"},
		} {
			c.cfg["endpoint"], c.cfg["protocol"] = "https://"+address, protocol
			found, err := plugintest.Probe(t, sink, c.cfg)
			p := sdk.AsProblem(err)
			if (p == nil) != (c.want == "") || p != nil && p.Path.String() != c.want {
				t.Errorf("%v: %+v", c.cfg, p)
			}
			if p == nil && (len(found) != 1 || !strings.Contains(found[0], " is valid until ")) {
				t.Errorf("found %q", found)
			}
		}
	}

	// The source's asks whether its addresses are free.
	_, err := plugintest.Probe(t, source, plugintest.Config{"grpc_listen": "127.0.0.1:0", "http_listen": http})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "http_listen" || !strings.Contains(p.Error(), "address already in use") {
		t.Errorf("%v", err)
	}
	found, err := plugintest.Probe(t, source, plugintest.Config{
		"grpc_listen": "127.0.0.1:0", "http_listen": "", "tls": plugintest.Config{"cert_file": pair.Cert, "key_file": pair.Key},
	})
	if err != nil || len(found) != 1 {
		t.Errorf("found %q, %v", found, err)
	}
}
