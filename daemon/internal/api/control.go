package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
	"github.com/magpie-monitoring/magpie/daemon/internal/api/control/controlconnect"
	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// controls answers the control API.
type controls struct{ engine *engine.Engine }

var _ controlconnect.ControlHandler = (*controls)(nil)

// named leads /api/magpie/v1/Status to Connect's own path, and lets a plain GET ask what has no side effects.
func named(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.PathValue("method")
		if (method == "Plan" || method == "Apply" || method == "Confirm") && !isLocal(r) {
			connect.NewErrorWriter().Write(w, r, connect.NewError(connect.CodePermissionDenied,
				fmt.Errorf("%s reads or changes what is the daemon's own: it is for the daemon's own user only, over its socket, which magpie finds without -addr and MAGPIE_ADDR, by -data-dir", strings.ToLower(method))))
			return
		}
		r.URL.Path, r.URL.RawPath = "/"+controlconnect.ControlName+"/"+method, ""
		if r.Method == http.MethodGet && r.URL.RawQuery == "" {
			r.URL.RawQuery = "connect=v1&encoding=json&message=%7B%7D"
		}
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") { // curl -d '{}'
			r.Header.Set("Content-Type", "application/json")
		}
		h.ServeHTTP(w, r)
	})
}

func (c *controls) Plan(ctx context.Context, r *connect.Request[control.PlanRequest]) (*connect.Response[control.PlanResponse], error) {
	to, sources, err := c.wanted(r.Msg)
	if err != nil {
		return nil, err
	}
	result, err := c.engine.Plan(ctx, sources)
	if err != nil {
		return nil, err
	}
	m, err := planMessage(result, r.Msg.Colour)
	if err != nil {
		return nil, err
	}
	m.Running, m.To = result.Number, to
	return connect.NewResponse(m), nil
}

// wanted are the files of a request, or those of a configuration of the history.
func (c *controls) wanted(r *control.PlanRequest) (to uint64, sources []language.Source, err error) {
	if r.GetRollback() {
		return c.engine.Kept(r.To)
	}
	for _, f := range r.GetFiles() {
		sources = append(sources, language.Source{Name: f.Name, Bytes: f.Content})
	}
	return 0, sources, nil
}

func planMessage(r engine.Result, colour bool) (m *control.PlanResponse, err error) {
	m = &control.PlanResponse{Valid: r.Plan != nil}
	if r.Built == nil {
		return m, nil
	}
	var text, warnings bytes.Buffer
	if m.Diagnostics, err = json.Marshal(r.Config.Diagnostics(r.Diags)); err != nil {
		return nil, err
	}
	if r.Plan == nil {
		language.WriteDiagnostics(&text, r.Config, r.Diags, colour)
		m.Text = text.String()
		return m, nil
	}
	language.WriteDiagnostics(&warnings, r.Config, r.Diags, colour)
	r.Plan.Print(&text, colour)
	m.Changes, m.Text, m.Warnings = !r.Plan.Empty(), text.String(), warnings.String()
	m.Json, err = json.Marshal(r.Plan)
	return m, err
}

// Apply goes on to its end when the one who asked has gone.
func (c *controls) Apply(ctx context.Context, r *connect.Request[control.ApplyRequest]) (*connect.Response[control.ApplyResponse], error) {
	what := r.Msg.GetWhat()
	to, sources, err := c.wanted(what)
	if err != nil {
		return nil, err
	}
	o := engine.Order{
		Read: func() ([]language.Source, error) { return sources, nil },
		Who:  whoOf(ctx), How: "apply", Base: r.Msg.Running, Confirm: time.Duration(r.Msg.ConfirmMs) * time.Millisecond,
	}
	if what.GetRollback() {
		o.How = fmt.Sprintf("rollback to %d", to)
		o = o.Instead()
	}
	result, err := c.engine.Apply(context.WithoutCancel(ctx), o)
	m := &control.ApplyResponse{Applied: err == nil, Number: result.Number}
	if err != nil {
		m.Problem = err.Error()
	}
	if m.Plan, err = planMessage(result, what.GetColour()); err != nil {
		return nil, err
	}
	m.Plan.To = to
	return connect.NewResponse(m), nil
}

func (c *controls) Confirm(ctx context.Context, _ *connect.Request[control.ConfirmRequest]) (*connect.Response[control.ConfirmResponse], error) {
	number, err := c.engine.Confirm(whoOf(ctx))
	if err != nil {
		return nil, connect.NewError(connect.CodeFailedPrecondition, err)
	}
	return connect.NewResponse(&control.ConfirmResponse{Number: number}), nil
}

