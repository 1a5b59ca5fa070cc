package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/plugins/internal/peer"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestAProbeSendsNoSamplesToARealPrometheus(t *testing.T) {
	t.Parallel()
	p := peer.Prometheus(t, "", "--web.enable-remote-write-receiver")
	if found, err := plugintest.Probe(t, prometheusStore(), plugintest.Config{"url": p.URL}); err != nil || len(found) > 0 {
		t.Errorf("the store: found %q, %v", found, err)
	}
	if found, err := plugintest.Probe(t, sink(), plugintest.Config{"url": p.URL + "/api/v1/write"}); err != nil || len(found) > 0 {
		t.Errorf("the sink: found %q, %v", found, err)
	}
	if got := sdk.AsProblem(second(plugintest.Probe(t, sink(), plugintest.Config{"url": p.URL + "/api/v1/wirte"}))); got == nil || got.Path.String() != "url" || !strings.Contains(got.Error(), "404") {
		t.Errorf("at a path that is not there: %v", got)
	}
}

func second(_ []string, err error) error { return err }

func TestAProbeBlamesTheCredentialsOrTheAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "right" {
			w.WriteHeader(http.StatusUnauthorized)
		} else if strings.HasSuffix(r.URL.Path, "/query") {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer server.Close()
	login := func(password string) plugintest.Config {
		return plugintest.Config{"username": "magpie", "password": password}
	}
	for _, c := range []struct {
		of   sdk.Capability
		cfg  plugintest.Config
		want string
	}{
		{sink(), plugintest.Config{"url": server.URL, "basic_auth": login("right")}, ""},
		{sink(), plugintest.Config{"url": server.URL, "basic_auth": login("wrong")}, "basic_auth"},
		{prometheusStore(), plugintest.Config{"url": server.URL, "basic_auth": login("wrong")}, "basic_auth"},
		{prometheusStore(), plugintest.Config{"url": server.URL, "basic_auth": login("right")}, "url"},
		{prometheusStore(), plugintest.Config{"url": server.URL, "write_url": "http://127.0.0.1:1/w"}, "write_url"},
	} {
		p := sdk.AsProblem(second(plugintest.Probe(t, c.of, c.cfg)))
		if (p == nil) != (c.want == "") || p != nil && p.Path.String() != c.want {
			t.Errorf("%v: %+v", c.cfg, p)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for listen, want := range map[string]string{taken.Addr().String(): "listen", "127.0.0.1:0": ""} {
		p := sdk.AsProblem(second(plugintest.Probe(t, source(), plugintest.Config{"listen": listen})))
		if (p == nil) != (want == "") || p != nil && p.Path.String() != want {
			t.Errorf("%s: %+v", listen, p)
		}
	}
}
