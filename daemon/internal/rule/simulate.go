package rule

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Simulation is groups that are evaluated when their owner says so: what is tested is what runs.
type Simulation struct{ groups []*group }

// Simulate makes a simulation. Ready, Load and Save are not called.
func Simulate(ctx context.Context, o Options, groups []Group, start time.Time) *Simulation {
	o.Log = hclog.NewNullLogger()
	r := &Rules{o: o, clock: &clock{wall: time.Now, start: start}, groups: map[string]*group{}}
	s := &Simulation{}
	for _, spec := range groups {
		g := newGroup(r, spec)
		g.ctx = ctx
		s.groups = append(s.groups, g)
	}
	return s
}

// Eval evaluates all groups, one after another, at a time that is later than those before.
func (s *Simulation) Eval(at time.Time) (states []GroupState) {
	for _, g := range s.groups {
		written := map[string]sdk.Labels{}
		for _, r := range g.rules {
			g.evaluate(r, at, at, written)
		}
		states = append(states, g.snapshot())
	}
	return states
}
