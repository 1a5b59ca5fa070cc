package cli

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
)

func planCommand(ctx context.Context, o *options, _ []string) int {
	sources, err := o.read()
	if err != nil {
		return o.fail(err)
	}
	r := &control.PlanRequest{Colour: o.Colour}
	for _, s := range sources {
		r.Files = append(r.Files, &control.File{Name: s.Name, Content: s.Bytes})
	}
	d := o.daemon()
	answer, err := d.control().Plan(ctx, connect.NewRequest(r))
	if err != nil {
		return o.failed(d, err)
	}
	m := answer.Msg
	switch {
	case o.json && m.Valid:
		fmt.Fprintf(o.Out, "%s\n", m.Json)
	case o.json:
		fmt.Fprintf(o.Out, "%s\n", m.Diagnostics)
	case m.Valid:
		fmt.Fprint(o.Err, m.Warnings)
		fmt.Fprint(o.Out, m.Text)
	default:
		fmt.Fprint(o.Err, m.Text)
	}
	switch {
	case !m.Valid:
		return exitErrors
	case m.Changes:
		return exitChanges
	}
	return exitOK
}

func show(ctx context.Context, o *options, _ []string) int {
	d := o.daemon()
	answer, err := d.control().Show(ctx, connect.NewRequest(&control.ShowRequest{}))
	if err != nil {
		return o.failed(d, err)
	}
	if o.json {
		return o.writeJSON(map[string]string{"hcl": answer.Msg.Hcl})
	}
	fmt.Fprint(o.Out, answer.Msg.Hcl)
	return exitOK
}
