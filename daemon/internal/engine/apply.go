package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/daemon/internal/supervisor"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// closeWithin is how long a component has to end its work.
const closeWithin = 5 * time.Second

// change is an apply under way: what was opened and closed, so that it can be undone.
type change struct {
	e       *Engine
	built   *Built
	old     map[string]*plan.Component
	desired map[string]*plan.Component
	opened  map[string]*supervisor.Component // new ones, by address
	closing []*supervisor.Component          // what they replace, and what is removed: closed at the end
	undo    []func()
	release []func() // of processes that are wanted if this is undone
}

// apply makes what is desired so. It opens what is new beside what runs; if anything fails, all that is undone and the
// error points at the configuration. At boot nothing is undone: what fails is tried again. The caller holds e.applying.
func (e *Engine) apply(ctx context.Context, built *Built, boot bool) error {
	c := &change{e: e, built: built, old: map[string]*plan.Component{}, desired: map[string]*plan.Component{}, opened: map[string]*supervisor.Component{}}
	for _, x := range e.desired.Components {
		c.old[x.Address] = x
	}
	for _, x := range built.Desired.Components {
		c.desired[x.Address] = x
	}
	steps := plan.Diff(e.desired, built.Desired).Steps
	for _, m := range built.Desired.Moved {
		e.ingest.Move(m.From, m.To)
	}
	defer func() {
		for _, f := range c.release {
			f()
		}
	}()
	var err error
	if boot {
		for _, m := range built.Desired.Moved { // while the daemon was down
			if err := e.moveFacts(m.From, m.To); err != nil {
				e.o.Log.Error("what was moved does not find what it kept", "component", m.To, "was", m.From, "error", err)
			}
		}
		err = c.boot(ctx, steps)
	} else if err = c.prepare(ctx, steps); err != nil {
		for i := len(c.undo) - 1; i >= 0; i-- {
			c.undo[i]()
		}
		return err
	}
	if err != nil {
		return err
	}
	c.commit()
	return nil
}

// boot begins to open everything, side by side, and waits for nothing.
func (c *change) boot(ctx context.Context, steps []plan.Step) error {
	for _, s := range steps {
		component, err := c.add(c.desired[s.Address])
		if err != nil {
			return err
		}
		c.opened[s.Address] = component
	}
	return nil
}

