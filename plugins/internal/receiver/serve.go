package receiver

import (
	"context"
	"net"
	"net/http"
	"time"
)

// ReadTimeout is how long a request may take to arrive.
const ReadTimeout = 30 * time.Second

// CloseDeadline is how long requests may take that were begun when the source ends. Who is not answered sends again.
const CloseDeadline = 3 * time.Second

// Serve answers requests until ctx ends, and then finishes those that were begun. It closes the listener.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: ReadTimeout, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), CloseDeadline)
	defer cancel()
	if server.Shutdown(end) != nil {
		server.Close()
	}
	return ctx.Err()
}
