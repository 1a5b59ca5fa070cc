// Package api is the daemon's HTTP: one listener for people and programs, and a unix socket for the command line of the
// daemon's own user, who alone may plan.
//
//	server.go      listeners, limits, who may ask
//	routes.go      the table of routes
//	user_*.go      whose process is at the other end of the socket
//	proxy.go       requests to the handlers of plugins
//	control.go     the control API
//	dashboards.go  the dashboards of the configuration
//	prometheus.go  the part of Prometheus' API whose state lives here
//	control/       the control API's messages
package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
)

// maxBody bounds what a client may send.
const maxBody = 32 << 20

// Server serves an engine.
type Server struct {
	engine *engine.Engine
	log    hclog.Logger
	server *http.Server
	local  *http.Server
	hosts  map[string]bool // names by which the daemon may be asked
}

type localKey struct{}
type remoteKey struct{}

// isLocal reports whether a request came over the daemon's own socket.
func isLocal(r *http.Request) bool { return r.Context().Value(localKey{}) != nil }

// whoOf says who asks, for the history.
func whoOf(ctx context.Context) string {
	if who, ok := ctx.Value(localKey{}).(string); ok {
		return who
	}
	who, _ := ctx.Value(remoteKey{}).(string)
	return "HTTP from " + who
}

// Serve listens and serves until Close. It returns when it listens; the address is the one that was bound.
func Serve(e *engine.Engine, log hclog.Logger) (s *Server, address string, err error) {
	settings := e.Settings()
	listener, err := net.Listen("tcp", settings.Listen)
	if err != nil {
		return nil, "", fmt.Errorf("%w: is another daemon running? Choose another address with -listen or in http { listen }", err)
	}
	s = &Server{engine: e, log: log, hosts: hostsOf(listener.Addr().String(), settings.Listen, settings.ExternalURL)}
	path := engine.SocketPath(settings.DataDir)
	os.Remove(path) // of a daemon that died: we hold the data directory's lock
	local, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		listener.Close()
		return nil, "", err
	}
	routes := s.routes()
	s.server = s.httpServer(s.guard(routes), func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, remoteKey{}, c.RemoteAddr().String())
	})
	s.local = s.httpServer(routes, func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, localKey{}, userOf(c))
	})
	go s.serve(s.server, listener)
	go s.serve(s.local, local)
	return s, listener.Addr().String(), nil
}

func (s *Server) serve(server *http.Server, l net.Listener) {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("HTTP stopped", "error", err)
	}
}

func (s *Server) httpServer(h http.Handler, conn func(context.Context, net.Conn) context.Context) *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.limited(h, w, r) }),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ConnContext: conn, ErrorLog: s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
}

// limited bounds the body, and turns a panic into an answer.
func (s *Server) limited(h http.Handler, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			s.log.Error("a request made the daemon panic", "path", r.URL.Path, "panic", v, "stack", hclog.Stacktrace())
			http.Error(w, "the daemon made a mistake: see its log", http.StatusInternalServerError)
		}
	}()
	h.ServeHTTP(w, r)
}

// guard refuses what a page of another site may have made a browser do: requests under a foreign name (DNS rebinding), and
// changes from another origin.
func (s *Server) guard(h http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !s.hosts[strings.ToLower(strings.Trim(host, "[]"))] {
			http.Error(w, fmt.Sprintf("this daemon is not called %q: name it in http { listen } or daemon { external_url }", host), http.StatusMisdirectedRequest)
			return
		}
		if err := origin.Check(r); err != nil {
			http.Error(w, "refused: "+err.Error(), http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hostsOf are the names of the addresses, of this machine, and of the external URL.
func hostsOf(addresses ...string) map[string]bool {
	hosts := map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}
	for _, a := range addresses {
		if u, err := url.Parse(a); err == nil && u.Host != "" {
			a = u.Host
		}
		host, _, err := net.SplitHostPort(a)
		if err != nil {
			host = a
		}
		hosts[strings.ToLower(strings.Trim(host, "[]"))] = true
	}
	if !hosts["0.0.0.0"] && !hosts["::"] && !hosts[""] {
		return hosts
	}
	// on every address, by whatever name: all of this machine's
	if name, err := os.Hostname(); err == nil {
		hosts[strings.ToLower(name)] = true
	}
	interfaces, _ := net.InterfaceAddrs()
	for _, a := range interfaces {
		if ip, ok := a.(*net.IPNet); ok {
			hosts[ip.IP.String()] = true
		}
	}
	return hosts
}

// Close ends the listeners and waits a moment for requests under way.
func (s *Server) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, server := range []*http.Server{s.server, s.local} {
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	}
}
