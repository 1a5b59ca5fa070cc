package main

import (
	"net/http"
	"strings"

	"github.com/magpie-monitoring/magpie/plugins/internal/receiver"
)

// access is who may write, of which a Config has the names that InfluxDB's clients know.
func (c *Config) access() *receiver.Access {
	return &receiver.Access{TLS: c.TLS, BearerToken: c.Token, BasicAuth: c.BasicAuth}
}

// admits answers those who may not write.
func (s *source) admits(w http.ResponseWriter, r *http.Request) bool {
	admitted, err := s.cfg.access().Admits(credentials(r))
	switch {
	case err != nil:
		s.host.Fail(err)
		later(w, http.StatusServiceUnavailable, "the password file cannot be read")
	case !admitted:
		w.Header().Set("WWW-Authenticate", `Basic realm="InfluxDB"`)
		refuse(w, http.StatusUnauthorized, "unauthorized", "authorization failed")
	}
	return admitted
}

// credentials are in an Authorization header, Token or Bearer in both versions of the API (of the first: user:password) or
// Basic, or else in the address, u and p, as the first version has them.
func credentials(r *http.Request) receiver.Credentials {
	header := r.Header.Get("Authorization")
	if scheme, rest, _ := strings.Cut(header, " "); strings.EqualFold(scheme, "Token") || strings.EqualFold(scheme, "Bearer") {
		c := receiver.Credentials{Token: strings.TrimSpace(rest)}
		c.User, c.Password, _ = strings.Cut(c.Token, ":")
		return c
	}
	if _, _, ok := r.BasicAuth(); !ok && r.URL.Query().Has("u") {
		return receiver.Credentials{User: r.URL.Query().Get("u"), Password: r.URL.Query().Get("p")}
	}
	return receiver.Authorization(header)
}
