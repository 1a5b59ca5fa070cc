package rule

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

const (
	// ruleTimeout bounds one rule's queries and its write, as query.timeout of Prometheus does.
	ruleTimeout = 2 * time.Minute
	// resendDelay is how often an alert is told again.
	resendDelay = time.Minute
	// maxSeries bounds the result of one rule; more is an error of the rule.
	maxSeries = 50_000
)

// group is a running Group.
type group struct {
	Group
	set    *Rules
	o      *Options
	clock  *clock
	key    string
	ctx    context.Context
	cancel context.CancelFunc // nil: not started
	done   chan struct{}

	mu      sync.Mutex // held to change what Snapshot reads; only the group's goroutine changes it
	rules   []*state
	leaving map[string]sdk.Labels // series of rules that are gone, to be marked stale
	dirty   bool
	stats   GroupState
}

// state is a rule with what is known of it.
type state struct {
	Rule
	alerts   map[string]*alert     // by labels
	previous map[string]sdk.Labels // written by the last evaluation
	stats    RuleState
}

func newGroup(r *Rules, spec Group) *group {
	g := &group{
		Group: spec, set: r, o: &r.o, clock: r.clock, key: spec.File + ";" + spec.Name,
		done: make(chan struct{}), leaving: map[string]sdk.Labels{},
	}
	for _, rule := range spec.Rules {
		g.rules = append(g.rules, &state{Rule: rule, alerts: map[string]*alert{}, stats: RuleState{Health: "unknown"}})
	}
	return g
}

// identity is what a rule's state is kept by.
func (s *state) identity() string {
	return fmt.Sprintf("alert %q record %q %q", s.Alert, s.Record, s.Labels)
}

// inherit takes over the state of the group that this one replaces. Of several rules with one identity the first is the
// first, and so on.
func (g *group) inherit(old *group) {
	byIdentity := map[string][]*state{}
	for _, s := range old.rules {
		byIdentity[s.identity()] = append(byIdentity[s.identity()], s)
	}
	if old.Store != g.Store { // what it wrote stays behind
		old.staleLater(old.living())
		for _, s := range old.rules {
			s.previous = nil
		}
		clear(old.leaving)
	}
	for _, s := range g.rules {
		if was := byIdentity[s.identity()]; len(was) > 0 {
			s.alerts, s.previous = was[0].alerts, was[0].previous
			byIdentity[s.identity()] = was[1:]
		}
	}
	g.leaving, g.dirty = old.leaving, true
	for _, gone := range byIdentity {
		for _, s := range gone {
			g.resolve(s)
			maps.Copy(g.leaving, s.previous)
		}
	}
}

// retire ends what a removed group has said: its alerts resolve, its series go stale.
func (g *group) retire() {
	for _, s := range g.rules {
		g.resolve(s)
	}
	g.forgetKey(g.key)
	g.staleLater(g.living())
}

func (g *group) forgetKey(key string) {
	if err := g.o.Save(saveKey(key), nil); err != nil {
		g.o.Log.Warn("the state of a removed group of rules could not be removed", "group", key, "error", err)
	}
}

// living are the series that the group has written and not yet marked stale.
func (g *group) living() map[string]sdk.Labels {
	all := maps.Clone(g.leaving)
	for _, s := range g.rules {
		maps.Copy(all, s.previous)
	}
	return all
}

// staleLater marks series stale as of now, but for those that another group has written two intervals later: a group that
// was renamed. As in Prometheus, the end of the daemon marks nothing.
func (g *group) staleLater(series map[string]sdk.Labels) {
	if len(series) == 0 {
		return
	}
	at := g.clock.show(g.clock.now()).Add(-g.Offset)
	g.set.wg.Go(func() {
		select {
		case <-g.set.ctx.Done():
			return
		case <-time.After(2 * g.Interval):
		}
		g.set.mu.Lock()
		for _, other := range g.set.groups {
			other.forget(g.Store, series)
		}
		g.set.mu.Unlock()
		ctx, cancel := context.WithTimeout(g.set.ctx, ruleTimeout)
		defer cancel()
		g.writeStale(ctx, series, at)
	})
}

