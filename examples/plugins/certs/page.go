package main

import (
	"encoding/json"
	"net/http"
	"time"
)

// listed is a certificate as /plugins/source.certs.NAME/ lists it.
type listed struct {
	Path     string    `json:"path"`
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	Serial   string    `json:"serial"`
	NotAfter time.Time `json:"not_after"`
}

// ServeHTTP lists the certificates as they are now, for who asks before the next Collect. The daemon has checked who asks, and cut
// its own prefix from the path.
func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this only lists: use GET", http.StatusMethodNotAllowed)
		return
	}
	answer := struct {
		Certificates []listed `json:"certificates"`
		Problem      string   `json:"problem,omitempty"` // of files that cannot be read
	}{Certificates: []listed{}}
	err := s.each(r.Context(), func(path string, found []certificate, _ error) {
		for _, c := range found {
			answer.Certificates = append(answer.Certificates, listed{path, c.subject, c.issuer, c.serial, c.NotAfter})
		}
	})
	if err != nil {
		answer.Problem = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

var _ http.Handler = (*source)(nil)