func (c *controls) History(context.Context, *connect.Request[control.HistoryRequest]) (*connect.Response[control.HistoryResponse], error) {
	all, err := c.engine.History()
	if err != nil {
		return nil, err
	}
	running := c.engine.Status().Config.Number
	m := &control.HistoryResponse{}
	for _, r := range all {
		m.Records = append(m.Records, &control.Record{
			Number: r.Number, TimeUnixMs: r.Time.UnixMilli(), Who: r.Who, How: r.How, Outcome: r.Outcome, Applied: r.Applied,
			Plan: r.Plan, Problem: r.Problem, Files: r.Files, Running: r.Number == running,
		})
	}
	return connect.NewResponse(m), nil
}

func (c *controls) Show(context.Context, *connect.Request[control.ShowRequest]) (*connect.Response[control.ShowResponse], error) {
	data, err := json.Marshal(c.engine.ShowBlocks())
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&control.ShowResponse{Hcl: c.engine.Show(), Json: data}), nil
}

func (c *controls) Reload(ctx context.Context, r *connect.Request[control.ReloadRequest]) (*connect.Response[control.ReloadResponse], error) {
	reload := c.engine.Reload
	if r.Msg.Plugins {
		reload = c.engine.ReloadPlugins
	}
	p, err := reload(ctx, whoOf(ctx))
	if err != nil {
		return connect.NewResponse(&control.ReloadResponse{Text: err.Error()}), nil
	}
	var text bytes.Buffer
	p.Print(&text, false)
	return connect.NewResponse(&control.ReloadResponse{Applied: true, Text: text.String()}), nil
}

func (c *controls) Status(context.Context, *connect.Request[control.StatusRequest]) (*connect.Response[control.StatusResponse], error) {
	s := c.engine.Status()
	m := &control.StatusResponse{
		Version: s.Version, StartedUnixMs: s.Started.UnixMilli(), Hostname: s.Hostname,
		Config:     &control.Config{State: "current", Problem: strings.TrimSpace(s.Config.Problem + "\n" + s.Config.Stale), AppliedUnixMs: s.Config.AppliedAt.UnixMilli(), Files: s.Config.Files, Number: s.Config.Number},
		Buffer:     &control.Buffer{Bytes: uint64(s.Buffer.Bytes), Records: s.Buffer.Records, Segments: uint32(s.Buffer.Segments)},
		PluginDirs: s.PluginDirs,
	}
	if p := s.Config.Pending; p != nil {
		m.Config.ConfirmUntilUnixMs, m.Config.Back = p.Until.UnixMilli(), p.Back
	}
	if s.Config.LastApplied {
		m.Config.State = "last_applied"
	}
	for _, x := range s.Components {
		m.Components = append(m.Components, componentMessage(x))
	}
	for _, p := range s.Processes {
		m.Processes = append(m.Processes, &control.Process{
			Plugin: p.Plugin, Pid: int32(p.Pid), State: p.State, Restarts: int32(p.Restarts), CpuSeconds: p.CPU, RssBytes: p.RSS, PssBytes: p.PSS,
			StartedUnixMs: p.Started.UnixMilli(), LastDeath: text(p.LastDeath), Components: p.Components, Version: p.Version, Sha256: p.SHA256,
			Verified: verifiedMessage(p),
		})
	}
	for _, p := range s.Pipelines {
		m.Pipelines = append(m.Pipelines, &control.Pipeline{
			Name: p.Name, Sink: p.Sink, Delivered: p.Delivered, Stored: p.Stored, Dropped: p.Dropped, LagRecords: p.Lag,
			LagMs: int64(p.Age / time.Millisecond), Trouble: p.Trouble,
		})
	}
	return connect.NewResponse(m), nil
}

func componentMessage(x engine.ComponentStatus) *control.Component {
	m := &control.Component{
		Address: x.Address, Kind: string(x.Kind), Type: x.Type, Plugin: x.Plugin, State: x.State, Text: x.Text,
		Samples: x.Samples, Series: uint64(x.Series), SinceUnixMs: x.Since.UnixMilli(),
	}
	if h := x.Health; h != nil {
		m.Collects, m.Skipped, m.Dropped, m.Errors, m.LastCollectNs = h.Collects, h.Skipped, h.Dropped, h.Errors, h.LastCollectNs
		m.LastError = x.LastError
	}
	return m
}

// verifiedMessage is nil where there is no report.
func verifiedMessage(p engine.ProcessStatus) *control.Verified {
	v := p.Verified
	if v == nil {
		if p.Unreadable != nil {
			return &control.Verified{Problem: p.Unreadable.Error()}
		}
		return nil
	}
	m := &control.Verified{Current: v.SHA256 == p.SHA256, AtUnixMs: v.At.UnixMilli(), By: v.By, Kit: v.Kit, Ok: uint32(v.OK), Failed: uint32(v.Failed), NotApplicable: uint32(v.NotApplicable)}
	for _, c := range v.Checks {
		m.Checks = append(m.Checks, &control.Check{Of: c.Of, Check: c.Check, About: c.About, Text: c.Text, Fix: c.Fix})
	}
	return m
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
