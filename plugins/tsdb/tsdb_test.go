package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// opened is a store under test: the component at the end of a connection, and the store itself.
type opened struct {
	*plugintest.Component
	*store
	client *http.Client
	t      testing.TB
}

// openStore opens a store as the daemon does. Closing comes with the test's end.
func openStore(t testing.TB, cfg plugintest.Config) *opened {
	t.Helper()
	o := &opened{t: t}
	o.Component = plugintest.Open(t, capability(func(ctx context.Context, cfg *Config, host sdk.Host) (*store, error) {
		s, err := open(ctx, cfg, host)
		o.store = s
		return s, err
	}), cfg)
	o.client = o.Client()
	return o
}

// closeNow closes the store before the test's end.
func (o *opened) closeNow() {
	o.t.Helper()
	if _, err := o.Component.Close(o.t.Context(), o.Number, time.Minute); err != nil {
		o.t.Fatalf("close: %v", err)
	}
}

// ask evaluates an instant query through the connection and prints the result, a line a series.
func (o *opened) ask(expr string, at time.Time) string {
	o.t.Helper()
	return o.askFor(sdk.Query{Expr: expr, Start: at})
}

func (o *opened) askFor(q sdk.Query) string {
	o.t.Helper()
	r, err := o.Component.Query(o.t.Context(), o.Number, q)
	if err != nil {
		o.t.Fatalf("query %s: %v", q.Expr, err)
	}
	var lines []string
	for _, s := range r.Series {
		var points []string
		for _, p := range s.Points {
			points = append(points, fmt.Sprint(p.Value))
		}
		lines = append(lines, s.Labels.String()+" "+strings.Join(points, " "))
	}
	return strings.Join(lines, "\n")
}

// written sends the batch and checks what its acknowledgement says.
func (o *opened) written(stored int, dropped map[string]uint64) {
	o.t.Helper()
	ack := o.Component.Write()
	if ack.Stored != uint64(stored) || fmt.Sprint(ack.Dropped) != fmt.Sprint(dropped) {
		o.t.Errorf("stored %d and dropped %v, want %d and %v", ack.Stored, ack.Dropped, stored, dropped)
	}
}

func series(name string, pairs ...string) sdk.Series {
	return sdk.Series{Labels: sdk.NewLabels(append([]string{sdk.NameLabel, name}, pairs...)...)}
}

// eventually waits for what happens in the background.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// bareHost is a host for stores that are opened without the SDK's runtime around them.
type bareHost struct{ dir string }

func (h bareHost) Fail(error)                                        {}
func (h bareHost) Address() string                                   { return "store.tsdb.main" }
func (h bareHost) Log() *slog.Logger                                 { return slog.New(slog.DiscardHandler) }
func (h bareHost) Dir() (string, error)                              { return h.dir, nil }
func (h bareHost) Get(context.Context, string) ([]byte, bool, error) { return nil, false, nil }
func (h bareHost) Put(context.Context, string, []byte) error         { return nil }
func (h bareHost) Status(sdk.Status, string)                         {}
func (h bareHost) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}
func (h bareHost) ListenPacket(network, address string) (net.PacketConn, error) {
	return net.ListenPacket(network, address)
}
func (h bareHost) Checkpoint() []byte { return nil }
func (h bareHost) Query(context.Context, sdk.Query) (*sdk.Result, error) {
	return nil, errors.ErrUnsupported
}
func (h bareHost) Source() sdk.SourceSettings { return sdk.SourceSettings{} }

// openDirectly opens a store in the test's own directory, or the path of the configuration, and closes it at the end.
func openDirectly(t testing.TB, cfg *Config) *store {
	t.Helper()
	s, err := open(t.Context(), cfg, bareHost{t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
