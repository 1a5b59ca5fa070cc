package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/supervisor"
)

// storeWait is how long a request waits for a plugin that is being restarted.
const storeWait = 5 * time.Second

// mounted serves what a plugin asked to serve beside /plugins/.
func (s *Server) mounted(w http.ResponseWriter, r *http.Request) {
	address, prefix := s.engine.Mounted(r.URL.Path)
	if address == "" {
		s.unavailable(w, r, http.StatusNotFound, "nothing is configured that serves "+r.URL.Path)
		return
	}
	s.forward(w, r, address, strings.TrimSuffix(prefix, "/"), false)
}

// plugin serves a component's handler under its address, as content that the console's origin does not trust.
func (s *Server) plugin(w http.ResponseWriter, r *http.Request) {
	address := r.PathValue("address")
	if s.engine.Component(address) == nil {
		s.unavailable(w, r, http.StatusNotFound, "there is no component "+address)
		return
	}
	s.forward(w, r, address, "/plugins/"+address, true)
}

type handleKey struct{}

// toPlugin keeps connections to the sockets of plugins; the host of a request is the plugin's process and component.
var toPlugin = &http.Transport{
	DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		h, ok := ctx.Value(handleKey{}).(*supervisor.Handle)
		if !ok {
			return nil, fmt.Errorf("the request names no plugin")
		}
		return h.DialHTTP(ctx)
	},
	MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, DisableCompression: true,
}

// forward passes a request to a component's handler, with the prefix cut from its path and without the client's
// credentials.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, address, prefix string, sandboxed bool) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	h, back, err := s.engine.Borrow(ctx, address)
	if err != nil {
		s.unavailable(w, r, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer back()
	proxy := httputil.ReverseProxy{
		Transport: toPlugin,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", fmt.Sprintf("%d-%d", h.Pid, h.Number)
			number := fmt.Sprintf("/%d", h.Number)
			p.Out.URL.Path = number + strings.TrimPrefix(p.In.URL.Path, prefix)
			if raw := p.In.URL.RawPath; raw != "" {
				p.Out.URL.RawPath = number + strings.TrimPrefix(raw, prefix)
			}
			p.Out.Header.Del("Authorization")
			p.Out.Header.Del("Cookie")
			p.SetXForwarded()
		},
		ModifyResponse: func(answer *http.Response) error {
			if sandboxed {
				answer.Header.Set("Content-Security-Policy", "sandbox allow-scripts allow-forms; default-src 'self' 'unsafe-inline' data:")
				answer.Header.Del("Set-Cookie")
			}
			answer.Header.Set("X-Content-Type-Options", "nosniff")
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			s.unavailable(w, r, http.StatusServiceUnavailable, fmt.Sprintf("%s does not answer: %v", address, err))
		},
	}
	proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), handleKey{}, h)))
}

// unavailable answers in the form that the client expects: Prometheus' under its API.
func (s *Server) unavailable(w http.ResponseWriter, r *http.Request, code int, text string) {
	if !strings.HasPrefix(r.URL.Path, "/api/v1/") {
		http.Error(w, text, code)
		return
	}
	kind := "unavailable"
	if code == http.StatusNotFound {
		kind = "not_found"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": text})
}
