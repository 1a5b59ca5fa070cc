package main

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/plugins/internal/certificates"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// A probe finds out who is there, and notifies nobody.
func TestAProbeNotifiesNobody(t *testing.T) {
	t.Parallel()
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodHead:
			t.Error("it was sent a", r.Method)
		case r.URL.Path == "/none":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/down":
			w.WriteHeader(http.StatusBadGateway)
		case r.Header.Get("Authorization") != "Bearer canary-right":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
	server := httptest.NewServer(answer)
	defer server.Close()
	capability := sdk.Notifier(open)
	for _, c := range []struct{ path, token, found, wrong, at string }{
		{"/hook", "canary-right", "", "", ""},
		{"/hook", "canary-wrong", "", "answers 403", "token"},
		{"/none", "", "404 to a HEAD", "", ""},
		{"/down", "", "", "answers 502", "url"},
	} {
		found, err := plugintest.Probe(t, capability, plugintest.Config{"url": server.URL + c.path, "token": c.token})
		p := sdk.AsProblem(err)
		if (c.wrong == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), c.wrong) || p.Path.String() != c.at || strings.Contains(err.Error(), "canary")) || !strings.Contains(strings.Join(found, "\n"), c.found) {
			t.Errorf("%s: found %q, %v", c.path, found, err)
		}
	}

	authority := certificates.New(t)
	secure := httptest.NewUnstartedServer(answer)
	pair := authority.Issue()
	certificate, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	secure.StartTLS()
	defer secure.Close()
	cfg := plugintest.Config{"url": secure.URL, "token": "canary-right"}
	if _, err := plugintest.Probe(t, capability, cfg); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate of an unknown authority: %v", err)
	}
	cfg["tls"] = plugintest.Config{"ca_file": authority.File}
	if found, err := plugintest.Probe(t, capability, cfg); err != nil || len(found) != 1 || !strings.Contains(found[0], " is valid until ") {
		t.Errorf("found %q, %v", found, err)
	}
}
