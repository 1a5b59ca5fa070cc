package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
	"github.com/magpie-monitoring/magpie/sdk/verify"
	"github.com/magpie-monitoring/magpie/sdk/wire"
)

// running is one component of a plugin, open without a daemon.
type running struct {
	*options
	*client.Process
	t      sdk.Type
	number uint32
	out    sync.Mutex // where two write
}

func runPlugin(ctx context.Context, o *options, path string) int {
	f, clean, err := o.located(ctx, path)
	if err != nil {
		return o.fail(err)
	}
	defer clean()
	snippet, err := o.snippet(f)
	if err != nil {
		return o.fail(err)
	}
	dir, err := os.MkdirTemp("", "magpie-")
	if err != nil {
		return o.fail(err)
	}
	defer os.RemoveAll(dir)
	p, err := client.Launch(ctx, client.Options{Path: f.Binary, SocketDir: dir, Log: o.logged})
	if err != nil {
		return o.fail(err)
	}
	defer p.Stop(context.WithoutCancel(ctx))
	go p.ServeHost(ctx, forgetful)
	d, err := p.Describe(ctx)
	if err != nil {
		return o.fail(err)
	}
	for _, t := range d.Types {
		blocks, err := snippet.Blocks(t, language.Env{Getenv: os.LookupEnv, ReadFile: os.ReadFile})
		if err != nil {
			return o.fail(err)
		}
		if len(blocks) > 0 {
			r := &running{options: o, Process: p, t: t, number: 1}
			if err := r.play(ctx, &blocks[0], dir); err != nil && ctx.Err() == nil {
				return o.fail(err)
			}
			return exitOK
		}
	}
	return o.fail(fmt.Errorf("%s has no block of what %s offers; magpie plugin describe says what that is", snippet.Name, d.Name))
}

// snippet is the file with the block: that which was named, standard input, or the plugin's example.
func (o *options) snippet(f *verify.Found) (*verify.Example, error) {
	switch name := o.plugin.snippet; {
	case name == "-":
		b, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
		return &verify.Example{Name: "standard input", Text: b}, err
	case name != "":
		b, err := os.ReadFile(name)
		return &verify.Example{Name: name, Text: b}, err
	case o.plugin.example != "":
		return f.Example, nil
	case f.Shown != nil:
		return f.Shown, nil
	}
	return nil, errors.New("there is no example.hcl: name a file with a block, or - for standard input")
}

// forgetful answers what a plugin asks of the daemon: there is no state.
func forgetful(context.Context, *wire.HostCall) *wire.HostReply { return &wire.HostReply{} }

// logged shows what the plugin logs and prints.
func (o *options) logged(e client.Entry) {
	if e.Level == "debug" && o.logLevel != "debug" {
		return
	}
	text := e.Text
	for _, k := range slices.Sorted(maps.Keys(e.Fields)) {
		text += fmt.Sprintf(" %s=%v", k, e.Fields[k])
	}
	fmt.Fprintf(o.Err, "%s %s\n", paint(o.Colour, yellow, cmp.Or(e.Level, "info")+":"), text)
}

