package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
	"github.com/magpie-monitoring/magpie/daemon/internal/api/control/controlconnect"
	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
)

const defaultAddr = "http://127.0.0.1:9470"

// daemon is a way to the running daemon.
type daemon struct {
	http *http.Client
	base string
	name string // for errors
}

// daemon finds the running daemon: at -addr, else at the socket of the data directory that the flags or the configuration
// name, else at the usual address.
func (o *options) daemon() *daemon {
	if o.addr != "" {
		return &daemon{&http.Client{Timeout: time.Minute}, strings.TrimRight(o.addr, "/"), o.addr}
	}
	dir := o.dataDir
	if dir == "" {
		if sources, err := o.read(); err == nil {
			dir = engine.DataDir(sources)
		}
	}
	if abs, err := filepath.Abs(dir); dir != "" && err == nil {
		socket := engine.SocketPath(abs)
		if _, err := os.Stat(socket); err == nil {
			return &daemon{&http.Client{Timeout: time.Minute, Transport: &http.Transport{
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, "unix", socket)
				},
			}}, "http://magpie", "the socket of data directory " + abs}
		}
	}
	return &daemon{&http.Client{Timeout: time.Minute}, defaultAddr, defaultAddr}
}

func (d *daemon) get(ctx context.Context, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+path, nil)
	if err != nil {
		return nil, err
	}
	return d.http.Do(r)
}

func (d *daemon) control() controlconnect.ControlClient {
	return controlconnect.NewControlClient(&http.Client{Transport: renamed{d.http.Transport}, Timeout: d.http.Timeout}, d.base, connect.WithProtoJSON())
}

// status asks how everything is.
func (d *daemon) status(ctx context.Context) (*control.StatusResponse, error) {
	answer, err := d.control().Status(ctx, connect.NewRequest(&control.StatusRequest{}))
	if err != nil {
		return nil, err
	}
	return answer.Msg, nil
}

// renamed asks under the daemon's paths, /api/magpie/v1/<Method>, instead of Connect's.
type renamed struct{ next http.RoundTripper }

func (t renamed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Path = strings.Replace(r.URL.Path, "/"+controlconnect.ControlName+"/", "/api/magpie/v1/", 1)
	if t.next == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return t.next.RoundTrip(r)
}

// unreached reports whether no daemon answered at all.
func unreached(err error) bool {
	var u *url.Error
	var c *connect.Error
	return errors.As(err, &u) || errors.As(err, &c) && c.Code() == connect.CodeUnavailable
}

// failed prints an error of a call to the daemon.
func (o *options) failed(d *daemon, err error) int {
	if unreached(err) {
		fmt.Fprintf(o.Err, "magpie: no daemon answers at %s: start one with magpie run, or say where it is with -addr or -data-dir\n", d.name)
		return exitUnreachable
	}
	var c *connect.Error
	if errors.As(err, &c) {
		return o.fail(errors.New(c.Message()))
	}
	return o.fail(err)
}
