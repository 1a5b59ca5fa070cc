package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

type queryFlags struct {
	at   string
	over time.Duration
	step time.Duration
}

func queryFlagsOf(f *flag.FlagSet, o *options) {
	f.StringVar(&o.query.at, "time", "", "time to ask for, RFC 3339; default: now")
	f.DurationVar(&o.query.over, "range", 0, "ask for a range up to the time, such as 1h")
	f.DurationVar(&o.query.step, "step", 0, "distance between the points of a range; default: range / 60")
}

// answer is Prometheus' form of a result.
type answer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
	Warnings []string `json:"warnings"`
}

type point [2]any // seconds, value as text

func query(ctx context.Context, o *options, args []string) int {
	if len(args) != 1 {
		return o.fail(fmt.Errorf("query takes one expression, such as: magpie query 'rate(node_cpu_seconds_total[5m])'"))
	}
	at := time.Now()
	if o.query.at != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, o.query.at); err != nil {
			return o.fail(fmt.Errorf("-time %q is not a time such as %s", o.query.at, time.Now().Format(time.RFC3339)))
		}
	}
	form := url.Values{"query": {args[0]}, "time": {seconds(at)}}
	path := "/api/v1/query"
	if o.query.over > 0 {
		step := o.query.step
		if step == 0 {
			step = max(o.query.over/60, time.Second)
		}
		path = "/api/v1/query_range"
		form = url.Values{"query": {args[0]}, "start": {seconds(at.Add(-o.query.over))}, "end": {seconds(at)}, "step": {fmt.Sprint(step.Seconds())}}
	}
	d := o.daemon()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return o.fail(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := d.http.Do(r)
	if err != nil {
		return o.failed(d, err)
	}
	defer response.Body.Close()
	var a answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return o.fail(fmt.Errorf("the daemon answered %s and no JSON: %w", response.Status, err))
	}
	if a.Status != "success" {
		return o.fail(fmt.Errorf("%s", a.Error))
	}
	for _, w := range a.Warnings {
		fmt.Fprintln(o.Err, "warning:", w)
	}
	if o.json {
		fmt.Fprintf(o.Out, "%s\n", a.Data.Result)
		return exitOK
	}
	if err := o.writeResult(a); err != nil {
		return o.fail(err)
	}
	return exitOK
}

func seconds(t time.Time) string { return fmt.Sprintf("%.3f", float64(t.UnixMilli())/1000) }

// writeResult writes a line for each point of a vector, and a block for each series of a matrix.
func (o *options) writeResult(a answer) error {
	if a.Data.ResultType == "scalar" || a.Data.ResultType == "string" {
		var p point
		if err := json.Unmarshal(a.Data.Result, &p); err != nil {
			return err
		}
		fmt.Fprintln(o.Out, p[1])
		return nil
	}
	var series []struct {
		Metric map[string]string `json:"metric"`
		Value  point             `json:"value"`
		Values []point           `json:"values"`
	}
	if err := json.Unmarshal(a.Data.Result, &series); err != nil {
		return err
	}
	if len(series) == 0 {
		fmt.Fprintln(o.Err, "nothing matches")
	}
	t := table{w: o.Out, colour: o.Colour}
	for i, s := range series {
		var labels sdk.Labels
		for name, value := range s.Metric {
			labels = labels.Set(name, value)
		}
		if s.Values == nil {
			if i == 0 {
				t.head("SERIES", "VALUE")
			}
			t.row("", labels.String(), fmt.Sprint(s.Value[1]))
			continue
		}
		fmt.Fprintln(o.Out, paint(o.Colour, bold, labels.String()))
		for _, p := range s.Values {
			at, _ := p[0].(float64)
			fmt.Fprintf(o.Out, "  %s  %v\n", time.UnixMilli(int64(at*1000)).Format(time.DateTime), p[1])
		}
	}
	if t.tab != nil {
		t.flush()
	}
	return nil
}