// play opens the block, does what its kind is for, and closes it.
func (r *running) play(ctx context.Context, b *verify.Block, dir string) error {
	b.Source.Interval = cmp.Or(b.Source.Interval, r.plugin.every)
	b.Source.Timeout = cmp.Or(b.Source.Timeout, min(b.Source.Interval, 10*time.Second))
	host, _ := os.Hostname()
	name := strings.ReplaceAll(strings.ReplaceAll(b.Title, `" "`, "."), `"`, "")
	opening := client.Opening{
		Config:    client.Config{Kind: r.t.Kind, Type: r.t.Name, Address: strings.ReplaceAll(name, " ", "."), JSON: b.Config},
		Component: r.number, Dir: dir + "/own", Source: b.Source, Instance: host,
	}
	show := func() error { <-ctx.Done(); return nil }
	if r.t.Kind == sdk.KindSource { // its stream is there before it
		stream, err := r.Produce(ctx)
		if err != nil {
			return err
		}
		show = func() error { return r.showSamples(stream, opening.Address) }
	}
	if _, err := r.Open(ctx, opening, func(text string) { r.tell("%s", text) }); err != nil {
		return err
	}
	r.tell("")
	defer r.Close(context.WithoutCancel(ctx), r.number, 5*time.Second)
	go r.watch(ctx)
	switch r.t.Kind {
	case sdk.KindProcessor:
		if r.t.Derives {
			return r.derive(ctx)
		}
		return r.askSeries(ctx)
	case sdk.KindSink, sdk.KindStore:
		return r.send(ctx)
	case sdk.KindNotifier:
		return r.notify(ctx, opening.Address)
	case sdk.KindCoordinator:
		return r.hold(ctx, host)
	case sdk.KindDiscovery:
		return r.Discover(ctx, r.number, func(found []sdk.Discovered) {
			if r.json {
				r.writeJSON(found)
				return
			}
			fmt.Fprintf(r.Out, "%s: %s\n", time.Now().Format(time.TimeOnly), count(len(found), "target"))
			for _, d := range found {
				fmt.Fprintf(r.Out, "  %s %s\n", d.Address, labelText(d.Labels))
			}
		})
	}
	return show()
}