// prepare opens, updates and restarts, and leaves on c.undo what takes it back.
func (c *change) prepare(ctx context.Context, steps []plan.Step) error {
	if err := c.validate(ctx, steps); err != nil {
		return err
	}
	if err := c.openNew(ctx, steps); err != nil {
		return err
	}
	for _, s := range steps {
		var err error
		switch s.Action {
		case plan.Update:
			err = c.update(ctx, s.Address)
		case plan.Restart:
			err = c.restart(ctx, s.Address, s.Address)
		case plan.Move:
			err = c.restart(ctx, s.From, s.Address)
		case plan.Remove:
			c.closing = append(c.closing, c.e.Component(s.Address))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// validate asks plugins about configurations that are new.
func (c *change) validate(ctx context.Context, steps []plan.Step) error {
	var diags hcl.Diagnostics
	for _, s := range steps {
		x := c.desired[s.Address]
		if x == nil || s.Action == plan.Keep || !x.Offers.Validates {
			continue
		}
		remarks, err := c.e.supervisor.Validate(ctx, c.spec(x))
		if err != nil {
			diags = diags.Append(c.diagnose(x, err))
		}
		for _, r := range remarks {
			d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Invalid configuration", Detail: r.Text, Subject: x.RangeOf(r.Path).Ptr()}
			if r.Warning {
				d.Severity = hcl.DiagWarning
			}
			diags = diags.Append(d)
		}
	}
	c.built.Diags = append(c.built.Diags, diags...)
	if diags.HasErrors() {
		return errors.New(describe(c.built))
	}
	return nil
}

// openNew opens what is created and what replaces something, side by side.
func (c *change) openNew(ctx context.Context, steps []plan.Step) error {
	var mu sync.Mutex
	var opening sync.WaitGroup
	var diags hcl.Diagnostics
	for _, s := range steps {
		if s.Action != plan.Create && s.Action != plan.Replace {
			continue
		}
		x := c.desired[s.Address]
		component, err := c.add(x)
		if err != nil {
			return err
		}
		c.opened[s.Address] = component
		c.undo = append(c.undo, func() { component.Close(ctx, closeWithin) })
		if s.Action == plan.Replace {
			c.closing = append(c.closing, c.e.Component(s.Address))
		}
		opening.Go(func() {
			if err := component.Opened(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				diags = diags.Append(c.diagnose(x, err))
			}
		})
	}
	opening.Wait()
	if diags.HasErrors() {
		c.built.Diags = append(c.built.Diags, diags...)
		return errors.New(describe(c.built) + "\nNothing was changed.")
	}
	return nil
}

// update hands a changed configuration to a component that takes it in place.
func (c *change) update(ctx context.Context, address string) error {
	component := c.e.Component(address)
	before := component.Spec.Config
	if bytes.Equal(before, c.desired[address].Config) {
		return nil // what changed is the daemon's own: its queue, its discoveries, the alerts that it is asked for
	}
	c.undo = append(c.undo, func() { component.Reconfigure(ctx, before) })
	if err := component.Reconfigure(ctx, c.desired[address].Config); err != nil {
		return c.failed(address, err)
	}
	return nil
}

// restart closes a component before its successor opens, as only one can hold what both need: what only one can have, or all that a
// component keeps, if its address changes.
func (c *change) restart(ctx context.Context, from, address string) error {
	before := c.e.Component(from)
	if before.Plugin.SHA256 != c.spec(c.desired[address]).Plugin.SHA256 {
		c.release = append(c.release, before.Hold())
	}
	before.Close(ctx, closeWithin)
	c.undo = append(c.undo, func() {
		again, err := c.e.supervisor.Add(before.Spec)
		if err == nil {
			c.e.set(from, again)
			err = again.Opened(ctx)
		}
		if err != nil {
			c.e.o.Log.Error("the old component does not open again: it is tried until it does", "component", from, "error", err)
		}
	})
	if from != address {
		if err := c.e.moveFacts(from, address); err != nil {
			return c.failed(address, err)
		}
		c.undo = append(c.undo, func() {
			if err := c.e.moveFacts(address, from); err != nil {
				c.e.o.Log.Error("what the component keeps could not be moved back", "component", from, "error", err)
			}
		})
	}
	component, err := c.add(c.desired[address])
	if err != nil {
		return err
	}
	c.undo = append(c.undo, func() { component.Close(ctx, closeWithin) })
	if err := component.Opened(ctx); err != nil {
		return c.failed(address, err)
	}
	c.opened[address] = component
	return nil
}

func (c *change) failed(address string, err error) error {
	c.built.Diags = c.built.Diags.Append(c.diagnose(c.desired[address], err))
	return errors.New(describe(c.built) + "\nNothing was changed.")
}

// diagnose points an error of a component at its place in the configuration.
func (c *change) diagnose(x *plan.Component, err error) *hcl.Diagnostic {
	p := sdk.AsProblem(err)
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "The component does not open", Detail: p.Error(), Subject: x.RangeOf(p.Path).Ptr()}
	if p.Fix != "" {
		d.Detail += "\n" + p.Fix
	}
	d.Detail += fmt.Sprintf("\n(%s, said by plugin %s)", x.Address, x.Plugin)
	return d
}

func (c *change) add(x *plan.Component) (*supervisor.Component, error) {
	return c.e.supervisor.Add(c.spec(x))
}

func (c *change) spec(x *plan.Component) supervisor.Spec {
	s := supervisor.Spec{
		Plugin: c.built.plugins[x.Plugin], Kind: x.Kind, Type: x.Type, Address: x.Address, Config: x.Config,
		Dir: filepath.Join(c.e.dataDir, "components", x.Address), Source: x.Source, Instance: c.e.hostname,
	}
	if len(x.Discover) > 0 {
		s.Targets = func() []sdk.Discovered { return c.e.found(x.Discover) }
	}
	return s
}

func (e *Engine) set(address string, c *supervisor.Component) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.components[address] = c
}

// commit hands over to what is desired, and then ends what is not.
func (c *change) commit() {
	e := c.e
	e.mu.Lock()
	for address, component := range c.opened {
		e.components[address] = component
	}
	for address := range c.old {
		if c.desired[address] == nil {
			delete(e.components, address)
		}
	}
	booting := !e.booted
	e.booted, e.desired, e.sources = true, c.built.Desired, c.built.Sources
	e.origin.AppliedAt = time.Now()
	e.origin.Files = nil
	for _, s := range c.built.Sources {
		e.origin.Files = append(e.origin.Files, s.Name)
	}
	if !booting {
		e.origin.LastApplied, e.origin.Problem = false, ""
	}
	e.mu.Unlock()

	e.flow(c.opened)
	e.alerting.set(c.built.Desired)
	var closing sync.WaitGroup
	for _, component := range c.closing {
		closing.Go(func() { component.Close(context.Background(), closeWithin) })
	}
	closing.Wait()
	for address, x := range c.old {
		if x.Kind == sdk.KindSource && c.desired[address] == nil && !slices.ContainsFunc(c.built.Desired.Moved, func(m language.Move) bool { return m.From == address }) {
			e.ingest.Retire(address)
		}
	}
	if booting {
		own := map[string]bool{} // what the daemon itself makes
		for _, g := range c.built.Desired.Groups {
			own[rulesAddress(g.Store)] = true
		}
		for _, m := range c.built.Desired.Moved {
			if c.desired[m.To] != nil {
				own[m.From] = true
			}
		}
		for _, d := range e.pipelines(c.built.Desired) {
			own[d.derives] = true
		}
		e.ingest.RetireOthers(func(address string) bool { return c.desired[address] != nil || own[address] })
	}
}
