package main

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/DataDog/sketches-go/ddsketch"

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	accuracy    = 0.01
	maxBins     = 2048            // of a sketch: beyond it the lowest values are less exact
	forgetAfter = int64(3600_000) // ms: counters that are not seen for so long
)

// work is what is done for one pipeline.
type work struct {
	p       *processor
	window  int64 // ms
	outputs []*output
	latest  int64 // time of the latest sample, Unix ms
	closed  int64 // windows before this number are closed
	size    int   // series held: groups and members of open windows, and counters
	now     func() time.Time
}

// output is what one output holds.
type output struct {
	*Output
	open     map[int64]map[string]*cell // by window, by the group's labels as text
	counters map[uint64]point           // last one of each series, by the hash of its labels
}

// cell is one group in one window.
type cell struct {
	labels   sdk.Labels
	count    uint64
	sum      float64 // of all samples, or of increases
	min, max float64
	last     map[uint64]point // of each series, for sum
	sketch   *ddsketch.DDSketch
}

type point struct {
	Time  int64
	Value float64
}

// member is how one series takes part, found once for each ref.
type member struct {
	hash   uint64
	groups []group
}

type group struct {
	output int
	key    string
	labels sdk.Labels
}

func newWork(p *processor) *work {
	w := &work{p: p, window: p.cfg.Window.Milliseconds(), now: time.Now}
	for i := range p.cfg.Outputs {
		w.outputs = append(w.outputs, &output{Output: &p.cfg.Outputs[i], open: map[int64]map[string]*cell{}, counters: map[uint64]point{}})
	}
	return w
}

// Process takes samples into their windows, and closes those that are over.
func (w *work) Process(_ context.Context, in, out *sdk.Batch) error {
	i := 0
	for r := range in.Runs() {
		run := &in.Runs()[r]
		members := membersOf(run.Origin)
		for k, ref := range run.Refs {
			if reason := w.take(w.member(members, run.Origin, ref), run.Time(k), run.Values[k]); reason != "" {
				in.Drop(i, reason)
			}
			i++
		}
	}
	w.close(out)
	return nil
}

// membersOf is what is known of an origin's series.
func membersOf(o *sdk.Origin) *sdk.Table[*member] {
	if o.Data == nil {
		o.Data = new(sdk.Table[*member])
	}
	return o.Data.(*sdk.Table[*member])
}

// member finds the outputs and groups of a series.
func (w *work) member(known *sdk.Table[*member], o *sdk.Origin, ref sdk.Ref) *member {
	if m := known.Get(ref); m != nil {
		return *m
	}
	s, _ := o.Series(ref)
	m := &member{hash: s.Labels.Hash()}
	labels := s.Labels.Map()
	for i, conditions := range w.p.selected {
		if slices.ContainsFunc(conditions, func(f func(map[string]string) bool) bool { return !f(labels) }) {
			continue
		}
		g := group{output: i, labels: sdk.NewLabels(sdk.NameLabel, w.outputs[i].Name)}
		for _, name := range w.outputs[i].By {
			if value := labels[name]; value != "" {
				g.labels = g.labels.Set(name, value)
			}
		}
		g.key = g.labels.String()
		m.groups = append(m.groups, g)
	}
	known.Set(ref, m)
	return m
}

// take counts one sample; reason says why it does not count.
func (w *work) take(m *member, at int64, v float64) (reason string) {
	number := floor(at, w.window)
	switch {
	case math.Float64bits(v) == math.Float64bits(sdk.StaleNaN):
		return ""
	case math.IsNaN(v):
		return "nan"
	case len(m.groups) == 0:
		return "unselected"
	case number < w.closed:
		return "late"
	}
	for _, g := range m.groups {
		if r := w.outputs[g.output].add(w, g, number, m.hash, point{at, v}); r != "" {
			reason = r
		}
	}
	w.latest = max(w.latest, at)
	return reason
}

// floor is the number of the window of a time.
func floor(at, window int64) int64 {
	n := at / window
	if at%window < 0 {
		n--
	}
	return n
}

func (o *output) add(w *work, g group, number int64, series uint64, p point) (reason string) {
	counting := o.Function == "increase" || o.Function == "rate"
	before, known := o.counters[series]
	if counting && known && p.Time <= before.Time {
		return "out_of_order"
	}
	c := o.open[number][g.key]
	need := o.needs(c, series, counting && !known)
	if w.size+need > w.p.cfg.MaxSeries {
		return "max_series"
	}
	w.size += need
	if c == nil {
		c = o.cell(number, g)
	}
	v := p.Value
	if counting {
		o.counters[series] = p
		switch {
		case !known:
			return ""
		case v >= before.Value:
			v -= before.Value
		}
	}
	c.add(o.Function, series, point{p.Time, v})
	return ""
}

