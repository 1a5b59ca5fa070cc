package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/report"
)

const diagnoseHelp = `ask a diagnoser of the running daemon what is wrong
ADDRESS is that of a diagnoser: etcd.main or diagnoser.etcd.main. Without one, or with -list, the reports that are kept are
listed; -report ID shows one of them again. A diagnosis changes nothing: steps that do are printed for you to decide. The exit
code is 0 whatever is found, and 1 if it could not be looked at`

type diagnoseFlags struct {
	list   bool
	report string
	format string
}

func diagnoseFlagsOf(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.diagnose.list, "list", false, "list the reports that are kept")
	f.StringVar(&o.diagnose.report, "report", "", "show a report that is kept, by its `id`")
	f.StringVar(&o.diagnose.format, "format", "text", "text, markdown or html; -json is for programs")
}

func diagnose(ctx context.Context, o *options, args []string) int {
	switch o.diagnose.format {
	case "text", "markdown", "html":
	default:
		return o.fail(fmt.Errorf("-format is text, markdown or html, and %q is none of them", o.diagnose.format))
	}
	d := o.daemon()
	switch {
	case o.diagnose.report != "":
		return o.showReport(ctx, d, o.diagnose.report)
	case len(args) == 0 || o.diagnose.list:
		return o.listReports(ctx, d)
	case len(args) > 1:
		return o.fail(fmt.Errorf("diagnose takes one address"))
	}
	address := args[0]
	if !strings.HasPrefix(address, "diagnoser.") && !strings.HasPrefix(address, "pack.") {
		address = "diagnoser." + address
	}
	d.http.Timeout = 3 * time.Minute
	stream, err := d.control().Diagnose(ctx, connect.NewRequest(&control.DiagnoseRequest{Address: address}))
	if err != nil {
		return o.failed(d, err)
	}
	defer stream.Close()
	var found *sdk.Diagnosis
	id := ""
	for stream.Receive() {
		switch m := stream.Msg(); {
		case m.Diagnosis != nil:
			found, id = &sdk.Diagnosis{}, m.Id
			if err := json.Unmarshal(m.Diagnosis, found); err != nil {
				return o.fail(err)
			}
		case o.Colour:
			fmt.Fprintf(o.Err, "\r\x1b[K%s …", m.Progress)
		case !o.json:
			fmt.Fprintln(o.Err, m.Progress)
		}
	}
	if o.Colour {
		fmt.Fprint(o.Err, "\r\x1b[K")
	}
	if err := stream.Err(); err != nil {
		return o.failed(d, err)
	}
	if found == nil {
		return o.fail(fmt.Errorf("the daemon ended the answer before there was a diagnosis"))
	}
	o.writeDiagnosis(found)
	if !o.json && o.diagnose.format == "text" {
		fmt.Fprintf(o.Err, "\nKept as %s: magpie diagnose -report %s\n", id, id)
	}
	return diagnosed(found)
}

func diagnosed(d *sdk.Diagnosis) int {
	if d.Problem != "" {
		return exitErrors
	}
	return exitOK
}

func (o *options) writeDiagnosis(d *sdk.Diagnosis) {
	switch {
	case o.json:
		o.writeJSON(d)
	case o.diagnose.format == "markdown":
		report.Markdown(o.Out, d)
	case o.diagnose.format == "html":
		report.HTML(o.Out, d)
	default:
		report.Text(o.Out, d, o.Colour)
	}
}

func (o *options) showReport(ctx context.Context, d *daemon, id string) int {
	r, err := d.get(ctx, "/reports/"+id+".json")
	if err != nil {
		return o.failed(d, err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return o.failed(d, err)
	}
	if r.StatusCode != 200 {
		return o.fail(fmt.Errorf("%s", strings.TrimSpace(string(b))))
	}
	var found sdk.Diagnosis
	if err := json.Unmarshal(b, &found); err != nil {
		return o.fail(err)
	}
	o.writeDiagnosis(&found)
	return diagnosed(&found)
}

func (o *options) listReports(ctx context.Context, d *daemon) int {
	r, err := d.control().Reports(ctx, connect.NewRequest(&control.ReportsRequest{}))
	if err != nil {
		return o.failed(d, err)
	}
	if o.json {
		o.writeJSON(r.Msg.Reports)
		return exitOK
	}
	if len(r.Msg.Reports) == 0 {
		s, err := d.status(ctx)
		if err != nil {
			return o.failed(d, err)
		}
		fmt.Fprintln(o.Err, "no report is kept yet")
		some := false
		for _, x := range s.Components {
			if x.Kind == string(sdk.KindDiagnoser) {
				fmt.Fprintln(o.Err, "ask for one: magpie diagnose", strings.TrimPrefix(x.Address, "diagnoser."))
				some = true
			}
		}
		if !some {
			fmt.Fprintln(o.Err, "the configuration has no diagnoser block")
		}
		return exitOK
	}
	t := table{w: o.Out, colour: o.Colour}
	t.head("TIME", "DIAGNOSER", "FOUND", "ASKED BY", "ID")
	for _, x := range r.Msg.Reports {
		who := "a person"
		if x.Alert != "" {
			who = "alert " + x.Alert
		}
		t.row("", time.UnixMilli(x.StartedUnixMs).Format(time.DateTime), x.Address, x.Headline, who, x.Id)
	}
	t.flush()
	return exitOK
}
