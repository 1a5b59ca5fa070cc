package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestTLSWithClientCertificates(t *testing.T) {
	t.Parallel()
	c, tls := startTLS(t, 3)
	secure := watch(t, plugintest.Config{"endpoints": c.urls()[:1], "tls": tls}, often)
	until(t, secure, "page, status and health of all three", func(s plugintest.Samples) bool {
		return slices.Equal(ups(s), c.ups(1, 1, 1)) && sum(s.Find("etcd_status_success")) == 3 && sum(s.Find("etcd_health")) == 3
	})
	delete(tls, "cert_file")
	delete(tls, "key_file")
	p := watch(t, plugintest.Config{"endpoints": c.urls()[:1], "tls": tls}, once)
	if got, want := ups(p.Cycle()), []string{c.host(0) + " 0"}; !slices.Equal(got, want) {
		t.Errorf("without a certificate up is %q, want %q", got, want)
	}
	// the reason can be overtaken by the end of the connection
	if h := p.Health(); h.Errors["target"] == 0 || !regexp.MustCompile("certificate required|broken pipe|connection reset").MatchString(h.LastError.Text) {
		t.Errorf("without a certificate: %v", h)
	}
}

func TestAUserWithAPassword(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	c.login()
	known := watch(t, plugintest.Config{"endpoints": c.urls(), "username": "monitor", "password": "s3cret-word"}, often)
	until(t, known, "page and status of all three", func(s plugintest.Samples) bool {
		return slices.Equal(ups(s), c.ups(1, 1, 1)) && sum(s.Find("etcd_status_success")) == 3
	})
	for fix, cfg := range map[string]plugintest.Config{
		"Check username and password.":                                   {"endpoints": c.urls(), "username": "monitor", "password": "wr0ng-word"},
		"This cluster has authentication on: set username and password.": {"endpoints": c.urls()},
	} {
		p := watch(t, cfg, once)
		p.Cycle()
		h := p.Health()
		if h.Errors["config"] == 0 || h.LastError.Fix != fix || strings.Contains(h.LastError.Text+h.Text, "wr0ng") {
			t.Errorf("%v: %v", cfg, h)
		}
	}
}

func TestAStoppedMemberDoesNotKeepTheOthersWaitingForItsLogin(t *testing.T) {
	t.Parallel()
	c := start(t, 3, nil)
	c.login()
	c.stop(1)
	p := watch(t, plugintest.Config{"endpoints": c.urls(), "username": "monitor", "password": "s3cret-word"}, often)
	until(t, p, "the second down", func(s plugintest.Samples) bool {
		return slices.Equal(ups(s), c.ups(1, 0, 1)) && strings.Contains(p.Health().Text, c.host(1)+`: Get "`+c.url(1)+`/metrics": dial tcp`)
	})
	if text := p.Health().Text; strings.Contains(text, errNoAnswer.Error()) {
		t.Errorf("it waits: %s", text)
	}
}
