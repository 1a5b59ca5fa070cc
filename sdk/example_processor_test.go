package sdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

type DropConfig struct {
	Prefix string `hcl:"prefix" doc:"Series whose names begin so are dropped."`
	Site   string `hcl:"site" doc:"Written into the label site."`
}

// tidy is asked once a series, and gives the same answer each time.
type tidy struct{ cfg *DropConfig }

func openTidy(_ context.Context, cfg *DropConfig, _ sdk.Host) (*tidy, error) { return &tidy{cfg}, nil }

func (t *tidy) MapSeries(s sdk.Series) (sdk.Series, bool) {
	if strings.HasPrefix(s.Labels.Get(sdk.NameLabel), t.cfg.Prefix) {
		return s, false
	}
	s.Labels = s.Labels.Set("site", t.cfg.Site)
	return s, true
}

var _ sdk.Mapper = (*tidy)(nil)

// A processor of series.
func ExampleProcessor() {
	_ = sdk.Processor(openTidy) // for serve.Main

	p := &tidy{&DropConfig{Prefix: "go_", Site: "zrh"}}
	for _, name := range []string{"up", "go_goroutines"} {
		mapped, keep := p.MapSeries(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, name)})
		fmt.Println(keep, mapped.Labels)
	}
	// Output:
	// true up{site="zrh"}
	// false go_goroutines
}

type LargestConfig struct{}

// largest keeps the largest value of each series: a processor with a memory, which survives whatever dies.
type largest struct{}

func openLargest(context.Context, *LargestConfig, sdk.Host) (largest, error) { return largest{}, nil }

func (largest) Derive(state []byte) (sdk.Derivation, error) {
	d := &largestSoFar{of: map[string]float64{}}
	if state == nil {
		return d, nil
	}
	return d, json.Unmarshal(state, &d.of)
}

type largestSoFar struct{ of map[string]float64 }

func (d *largestSoFar) Process(_ context.Context, in, out *sdk.Batch) error {
	for _, s := range in.Samples() {
		key := s.Labels.String()
		if old, known := d.of[key]; known && !(s.Value > old) {
			continue
		}
		d.of[key] = s.Value
		out.PutAt(out.Series(*s.Series), s.Value, s.Time)
	}
	return nil
}

func (d *largestSoFar) Snapshot() ([]byte, error) { return json.Marshal(d.of) }

var _ sdk.Deriver = largest{}

// A processor of samples: what it sets in out goes on in the place of what came in.
func ExampleSampleProcessor() {
	_ = sdk.SampleProcessor(openLargest) // for serve.Main

	d, _ := largest{}.Derive([]byte(`{"up": 1}`)) // what the last Snapshot gave
	state, _ := d.Snapshot()
	fmt.Println(string(state))
	// Output: {"up":1}
}
