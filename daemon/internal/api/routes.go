package api

import (
	"fmt"
	"net/http"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control/controlconnect"
	"github.com/magpie-monitoring/magpie/daemon/internal/telemetry"
)

// routes is the table of everything that the daemon answers. A path that is not here belongs to the plugin that asked for
// it (the console: /, the default store: /api/v1), the longest first.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", s.healthy)
	mux.HandleFunc("GET /-/ready", s.ready)
	mux.HandleFunc("/-/reload", s.reload)
	mux.Handle("GET /metrics", telemetry.Handler(s.engine.Metrics))

	_, controls := controlconnect.NewControlHandler(&controls{engine: s.engine})
	mux.Handle("/api/magpie/v1/{method}", named(controls))

	mux.HandleFunc("GET /reports/{id}", s.report)
	mux.HandleFunc("GET /api/magpie/v1/dashboards", s.dashboards)
	mux.HandleFunc("GET /api/magpie/v1/dashboards/{name}", s.dashboards)

	p := &prometheusAPI{engine: s.engine, started: s.engine.Status().Started}
	for path, answer := range map[string]answerFunc{
		"targets": p.targets, "rules": p.rules, "alerts": p.alerts, "alertmanagers": p.alertmanagers,
		"scrape_pools": p.scrapePools, "status/config": p.config, "status/flags": p.flags, "status/runtimeinfo": p.runtime, "status/buildinfo": p.build,
	} {
		mux.Handle("GET /api/v1/"+path, answer)
	}
	mux.HandleFunc("/plugins/{address}/", s.plugin)
	mux.HandleFunc("/", s.mounted)
	return mux
}

func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "Magpie is healthy.")
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.engine.Ready(); err != nil {
		http.Error(w, "Magpie is not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "Magpie is ready.")
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		http.Error(w, "only POST reloads", http.StatusMethodNotAllowed)
		return
	}
	plan, err := s.engine.Reload(r.Context(), whoOf(r.Context()))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	plan.Print(w, false)
}
