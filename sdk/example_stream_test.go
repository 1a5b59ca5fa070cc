package sdk_test

import (
	"bufio"
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/serve"
)

type PushConfig struct {
	Listen string `hcl:"listen" check:"hostport" doc:"Address to take lines at: name value." change:"exclusive"`
}

// pushed listens. What it took is on disk before it answers.
type pushed struct {
	listener net.Listener
	host     sdk.Host
}

func openPushed(_ context.Context, cfg *PushConfig, host sdk.Host) (*pushed, error) {
	l, err := host.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, sdk.At(&cfg.Listen, err)
	}
	return &pushed{l, host}, nil
}

func (p *pushed) Stream(ctx context.Context, out sdk.Emitter) error {
	defer context.AfterFunc(ctx, func() { p.listener.Close() })()
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return err
		}
		if err := p.take(ctx, conn, out); err != nil {
			p.host.Fail(sdk.Target(err)) // and on to the next client
		}
	}
}

func (p *pushed) take(ctx context.Context, conn net.Conn, out sdk.Emitter) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	b := out.Batch()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || name == "" {
			b.Reject("no_number", 1)
			continue
		}
		b.Put(b.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, name)}), v)
	}
	if err := out.Emit(ctx, b); err != nil {
		return err
	}
	if err := out.Flush(ctx); err != nil {
		return err
	}
	_, err := conn.Write([]byte("ok\n"))
	return err
}

func (p *pushed) Close(context.Context) error { p.listener.Close(); return nil }

var (
	_ sdk.Streamer = (*pushed)(nil)
	_ sdk.Closer   = (*pushed)(nil)
)

// A source with a rhythm of its own, which others push to.
func ExampleStreamSource() {
	serve.Main("pushed", "0.1.0", sdk.StreamSource(openPushed, sdk.Doc("Takes lines.")))
}
