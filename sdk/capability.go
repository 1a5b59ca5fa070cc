package sdk

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync"
)

// Type is what a plugin offers under a kind: source "etcd". Describe sends it; nothing in it depends on configuration.
type Type struct {
	Kind      Kind   `json:"kind"`                 // the first word of its block
	Name      string `json:"name"`                 // "" until serve fills in the plugin's name
	Doc       string `json:"doc,omitempty"`        // for its page in the manual
	Config    Schema `json:"config"`               // what its block takes
	Job       string `json:"job,omitempty"`        // default of the core attribute job; "": the name of the block
	OwnLabels bool   `json:"own_labels,omitempty"` // makes job, instance and the block's labels itself
	Streams   bool   `json:"streams,omitempty"`    // a Streamer: has no timeout
	Discovers bool   `json:"discovers,omitempty"`  // takes the core attribute discover
	HTTP      bool   `json:"http,omitempty"`       // is an http.Handler
	Mount     string `json:"mount,omitempty"`      // path that it asks for beside /plugins/<address>/
	Late      bool   `json:"late,omitempty"`       // a sink that takes samples older than the newest it has
	Live      bool   `json:"live,omitempty"`       // takes a changed configuration in place
	Validates bool   `json:"validates,omitempty"`  // its Config has checks of its own
	Probes    bool   `json:"probes,omitempty"`     // it is a Prober
	Example   string `json:"example,omitempty"`    // blocks of the type, as people would write them

	Derives    bool `json:"derives,omitempty"`    // a processor of samples
	Histograms bool `json:"histograms,omitempty"` // a sink or processor that takes native histograms
	Logs       bool `json:"logs,omitempty"`       // a sink or processor that takes records
	Exemplars  bool `json:"exemplars,omitempty"`  // a sink that takes exemplars
	Gathers    int  `json:"gathers,omitempty"`    // a sink that is handed about so many samples at once, if they are waiting
}

// Capability is a type together with the function that opens components of it.
type Capability struct {
	Type      Type // what is offered
	err       error
	newConfig func() any
	open      func(ctx context.Context, cfg any, host Host) (any, error)
	reconf    func(ctx context.Context, component, cfg any) error
}

// Option refines a capability.
type Option func(*Type)

// Named gives a type a name other than the plugin's.
func Named(name string) Option { return func(t *Type) { t.Name = name } }

// Doc describes a type in a sentence or two, for its page in the manual.
func Doc(text string) Option { return func(t *Type) { t.Doc = text } }

// Example are blocks of the type as people would write them, for its page in the manual; other blocks among them are left out
// there. Embed the plugin's example.hcl.
func Example(text string) Option { return func(t *Type) { t.Example = text } }

// Job is the default of the label job, the name that the ecosystem's rules expect ("node", "etcd").
func Job(name string) Option { return func(t *Type) { t.Job = name } }

// OwnLabels says that the source makes the labels job and instance and those of its block itself (see Host.Source).
func OwnLabels() Option { return func(t *Type) { t.OwnLabels = true } }

// Mount asks for the type's HTTP handler to be mounted at a path of the daemon's own: "/" for a console, "/api/v1" for a
// store's query API. The first component that asks gets it.
func Mount(path string) Option { return func(t *Type) { t.Mount = path } }

// OutOfOrder says that a sink takes samples older than the newest that it has, however old: after an outage it is handed
// those of now beside its backlog, in calls of Write at the same time.
func OutOfOrder() Option { return func(t *Type) { t.Late = true } }

// Histograms says that a sink takes native histograms (Sample.Histogram, Run.Histograms). To one that does not say so they
// are not given, and they are counted as dropped under "histograms".
func Histograms() Option { return func(t *Type) { t.Histograms = true } }

// Logs says that a sink takes lines of logs and events (Sample.Record, Run.Records). To one that does not say so they are not
// given, and they are counted as dropped under "logs".
func Logs() Option { return func(t *Type) { t.Logs = true } }

// Gathers says that a sink wants what came while it was writing in one batch of about so many samples: for sinks that wait
// for an answer from far away, whose time a batch does not depend on its size. The ID of such a batch is that of its last
// part, and a replay may gather differently.
func Gathers(samples int) Option { return func(t *Type) { t.Gathers = samples } }

// Exemplars says that a sink takes exemplars (Batch.Exemplars); to others they are not given.
func Exemplars() Option { return func(t *Type) { t.Exemplars = true } }

// Open is the function behind a capability: it gets the block's configuration and returns the running component.
type Open[C, T any] = func(ctx context.Context, cfg *C, host Host) (T, error)

// Source offers a source that is collected on the SDK's clock.
func Source[C any, T Collector](open Open[C, T], opts ...Option) Capability {
	return capability(KindSource, open, opts)
}

// StreamSource offers a source with a rhythm of its own.
func StreamSource[C any, T Streamer](open Open[C, T], opts ...Option) Capability {
	c := capability(KindSource, open, opts)
	c.Type.Streams = true
	return c
}

// Processor offers a processor of series.
func Processor[C any, T Mapper](open Open[C, T], opts ...Option) Capability {
	return capability(KindProcessor, open, opts)
}

// SampleProcessor offers a processor of samples.
func SampleProcessor[C any, T Deriver](open Open[C, T], opts ...Option) Capability {
	c := capability(KindProcessor, open, opts)
	c.Type.Derives = true
	return c
}

// Sink offers a sink.
func Sink[C any, T Writer](open Open[C, T], opts ...Option) Capability {
	return capability(KindSink, open, opts)
}

// Store offers a store.
func Store[C any, T Storer](open Open[C, T], opts ...Option) Capability {
	return capability(KindStore, open, opts)
}

