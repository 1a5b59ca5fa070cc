// Package supervisor runs plugins: it knows which there are, keeps their processes and the components in them, and is not
// harmed by one that crashes, hangs or lies.
//
//	process.go    one plugin's process: start, watch, restart
//	component.go  a component from Open to Close, across restarts of its process
package supervisor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// Options are what the supervisor is handed.
type Options struct {
	Run   string   // directory for sockets
	Env   []string // of plugins: nothing else is inherited
	Guard *client.Guard
	Log   hclog.Logger
	Clean func(string) string                    // takes secrets out of what plugins say
	Place func(address string, err error) string // what is wrong, after the place of the attribute that it names

	Number  func() (uint32, error)                           // a component number that was never used
	Opening func(number uint32, s *Spec) (checkpoint []byte) // before a source is opened: what it goes on with
	Gone    func(numbers ...uint32)                          // its process is gone, or it is closed
	Answer  func(ctx context.Context, address string, call *wire.HostCall) *wire.HostReply
	Produce func(ctx context.Context, connect func(context.Context) (wire.PacketStream, error), received func(seq uint64)) error
}

// Spec is a component as it is to be opened.
type Spec struct {
	Plugin   client.Plugin
	Kind     sdk.Kind
	Type     string
	Address  string
	Config   []byte
	Dir      string
	Source   sdk.SourceSettings
	Instance string
	Targets  func() []sdk.Discovered // of a source: what its discoveries have found so far
}

// Supervisor keeps processes, one for each plugin that has components.
type Supervisor struct {
	o         Options
	mu        sync.Mutex
	processes map[string]*process // by path
	stopped   bool
}

// New makes a supervisor that runs nothing yet.
func New(o Options) *Supervisor {
	return &Supervisor{o: o, processes: map[string]*process{}}
}

// Add takes a component in and begins to open it, starting its plugin if need be. Whatever fails is tried again, with
// back-off, until the component is closed; Opened tells how it went at first.
func (s *Supervisor) Add(spec Spec) (*Component, error) {
	p := s.process(spec.Plugin)
	if p == nil {
		return nil, errors.New("the daemon is stopping")
	}
	c := &Component{Spec: spec, process: p, state: StateOpening, since: time.Now(), changed: make(chan struct{})}
	p.add(c)
	return c, nil
}

func (s *Supervisor) process(plugin client.Plugin) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	p := s.processes[plugin.Path+plugin.SHA256]
	if p == nil {
		p = newProcess(plugin, &s.o)
		s.processes[plugin.Path+plugin.SHA256] = p
	}
	return p
}

// Validate asks a plugin's own checks about a configuration, in its running process or in one for the occasion.
func (s *Supervisor) Validate(ctx context.Context, spec Spec) ([]sdk.Diag, error) {
	cfg := client.Config{Kind: spec.Kind, Type: spec.Type, Address: spec.Address, JSON: spec.Config}
	s.mu.Lock()
	p := s.processes[spec.Plugin.Path+spec.Plugin.SHA256]
	s.mu.Unlock()
	if p != nil {
		if running := p.current(); running != nil {
			return running.Validate(ctx, cfg)
		}
	}
	process, err := client.Launch(ctx, client.Options{Path: spec.Plugin.Path, Env: s.o.Env, SocketDir: s.o.Run, Clean: s.o.Clean, Started: s.o.Guard.Add, Ended: s.o.Guard.Remove})
	if err != nil {
		return nil, err
	}
	defer process.Stop(ctx)
	return process.Validate(ctx, cfg)
}

// Stop ends all processes, side by side, by the end of ctx at the latest.
func (s *Supervisor) Stop(ctx context.Context) {
	s.mu.Lock()
	s.stopped = true
	all := make([]*process, 0, len(s.processes))
	for _, p := range s.processes {
		all = append(all, p)
	}
	s.mu.Unlock()
	var stopping sync.WaitGroup
	for _, p := range all {
		stopping.Go(func() { p.stop(ctx) })
	}
	stopping.Wait()
}

// Processes reports on all processes that have components, by plugin name; the younger of two binaries of a plugin last.
func (s *Supervisor) Processes() (out []ProcessState) {
	s.mu.Lock()
	all := make([]*process, 0, len(s.processes))
	for _, p := range s.processes {
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		if st := p.report(); len(st.Components) > 0 {
			out = append(out, st)
		}
	}
	slices.SortFunc(out, func(a, b ProcessState) int {
		return cmp.Or(strings.Compare(a.Plugin, b.Plugin), a.Started.Compare(b.Started))
	})
	return out
}
