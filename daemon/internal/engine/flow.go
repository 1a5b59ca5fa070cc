package engine

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/pipeline"
	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/daemon/internal/supervisor"
	"github.com/magpie-monitoring/magpie/sdk"
)

// delivery is a pipeline at work.
type delivery struct {
	*pipeline.Delivery
	pipeline *plan.Pipeline
	external map[string]string
	queue    plan.Queue
	anyOrder bool     // the sink takes samples in any order
	rules    []string // addresses of what rules write
	derives  string   // address of the stream that a processor of samples makes of it; "": it goes to a sink
	stop     func()
}

// flow makes deliveries and discoveries as desired. What is unchanged goes on; opened are the components that are new: a
// delivery through one of them starts over, so that its series are mapped anew; one to a new one leaves the old one, which
// is closed next.
func (e *Engine) flow(opened map[string]*supervisor.Component) {
	e.mu.Lock()
	desired := e.desired
	current := e.deliveries
	e.mu.Unlock()
	next := map[string]*delivery{}
	for _, p := range e.pipelines(desired) {
		key := p.pipeline.Key()
		old := current[key]
		moved := false
		for _, was := range desired.KeysBefore(p.pipeline) {
			if old == nil && current[was] != nil {
				old, moved = current[was], true
				delete(current, was)
				old.stop()
			}
			e.log.Rename(was, key)
		}
		anew := moved || opened[p.pipeline.To] != nil || slices.ContainsFunc(p.pipeline.Through, func(a string) bool { return opened[a] != nil })
		if old != nil && !anew && old.same(p) {
			next[key] = old
			delete(current, key)
			continue
		}
		if old != nil {
			old.stop()
		}
		next[key] = e.deliver(p)
		if old != nil {
			next[key].Resume(old.Delivery)
		}
	}
	for key, old := range current {
		if next[key] == nil {
			old.stop()
		}
	}
	wanted := map[string]bool{}
	for key := range next {
		wanted[key], wanted[pipeline.Ahead(key)] = true, true
	}
	for _, name := range e.log.Cursors() {
		if !wanted[name] {
			e.log.Remove(name)
		}
	}
	derived := map[string]bool{}
	for _, d := range next {
		derived[d.derives] = true
	}
	for _, old := range current {
		if old.derives != "" && !derived[old.derives] {
			e.ingest.Retire(old.derives)
		}
	}
	e.mu.Lock()
	e.deliveries = next
	e.mu.Unlock()
	e.hold(next)
	e.discover(desired)
}

// hold makes sources wait while a queue that they reach is full, where the configuration says so.
func (e *Engine) hold(deliveries map[string]*delivery) {
	var blocking []*delivery
	for _, d := range deliveries {
		if d.queue.Block {
			blocking = append(blocking, d)
		}
	}
	if blocking == nil {
		e.ingest.Hold(nil)
		return
	}
	e.ingest.Hold(func(address string) bool {
		return slices.ContainsFunc(blocking, func(d *delivery) bool { return d.Wants(address) && d.Full() })
	})
}

// pipelines lists what is to be delivered: the configured pipelines, each with the output of the rules that belongs there,
// and a way for that output where no pipeline leads to its store.
func (e *Engine) pipelines(desired *plan.Desired) (all []*delivery) {
	ruled := map[string]bool{} // stores with rules
	for _, g := range desired.Groups {
		ruled[g.Store] = true
	}
	queues := map[string]plan.Queue{}
	derives := map[string]bool{} // processors of samples
	late := map[string]bool{}    // sinks that take samples in any order
	sinks := map[string]bool{}
	for _, c := range desired.Components {
		queues[c.Address], sinks[c.Address] = c.Queue, c.Kind == sdk.KindSink
		derives[c.Address], late[c.Address] = c.Offers.Derives, c.Offers.Late
	}
	reached := map[string]bool{}
	staged := map[string]bool{}
	for _, p := range desired.Pipelines {
		stages, p := split(p, derives)
		for _, s := range stages {
			if !staged[s.derives] { // of a pipeline to several sinks, once
				staged[s.derives] = true
				all = append(all, s)
			}
		}
		d := &delivery{pipeline: p, queue: queues[p.To], anyOrder: late[p.To]}
		sink := sinks[p.To]
		if sink {
			d.external = desired.Settings.ExternalLabels
		}
		if !reached[p.To] { // of two pipelines to one place, the first brings the rules' output
			for _, store := range slices.Sorted(maps.Keys(ruled)) {
				if sink || store == p.To {
					d.rules = append(d.rules, rulesAddress(store))
				}
			}
		}
		reached[p.To] = true
		all = append(all, d)
	}
	for _, store := range slices.Sorted(maps.Keys(ruled)) {
		if !reached[store] {
			all = append(all, &delivery{pipeline: &plan.Pipeline{Name: "rules", To: store}, queue: queues[store], rules: []string{rulesAddress(store)}})
		}
	}
	return all
}

// split cuts a pipeline at its processors of samples: each is delivered to like a sink, and what it makes goes on from there.
func split(p *plan.Pipeline, derives map[string]bool) (stages []*delivery, rest *plan.Pipeline) {
	from, through := p.From, []string(nil)
	for _, address := range p.Through {
		if !derives[address] {
			through = append(through, address)
			continue
		}
		s := &delivery{pipeline: &plan.Pipeline{Name: p.Name, From: from, Through: through, To: address}, derives: p.Name + "." + address}
		stages = append(stages, s)
		from, through = []string{s.derives}, nil
	}
	return stages, &plan.Pipeline{Name: p.Name, From: from, Through: through, To: p.To}
}

