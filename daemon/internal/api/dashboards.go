package api

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// dashboards lists the dashboards of the configuration that runs, by the names that the next one takes.
func (s *Server) dashboards(w http.ResponseWriter, _ *http.Request) {
	type named struct {
		Name  string `json:"name"`
		Title string `json:"title"`
	}
	list := []named{}
	for _, d := range s.engine.Dashboards() {
		list = append(list, named{d.Name, d.Title})
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"dashboards": list})
}

// dashboard answers with a dashboard's file as it is.
func (s *Server) dashboard(w http.ResponseWriter, r *http.Request) {
	for _, d := range s.engine.Dashboards() {
		if d.Name == r.PathValue("name") {
			w.Header().Set("Content-Type", "application/json")
			w.Write(d.JSON)
			return
		}
	}
	http.Error(w, fmt.Sprintf("there is no dashboard %q: /api/magpie/v1/dashboards lists them", r.PathValue("name")), http.StatusNotFound)
}
