package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
	"github.com/magpie-monitoring/magpie/sdk/client"
)

// listed is a plugin in the list, in JSON too.
type listed struct {
	client.Plugin
	Error     string          `json:"error,omitempty"`
	Verified  *verified       `json:"verified,omitempty"`
	Processes []listedProcess `json:"processes,omitempty"` // of a running daemon; two while one takes the place of the other
}

type listedProcess struct {
	Pid        int32             `json:"pid"`
	State      string            `json:"state"`
	Version    string            `json:"version"`
	Current    bool              `json:"current"` // it runs this binary
	Restarts   int32             `json:"restarts"`
	LastError  string            `json:"last_error,omitempty"` // of the process, else of a component
	CPU        float64           `json:"cpu_seconds"`
	RSS        uint64            `json:"rss_bytes"`
	Components map[string]string `json:"components"` // address: state
}

func listPlugins(ctx context.Context, o *options) int {
	catalogue, err := o.catalogue()
	if err != nil {
		return o.fail(err)
	}
	defer os.RemoveAll(catalogue.Run)
	plugins, err := catalogue.Plugins(ctx)
	if err != nil {
		return o.fail(err)
	}
	if len(plugins) == 0 && !o.json {
		return o.fail(fmt.Errorf("there are no plugins in %s: give their directory with -plugin-dir", strings.Join(o.pluginDirs, " or ")))
	}
	running, err := o.runningPlugins(ctx)
	if err != nil {
		return o.failed(o.daemon(), err)
	}
	list, code := []listed{}, exitOK
	for _, p := range plugins {
		e := listed{Plugin: p, Verified: verifiedOf(catalogue, p), Processes: processesOf(running, p)}
		if p.Err != nil {
			e.Error, code = p.Err.Error(), exitErrors
		}
		list = append(list, e)
	}
	if o.json {
		o.writeJSON(list)
		return code
	}
	o.printPlugins(list, running != nil)
	return code
}

// runningPlugins asks the daemon, if there is one; nil: there is none. One that was named must be there.
func (o *options) runningPlugins(ctx context.Context) (*control.StatusResponse, error) {
	d := o.daemon()
	d.http.Timeout = 5 * time.Second
	s, err := d.status(ctx)
	if unreached(err) && o.addr == "" {
		return nil, nil
	}
	return s, err
}

func processesOf(s *control.StatusResponse, of client.Plugin) (list []listedProcess) {
	for _, p := range s.GetProcesses() {
		if p.Plugin != of.Name {
			continue
		}
		x := listedProcess{
			Pid: p.Pid, State: p.State, Version: p.Version, Current: p.Sha256 == of.SHA256, Restarts: p.Restarts, LastError: p.LastDeath,
			CPU: p.CpuSeconds, RSS: p.RssBytes, Components: map[string]string{},
		}
		mine := map[string]bool{}
		for _, address := range p.Components {
			mine[address] = true
		}
		for _, c := range s.Components {
			if mine[c.Address] {
				x.Components[c.Address] = c.State
				x.LastError = cmp.Or(x.LastError, note(c))
			}
		}
		list = append(list, x)
	}
	return list
}

// printPlugins writes a line for each plugin and one more for each further process; health only where a daemon was asked. On a terminal
// that is narrower than that, what has many words stands below: a program that reads the lines finds everything in them.
func (o *options) printPlugins(list []listed, asked bool) {
	var wide strings.Builder
	t := table{w: &wide, colour: o.Colour}
	o.listInto(&t, list, asked, 0)
	longest := 0
	for line := range strings.Lines(t.buf.String()) {
		longest = max(longest, utf8.RuneCountInString(strings.TrimRight(line, " \n")))
	}
	if f, ok := o.Out.(*os.File); ok && isTerminal(f) && longest > o.width() {
		o.listInto(&table{w: o.Out, colour: o.Colour}, list, asked, o.width())
		return
	}
	fmt.Fprint(o.Out, wide.String())
}

// listInto fills the table and writes it; width 0: all is in columns.
func (o *options) listInto(t *table, list []listed, asked bool, width int) {
	columns := []string{"PLUGIN", "VERSION"}
	if asked {
		columns = append(columns, "STATE", "PID", "COMPONENTS", "RESTARTS", "CPU", "MEMORY")
	}
	if width == 0 {
		columns = append(slices.Insert(columns, 2, "VERIFIED"), "OFFERS", "NOTE")
	}
	t.head(columns...)
	row := func(state string, e *listed, health []string, note string) {
		var offers []string
		for _, x := range e.Types {
			offers = append(offers, fmt.Sprintf("%s %q", x.Kind, x.Name))
		}
		if e.Verified != nil {
			note = cmp.Or(note, e.Verified.Trouble)
		}
		cells := []string{e.Name, e.Version}
		if width == 0 {
			t.row(state, slices.Concat(cells, []string{e.Verified.String()}, health, []string{strings.Join(offers, ", "), firstLine(note)})...)
			return
		}
		t.row(state, append(cells, health...)...)
		below := "verified: " + e.Verified.String()
		if len(offers) > 0 {
			below += "; offers " + strings.Join(offers, ", ")
		}
		for _, text := range []string{below, firstLine(note)} {
			for _, line := range wrapped(text, width-2) {
				t.below("  " + line)
			}
		}
	}
	for i := range list {
		e := &list[i]
		switch {
		case !asked:
			row("", e, nil, e.Error)
		case len(e.Processes) == 0:
			row("", e, []string{"-", "", "", "", "", ""}, e.Error)
		}
		for _, p := range e.Processes {
			state, text := p.health()
			row(state, e, []string{
				state, fmt.Sprint(p.Pid), fmt.Sprint(len(p.Components)), fmt.Sprint(p.Restarts), fmt.Sprintf("%.1fs", p.CPU), fmt.Sprintf("%.1f MiB", float64(p.RSS)/(1<<20)),
			}, cmp.Or(e.Error, text))
		}
	}
	t.flush()
}

// health is how a process and its components are in a word, and what there is to say of it.
func (p *listedProcess) health() (state, text string) {
	state = p.State
	for _, of := range []string{"opening", "degraded", "failed"} { // the worst one last
		for _, c := range p.Components {
			if c == of {
				state = of
			}
		}
	}
	if !p.Current {
		return state, strings.TrimSpace("another binary than this one runs until the next apply. " + p.LastError)
	}
	return state, p.LastError
}
