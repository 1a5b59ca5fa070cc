package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
		if method == "Plan" && !isLocal(r) {
			connect.NewErrorWriter().Write(w, r, connect.NewError(connect.CodePermissionDenied,
				errors.New("a plan reads the daemon's environment and files: it is made for the daemon's own user only, over its socket, which magpie plan finds without -addr and MAGPIE_ADDR, by -data-dir")))
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
	var sources []language.Source
	for _, f := range r.Msg.Files {
		sources = append(sources, language.Source{Name: f.Name, Bytes: f.Content})
	}
	built, p, err := c.engine.Plan(ctx, sources)
	if err != nil {
		return nil, err
	}
	var text, warnings bytes.Buffer
	diagnostics, err := json.Marshal(built.Config.Diagnostics(built.Diags))
	if err != nil {
		return nil, err
	}
	m := &control.PlanResponse{Valid: p != nil, Diagnostics: diagnostics}
	if p == nil {
		language.WriteDiagnostics(&text, built.Config, built.Diags, r.Msg.Colour)
		m.Text = text.String()
		return connect.NewResponse(m), nil
	}
	language.WriteDiagnostics(&warnings, built.Config, built.Diags, r.Msg.Colour)
	p.Print(&text, r.Msg.Colour)
	m.Changes, m.Text, m.Warnings = !p.Empty(), text.String(), warnings.String()
	if m.Json, err = json.Marshal(p); err != nil {
		return nil, err
	}
	return connect.NewResponse(m), nil
}

func (c *controls) Show(context.Context, *connect.Request[control.ShowRequest]) (*connect.Response[control.ShowResponse], error) {
	return connect.NewResponse(&control.ShowResponse{Hcl: c.engine.Show()}), nil
}

func (c *controls) Reload(ctx context.Context, _ *connect.Request[control.ReloadRequest]) (*connect.Response[control.ReloadResponse], error) {
	p, err := c.engine.Reload(ctx)
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
		Config: &control.Config{State: "current", Problem: s.Config.Problem, AppliedUnixMs: s.Config.AppliedAt.UnixMilli(), Files: s.Config.Files},
		Buffer: &control.Buffer{Bytes: uint64(s.Buffer.Bytes), Records: s.Buffer.Records, Segments: uint32(s.Buffer.Segments)},
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
			StartedUnixMs: p.Started.UnixMilli(), LastDeath: text(p.LastDeath), Components: p.Components, Version: p.Version,
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
		m.LastError = h.LastError.GetText()
	}
	return m
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
