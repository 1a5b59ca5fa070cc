package main

import (
	"io"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestTheDaemonReachesThePageThroughThePluginsSocket(t *testing.T) {
	t.Parallel()
	c := plugintest.Open(t, capability, nil)
	for url, want := range map[string]int{"http://daemon/": 200, "http://daemon/licenses.md": 200, "http://daemon/api/v1/query": 404} {
		resp, err := c.Client().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want || len(body) == 0 {
			t.Errorf("%s: %s, %d bytes, %v; want %d", url, resp.Status, len(body), err, want)
		}
	}
}

func TestTheConsoleAsksForTheRootOfTheDaemonsAddress(t *testing.T) {
	t.Parallel()
	if c := capability.Type; c.Kind != sdk.KindService || c.Mount != "/" || !c.HTTP {
		t.Errorf("kind %s, mount %q, HTTP %t", c.Kind, c.Mount, c.HTTP)
	}
	if err := capability.Err(); err != nil {
		t.Error(err)
	}
}
