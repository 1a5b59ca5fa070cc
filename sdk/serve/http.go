package serve

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// httpServer serves the HTTP handlers of all components of the process on one unix socket, each under /<component>/. The
// daemon stands before it: no one else can reach the socket's directory.
type httpServer struct {
	mu     sync.Mutex
	path   string
	server *http.Server
}

// serveHTTP starts the socket for the first component that has a handler.
func (s *Server) serveHTTP(c *component) error {
	if _, ok := c.open.Impl.(http.Handler); !ok {
		return nil
	}
	h := &s.http
	h.mu.Lock()
	defer h.mu.Unlock()
	c.http = h.path
	if h.server != nil {
		return nil
	}
	listener := s.HTTP
	if listener == nil {
		if s.SocketDir == "" {
			return fmt.Errorf("the daemon gave no directory for sockets")
		}
		var err error
		if listener, err = net.Listen("unix", filepath.Join(s.SocketDir, "http")); err != nil {
			return err
		}
	}
	h.path = listener.Addr().String()
	c.http = h.path
	h.server = &http.Server{Handler: http.HandlerFunc(s.route), ReadHeaderTimeout: 10 * time.Second}
	go h.server.Serve(listener)
	return nil
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	number, err := strconv.ParseUint(first, 10, 32)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	c, err := s.component(uint32(number))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	http.StripPrefix("/"+first, c.open.Impl.(http.Handler)).ServeHTTP(w, r)
}

func (h *httpServer) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		h.server.Close()
	}
}
