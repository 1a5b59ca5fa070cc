// The smallest plugin: how many entries a directory has.
package main

import (
	"context"
	"os"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

var entries = sdk.Gauge("hello_directory_entries", "Files and directories in a directory.")

// Config is the block of the source.
type Config struct {
	Path string `hcl:"path,optional" default:"/tmp" doc:"Directory to count."`
}

type hello struct{ cfg *Config }

func open(_ context.Context, cfg *Config, _ sdk.Host) (*hello, error) { return &hello{cfg}, nil }

// Collect counts, at once and then every interval.
func (h *hello) Collect(_ context.Context, out *sdk.Batch) error {
	list, err := os.ReadDir(h.cfg.Path)
	if err != nil {
		return sdk.Target(err) // not the plugin's fault; up is 0
	}
	out.Set(entries, float64(len(list)))
	return nil
}

func main() {
	serve.Main("hello_go", "0.1.0", sdk.Source(open, sdk.Doc("Counts the entries of a directory.")))
}
