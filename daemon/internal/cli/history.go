package cli

import (
	"context"
	"fmt"
	"os/user"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
)

const historyHelp = `list what was applied when, for whom and how it ended; with a number, show its plan

The last 100 are kept. A start is recorded if it changed what runs. magpie rollback N goes back to what N applied`

// applied is a record for programs.
type applied struct {
	Number  uint64    `json:"number"`
	Time    time.Time `json:"time"`
	Who     string    `json:"who"`
	How     string    `json:"how"`
	Outcome string    `json:"outcome"`
	Applied bool      `json:"applied"`
	Running bool      `json:"running"`
	Files   []string  `json:"files"`
	Plan    string    `json:"plan"`
	Problem string    `json:"problem,omitempty"`
}

func history(ctx context.Context, o *options, args []string) int {
	d := o.daemon()
	answer, err := d.control().History(ctx, connect.NewRequest(&control.HistoryRequest{}))
	if err != nil {
		return o.failed(d, err)
	}
	all := []applied{}
	for _, r := range answer.Msg.Records {
		all = append(all, applied{
			r.Number, time.UnixMilli(r.TimeUnixMs), r.Who, r.How, r.Outcome, r.Applied, r.Running, append([]string{}, r.Files...), r.Plan, r.Problem,
		})
	}
	if len(args) > 0 {
		number, err := recordNumber(args)
		if err != nil {
			return o.fail(err)
		}
		i := slices.IndexFunc(all, func(r applied) bool { return r.Number == number })
		if i < 0 {
			return o.fail(fmt.Errorf("there is no record %d: magpie history lists them", number))
		}
		return o.showApplied(all[i])
	}
	if o.json {
		return o.writeJSON(all)
	}
	t := table{w: o.Out, colour: o.Colour}
	t.head("N", "TIME", "WHO", "HOW", "OUTCOME", "CHANGES")
	for _, r := range all {
		outcome := r.Outcome
		if r.Running {
			outcome += ", runs"
		}
		t.row("", fmt.Sprint(r.Number), r.Time.Format(time.DateTime), named(r.Who), r.How, outcome, r.summary())
	}
	t.flush()
	return exitOK
}

func (o *options) showApplied(r applied) int {
	if o.json {
		return o.writeJSON(r)
	}
	fmt.Fprintf(o.Out, "%d: %s by %s at %s: %s\nFiles: %s\n\n", r.Number, r.How, named(r.Who), r.Time.Format(time.DateTime), r.Outcome, strings.Join(r.Files, ", "))
	fmt.Fprint(o.Out, r.Plan)
	if r.Problem != "" {
		fmt.Fprintf(o.Out, "\n%s\n", strings.TrimRight(r.Problem, "\n"))
	}
	return exitOK
}

// summary is the last line of the plan, or the first of the problem.
func (r applied) summary() string {
	if r.Problem != "" {
		return firstLine(r.Problem)
	}
	lines := strings.Split(strings.TrimSpace(r.Plan), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "Plan: ")
}

// named adds the name of a user where this machine knows it.
func named(who string) string {
	uid, ok := strings.CutPrefix(who, "uid ")
	if !ok {
		return who
	}
	u, err := user.LookupId(uid)
	if err != nil {
		return who
	}
	return fmt.Sprintf("%s (%s)", who, u.Username)
}
