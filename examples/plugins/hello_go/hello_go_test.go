package main

import (
	"os"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestItKeepsTheContract(t *testing.T) { plugintest.Verify(t, ".") }

func TestItCountsTheEntriesOfADirectory(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(dir+"/one", 0o700)
	plugintest.Golden(t, "directory.metrics", plugintest.Open(t, sdk.Source(open), plugintest.Config{"path": dir}).Cycle())
}