// forget deletes the series that this group writes to the store.
func (g *group) forget(store string, series map[string]sdk.Labels) {
	if g.Store != store {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.rules {
		for key := range s.previous {
			delete(series, key)
		}
	}
}

func (g *group) start() {
	g.ctx, g.cancel = context.WithCancel(g.set.ctx)
	go g.run()
}

// firstSlot is the next time on the group's grid, which is moved by a hash of its identity so that groups spread over
// the interval, and which is the same after a restart.
func (g *group) firstSlot() time.Time {
	h := fnv.New64a()
	h.Write([]byte(g.key))
	interval := int64(g.Interval)
	offset := int64(h.Sum64() % uint64(interval))
	now := g.clock.now()
	into := (g.clock.show(now).UnixNano() - offset) % interval
	if into < 0 {
		into += interval
	}
	return now.Add(time.Duration(interval - into))
}

func (g *group) run() {
	defer close(g.done)
	defer g.save()
	next := g.firstSlot()
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-timer.C:
		}
		missed := max(0, time.Since(next)/g.Interval)
		next = next.Add(missed * g.Interval)
		g.mu.Lock()
		g.stats.Iterations += uint64(missed) + 1
		g.stats.Missed += uint64(missed)
		g.mu.Unlock()
		g.iterate(next)
		next = next.Add(g.Interval)
		timer.Reset(time.Until(next))
	}
}

