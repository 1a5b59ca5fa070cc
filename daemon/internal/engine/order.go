package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// retryRollback is how long a rollback that failed waits before it is tried again.
const retryRollback = 30 * time.Second

// Order is somebody's wish to apply a configuration.
type Order struct {
	Read    func() ([]language.Source, error) // called when it is this order's turn
	Who     string
	How     string        // apply, reload, rollback to 3
	Base    uint64        // the record that must still run, as a plan was shown against it; 0: whatever runs
	Confirm time.Duration // 0: it needs no confirmation
	instead bool          // it may come while another waits for confirmation, and ends that
}

// Instead lets an order end another's wait for confirmation: it goes back.
func (o Order) Instead() Order { o.instead = true; return o }

// Pending is what rolls back by itself unless it is confirmed in time.
type Pending struct {
	Number uint64 // under trial
	Back   uint64 // to what ran before
	Until  time.Time
}

// Result is what became of an order. Built is nil if nothing could be read, Plan if the configuration is invalid.
type Result struct {
	*Built
	Plan   *plan.Plan
	Number uint64 // in the history; 0: refused before it was tried
}

// ReloadPlugins takes binaries of plugins that are others than those that run, and nothing else that has changed.
func (e *Engine) ReloadPlugins(ctx context.Context, who string) (*plan.Plan, error) {
	r, err := e.Apply(ctx, Order{Who: who, How: "new binaries of plugins", Read: func() ([]language.Source, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.sources, nil
	}})
	return r.Plan, err
}

// Reload reads the files again and applies them.
func (e *Engine) Reload(ctx context.Context, who string) (*plan.Plan, error) {
	r, err := e.Apply(ctx, Order{Read: e.o.Read, Who: who, How: "reload"})
	if err != nil {
		e.mu.Lock()
		e.origin.Problem = err.Error()
		e.mu.Unlock()
	}
	return r.Plan, err
}

// Apply applies one configuration after another: a second order waits until the first is done. Every order that is tried is
// recorded.
func (e *Engine) Apply(ctx context.Context, o Order) (Result, error) {
	e.applying.Lock()
	defer e.applying.Unlock()
	if err := e.refuse(ctx, o); err != nil {
		return Result{}, err
	}
	r := Result{Number: e.nextNumber()}
	err := e.try(ctx, o, &r)
	record := Record{Number: r.Number, Time: time.Now(), Who: o.Who, How: o.How, Outcome: "applied", Applied: err == nil}
	if r.Plan != nil {
		record.Plan = planText(r.Plan)
	}
	if r.Built != nil {
		for _, s := range r.Sources {
			record.Files = append(record.Files, s.Name)
		}
	}
	if err != nil {
		record.Outcome, record.Problem = "failed", err.Error()
	} else if o.Confirm > 0 {
		record.Outcome = "applied, to be confirmed"
	}
	e.keep(record, r.Built)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil {
		e.reloads.bad++
		return r, err
	}
	e.reloads.good++
	return r, nil
}

func planText(p *plan.Plan) string {
	var text bytes.Buffer
	p.Print(&text, false)
	return text.String()
}

// refuse says why an order is not even tried.
func (e *Engine) refuse(ctx context.Context, o Order) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch p := e.origin.Pending; {
	case ctx.Err() != nil:
		return fmt.Errorf("nothing was applied: %w while another apply was under way", ctx.Err())
	case !e.booted:
		return errors.New("nothing was applied: the daemon is starting")
	case e.life.Err() != nil:
		return errors.New("nothing was applied: the daemon is stopping")
	case p != nil && !o.instead:
		return fmt.Errorf("nothing was applied: configuration %d waits for confirmation until %s. Say magpie confirm, or magpie rollback, first", p.Number, p.Until.Local().Format("15:04:05"))
	case o.Base != 0 && o.Base != e.origin.Number:
		return fmt.Errorf("nothing was applied: the plan that you saw is for what configuration %d made, and %d runs by now. Look at the plan again", o.Base, e.origin.Number)
	}
	return nil
}