// Notifier offers a notifier.
func Notifier[C any, T Messenger](open Open[C, T], opts ...Option) Capability {
	return capability(KindNotifier, open, opts)
}

// Discovery offers a discovery.
func Discovery[C any, T Finder](open Open[C, T], opts ...Option) Capability {
	return capability(KindDiscovery, open, opts)
}

// Diagnoser offers a diagnoser.
func Diagnoser[C any, T Examiner](open Open[C, T], opts ...Option) Capability {
	return capability(KindDiagnoser, open, opts)
}

// Coordinator offers a coordinator.
func Coordinator[C any, T Arbiter](open Open[C, T], opts ...Option) Capability {
	return capability(KindCoordinator, open, opts)
}

// Service offers a service.
func Service[C any, T Runner](open Open[C, T], opts ...Option) Capability {
	return capability(KindService, open, opts)
}

func capability[C, T any](kind Kind, open Open[C, T], opts []Option) Capability {
	t := Type{Kind: kind}
	for _, o := range opts {
		o(&t)
	}
	var zero T
	_, t.Discovers = any(zero).(TargetSetter)
	_, t.HTTP = any(zero).(http.Handler)
	_, t.Live = any(zero).(Reconfigurer[C])
	_, t.Validates = any((*C)(nil)).(Validator)
	_, byConfig := any((*C)(nil)).(Prober)
	_, byComponent := any(zero).(Prober)
	t.Probes = byConfig || byComponent
	schema, err := SchemaOf(reflect.TypeFor[C]())
	t.Config = schema
	c := Capability{
		Type:      t,
		err:       err,
		newConfig: func() any { return new(C) },
		open:      func(ctx context.Context, cfg any, host Host) (any, error) { return open(ctx, cfg.(*C), host) },
	}
	if t.Live {
		c.reconf = func(ctx context.Context, component, cfg any) error {
			return component.(Reconfigurer[C]).Reconfigure(ctx, cfg.(*C))
		}
	}
	return c
}

// Err reports a mistake in the tags of the Config, found when the capability was made.
func (c Capability) Err() error { return c.err }

// Component is an open component.
type Component struct {
	Impl any // what the author's open function returned
	cap  Capability

	mu  sync.Mutex // an error may be located while another configuration is taken
	cfg any
}

// Validate fills a Config and asks it, if it is a Validator. An error means that the data did not fit the struct.
func (c Capability) Validate(data []byte) ([]Diag, error) {
	_, diags, err := c.config(data)
	return diags, err
}

func (c Capability) config(data []byte) (any, []Diag, error) {
	cfg := c.newConfig()
	if err := Fill(cfg, data); err != nil {
		return nil, nil, err
	}
	d := &Diags{cfg: cfg}
	if v, ok := cfg.(Validator); ok {
		if err := Recover("Validate", func() error { v.Validate(d); return nil }); err != nil {
			return nil, nil, err
		}
	}
	return cfg, d.List, nil
}

// Open opens a component. Errors that blame a field carry its path.
func (c Capability) Open(ctx context.Context, data []byte, host Host) (*Component, error) {
	cfg, err := c.valid(data)
	if err != nil {
		return nil, err
	}
	component := &Component{cfg: cfg, cap: c}
	err = Recover("open", func() (err error) {
		component.Impl, err = c.open(ctx, cfg, host)
		return err
	})
	if err != nil {
		return nil, locate(cfg, err)
	}
	return component, nil
}

// Probe asks the configuration whether it fits the outside world; if that is no Prober, it asks a component that is opened for
// the occasion. found is told what is worth knowing where nothing is wrong.
func (c Capability) Probe(ctx context.Context, data []byte, host Host, found func(string)) error {
	cfg, err := c.valid(data)
	if err != nil {
		return err
	}
	ctx = WithProgress(ctx, found)
	if p, ok := cfg.(Prober); ok {
		return locate(cfg, Recover("Probe", func() error { return p.Probe(ctx) }))
	}
	open, err := c.Open(ctx, data, host)
	if err != nil {
		return err
	}
	if p, ok := open.Impl.(Prober); ok {
		err = open.Locate(Recover("Probe", func() error { return p.Probe(ctx) }))
	}
	if cl, ok := open.Impl.(Closer); ok {
		if closed := Recover("Close", func() error { return cl.Close(ctx) }); err == nil {
			err = closed
		}
	}
	return err
}

// Reconfigure hands a changed configuration to a component that can take it in place.
func (c *Component) Reconfigure(ctx context.Context, data []byte) error {
	if c.cap.reconf == nil {
		return Permanent(fmt.Errorf("%s %q cannot be reconfigured in place", c.cap.Type.Kind, c.cap.Type.Name))
	}
	cfg, err := c.cap.valid(data)
	if err != nil {
		return err
	}
	if err := Recover("Reconfigure", func() error { return c.cap.reconf(ctx, c.Impl, cfg) }); err != nil {
		return locate(cfg, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cfg = cfg
	return nil
}

// Locate gives an error that blames a field of the component's Config the path of its attribute.
func (c *Component) Locate(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return locate(c.cfg, err)
}

func (c Capability) valid(data []byte) (any, error) {
	cfg, diags, err := c.config(data)
	if err != nil {
		return nil, err
	}
	for _, d := range diags {
		if !d.Warning {
			return nil, &Problem{Blame: BlameConfig, Permanent: true, Path: d.Path, Err: fmt.Errorf("%s", d.Text)}
		}
	}
	return cfg, nil
}

// locate turns the field pointer of At into a path.
func locate(cfg any, err error) error {
	p := AsProblem(err)
	if p == nil {
		return nil
	}
	if p.field != nil {
		p.Path, p.field = pathOf(cfg, p.field), nil
	}
	return p
}
