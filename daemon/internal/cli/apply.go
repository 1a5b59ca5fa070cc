package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
)

// applyWithin is how long an apply may take: it waits for others, and for what opens.
const applyWithin = 15 * time.Minute

const applyHelp = `show what a configuration would change in the running daemon, ask, and apply it

The files are sent to the daemon, which evaluates them: env, secret and paths are its own. Either everything is applied or
nothing is: if something does not open, what ran goes on. What is unchanged is left alone, with all that it keeps.
On a terminal it asks before it applies; elsewhere it needs -yes. If another apply comes in between, it is refused.
With -confirm 5m the daemon rolls back by itself to what ran before, unless magpie confirm comes within 5 minutes. That holds
if the daemon is restarted meanwhile too. magpie status shows the time that is left.
What was applied goes on after a restart as long as the files that the daemon itself reads are not changed.
It exits with 0 if it was applied or nothing changes, and with 1 if not`

const confirmHelp = `keep what was applied with -confirm

It exits with 1 if nothing waits for confirmation: it may have been rolled back already`

const rollbackHelp = `show what going back to an earlier configuration would change, ask, and apply it

N is a number of magpie history; default: what ran before and differed. It takes -yes and -confirm as apply does, and ends the
wait for a confirmation. The files are not touched: change them too, before they are reloaded`

type applyFlags struct {
	yes     bool
	confirm time.Duration
}

func applyFlagsOf(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.apply.yes, "yes", false, "do not ask")
	f.DurationVar(&o.apply.confirm, "confirm", 0, "roll back after this long, such as 5m, unless magpie confirm comes")
}

func apply(ctx context.Context, o *options, _ []string) int {
	r, err := o.wanted()
	if err != nil {
		return o.fail(err)
	}
	return o.applyWanted(ctx, r)
}

func rollback(ctx context.Context, o *options, args []string) int {
	r := &control.PlanRequest{Colour: o.Colour, Rollback: true}
	if len(args) > 0 {
		n, err := recordNumber(args)
		if err != nil {
			return o.fail(err)
		}
		r.To = n
	}
	return o.applyWanted(ctx, r)
}

// recordNumber reads the argument of history and rollback.
func recordNumber(args []string) (uint64, error) {
	n, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil || n == 0 || len(args) > 1 {
		return 0, fmt.Errorf("%s is no number of a record: magpie history lists them", strings.Join(args, " "))
	}
	return n, nil
}

// applyWanted shows a plan, asks, and has exactly that applied.
func (o *options) applyWanted(ctx context.Context, r *control.PlanRequest) int {
	if o.apply.confirm < 0 || o.apply.confirm > 0 && o.apply.confirm < time.Second {
		return o.fail(errors.New("-confirm takes a second or more, such as 5m"))
	}
	d := o.daemon()
	d.http.Timeout = applyWithin
	planned, err := d.control().Plan(ctx, connect.NewRequest(r))
	if err != nil {
		return o.failed(d, err)
	}
	m := planned.Msg
	if !m.Valid {
		o.printPlan(m)
		return exitErrors
	}
	if !o.json {
		if m.To != 0 {
			fmt.Fprintf(o.Out, "Back to configuration %d:\n", m.To)
		}
		o.printPlan(m)
	}
	if m.Changes && !o.apply.yes {
		if ok, err := o.ask("Apply it?"); err != nil {
			return o.fail(err)
		} else if !ok {
			fmt.Fprintln(o.Out, "Nothing was applied.")
			return exitErrors
		}
	}
	r.To = m.To // what was shown
	answer, err := d.control().Apply(ctx, connect.NewRequest(&control.ApplyRequest{What: r, ConfirmMs: o.apply.confirm.Milliseconds(), Running: m.Running}))
	if err != nil {
		return o.failed(d, err)
	}
	return o.printApplied(answer.Msg)
}

func (o *options) printApplied(m *control.ApplyResponse) int {
	code := exitOK
	if !m.Applied {
		code = exitErrors
	}
	if o.json {
		out := map[string]any{"applied": m.Applied, "number": m.Number}
		if m.Problem != "" {
			out["problem"] = m.Problem
		}
		if len(m.Plan.GetJson()) > 0 {
			out["plan"] = json.RawMessage(m.Plan.Json)
		}
		if len(m.Plan.GetDiagnostics()) > 0 {
			out["diagnostics"] = json.RawMessage(m.Plan.Diagnostics)
		}
		o.writeJSON(out)
		return code
	}
	switch {
	case !m.Applied && m.Plan.GetDiagnostics() != nil:
		fmt.Fprintln(o.Err, strings.TrimRight(m.Problem, "\n")) // diagnostics, which say what they are
	case !m.Applied:
		o.fail(errors.New(m.Problem))
	case o.apply.confirm > 0:
		fmt.Fprintf(o.Out, "Applied as configuration %d, until %s: say magpie confirm by then to keep it.\n", m.Number, time.Now().Add(o.apply.confirm).Format("15:04:05"))
	default:
		fmt.Fprintf(o.Out, "Applied as configuration %d.\n", m.Number)
	}
	return code
}

// ask asks on the terminal.
func (o *options) ask(question string) (bool, error) {
	if o.json || o.In == nil {
		return false, errors.New("nothing was applied: there is no terminal to ask on. Say -yes to apply without asking")
	}
	fmt.Fprintf(o.Out, "%s Only yes is taken for one: ", question)
	line, err := bufio.NewReader(o.In).ReadString('\n')
	if err == io.EOF {
		fmt.Fprintln(o.Out)
	}
	return strings.TrimSpace(line) == "yes", nil
}

func confirm(ctx context.Context, o *options, _ []string) int {
	d := o.daemon()
	answer, err := d.control().Confirm(ctx, connect.NewRequest(&control.ConfirmRequest{}))
	if err != nil {
		return o.failed(d, err)
	}
	if o.json {
		return o.writeJSON(map[string]uint64{"confirmed": answer.Msg.Number})
	}
	fmt.Fprintf(o.Out, "Configuration %d stays.\n", answer.Msg.Number)
	return exitOK
}

// terminalIn is where answers come from; nil where nobody is there to give any.
func terminalIn() io.Reader {
	if isTerminal(os.Stdin) {
		return os.Stdin
	}
	return nil
}
