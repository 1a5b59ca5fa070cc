package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// The states of what was asked.
const (
	probeOK     = "ok"
	probeNone   = "no probe"
	probeFailed = "failed"
)

// probe is what became of asking one component whether what it needs is there. Its JSON is for programs.
type probe struct {
	Address     string                `json:"address"`
	State       string                `json:"state"` // ok, no probe, failed
	TookMs      int64                 `json:"took_ms"`
	Found       []string              `json:"found,omitempty"` // worth knowing though nothing is wrong
	Diagnostics []language.Diagnostic `json:"diagnostics,omitempty"`

	diags hcl.Diagnostics
}

// checkOnline asks every component of a valid configuration, and the daemon's own settings, side by side.
func (o *options) checkOnline(ctx context.Context, catalogue *client.Catalogue, b *engine.Built) int {
	plugins, err := catalogue.Plugins(ctx)
	if err != nil {
		return o.fail(err)
	}
	p := &prober{built: b, runs: o.running(ctx), within: o.check.timeout, processes: map[string]*started{}, run: catalogue.Run, plugins: plugins}
	defer p.stop()
	d := b.Desired
	p.mask.Keep(d.Secrets)
	all := make([]*probe, len(d.Components), len(d.Components)+2)
	few := make(chan struct{}, 32)
	var asking sync.WaitGroup
	for i, c := range d.Components {
		few <- struct{}{}
		asking.Go(func() {
			defer func() { <-few }()
			all[i] = p.ask(ctx, c.Address, func(ctx context.Context, x *probe) error { return p.component(ctx, i, x) })
		})
	}
	all = append(all, p.daemon(ctx, o)...)
	asking.Wait()
	return o.printProbes(b, all)
}

// running are the addresses of components that a daemon runs now; what they hold is not free, and need not be.
func (o *options) running(ctx context.Context) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := o.daemon().status(ctx)
	if err != nil {
		return nil
	}
	runs := map[string]bool{"daemon": true, "http": true}
	for _, c := range s.Components {
		runs[c.Address] = c.State == "running" || c.State == "degraded"
	}
	return runs
}

type prober struct {
	built   *engine.Built
	plugins []client.Plugin
	run     string
	runs    map[string]bool
	within  time.Duration
	mask    language.Mask

	mu        sync.Mutex
	processes map[string]*started // by plugin
}

// started is a plugin's process, one for all components of it.
type started struct {
	once    sync.Once
	process *client.Process
	err     error
}

// ask gives a question its time, and its answer a state.
func (p *prober) ask(ctx context.Context, address string, question func(context.Context, *probe) error) *probe {
	ctx, cancel := context.WithTimeout(ctx, p.within)
	defer cancel()
	x, began := &probe{Address: address, State: probeOK}, time.Now()
	err := question(ctx, x)
	x.TookMs = time.Since(began).Milliseconds()
	if err == nil && !x.diags.HasErrors() {
		return x
	}
	if err != nil && p.runs[address] && strings.Contains(err.Error(), "address already in use") {
		x.Found = append(x.Found, "the address is in use by the daemon that runs")
		return x
	}
	x.State = probeFailed
	if err != nil {
		if problem := sdk.AsProblem(err); ctx.Err() != nil {
			problem.Err = fmt.Errorf("no answer within %s", p.within)
			err = problem
		}
		x.diags = x.diags.Append(p.diagnostic(address, err))
	}
	return x
}

func (p *prober) component(ctx context.Context, i int, x *probe) error {
	c := p.built.Desired.Components[i]
	if !c.Offers.Probes && !c.Offers.Validates {
		x.State = probeNone
		return nil
	}
	process, err := p.process(ctx, c.Plugin)
	if err != nil {
		return err
	}
	cfg := client.Config{Kind: c.Kind, Type: c.Type, Address: c.Address, JSON: c.Config}
	remarks, err := process.Validate(ctx, cfg)
	for _, r := range remarks {
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Invalid configuration", Detail: r.Text, Subject: c.RangeOf(r.Path).Ptr()}
		if r.Warning {
			d.Severity = hcl.DiagWarning
		}
		x.diags = x.diags.Append(d)
	}
	switch {
	case err != nil || x.diags.HasErrors():
		return err
	case !c.Offers.Probes:
		x.State = probeNone
		return nil
	}
	x.Found, err = process.Probe(ctx, cfg)
	return err
}

// process starts a plugin when it is first needed.
func (p *prober) process(ctx context.Context, name string) (*client.Process, error) {
	p.mu.Lock()
	s := p.processes[name]
	if s == nil {
		s = &started{}
		p.processes[name] = s
	}
	p.mu.Unlock()
	s.once.Do(func() {
		i := slices.IndexFunc(p.plugins, func(x client.Plugin) bool { return x.Name == name })
		s.process, s.err = client.Launch(context.WithoutCancel(ctx), client.Options{Path: p.plugins[i].Path, Env: engine.PluginEnv(), SocketDir: p.run, Clean: p.mask.Clean})
	})
	return s.process, s.err
}

