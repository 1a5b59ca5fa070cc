// Package rule evaluates groups of alert and record rules on a clock, with the semantics of Prometheus' rules.
//
// A group asks one store. Its rules run in order, one after another: what a rule writes is acknowledged before the next
// one asks. An alert is pending until its expression has held for the rule's For, then firing, then resolved; resolved
// alerts are told again for 15 minutes. Everything that an evaluation needs is handed in as functions, so the package
// knows neither stores nor notifiers.
//
// It differs from Prometheus where Prometheus makes up for not having a disk or its notifier at hand:
//   - The state of alerts is saved (Save) and restored exactly, for rules that have moved to another group meanwhile too, not guessed from ALERTS_FOR_STATE. The time that the daemon
//     was down does not count as pending.
//   - While a rule cannot be evaluated (store down or behind, query failed, clock set) its state is kept, and what fires
//     is told on, so that no alert resolves because data is late.
//   - An alert whose rule is removed is told as resolved at once: the room that notifies is in the same process, and would
//     else call it firing until its time runs out.
//   - Durations are measured on a monotonic line: a clock that is set makes nothing fire or resolve (see clock).
//
// The files:
//
//	rule.go      what is handed in and out; applying a new set of groups
//	group.go     a group's clock, one evaluation, staleness
//	alert.go     the states of alerts
//	clock.go     steady time and wall time
//	saved.go     the state on disk
//	simulate.go  groups without a clock, for tests of rules
//	template.go  labels and annotations of alerts
//	functions.go the functions of templates
package rule

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Options are what evaluation needs. Query, Write, Notify, Ready, Load, Save and Keys are called from several goroutines.
type Options struct {
	// Query evaluates an expression at a time. An error leaves the rule's state as it is.
	Query func(ctx context.Context, store, expr string, at time.Time) (*sdk.Result, error)
	// Write returns when the store has acknowledged the samples.
	Write func(ctx context.Context, store string, samples []Sample) error
	// Notify is told of alerts that fire (again and again, see Alert.ValidFor) and of those that have resolved.
	Notify func([]Alert)
	// Ready says why the store cannot be asked now: it is down, or it lags. Evaluations are skipped meanwhile.
	Ready func(store string) error
	// Load reads what Save kept; nil where there is nothing. Save of nil removes the key. Keys lists what is kept, but for what has a very long name.
	Load func(key string) ([]byte, error)
	Save func(key string, value []byte) error
	Keys func() ([]string, error)

	ExternalLabels map[string]string // for templates
	ExternalURL    string            // where people find this daemon
	Log            hclog.Logger      // nil: none
	Wall           func() time.Time  // the clock on the wall; nil: time.Now
}

// Group is a list of rules that are evaluated in order. File and Name together are its identity.
type Group struct {
	Name     string
	File     string
	Store    string // address
	Interval time.Duration
	Limit    int           // of alerts, or of recorded series, that one rule may give; 0: no other than the daemon's
	Offset   time.Duration // how much earlier than it is evaluated a rule is asked for, and what it gives written: for data that comes late
	Rules    []Rule
	Was      []string // names that it had before: it goes on from the state under them
}

// Rule is an alert or a record rule. Name, kind and labels are what its state is kept by when the group changes.
type Rule struct {
	Alert         string // the alertname; "" for a record
	Record        string // the name of the recorded series
	Expr          string
	For           time.Duration
	KeepFiringFor time.Duration
	Labels        map[string]string // templates, of an alert
	Annotations   map[string]string // templates
	Notify        []string          // handed on in Alert
	Diagnose      []string          // handed on in Alert
}

// Sample is one value of one series, to be stored.
type Sample struct {
	Labels sdk.Labels
	Time   time.Time
	Value  float64 // may be sdk.StaleNaN

	Histogram *sdk.Histogram // nil: Value
}

// Alert is what Notify is told. While it fires EndsAt is zero, and it holds for ValidFor unless it is told again: four
// times the longer of the group's interval and a minute.
type Alert struct {
	sdk.Alert
	Since    time.Time // when its expression was first true: before StartsAt where the rule waits
	ValidFor time.Duration
	Notify   []string // of the rule: addresses of notifiers of its own
	Diagnose []string // of the rule: addresses of diagnosers
}

