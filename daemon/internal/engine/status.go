package engine

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
	"github.com/magpie-monitoring/magpie/daemon/internal/pipeline"
	"github.com/magpie-monitoring/magpie/daemon/internal/plan"
	"github.com/magpie-monitoring/magpie/daemon/internal/supervisor"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Status is how everything is, at one moment.
type Status struct {
	Version    string
	Started    time.Time
	Hostname   string
	Config     ConfigState
	Components []ComponentStatus // by address
	Processes  []ProcessStatus   // by plugin
	Pipelines  []PipelineStatus  // by key
	Buffer     buffer.Stats
	Refused    map[string]uint64 // samples refused at the door, by reason
	Reloads    [2]int            // good, bad
	PluginDirs []string          // absolute
}

// ComponentStatus is one component.
type ComponentStatus struct {
	Address string
	Kind    sdk.Kind
	Type    string
	Plugin  string
	Source  sdk.SourceSettings
	supervisor.ComponentState
	Samples   uint64 // that came from it
	Series    int
	LastError string // of its work, as place has it
}

// ProcessStatus is one plugin's process and what it uses.
type ProcessStatus struct {
	supervisor.ProcessState
	client.Usage
	Verified   *client.Verified // what the report beside its binary says; nil: there is none
	Unreadable error            // of that report
}

// PipelineStatus is one way to one sink.
type PipelineStatus struct {
	Name string
	Sink string
	pipeline.DeliveryState
	Lost uint64 // samples deleted from the log before the sink took them
}

// Status looks at everything.
func (e *Engine) Status() Status {
	e.mu.Lock()
	s := Status{
		Version: e.o.Version, Started: e.started, Hostname: e.hostname, Config: e.origin,
		Reloads: [2]int{e.reloads.good, e.reloads.bad},
	}
	components := make([]*supervisor.Component, 0, len(e.components))
	for _, c := range e.components {
		components = append(components, c)
	}
	for key, d := range e.deliveries {
		p := PipelineStatus{Name: d.pipeline.Name, Sink: d.pipeline.To, DeliveryState: d.State(), Lost: e.lost[key]}
		s.Pipelines = append(s.Pipelines, p)
	}
	e.mu.Unlock()
	for _, c := range components {
		st := ComponentStatus{Address: c.Address, Kind: c.Kind, Type: c.Type, Plugin: c.Plugin.Name, Source: c.Source, ComponentState: c.Report()}
		if st.Health != nil && st.Health.LastError != nil {
			st.LastError = e.place(c.Address, st.Health.LastError.Err())
		}
		in := e.ingest.Stats(st.Number)
		st.Samples, st.Series = in.Samples, in.Series
		s.Components = append(s.Components, st)
	}
	for _, p := range e.supervisor.Processes() {
		st := ProcessStatus{ProcessState: p}
		if p.Pid != 0 {
			st.Usage, _ = client.UsageOf(p.Pid) // it may have died just now
		}
		st.Verified, st.Unreadable = e.catalogue.Verified(p.Path)
		s.Processes = append(s.Processes, st)
	}
	for _, dir := range e.o.PluginDirs {
		if abs, err := filepath.Abs(dir); err == nil {
			s.PluginDirs = append(s.PluginDirs, abs)
		}
	}
	s.Buffer, s.Refused = e.log.Stats(), e.ingest.Dropped()
	slices.SortFunc(s.Components, func(a, b ComponentStatus) int { return strings.Compare(a.Address, b.Address) })
	slices.SortFunc(s.Pipelines, func(a, b PipelineStatus) int { return strings.Compare(a.Name+a.Sink, b.Name+b.Sink) })
	return s
}

// place writes what is wrong with a component, after the place of the attribute that it names: "config.hcl:3:14: no such host".
func (e *Engine) place(address string, err error) string {
	p := sdk.AsProblem(err)
	if len(p.Path) == 0 {
		return err.Error()
	}
	e.mu.Lock()
	d := e.desired
	if !e.booted {
		d = e.first.Desired
	}
	e.mu.Unlock()
	i, here := slices.BinarySearchFunc(d.Components, address, func(x *plan.Component, address string) int { return strings.Compare(x.Address, address) })
	if !here {
		return err.Error()
	}
	return language.Place(d.Components[i].RangeOf(p.Path)) + ": " + err.Error()
}

// DefaultStore is the store that answers /api/v1: the first by address that serves it. "" if there is none.
func (e *Engine) DefaultStore() string {
	address, _ := e.Mounted("/api/v1/query")
	if c := e.Component(address); c == nil || c.Kind != sdk.KindStore {
		return ""
	}
	return address
}

// Dashboards are those of the configuration that runs.
func (e *Engine) Dashboards() []*language.Dashboard {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.desired.Dashboards
}

// queryWait is how long a query waits for a store that is being restarted.
const queryWait = 5 * time.Second

// Query asks a store.
func (e *Engine) Query(ctx context.Context, store string, q sdk.Query) (*sdk.Result, error) {
	wait, cancel := context.WithTimeout(ctx, queryWait)
	defer cancel()
	h, back, err := e.Borrow(wait, store)
	if err != nil {
		return nil, err
	}
	defer back()
	return h.Query(ctx, h.Number, q)
}