func (p *prober) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, s := range p.processes {
		if s.process != nil {
			s.process.Stop(ctx)
		}
	}
}

// daemon asks of the daemon's own blocks what it needs when it starts.
func (p *prober) daemon(ctx context.Context, o *options) []*probe {
	s := p.built.Desired.Settings
	if p.built.Config.IsPack() {
		return nil
	}
	if o.dataDir != "" {
		s.DataDir = o.dataDir
	}
	if o.listen != "" {
		s.Listen = o.listen
	}
	return []*probe{
		p.ask(ctx, "daemon", func(context.Context, *probe) error {
			dir, err := filepath.Abs(s.DataDir)
			if err != nil {
				return err
			}
			return sdk.ProbeDir(dir)
		}),
		p.ask(ctx, "http", func(context.Context, *probe) error { return sdk.ProbeListen("tcp", s.Listen) }),
	}
}

// diagnostic puts what is wrong to the attribute that is to blame.
func (p *prober) diagnostic(address string, err error) *hcl.Diagnostic {
	problem := sdk.AsProblem(err)
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Probe failed", Detail: problem.Error()}
	if problem.Fix != "" {
		d.Detail += "\n" + problem.Fix
	}
	d.Detail += fmt.Sprintf("\n(%s)", address)
	for _, c := range p.built.Desired.Components {
		if c.Address == address {
			d.Subject = c.RangeOf(problem.Path).Ptr()
		}
	}
	for _, b := range p.built.Config.Blocks {
		if d.Subject == nil && b.Type == address { // daemon, http
			d.Subject = language.Header(b).Ptr()
		}
	}
	return d
}

func (o *options) printProbes(b *engine.Built, all []*probe) int {
	counts, code := map[string]int{}, exitOK
	var diags hcl.Diagnostics
	for _, x := range all {
		if counts[x.State]++; x.State == probeFailed {
			code = exitErrors
		}
		x.Diagnostics = b.Config.Diagnostics(x.diags)
		diags = append(diags, x.diags...)
	}
	if o.json {
		o.writeJSON(map[string]any{"diagnostics": append([]language.Diagnostic{}, b.Config.Diagnostics(b.Diags)...), "components": all})
		return code
	}
	wide := 0
	for _, x := range all {
		wide = max(wide, len(x.Address))
	}
	colours := map[string]string{probeOK: green, probeNone: yellow, probeFailed: red}
	for _, x := range all {
		state := paint(o.Colour, colours[x.State], fmt.Sprintf("%-8s", x.State))
		text := strings.Join(x.Found, "; ")
		if x.State == probeFailed {
			text = firstLine(x.firstError())
		}
		fmt.Fprintln(o.Out, strings.TrimRight(fmt.Sprintf("%s  %-*s  %s", state, wide, x.Address, text), " "))
	}
	if len(diags) > 0 {
		fmt.Fprintln(o.Err)
		language.WriteDiagnostics(o.Err, b.Config, diags, o.Colour)
	}
	fmt.Fprintf(o.Out, "%s asked: %d ok, %d without a probe, %d failed.\n", count(len(all), "component"), counts[probeOK], counts[probeNone], counts[probeFailed])
	return code
}

func (x *probe) firstError() string {
	for _, d := range x.diags {
		if d.Severity == hcl.DiagError {
			text, _, _ := strings.Cut(d.Detail, "\n")
			if d.Subject != nil {
				text = language.Place(*d.Subject) + ": " + text
			}
			return text
		}
	}
	return ""
}

// online understands the configuration with its secrets, and asks.
func (o *options) online(ctx context.Context) int {
	sources, err := o.read()
	if err != nil {
		return o.fail(err)
	}
	catalogue, err := o.catalogue()
	if err != nil {
		return o.fail(err)
	}
	defer os.RemoveAll(catalogue.Run)
	b, err := engine.Build(ctx, catalogue, sources, nil, false)
	if err != nil {
		return o.fail(err)
	}
	if b.Diags.HasErrors() {
		if o.json {
			o.writeJSON(map[string]any{"diagnostics": b.Config.Diagnostics(b.Diags), "components": []probe{}})
		} else {
			o.report(b)
			o.fail(errors.New("nothing was asked: -online needs a configuration without errors, and its secrets: run it where the daemon runs, as its user"))
		}
		return exitErrors
	}
	if !o.json {
		o.report(b)
	}
	return o.checkOnline(ctx, catalogue, b)
}
