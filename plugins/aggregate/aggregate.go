// The processor "aggregate" makes a few series of many: over each window of time, one value for each combination of the
// labels that are kept. What it makes goes on through the pipeline in the place of what came in; a pipeline that brings the
// series themselves as well is written beside it.
//
// A sample belongs to the window that its own time falls into, whenever it comes: a backlog gives what live samples had
// given. A window is closed, and its values go on with the time of its end, once a sample came that is later than its end by
// the lateness. What comes for a closed window is dropped and counted as late.
//
// # Functions
//
//   - sum: of the last value of each series in the window, as sum by (…) gives at its end.
//   - avg, min, max, quantile: of all samples in the window. A quantile has a relative error of at most 1 % (DDSketch, Masson,
//     Rim and Lee, VLDB 2019).
//   - count: how many samples.
//   - increase: how much counters grew, resets considered, from sample to sample. There is no extrapolation as in PromQL: the
//     increases of all windows add up to what was counted. The first sample of a series gives none.
//   - rate: increase by second.
//
// Staleness markers are passed over. Other samples that are not a number are dropped (nan), as are those that no output
// selects (unselected), and samples of a counter that are not later than its last one (out_of_order).
//
// # What is kept
//
// Open windows, and the last value of each counter, are kept by the daemon together with the output and the place in the
// log: every sample counts exactly once, whatever dies. A changed configuration keeps them for the outputs that are the
// same. The last value of a counter that is not seen for an hour is forgotten. Memory: about 100 B a series, for each output
// that selects it and each open window; there are at most max_series of them.
//
// # How it is tested
//
// Against values computed from all samples at once, through states taken at every moment; and in a daemon whose processes
// are killed while numbered samples flow, where the counts of all windows must be those of all samples.
package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Config is the block of the processor.
type Config struct {
	Window    time.Duration `hcl:"window" check:"min=1s,max=24h" doc:"Length of the windows; they begin at multiples of it."`
	Lateness  time.Duration `hcl:"lateness,optional" default:"10s" check:"min=0s,max=1h" doc:"How much later than its end a sample must be to close a window."`
	MaxSeries int           `hcl:"max_series,optional" default:"50000" check:"min=1,max=200000" doc:"Series of all outputs and open windows together; samples of more are dropped and counted."`
	Outputs   []Output      `hcl:"output,block" doc:"Series to make."`
}

// Output is a block output.
type Output struct {
	Name     string   `hcl:"name,label" doc:"Metric name of what is made."`
	Select   string   `hcl:"select" doc:"The series to take: __name__ = 'http_requests_total', code !~ '5..'"`
	Function string   `hcl:"function" check:"oneof=sum avg min max count increase rate quantile" doc:"What to make of them."`
	Quantile float64  `hcl:"quantile,optional" default:"0.99" doc:"Which quantile, from 0 to 1."`
	By       []string `hcl:"by,optional" doc:"Labels to keep; without any, one series is made."`
}

// Validate checks what tags cannot say.
func (c *Config) Validate(d *sdk.Diags) {
	if len(c.Outputs) == 0 {
		d.Errorf(nil, "this processor makes nothing: give it an output")
	}
	seen := map[string]bool{}
	for i := range c.Outputs {
		o := &c.Outputs[i]
		if _, wrong := sdk.ParseMatchers(o.Select); wrong != nil {
			d.Errorf(&o.Select, "%s, at character %d", wrong.Text, wrong.From+1)
		} else if _, err := o.matchers(); err != nil {
			d.Errorf(&o.Select, "%v", err)
		}
		if o.Quantile < 0 || o.Quantile > 1 {
			d.Errorf(&o.Quantile, "a quantile is between 0 and 1")
		}
		if !sdk.NewLabels(sdk.NameLabel, o.Name).Valid() || o.Name == "" {
			d.Errorf(&o.Name, "not a metric name")
		}
		if slices.Contains(o.By, sdk.NameLabel) {
			d.Errorf(&o.By, "the metric name is that of the output")
		}
		if seen[o.Name] {
			d.Errorf(&o.Name, "another output has this name")
		}
		seen[o.Name] = true
	}
}

// matchers are the conditions of select.
func (o *Output) matchers() (all []func(map[string]string) bool, err error) {
	list, wrong := sdk.ParseMatchers(o.Select)
	if wrong != nil {
		return nil, fmt.Errorf("%s", wrong.Text)
	}
	for _, m := range list {
		f, err := m.Func()
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// key names what an output does: state is only for the same.
func (o *Output) key(window time.Duration) string {
	return strings.Join([]string{o.Name, o.Select, o.Function, fmt.Sprint(o.Quantile), strings.Join(o.By, ","), window.String()}, "\x00")
}

// processor is an open component.
type processor struct {
	cfg      *Config
	selected [][]func(map[string]string) bool // by output
}

func open(_ context.Context, cfg *Config, _ sdk.Host) (*processor, error) {
	p := &processor{cfg: cfg}
	for i := range cfg.Outputs {
		m, err := cfg.Outputs[i].matchers()
		if err != nil {
			return nil, sdk.At(&cfg.Outputs[i].Select, err)
		}
		p.selected = append(p.selected, m)
	}
	return p, nil
}

// Derive begins with one pipeline, or goes on with it.
func (p *processor) Derive(state []byte) (sdk.Derivation, error) {
	w := newWork(p)
	if state == nil {
		return w, nil
	}
	return w, w.restore(state)
}
