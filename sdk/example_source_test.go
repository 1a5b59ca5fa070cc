package sdk_test

import (
	"context"
	"os"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

var spoolFiles = sdk.Gauge("spool_files", "Files that wait.", "queue")

type SpoolConfig struct {
	Queues []string `hcl:"queues" doc:"Directories to look into."`
}

// spool is asked every interval. Each queue is told by itself: that one cannot be read does not hide the others.
type spool struct{ cfg *SpoolConfig }

func openSpool(_ context.Context, cfg *SpoolConfig, _ sdk.Host) (*spool, error) {
	return &spool{cfg}, nil
}

func (s *spool) Collect(_ context.Context, out *sdk.Batch) error {
	var failed error
	for i, dir := range s.cfg.Queues {
		files, err := os.ReadDir(dir)
		if err != nil {
			failed = sdk.Target(sdk.At(&s.cfg.Queues[i], err))
			continue
		}
		out.Set(spoolFiles, float64(len(files)), dir)
	}
	return failed
}

var _ sdk.Collector = (*spool)(nil)

// A source that is asked every interval: source "spool" "mail" { queues = ["/var/spool/mail"] }.
func ExampleSource() {
	serve.Main("spool", "0.1.0", sdk.Source(openSpool, sdk.Doc("Counts files that wait.")))
}
