package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
)

func status(ctx context.Context, o *options, _ []string) int {
	d := o.daemon()
	s, err := d.status(ctx)
	if err != nil {
		return o.failed(d, err)
	}
	if o.json {
		fmt.Fprintln(o.Out, protojson.MarshalOptions{Multiline: true}.Format(s))
		return exitOK
	}
	writeStatus(o.Out, s, o.Colour)
	return exitOK
}

func writeStatus(w io.Writer, s *control.StatusResponse, colour bool) {
	fmt.Fprintf(w, "Magpie %s on %s, up %s\n", s.Version, s.Hostname, ago(s.StartedUnixMs))
	files := s.Config.GetFiles()
	if more := len(files) - 3; more > 1 { // those of packs
		files = append(files[:3:3], count(more, "more file"))
	}
	fmt.Fprintf(w, "Configuration %d: %s, applied %s ago\n", s.Config.GetNumber(), strings.Join(files, ", "), ago(s.Config.GetAppliedUnixMs()))
	if until := s.Config.GetConfirmUntilUnixMs(); until != 0 {
		left := max(0, time.Until(time.UnixMilli(until))).Round(time.Second)
		fmt.Fprintf(w, "%s\n", paint(colour, yellow, fmt.Sprintf("It waits for confirmation: configuration %d comes back in %s unless magpie confirm is said.", s.Config.Back, left)))
	}
	if s.Config.GetProblem() != "" {
		fmt.Fprintf(w, "%s\n%s\n", paint(colour, red, "The files are not what runs:"), s.Config.Problem)
	}
	fmt.Fprintln(w)
	t := table{w: w, colour: colour}
	t.head("COMPONENT", "STATE", "SINCE", "SERIES", "SAMPLES", "NOTE")
	for _, c := range s.Components {
		series, samples := "", ""
		if c.Kind == "source" {
			series, samples = fmt.Sprint(c.Series), fmt.Sprint(c.Samples)
		}
		t.row(c.State, c.Address, c.State, ago(c.SinceUnixMs), series, samples, firstLine(note(c)))
	}
	t.flush()
	fmt.Fprintln(w)
	t.head("PLUGIN", "STATE", "PID", "CPU", "MEMORY", "RESTARTS", "NOTE")
	for _, p := range s.Processes {
		t.row(p.State, p.Plugin, p.State, fmt.Sprint(p.Pid), fmt.Sprintf("%.1fs", p.CpuSeconds), fmt.Sprintf("%.1f MiB", float64(max(p.PssBytes, 0))/(1<<20)), fmt.Sprint(p.Restarts), firstLine(p.LastDeath))
	}
	t.flush()
	fmt.Fprintln(w)
	t.head("PIPELINE", "STATE", "STORED", "DROPPED", "LAG", "NOTE")
	for _, p := range s.Pipelines {
		state := "running"
		if p.Trouble != "" {
			state = "degraded"
		}
		t.row(state, p.Name+" → "+p.Sink, state, fmt.Sprint(p.Stored), droppedText(p.Dropped), fmt.Sprintf("%d records", p.LagRecords), firstLine(p.Trouble))
	}
	t.flush()
}

func note(c *control.Component) string {
	if c.Text != "" {
		return c.Text
	}
	return c.LastError
}

func droppedText(by map[string]uint64) string {
	if len(by) == 0 {
		return "0"
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%d %s", by[reason], reason))
	}
	return strings.Join(parts, ", ")
}

func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more || len(line) > 100 {
		line = strings.ToValidUTF8(line[:min(len(line), 100)], "") + " …"
	}
	return line
}

func ago(unixMs int64) string {
	d := time.Since(time.UnixMilli(unixMs))
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// table writes aligned columns; colours go on after aligning, so that they do not count as width.
type table struct {
	w      io.Writer
	colour bool
	tab    *tabwriter.Writer
	buf    strings.Builder
	states []string
	under  map[int][]string // lines below a row, by its number
}

func (t *table) head(columns ...string) {
	t.buf.Reset()
	t.states, t.under = nil, map[int][]string{}
	t.tab = tabwriter.NewWriter(&t.buf, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t.tab, strings.Join(columns, "\t"))
}

func (t *table) row(state string, cells ...string) {
	t.states = append(t.states, state)
	fmt.Fprintln(t.tab, strings.Join(cells, "\t"))
}

// below puts a line below the last row.
func (t *table) below(line string) {
	t.under[len(t.states)] = append(t.under[len(t.states)], line)
}

func (t *table) flush() {
	t.tab.Flush()
	for i, line := range strings.Split(strings.TrimRight(t.buf.String(), "\n"), "\n") {
		line = strings.TrimRight(line, " ")
		if i == 0 {
			line = paint(t.colour, bold, line)
		} else if state := t.states[i-1]; state != "" {
			line = strings.Replace(line, " "+state+" ", " "+paint(t.colour, stateColour(state), state)+" ", 1)
		}
		fmt.Fprintln(t.w, line)
		for _, line := range t.under[i] {
			fmt.Fprintln(t.w, line)
		}
	}
}

// ANSI colours.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
)

func paint(colour bool, code, text string) string {
	if !colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func stateColour(state string) string {
	switch state {
	case "running":
		return green
	case "failed", "backoff":
		return red
	}
	return yellow
}
