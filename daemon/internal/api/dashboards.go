package api

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// dashboards answers with a dashboard of the configuration that runs, as its file is; without a name, with the names of all.
func (s *Server) dashboards(w http.ResponseWriter, r *http.Request) {
	type named struct {
		Name  string `json:"name"`
		Title string `json:"title"`
	}
	list, name := []named{}, r.PathValue("name")
	w.Header().Set("Content-Type", "application/json")
	for _, d := range s.engine.Dashboards() {
		if d.Name == name {
			w.Write(d.JSON)
			return
		}
		list = append(list, named{d.Name, d.Title})
	}
	if name != "" {
		http.Error(w, fmt.Sprintf("there is no dashboard %q: /api/magpie/v1/dashboards lists them", name), http.StatusNotFound)
		return
	}
	json.NewEncoder(w).Encode(map[string]any{"dashboards": list})
}