// watch shows the errors that the component counts.
func (r *running) watch(ctx context.Context) {
	last := ""
	for ctx.Err() == nil {
		if report, err := r.Health(ctx); err == nil {
			for _, h := range report.Components {
				if text := h.LastError.GetText(); text != last && text != "" {
					fmt.Fprintf(r.Err, "%s %s (%s)\n", paint(r.Colour, red, "error:"), text, strings.ToLower(h.LastError.Blame.String()))
					last = text
				}
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// showSamples shows each whole cycle, or what came, as a table.
func (r *running) showSamples(stream wire.PacketStream, address string) error {
	decoder := wire.NewDecoder()
	if _, _, err := decoder.Decode(wire.AppendStream(nil, r.number, address)); err != nil {
		return err
	}
	for {
		var raw wire.Raw
		if err := stream.RecvMsg(&raw); err != nil {
			return err
		}
		buf := raw.Materialize()
		packet, err := wire.ParsePacket(buf.ReadOnlyData())
		if err == nil {
			var runs []sdk.Run
			var gone []wire.Forgotten
			if runs, gone, err = decoder.Decode(packet.Frames); err == nil {
				r.showBatch(sdk.ReadBatch(packet.LastSeq, runs))
				wire.Forget(gone)
			}
		}
		buf.Free()
		if err != nil {
			return err
		}
		if err := stream.SendMsg(&wire.Down{Message: &wire.Down_Ack{Ack: &wire.Ack{Seq: packet.LastSeq}}}); err != nil {
			return err
		}
	}
}

func (r *running) showBatch(b *sdk.Batch) {
	if b.Len() == 0 {
		return
	}
	t := table{w: r.Out, colour: r.Colour}
	if !r.json {
		fmt.Fprintf(r.Out, "\n%s, %s\n", time.Now().Format(time.TimeOnly), count(b.Len(), "sample"))
		t.head("SERIES", "VALUE", "TIME")
	}
	for _, x := range b.Samples() {
		value := fmt.Sprint(x.Value)
		if x.Histogram != nil {
			value = fmt.Sprintf("histogram of %v, sum %v", x.Histogram.Count, x.Histogram.Sum)
		}
		if r.json {
			b, err := json.Marshal(map[string]any{"labels": x.Labels.Map(), "value": value, "time": x.Time.UTC()})
			if err == nil {
				fmt.Fprintf(r.Out, "%s\n", b)
			}
			continue
		}
		t.row("", x.Labels.String(), value, x.Time.Format("15:04:05.000"))
	}
	if !r.json {
		t.flush()
	}
}

// askSeries shows what a processor makes of the series on standard input, one on each line as Prometheus writes them.
func (r *running) askSeries(ctx context.Context) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		labels, value, err := seriesOf(line)
		if err != nil {
			return err
		}
		mapped, err := r.MapSeries(ctx, r.number, []sdk.Labels{labels})
		switch {
		case err != nil:
			return err
		case mapped[0] == nil:
			fmt.Fprintf(r.Out, "%s\n", paint(r.Colour, yellow, "# dropped: "+line))
		default:
			fmt.Fprintln(r.Out, strings.TrimSpace(mapped[0].String()+" "+value))
		}
	}
	return lines.Err()
}

// seriesOf reads name{label="value"} 1.
func seriesOf(line string) (sdk.Labels, string, error) {
	name, rest := line, ""
	if i := strings.IndexAny(line, "{ \t"); i >= 0 {
		name, rest = line[:i], line[i:]
	}
	labels := sdk.NewLabels(sdk.NameLabel, name)
	if strings.HasPrefix(rest, "{") {
		end := strings.LastIndex(rest, "}")
		if end < 0 {
			return nil, "", fmt.Errorf("%s: the } is missing", line)
		}
		matchers, wrong := sdk.ParseMatchers(strings.TrimSuffix(strings.TrimSpace(rest[1:end]), ","))
		if wrong != nil {
			return nil, "", fmt.Errorf("%s: %s", line, wrong.Text)
		}
		for _, m := range matchers {
			labels = labels.Set(m.Label, m.Value)
		}
		rest = rest[end+1:]
	}
	return labels, strings.TrimSpace(rest), nil
}

// send writes three samples to a sink, and says what it acknowledges.
func (r *running) send(ctx context.Context) error {
	stream, err := r.Consume(ctx, r.number, 0)
	if err != nil {
		return err
	}
	f := newFeed(stream)
	f.Batch.Time = time.Now()
	for i := range 3 {
		f.Batch.Put(f.Batch.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "magpie_test_value", "job", "test", "n", fmt.Sprint(i))}), float64(i))
	}
	if err := f.send(); err != nil {
		return err
	}
	fmt.Fprintln(r.Out, "sent: 3 samples of magpie_test_value")
	for {
		up, err := stream.Recv()
		if err != nil {
			return err
		}
		if p := up.GetTrouble(); p != nil && p.Text != "" {
			fmt.Fprintf(r.Out, "it cannot write now, and tries again: %s\n", p.Text)
		}
		if ack := up.GetAck(); ack != nil {
			fmt.Fprintf(r.Out, "acknowledged: %d stored", ack.Stored)
			for _, x := range ack.Refused {
				fmt.Fprintf(r.Out, "; refused: %s", x.Text)
			}
			fmt.Fprintf(r.Out, "; dropped: %v\n", ack.Dropped)
			if ack.Position >= f.Last {
				return nil
			}
		}
	}
}

// notify hands a notification over.
func (r *running) notify(ctx context.Context, address string) error {
	now := time.Now()
	receipt, err := r.Notify(ctx, r.number, sdk.Notification{
		GroupKey: "{}:{alertname=\"MagpieTest\"}", IdempotencyKey: fmt.Sprint("test-", now.UnixNano()), Status: sdk.Firing, Receiver: address,
		GroupLabels: map[string]string{"alertname": "MagpieTest"}, CommonLabels: map[string]string{"alertname": "MagpieTest", "severity": "info"},
		Title: "MagpieTest", Text: "A test of " + address + ": nothing is wrong.",
		Alerts: []sdk.Alert{{
			Status: sdk.Firing, Labels: map[string]string{"alertname": "MagpieTest", "severity": "info"},
			Annotations: map[string]string{"summary": "A test: nothing is wrong."}, StartsAt: now, Fingerprint: "0000000000000000",
		}},
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(r.Out, strings.TrimSpace("delivered. "+receipt.ID))
	return nil
}

func labelText(m map[string]string) string {
	var ls sdk.Labels
	for name, value := range m {
		ls = ls.Set(name, value)
	}
	return ls.String()
}