// try builds and applies. A trial is noted before it begins: a daemon that dies in between must find it.
func (e *Engine) try(ctx context.Context, o Order, r *Result) error {
	sources, err := o.Read()
	if err != nil {
		return err
	}
	if r.Built, err = e.build(ctx, sources); err != nil {
		return err
	}
	if r.Diags.HasErrors() {
		return errors.New(describe(r.Built))
	}
	p := plan.Diff(e.desired, r.Desired)
	r.Plan = p
	before := e.origin.Pending
	var pending *Pending
	if o.Confirm > 0 {
		pending = &Pending{Number: r.Number, Back: e.origin.Number, Until: time.Now().Add(o.Confirm)}
		if err := e.setPending(pending); err != nil {
			return fmt.Errorf("nothing was applied, as the way back could not be noted: %w", err)
		}
	}
	if err := e.apply(ctx, r.Built, false); err != nil {
		if pending != nil {
			return errors.Join(err, e.setPending(before))
		}
		return err
	}
	if pending == nil && before != nil {
		e.became(before.Number, "rolled back")
		return e.setPending(nil)
	}
	return nil
}

// setPending notes durably what waits for confirmation, and winds the clock. nil: nothing does.
func (e *Engine) setPending(p *Pending) error {
	err := e.state.Delete("config", "pending")
	if p != nil {
		var text []byte
		if text, err = json.Marshal(p); err == nil {
			err = e.state.Put("config", "pending", text)
		}
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.trial != nil {
		e.trial.Stop()
	}
	e.origin.Pending, e.trial = p, nil
	if p != nil {
		e.trial = time.AfterFunc(time.Until(p.Until), func() { e.unconfirmed(*p) })
	}
	return nil
}

// unconfirmed goes back to what ran before.
func (e *Engine) unconfirmed(p Pending) {
	e.mu.Lock()
	current := e.origin.Pending
	e.mu.Unlock()
	if current == nil || *current != p {
		return // it was confirmed just now
	}
	_, err := e.Apply(e.life, Order{
		Read: func() ([]language.Source, error) { _, s, err := e.Kept(p.Back); return s, err },
		Who:  "magpie", How: fmt.Sprintf("rollback to %d, not confirmed in time", p.Back), Base: p.Number, instead: true,
	})
	if err == nil {
		e.o.Log.Warn("the configuration was not confirmed in time: what ran before runs again", "configuration", p.Number, "back", p.Back)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.life.Err() == nil && e.origin.Pending != nil && *e.origin.Pending == p {
		e.o.Log.Error("the configuration was not confirmed in time, and the one before it could not be applied: it is tried again", "configuration", p.Number, "in", retryRollback, "error", err)
		e.trial = time.AfterFunc(retryRollback, func() { e.unconfirmed(p) })
	}
}

// Confirm keeps what waits for confirmation.
func (e *Engine) Confirm(who string) (uint64, error) {
	e.applying.Lock()
	defer e.applying.Unlock()
	p := e.origin.Pending
	if p == nil {
		return 0, errors.New("nothing waits for confirmation: it was confirmed, or rolled back, or applied without -confirm. magpie history says which")
	}
	if err := e.setPending(nil); err != nil {
		return 0, fmt.Errorf("the confirmation could not be noted, and does not hold: %w", err)
	}
	e.became(p.Number, "applied, confirmed by "+who)
	return p.Number, nil
}

// Plan says what applying files would change; Number is what runs.
func (e *Engine) Plan(ctx context.Context, sources []language.Source) (Result, error) {
	built, err := e.build(ctx, sources)
	if err != nil {
		return Result{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := Result{Built: built, Number: e.origin.Number}
	if !built.Diags.HasErrors() {
		r.Plan = plan.Diff(e.desired, built.Desired)
	}
	return r, nil
}

// choose finds what runs from the start: a restart changes nothing by itself. So what was applied last goes on if the files
// are as they were then, though another configuration was applied beside them or rolled back to, and while it waits for
// confirmation; if that did not come in time, what ran before. Files that have changed since are taken, unless they are invalid.
func (e *Engine) choose(ctx context.Context, files []language.Source) (*Built, error) {
	last, err := loadSealed[lastApplied](e.state, "config", "applied")
	if err != nil {
		e.o.Log.Error("what was applied last cannot be read", "error", err)
		last = nil
	}
	if last != nil {
		e.origin.Number = last.Number
		first := last.Sources
		if p := e.loadPending(last.Number); p != nil && !p.Until.After(time.Now()) {
			if _, first, err = e.Kept(p.Back); err != nil {
				e.o.Log.Error("what ran before cannot be read", "error", err)
			}
		} else if p == nil && !bytes.Equal(last.Files, e.sum(files)) {
			first = nil // the files
		}
		if first != nil && !slices.EqualFunc(first, files, func(a, b language.Source) bool { return a.Name == b.Name && bytes.Equal(a.Bytes, b.Bytes) }) {
			if built, err := e.build(ctx, first); err == nil && !built.Diags.HasErrors() {
				e.o.Log.Info("the files are not what runs: they are as they were when another configuration was applied. Change or reload them to take them")
				return built, nil
			}
		}
	}
	built, err := e.build(ctx, files)
	if err != nil || !built.Diags.HasErrors() {
		return built, err
	}
	if last == nil {
		return nil, &InvalidError{built}
	}
	again, err := e.build(ctx, last.Sources)
	if err != nil || again.Diags.HasErrors() {
		return nil, &InvalidError{built}
	}
	e.origin.LastApplied, e.origin.Problem = true, describe(built)
	e.o.Log.Error("the configuration is invalid: the one that was applied last runs", "applied", last.Time.Format(time.RFC3339), "errors", "\n"+e.origin.Problem)
	return again, nil
}

// loadPending finds a trial that the daemon before this one began; one that it did not get to apply is none.
func (e *Engine) loadPending(running uint64) *Pending {
	b, err := e.state.Get("config", "pending")
	p := &Pending{}
	if err == nil && b != nil {
		err = json.Unmarshal(b, p)
	}
	if err != nil {
		e.o.Log.Error("what waits for confirmation cannot be read", "error", err)
	}
	if b == nil || err != nil || p.Number != running {
		return nil
	}
	e.origin.Pending = p
	return p
}

// began records what a start has changed, and winds the clock of a trial again.
func (e *Engine) began() {
	expired := e.origin.Pending != nil && !e.origin.Pending.Until.After(time.Now())
	if p := e.origin.Pending; p != nil && !expired {
		if err := e.setPending(p); err != nil {
			e.o.Log.Error("what waits for confirmation could not be noted", "error", err)
		}
	}
	last, err := loadSealed[lastApplied](e.state, "config", "applied")
	if e.origin.LastApplied || err == nil && last != nil && last.Number != 0 && bytes.Equal(e.sum(last.Sources), e.sum(e.first.Sources)) {
		return
	}
	how := "start"
	if expired {
		how = fmt.Sprintf("rollback to %d, not confirmed in time", e.origin.Pending.Back)
	}
	r := Record{Number: e.nextNumber(), Time: time.Now(), Who: "start", How: how, Outcome: "applied", Applied: true, Files: e.origin.Files}
	running := &plan.Desired{}
	if last != nil {
		if before, err := e.build(e.life, last.Sources); err == nil && !before.Diags.HasErrors() {
			running = before.Desired
		}
	}
	r.Plan = planText(plan.Diff(running, e.desired))
	e.keep(r, e.first)
	if expired {
		e.became(e.origin.Pending.Number, "rolled back")
		if err := e.setPending(nil); err != nil {
			e.o.Log.Error("the confirmation that did not come could not be forgotten", "error", err)
		}
	}
}
