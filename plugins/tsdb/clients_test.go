package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// overTCP serves the store's handler on a port of this machine, as the daemon's proxy does.
func (o *opened) overTCP() string {
	o.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.t.Fatal(err)
	}
	server := &http.Server{Handler: o.store}
	go server.Serve(listener)
	o.t.Cleanup(func() { server.Close() })
	return "http://" + listener.Addr().String()
}

func TestPromtoolQueriesTheStore(t *testing.T) {
	t.Parallel()
	promtool := plugintest.Program(t, "promtool")
	o, now := filled(t, nil)
	address, at := o.overTCP(), fmt.Sprint(now.Unix())
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"instant", "--time=" + at, address, "up"}, "up{job=\"a\"} => 0 @[" + at + "]\nup{job=\"b\"} => 1 @[" + at + "]\n"},
		{[]string{"range", "--start=" + at, "--end=" + fmt.Sprint(now.Unix()+1), "--step=2s", address, "up{job='b'}"}, "up{job=\"b\"} =>\n1 @[" + at + "]\n"},
		{[]string{"series", "--match=up", address}, "{__name__=\"up\", job=\"a\"}\n{__name__=\"up\", job=\"b\"}\n"},
		{[]string{"labels", address, "job"}, "a\nb\n"},
	} {
		out, err := exec.CommandContext(t.Context(), promtool, append([]string{"query"}, c.args...)...).CombinedOutput()
		lines := strings.SplitAfter(string(out), "\n")
		if c.args[0] != "range" { // the order of series is not promised
			slices.Sort(lines)
		}
		if got := strings.Join(lines, ""); err != nil || got != c.want {
			t.Errorf("promtool query %v: %v\n%s\nwant\n%s", c.args, err, got, c.want)
		}
	}
	out, err := exec.CommandContext(t.Context(), promtool, "query", "instant", address, "up{").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "parse error") {
		t.Errorf("a mistake: %v, %s", err, out)
	}
}

func TestPrometheusOwnClientWorks(t *testing.T) {
	t.Parallel()
	o, now := filled(t, nil)
	client, err := promapi.NewClient(promapi.Config{Address: o.overTCP()})
	if err != nil {
		t.Fatal(err)
	}
	api, ctx := promv1.NewAPI(client), t.Context()
	hour := promv1.Range{Start: now.Add(-time.Minute), End: now, Step: time.Minute}
	for name, call := range map[string]func() (any, error){
		"[0 1]": func() (any, error) {
			v, _, err := api.Query(ctx, "sort(up)", now)
			if err != nil {
				return nil, err
			}
			var values []float64
			for _, s := range v.(model.Vector) {
				values = append(values, float64(s.Value))
			}
			return values, nil
		},
		"matrix": func() (any, error) {
			v, _, err := api.QueryRange(ctx, "up", hour)
			if err != nil {
				return nil, err
			}
			return v.Type(), nil
		},
		"[a b]":         func() (any, error) { v, _, err := api.LabelValues(ctx, "job", nil, now, now); return v, err },
		"__name__, job": func() (any, error) { v, _, err := api.LabelNames(ctx, nil, now, now); return v, err },
		"2":             func() (any, error) { v, _, err := api.Series(ctx, []string{"up"}, now, now); return len(v), err },
		"[{gauge Is it up? }]": func() (any, error) {
			v, err := api.Metadata(ctx, "up", "")
			return v["up"], err
		},
		"[{map[] up gauge Is it up? }]": func() (any, error) { return api.TargetsMetadata(ctx, "", "", "") },
		"2 series":                      func() (any, error) { v, err := api.TSDB(ctx); return fmt.Sprint(v.HeadStats.NumSeries, " series"), err },
		"{[] []}":                       func() (any, error) { return api.AlertManagers(ctx) },
		"[]":                            func() (any, error) { v, err := api.Alerts(ctx); return v.Alerts, err },
		"{[]}":                          func() (any, error) { return api.Rules(ctx, nil) },
		"0.1.0":                         func() (any, error) { v, err := api.Buildinfo(ctx); return v.Version, err },
		"true":                          func() (any, error) { v, err := api.Runtimeinfo(ctx); return v.ReloadConfigSuccess, err },
		"map[]":                         func() (any, error) { return api.Flags(ctx) },
		"{0 0 0}":                       func() (any, error) { return api.WalReplay(ctx) },
	} {
		v, err := call()
		if got := fmt.Sprint(v); err != nil || got != name {
			t.Errorf("got %s, %v; want %s", got, err, name)
		}
	}
	_, _, err = api.Query(ctx, "up(", now)
	if e, ok := err.(*promv1.Error); !ok || e.Type != promv1.ErrBadData {
		t.Errorf("a mistake: %#v", err)
	}
}

// A client that does not take its answer must not keep the store from closing.
func TestASlowClientDoesNotHoldTheStoreOpen(t *testing.T) {
	t.Parallel()
	s := openDirectly(t, &Config{WALCompression: "none"})
	f := newFleet(60, 1000)
	f.next()
	writeAll(t, s, f)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s}
	go server.Serve(listener)
	defer server.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET /api/v1/series?match[]={job=\"bench\"} HTTP/1.1\r\nHost: store\r\n\r\n") // some 10 MB, more than sockets hold
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // half of what the answer may take
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}
