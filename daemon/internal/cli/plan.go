package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

const planHelp = `show what applying a configuration would change in the running daemon

Each line is a component, and what would become of it: + created, ~ updated in place, ± replaced or restarted (with a gap only
if it says so), > moved, - removed; below it what changes, attribute by attribute; plugin stands there if the file of the plugin is another than the one that
runs. Nothing is changed.
It exits with 0 if there is nothing to change, with 2 if there is, and with 1 if the configuration has errors.

-json gives an object with the list steps, one for each component, and settings, pipelines, groups, route and dashboards where those change. A step has
address, action (create, update, replace, restart, move, remove; keep), from (of a move), and attributes: each with path, old, new and change (live,
replace, exclusive: what it costs); secrets are (sensitive). With errors it is the list of diagnostics, as of check -json: severity, summary,
detail, file, line, column, end_line, end_column`

func planCommand(ctx context.Context, o *options, _ []string) int {
	r, err := o.wanted()
	if err != nil {
		return o.fail(err)
	}
	d := o.daemon()
	answer, err := d.control().Plan(ctx, connect.NewRequest(r))
	if err != nil {
		return o.failed(d, err)
	}
	m := answer.Msg
	o.printPlan(m)
	switch {
	case !m.Valid:
		return exitErrors
	case m.Changes:
		return exitChanges
	}
	return exitOK
}

// wanted reads the files for the daemon.
func (o *options) wanted() (*control.PlanRequest, error) {
	sources, err := o.read()
	r := &control.PlanRequest{Colour: o.Colour}
	for _, s := range sources {
		r.Files = append(r.Files, &control.File{Name: s.Name, Content: s.Bytes})
	}
	return r, err
}

func (o *options) printPlan(m *control.PlanResponse) {
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
}

const showHelp = `show the configuration that runs, with every default; with pack.NAME or a component's address, what the files have

PATH is that of the configuration whose daemon is asked. pack.NAME, pack.NAME["key"] and source.TYPE.NAME are read from the files of -config, whatever runs: each block has
the place where it is written, and what the pack block overrides has that one. Secrets are masked. With -rules the files at PATH, a pack alone too, are read, and their rules are written as a
rule file of Prometheus: what only Magpie has, such as diagnose and notify, is left out. -json gives an object: hcl is that text, and blocks the same for programs, each with address, type, labels, key (of one that for_each
made), pack, at (file:line:column), attributes by name (value, default, sensitive, at; the value of a secret is null) and the blocks in it`

// shown is what show -json writes.
type shown struct {
	HCL    string          `json:"hcl"`
	Blocks json.RawMessage `json:"blocks"`
}

func show(ctx context.Context, o *options, args []string) int {
	if o.show.rules {
		return o.showRules(ctx, args)
	}
	if len(args) == 1 && isAddress(args[0]) {
		return o.showFiles(ctx, args[0])
	}
	d := o.daemon()
	answer, err := d.control().Show(ctx, connect.NewRequest(&control.ShowRequest{}))
	if err != nil {
		return o.failed(d, err)
	}
	if o.json {
		return o.writeJSON(shown{answer.Msg.Hcl, answer.Msg.Json})
	}
	fmt.Fprint(o.Out, answer.Msg.Hcl)
	return exitOK
}

// isAddress tells a component's address, and a pack's, from a path.
func isAddress(text string) bool {
	kind, _, ok := strings.Cut(text, ".")
	return ok && (kind == "pack" || language.IsKind(kind))
}

// showFiles writes what a pack becomes, or a component, from the files.
func (o *options) showFiles(ctx context.Context, address string) int {
	built := o.valid(ctx)
	if built == nil {
		return exitErrors
	}
	text := language.ShowOf(built.Desired.Bodies(), address)
	if text == "" {
		var all []string
		for _, b := range built.Config.Blocks {
			if b.Type == "pack" || language.IsKind(b.Type) {
				all = append(all, language.Address(b))
			}
		}
		return o.fail(fmt.Errorf("the configuration has no %s, or nothing is in it.%s", address, language.DidYouMean(address, all)))
	}
	if o.json {
		blocks, err := json.Marshal(language.ShowBlocksOf(built.Desired.Bodies(), address))
		if err != nil {
			return o.fail(err)
		}
		return o.writeJSON(shown{text, blocks})
	}
	fmt.Fprint(o.Out, text)
	return exitOK
}