// needs is by how much a sample makes what is held grow.
func (o *output) needs(c *cell, series uint64, counter bool) (n int) {
	if c == nil {
		n++
	}
	if counter {
		n++
	}
	if o.Function == "sum" {
		if c == nil {
			return n + 1
		}
		if _, ok := c.last[series]; !ok {
			n++
		}
	}
	return n
}

// cell makes the cell of a group in a window.
func (o *output) cell(number int64, g group) *cell {
	c := &cell{labels: g.labels, min: math.Inf(1), max: math.Inf(-1)}
	switch o.Function {
	case "sum":
		c.last = map[uint64]point{}
	case "quantile":
		c.sketch, _ = ddsketch.LogCollapsingLowestDenseDDSketch(accuracy, maxBins) // the error is of an accuracy beyond (0, 1)
	}
	if o.open[number] == nil {
		o.open[number] = map[string]*cell{}
	}
	o.open[number][g.key] = c
	return c
}

func (c *cell) add(function string, series uint64, p point) {
	c.count++
	switch function {
	case "sum":
		if last, ok := c.last[series]; !ok || p.Time >= last.Time {
			c.last[series] = p
		}
	case "quantile":
		if c.sketch.Add(p.Value) != nil { // beyond what the sketch indexes: the largest that it does
			c.sketch.Add(math.Copysign(math.MaxFloat64/1e10, p.Value))
		}
	default:
		c.sum += p.Value
		c.min, c.max = min(c.min, p.Value), max(c.max, p.Value)
	}
}

// value is what the window gives; false: nothing.
func (c *cell) value(o *output, window int64) (float64, bool) {
	switch o.Function {
	case "sum":
		total := 0.0
		for _, series := range sorted(c.last) { // in order: the same state gives the same bits
			total += c.last[series].Value
		}
		return total, true
	case "avg":
		return c.sum / float64(c.count), true
	case "min":
		return c.min, true
	case "max":
		return c.max, true
	case "count":
		return float64(c.count), true
	case "increase":
		return c.sum, c.count > 0
	case "rate":
		return c.sum / (float64(window) / 1000), c.count > 0
	}
	v, err := c.sketch.GetValueAtQuantile(o.Quantile)
	return v, err == nil
}

// close sets the values of windows that are over. A sample that claims to be of the future closes nothing before its time.
func (w *work) close(out *sdk.Batch) {
	until := floor(min(w.latest, w.now().UnixMilli())-w.p.cfg.Lateness.Milliseconds(), w.window)
	if until <= w.closed {
		return
	}
	w.closed = until
	var over []int64
	for _, o := range w.outputs {
		for number := range o.open {
			if number < until {
				over = append(over, number)
			}
		}
	}
	slices.Sort(over)
	over = slices.Compact(over)
	for i, number := range over {
		end := time.UnixMilli((number + 1) * w.window)
		for _, o := range w.outputs {
			w.emit(o, number, end, i+1 == len(over), out)
		}
	}
	for _, o := range w.outputs {
		for series, p := range o.counters {
			if p.Time < w.latest-forgetAfter-w.window {
				delete(o.counters, series)
				w.size--
			}
		}
	}
}

// emit sets an output's values of one window. Those of the newest are all that there is: series that are not among them
// go stale.
func (w *work) emit(o *output, number int64, end time.Time, newest bool, out *sdk.Batch) {
	if newest {
		out.Time, out.Whole = end, true
	}
	cells := o.open[number]
	delete(o.open, number)
	for _, key := range sorted(cells) {
		c := cells[key]
		w.size -= 1 + len(c.last)
		v, ok := c.value(o, w.window)
		if !ok {
			continue
		}
		family := &sdk.Family{Name: o.Name, Type: sdk.GaugeType, Help: "The " + o.Function + " over " + w.p.cfg.Window.String() + " of " + o.Select}
		if ref := out.Series(sdk.Series{Labels: c.labels, Family: family}); newest {
			out.Put(ref, v)
		} else {
			out.PutAt(ref, v, end)
		}
	}
}

// Forget frees what was known of series that will not come again.
func (w *work) Forget(o *sdk.Origin, refs []sdk.Ref) {
	if refs == nil {
		o.Data = nil
		return
	}
	for _, ref := range refs {
		membersOf(o).Delete(ref)
	}
}