// iterate evaluates the rules for the slot ts, or skips them.
func (g *group) iterate(ts time.Time) {
	defer g.save()
	err := g.clock.check()
	if err == nil {
		err = g.o.Ready(g.Store)
	}
	if g.skip(err); err != nil {
		g.tellAll(ts)
		return
	}
	start, told := g.clock.now(), g.clock.now()
	at := g.clock.show(ts)
	g.clock.evaluated(at)
	written := map[string]sdk.Labels{}
	for _, s := range g.rules {
		if g.clock.now().Sub(told) > resendDelay { // slow rules before this one: what fires must not run out meanwhile
			told = g.clock.now()
			g.tellAll(told)
		}
		g.evaluate(s, ts, at, written)
		if g.ctx.Err() != nil {
			return
		}
	}
	for key := range written {
		delete(g.leaving, key)
	}
	if len(g.leaving) > 0 && g.writeStale(g.ctx, g.leaving, at.Add(-g.Offset)) {
		g.leaving = map[string]sdk.Labels{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.EvaluationTime, g.stats.LastEvaluation = g.clock.now().Sub(start), g.clock.show(start)
}

// skip counts a skipped evaluation, and says once that skipping began or ended.
func (g *group) skip(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.stats.SkipReason
	g.stats.SkipReason = ""
	if reason != nil {
		g.stats.Skipped++
		g.stats.SkipReason = reason.Error()
	}
	switch {
	case before == "" && reason != nil:
		g.o.Log.Warn("rules are not evaluated; alerts stay as they are", "group", g.Name, "file", g.File, "reason", reason)
	case before != "" && reason == nil:
		g.o.Log.Info("rules are evaluated again", "group", g.Name, "file", g.File)
	}
}

// evaluate runs one rule for the slot ts, which is the wall time at. written collects the series of this iteration.
func (g *group) evaluate(s *state, ts, at time.Time, written map[string]sdk.Labels) {
	ctx, cancel := context.WithTimeout(g.ctx, ruleTimeout)
	defer cancel()
	start := g.clock.now()
	samples, err := g.samples(ctx, s, ts, at)
	g.tell(s, ts) // after an error too: what fired goes on to fire
	if err == nil {
		err = g.write(ctx, s, samples, at.Add(-g.Offset), written)
	}
	if g.ctx.Err() != nil {
		return // the group is being stopped; that is no failure of the rule
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.stats.EvaluationTime, s.stats.LastEvaluation = g.clock.now().Sub(start), g.clock.show(start)
	before := s.stats.LastError
	s.stats.Health, s.stats.LastError = "ok", ""
	if err != nil {
		s.stats.Health, s.stats.LastError = "err", err.Error()
		s.stats.Failures++
		if before != s.stats.LastError {
			g.o.Log.Warn("a rule could not be evaluated; its alerts stay as they are", "rule", s.Alert+s.Record, "group", g.Name, "file", g.File, "error", err)
		}
	}
}

// samples gives what a rule's evaluation writes, and moves the states of its alerts.
func (g *group) samples(ctx context.Context, s *state, ts, at time.Time) ([]Sample, error) {
	vector, err := g.query(ctx, s.Expr, at.Add(-g.Offset))
	if err != nil {
		return nil, err
	}
	if s.Record != "" {
		return record(s.Rule, vector, g.Limit)
	}
	return g.alerts(ctx, s, vector, ts, at)
}

// query asks for a vector; a scalar is made one.
func (g *group) query(ctx context.Context, expr string, at time.Time) ([]Sample, error) {
	result, err := g.o.Query(ctx, g.Store, expr, at)
	switch {
	case err != nil:
		return nil, err
	case result.Type != sdk.Vector && result.Type != sdk.Scalar:
		return nil, errors.New("rule result is not a vector or scalar")
	case len(result.Series) > maxSeries:
		return nil, fmt.Errorf("the result has %d series, and the most is %d: aggregate in the expression", len(result.Series), maxSeries)
	}
	vector := make([]Sample, 0, len(result.Series))
	for _, series := range result.Series {
		if len(series.Points) > 0 {
			last := series.Points[len(series.Points)-1]
			vector = append(vector, Sample{series.Labels, at, last.Value, last.Histogram})
		}
	}
	return vector, nil
}

var errSameRecorded = errors.New("vector contains metrics with the same labelset after applying rule labels")

// record renames and relabels what the expression gave.
func record(rule Rule, vector []Sample, limit int) ([]Sample, error) {
	seen := map[string]bool{}
	for i := range vector {
		ls := slices.Clone(vector[i].Labels).Set(sdk.NameLabel, rule.Record)
		for name, value := range rule.Labels {
			ls = ls.Set(name, value)
		}
		vector[i].Labels = ls
		if seen[keyOf(ls)] {
			return nil, errSameRecorded
		}
		seen[keyOf(ls)] = true
	}
	if limit > 0 && len(vector) > limit {
		return nil, fmt.Errorf("exceeded limit of %d with %d series", limit, len(vector))
	}
	return vector, nil
}

// write stores a rule's samples and marks the series stale that it gave before and gives no more.
func (g *group) write(ctx context.Context, s *state, samples []Sample, at time.Time, written map[string]sdk.Labels) error {
	current := make(map[string]sdk.Labels, len(samples))
	for _, sample := range samples {
		current[keyOf(sample.Labels)] = sample.Labels
	}
	maps.Copy(written, current)
	all := slices.Clip(samples)
	for key, ls := range s.previous {
		if _, ok := written[key]; !ok {
			all = append(all, Sample{ls, at, sdk.StaleNaN, nil})
		}
	}
	if len(all) > 0 {
		if err := g.o.Write(ctx, g.Store, all); err != nil {
			return fmt.Errorf("the store did not take the result: %w", err)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.previous, s.stats.Samples = current, len(samples)
	return nil
}

func (g *group) writeStale(ctx context.Context, series map[string]sdk.Labels, at time.Time) bool {
	samples := make([]Sample, 0, len(series))
	for _, ls := range series {
		samples = append(samples, Sample{ls, at, sdk.StaleNaN, nil})
	}
	if len(samples) == 0 {
		return true
	}
	if err := g.o.Write(ctx, g.Store, samples); err != nil {
		g.o.Log.Warn("series of removed rules could not be marked stale", "group", g.Name, "file", g.File, "error", err)
		return false
	}
	return true
}

// keyOf is equal for equal labels only.
func keyOf(ls sdk.Labels) string {
	var b strings.Builder
	for _, l := range ls {
		b.WriteString(l.Name)
		b.WriteByte(0xff)
		b.WriteString(l.Value)
		b.WriteByte(0xff)
	}
	return b.String()
}

func (g *group) snapshot() GroupState {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.stats
	out.Group = g.Group
	for _, s := range g.rules {
		out.States = append(out.States, s.snapshot(g.clock))
	}
	return out
}
