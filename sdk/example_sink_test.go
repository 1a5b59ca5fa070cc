package sdk_test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

type LinesConfig struct {
	File string `hcl:"file" doc:"File to append to." change:"exclusive"`
}

// lines appends to a file. What it returns nil for is on disk.
type lines struct{ file *os.File }

func openLines(_ context.Context, cfg *LinesConfig, _ sdk.Host) (*lines, error) {
	f, err := os.OpenFile(cfg.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, sdk.At(&cfg.File, err)
	}
	return &lines{f}, nil
}

func (l *lines) Write(_ context.Context, in *sdk.Batch) error {
	w := bufio.NewWriter(l.file)
	for i, s := range in.Samples() {
		if math.IsNaN(s.Value) {
			in.Drop(i, "not_a_number")
			continue
		}
		fmt.Fprintf(w, "%d %s %v\n", s.Time.Unix(), s.Labels, s.Value)
	}
	if err := w.Flush(); err != nil {
		return sdk.Target(err) // the batch comes again
	}
	return sdk.Target(l.file.Sync())
}

func (l *lines) Close(context.Context) error { return l.file.Close() }

var (
	_ sdk.Writer = (*lines)(nil)
	_ sdk.Closer = (*lines)(nil)
)

// A sink.
func ExampleSink() {
	_ = sdk.Sink(openLines) // for serve.Main

	up := sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "up", "job", "node")}
	origin := sdk.NewOrigin("source.host.this", func(sdk.Ref) (sdk.Series, bool) { return up, true })
	batch := sdk.ReadBatch(1, []sdk.Run{{Origin: origin, Refs: []sdk.Ref{0, 0}, Values: []float64{1, math.NaN()}, Base: time.Unix(1700000000, 0).UnixMilli()}})

	out, _ := os.CreateTemp("", "lines") // in the place of a file
	defer os.Remove(out.Name())
	l := &lines{out}
	fmt.Println(l.Write(context.Background(), batch), batch.Dropped())
	text, _ := os.ReadFile(out.Name())
	fmt.Print(string(text))
	// Output:
	// <nil> map[not_a_number:1]
	// 1700000000 up{job="node"} 1
}