// Rules is the set of groups that run.
type Rules struct {
	o     Options
	clock *clock
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup // late staleness markers

	mu     sync.Mutex
	groups map[string]*group // nil: none were set yet
}

// New makes an empty set.
func New(o Options) *Rules {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	r := &Rules{o: o, clock: newClock(o.Wall)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// Set replaces the set of groups. Groups that are unchanged are left alone. A rule goes on from the state of one with its name and labels that is there no
// more: in the group that its own takes the place of, or else in any, as where rules move into a pack. What a removed rule fired is resolved. The first
// set takes the place of what an earlier process saved. An error (two groups of one identity, no interval) changes nothing.
func (r *Rules) Set(groups []Group) error {
	next := map[string]*group{}
	for _, spec := range groups {
		g := newGroup(r, spec)
		if next[g.key] != nil {
			return fmt.Errorf("two groups are named %q in %s: rename one", spec.Name, spec.File)
		}
		if spec.Interval <= 0 {
			return fmt.Errorf("the group %q in %s has no interval", spec.Name, spec.File)
		}
		next[g.key] = g
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if r.groups == nil {
		r.groups = r.saved(next)
	}
	old := r.groups
	for key, g := range next {
		if was := r.renamed(g, next); was != nil {
			delete(old, was.key)
			old[key] = was
		}
	}
	for key, g := range next {
		if was := old[key]; was != nil && reflect.DeepEqual(was.Group, g.Group) {
			next[key] = was
			delete(old, key)
		}
	}
	for _, was := range old { // all at once, then one after another: none waits for the others
		was.cancel()
	}
	follow(old, next)
	for _, g := range next {
		if g.cancel == nil {
			g.start()
		}
	}
	r.groups = next
	return nil
}

// renamed finds the group that a new one follows: one that has gone, of one of its earlier names, or of its name in another file.
func (r *Rules) renamed(g *group, next map[string]*group) *group {
	if r.groups[g.key] != nil {
		return nil
	}
	for key, was := range r.groups {
		if key == was.key && next[key] == nil && (was.Name == g.Name || slices.Contains(g.Was, was.Name)) {
			return was
		}
	}
	return nil
}

// Stop ends all evaluation and saves; nothing is resolved.
func (r *Rules) Stop() {
	r.mu.Lock()
	r.stop()
	for _, g := range r.groups {
		<-g.done
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// GroupState is a group as Prometheus' /api/v1/rules shows it.
type GroupState struct {
	Group
	EvaluationTime time.Duration // the last evaluation took
	LastEvaluation time.Time
	Iterations     uint64 // due since the group started
	Missed         uint64 // of them, since an earlier one took too long
	Skipped        uint64 // of them, for the reason below or an earlier one
	SkipReason     string // "": evaluations are not being skipped
	SaveError      string // why the state could not be saved last; "": it is saved
	States         []RuleState
}

// RuleState is a rule and how it is.
type RuleState struct {
	Rule
	State          string // of an alert: unknown, inactive, pending, firing
	Health         string // unknown, ok, err
	LastError      string
	EvaluationTime time.Duration
	LastEvaluation time.Time
	Failures       uint64
	Samples        int // written last
	Active         []ActiveAlert
}

// ActiveAlert is one alert that is pending or firing.
type ActiveAlert struct {
	State           string
	Labels          sdk.Labels
	Annotations     map[string]string
	ActiveAt        time.Time
	KeepFiringSince time.Time
	Value           float64
}

// Snapshot is the state of all groups, sorted by file and name.
func (r *Rules) Snapshot() []GroupState {
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make([]GroupState, 0, len(r.groups))
	for _, g := range r.groups {
		states = append(states, g.snapshot())
	}
	slices.SortFunc(states, func(a, b GroupState) int {
		return strings.Compare(a.File+"\xff"+a.Name, b.File+"\xff"+b.Name)
	})
	return states
}
