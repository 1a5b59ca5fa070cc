package sdk_test

import (
	"context"
	"fmt"

	"github.com/magpie-monitoring/magpie/sdk"
)

type DiskConfig struct {
	Path string `hcl:"path,optional" default:"/" doc:"Where the file system is mounted."`
}

type disk struct {
	cfg  *DiskConfig
	free func(path string) (bytes, of uint64, err error)
}

// Diagnose looks, says what it looked at, and what it found; it repairs nothing.
func (d *disk) Diagnose(_ context.Context, q sdk.Question, r *sdk.Report) error {
	r.Progress("asking the file system")
	free, of, err := d.free(d.cfg.Path)
	r.Checked("free space", fmt.Sprintf("%d of %d bytes", free, of), err)
	if err != nil {
		return sdk.Target(err)
	}
	if free < of/20 {
		r.Find(sdk.Finding{
			Severity: sdk.Critical, Title: d.cfg.Path + " is almost full",
			Evidence: []sdk.Evidence{{What: "free space", Value: fmt.Sprintf("%d bytes", free)}},
			Next:     []sdk.NextStep{{Text: "See what is large.", Command: "du -xh --max-depth=2 " + d.cfg.Path + " | sort -h | tail"}},
		})
	}
	return nil
}

var _ sdk.Examiner = (*disk)(nil)

// A diagnoser.
func ExampleDiagnoser() {
	open := func(_ context.Context, cfg *DiskConfig, _ sdk.Host) (*disk, error) { return &disk{cfg, nil}, nil }
	_ = sdk.Diagnoser(open) // for serve.Main

	d := &disk{&DiskConfig{Path: "/data"}, func(string) (uint64, uint64, error) { return 10, 1000, nil }}
	r := sdk.NewReport("diagnoser.disk.data", sdk.Question{}, nil)
	found := r.End(d.Diagnose(context.Background(), sdk.Question{}, r))
	fmt.Println(found.Worst(), found.Findings[0].Title)
	fmt.Println(found.Checks[0].Name, found.Checks[0].Outcome)
	// Output:
	// critical /data is almost full
	// free space 10 of 1000 bytes
}
