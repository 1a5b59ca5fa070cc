package api

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"strings"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
	"github.com/magpie-monitoring/magpie/sdk/report"
)

func (c *controls) Diagnose(ctx context.Context, r *connect.Request[control.DiagnoseRequest], stream *connect.ServerStream[control.DiagnoseResponse]) error {
	id, d, err := c.engine.Diagnose(ctx, r.Msg.Address, func(text string) { stream.Send(&control.DiagnoseResponse{Progress: text}) })
	if err != nil {
		return connect.NewError(connect.CodeFailedPrecondition, err)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return stream.Send(&control.DiagnoseResponse{Id: id, Diagnosis: b})
}

func (c *controls) Reports(context.Context, *connect.Request[control.ReportsRequest]) (*connect.Response[control.ReportsResponse], error) {
	ids, err := c.engine.Reports()
	if err != nil {
		return nil, err
	}
	m := &control.ReportsResponse{}
	for _, id := range ids {
		d, err := c.engine.Report(id)
		if err != nil {
			return nil, err
		}
		if d == nil {
			continue // gone since
		}
		x := &control.Report{Id: id, Address: d.Address, StartedUnixMs: d.Started.UnixMilli(), Headline: report.Headline(d), Worst: string(d.Worst())}
		if d.Question.Alert != nil {
			x.Alert = d.Question.Alert.Labels["alertname"]
		}
		m.Reports = append(m.Reports, x)
	}
	return connect.NewResponse(m), nil
}

// report answers with a diagnosis that is kept, as the end of its name says.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("id")
	form := path.Ext(name)
	switch form {
	case ".json", ".md", ".txt":
		name = strings.TrimSuffix(name, form)
	default:
		form = "" // the time in an id has a dot
	}
	d, err := s.engine.Report(name)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	case d == nil:
		http.Error(w, "There is no such report: it is not finished yet, or is not kept any more.", http.StatusNotFound)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch form {
	case ".json":
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(d)
	case ".md":
		w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
		report.Markdown(w, d)
	case ".txt":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		report.Text(w, d, false)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
		report.HTML(w, d)
	}
}