// rulesAddress is that of the source of what the rules on a store write.
func rulesAddress(store string) string { return "rules." + store }

func (d *delivery) same(other *delivery) bool {
	return slices.Equal(d.pipeline.From, other.pipeline.From) && slices.Equal(d.pipeline.Through, other.pipeline.Through) &&
		slices.Equal(d.rules, other.rules) && maps.Equal(d.external, other.external) && d.queue == other.queue
}

func (e *Engine) deliver(d *delivery) *delivery {
	wanted := map[string]bool{}
	for _, address := range slices.Concat(d.pipeline.From, d.rules) {
		wanted[address] = true
	}
	for _, m := range e.desired.Moved { // what the log holds of them
		wanted[m.From] = wanted[m.From] || wanted[m.To]
		wanted[rulesAddress(m.From)] = wanted[rulesAddress(m.From)] || wanted[rulesAddress(m.To)]
	}
	log := e.o.Log.Named("pipeline").With("pipeline", d.pipeline.Key())
	r := pipeline.Route{
		Key: d.pipeline.Key(), Queue: pipeline.Queue(d.queue), AnyOrder: d.anyOrder,
		Wants: func(address string) bool { return wanted[address] },
		Connect: func(ctx context.Context, derives uint32) (pipeline.Consumed, error) {
			return e.connect(ctx, d.pipeline.To, derives)
		},
		Log: func(text string, err error) { log.Warn(text, "error", err) },
		Bury: func(reason string, runs []sdk.Run) error {
			log.Error("the sink refused samples for good: they are kept in letters", "reason", reason, "file", filepath.Join(e.dataDir, "letters", d.pipeline.To+".jsonl"))
			return e.letters.Put(d.pipeline.To, reason, runs)
		},
	}
	if d.derives != "" {
		r.Derive = &pipeline.Derived{In: e.ingest, Address: d.derives, Number: e.numbers.take}
	}
	for name, value := range d.external {
		r.External = r.External.Set(name, value)
	}
	for _, address := range d.pipeline.Through {
		r.Through = append(r.Through, func(ctx context.Context, series []sdk.Labels) ([]sdk.Labels, error) {
			h, err := e.use(ctx, address)
			if err != nil {
				return nil, err
			}
			return h.MapSeries(ctx, h.Number, series)
		})
	}
	d.Delivery = pipeline.NewDelivery(e.log, r)
	ctx, cancel := context.WithCancel(e.life)
	done := make(chan struct{})
	go func() {
		d.Run(ctx)
		close(done)
	}()
	d.stop = func() { cancel(); <-done }
	return d
}

// connect opens the stream to a sink or processor as soon as it is open.
func (e *Engine) connect(ctx context.Context, address string, derives uint32) (pipeline.Consumed, error) {
	h, err := e.use(ctx, address)
	if err != nil {
		return nil, err
	}
	return h.Consume(ctx, h.Number, derives)
}

// use waits until a component is open.
func (e *Engine) use(ctx context.Context, address string) (*supervisor.Handle, error) {
	h, back, err := e.Borrow(ctx, address)
	back()
	return h, err
}

// Borrow waits until a component is open, and keeps it so until it is given back. If it was replaced meanwhile, it is the one that
// took its place.
func (e *Engine) Borrow(ctx context.Context, address string) (h *supervisor.Handle, back func(), err error) {
	for {
		c := e.Component(address)
		if c == nil {
			return nil, func() {}, errors.New(address + " is not running")
		}
		if h, back, err = c.Borrow(ctx); err == nil || c == e.Component(address) {
			return h, back, err
		}
	}
}

// finder is a discovery at work.
type finder struct {
	stop context.CancelFunc
	list []sdk.Discovered
}

// discover listens to the discoveries that are desired.
func (e *Engine) discover(desired *plan.Desired) {
	wanted := map[string]bool{}
	for _, c := range desired.Components {
		if c.Kind == sdk.KindDiscovery {
			wanted[c.Address] = true
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for address, f := range e.finders {
		if !wanted[address] {
			f.stop()
			delete(e.finders, address)
		}
	}
	for address := range wanted {
		if e.finders[address] == nil {
			ctx, cancel := context.WithCancel(e.life)
			e.finders[address] = &finder{stop: cancel}
			e.running.Go(func() { e.listen(ctx, address) })
		}
	}
}

// listen hears a discovery, again and again, and tells the sources that asked for it.
func (e *Engine) listen(ctx context.Context, address string) {
	for ctx.Err() == nil {
		h, err := e.use(ctx, address)
		if err == nil {
			err = h.Discover(ctx, h.Number, func(list []sdk.Discovered) { e.foundBy(ctx, address, list) })
		}
		if err != nil && ctx.Err() == nil {
			e.o.Log.Warn("the discovery broke off: it is heard again", "component", address, "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (e *Engine) foundBy(ctx context.Context, address string, list []sdk.Discovered) {
	e.mu.Lock()
	if f := e.finders[address]; f != nil {
		f.list = list
	}
	desired := e.desired
	e.mu.Unlock()
	for _, c := range desired.Components {
		if !slices.Contains(c.Discover, address) {
			continue
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		h, err := e.use(short, c.Address) // one that is not open gets the list when it opens
		if err == nil {
			err = h.SetTargets(ctx, h.Number, e.found(c.Discover))
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			e.o.Log.Warn("the source did not take its targets", "component", c.Address, "error", err)
		}
	}
}

// found is what some discoveries know now, all together.
func (e *Engine) found(addresses []string) (all []sdk.Discovered) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, address := range addresses {
		if f := e.finders[address]; f != nil {
			all = append(all, f.list...)
		}
	}
	return all
}
