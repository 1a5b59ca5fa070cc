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
	moved   bool // it has states that another group saved
	stats   GroupState
}

// state is a rule with what is known of it.
type state struct {
	Rule
	id       string // what its state is kept by
	of       *group
	fresh    bool                  // it has no state yet
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
		id := fmt.Sprintf("alert %q record %q %q", rule.Alert, rule.Record, rule.Labels)
		g.rules = append(g.rules, &state{Rule: rule, id: id, of: g, fresh: true, alerts: map[string]*alert{}, stats: RuleState{Health: "unknown"}})
	}
	return g
}

// follow gives the rules of new groups the states of old rules that are the same: of the group that theirs takes the place of, or else of any. Of several
// with one identity the first is the first, and so on. What nobody takes is over: its alerts resolve, its series go stale.
func follow(old, next map[string]*group) {
	left := map[string][]*state{}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		<-old[key].done
		for _, s := range old[key].rules {
			left[s.id] = append(left[s.id], s)
		}
	}
	taken := map[string]*alert{} // a crash may have left of them what they were before
	for _, ofAny := range []bool{false, true} {
		for _, key := range slices.Sorted(maps.Keys(next)) {
			if g := next[key]; g.cancel == nil {
				g.takeOver(left, old[key], ofAny, taken)
			}
		}
	}
	for _, gone := range left {
		for _, s := range gone {
			maps.DeleteFunc(s.alerts, func(key string, _ *alert) bool { return taken[key] != nil && taken[key].Status == firing })
			s.of.resolve(s)
		}
	}
	for _, g := range next {
		if g.moved { // before it is forgotten where it was
			g.save()
		}
	}
	for key, was := range old {
		g := next[key]
		if g != nil {
			g.dirty = true
		}
		if g != nil && g.Store == was.Store {
			g.leaving = was.living()
		} else {
			was.staleLater(was.living()) // what it wrote stays behind
		}
		if next[was.key] == nil {
			was.forgetKey(was.key)
		}
	}
}

// takeOver gives the rules of the group the states of those that are left: of the group before, or of any.
func (g *group) takeOver(left map[string][]*state, before *group, ofAny bool, taken map[string]*alert) {
	for _, s := range g.rules {
		i := slices.IndexFunc(left[s.id], func(was *state) bool { return s.fresh && (ofAny || was.of == before) })
		if i < 0 {
			continue
		}
		was := left[s.id][i]
		left[s.id] = slices.Delete(left[s.id], i, i+1)
		s.alerts, s.fresh, g.dirty, g.moved = was.alerts, false, true, g.moved || was.of.key != g.key
		if was.of.Store == g.Store {
			s.previous, was.previous = was.previous, nil
		}
		maps.Copy(taken, s.alerts)
	}
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
