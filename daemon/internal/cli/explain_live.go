package cli

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/api/control"
	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
)

// lived is how a component is in the running daemon.
type lived struct {
	State     string            `json:"state"`
	Since     time.Time         `json:"since"` // of the state
	Text      string            `json:"text,omitempty"`
	LastError string            `json:"last_error,omitempty"`
	Samples   uint64            `json:"samples,omitempty"` // of a source, since it was opened
	Series    uint64            `json:"series,omitempty"`
	PerSecond float64           `json:"samples_per_second,omitempty"` // about
	Skipped   uint64            `json:"skipped,omitempty"`            // ticks that came while it still collected
	Dropped   map[string]uint64 `json:"dropped,omitempty"`            // samples, by reason
	Errors    map[string]uint64 `json:"errors,omitempty"`             // by blame
	Process   livedProcess      `json:"process"`
	Pipelines []livedPipeline   `json:"pipelines,omitempty"` // that it is in
}

// livedProcess is that of the plugin, which all its components share.
type livedProcess struct {
	Pid       int32  `json:"pid"`
	State     string `json:"state"`
	Restarts  int32  `json:"restarts"`
	LastDeath string `json:"last_death,omitempty"`
}

type livedPipeline struct {
	Name       string            `json:"name"`
	To         string            `json:"to"`
	Stored     uint64            `json:"stored"`
	Dropped    map[string]uint64 `json:"dropped,omitempty"`
	LagRecords uint64            `json:"lag_records"` // that wait for it
	LagMs      int64             `json:"lag_ms"`      // how old the oldest of them is
	Trouble    string            `json:"trouble,omitempty"`
}

// live finds a component in what the daemon says; nil if it does not run there.
func live(s *control.StatusResponse, b *engine.Built, address string) *lived {
	i := slices.IndexFunc(s.Components, func(c *control.Component) bool { return c.Address == address })
	if i < 0 {
		return nil
	}
	c := s.Components[i]
	l := &lived{
		State: c.State, Since: time.UnixMilli(c.SinceUnixMs), Text: c.Text, LastError: c.LastError, Samples: c.Samples, Series: c.Series,
		Skipped: c.Skipped, Dropped: c.Dropped, Errors: c.Errors,
	}
	for _, p := range s.Processes {
		if p.Plugin == c.Plugin {
			l.Process = livedProcess{p.Pid, p.State, p.Restarts, p.LastDeath}
		}
	}
	for _, x := range b.Desired.Components {
		interval := x.Source.Interval.Seconds()
		if age := time.Since(l.Since).Seconds(); x.Address != address || c.Samples == 0 {
			continue
		} else if c.Collects > 0 && interval > 0 { // what one collection gives, on its clock
			l.PerSecond = float64(c.Samples) / float64(c.Collects) / interval
		} else if age >= 1 {
			l.PerSecond = float64(c.Samples) / age
		}
	}
	for _, p := range b.Desired.Pipelines {
		if p.To != address && !slices.Contains(p.From, address) && !slices.Contains(p.Through, address) {
			continue
		}
		for _, x := range s.Pipelines {
			if x.Name == p.Name && x.Sink == p.To {
				l.Pipelines = append(l.Pipelines, livedPipeline{x.Name, x.Sink, x.Stored, x.Dropped, x.LagRecords, x.LagMs, x.Trouble})
			}
		}
	}
	return l
}

func (l *lived) print(w io.Writer) {
	line := func(title, format string, args ...any) {
		fmt.Fprintf(w, "  %-11s %s\n", title, fmt.Sprintf(format, args...))
	}
	state := fmt.Sprintf("%s for %s", l.State, ago(l.Since.UnixMilli()))
	if l.Text != "" {
		state += ": " + firstLine(l.Text)
	}
	line("state", "%s", state)
	if l.LastError != "" {
		line("last error", "%s", firstLine(l.LastError))
	}
	if l.Samples > 0 {
		line("samples", "%d in %s, about %s a second", l.Samples, seriesText(l.Series), rateText(l.PerSecond))
	}
	if len(l.Dropped) > 0 {
		line("dropped", "%s", droppedText(l.Dropped))
	}
	if l.Skipped > 0 {
		line("skipped", "%s, as the one before still ran", count(int(l.Skipped), "collection"))
	}
	process := fmt.Sprintf("%d, %s, %s", l.Process.Pid, l.Process.State, count(int(l.Process.Restarts), "restart"))
	if l.Process.LastDeath != "" {
		process += "; the last death: " + firstLine(l.Process.LastDeath)
	}
	line("process", "%s", process)
	for i, p := range l.Pipelines {
		title := ""
		if i == 0 {
			title = "lag"
		}
		text := fmt.Sprintf("%s → %s: %s", p.Name, p.To, count(int(p.LagRecords), "record"))
		if p.LagMs > 0 {
			text += fmt.Sprintf(", %s", (time.Duration(p.LagMs) * time.Millisecond).Round(100*time.Millisecond))
		}
		text += fmt.Sprintf("; %d stored, %s dropped", p.Stored, droppedText(p.Dropped))
		if p.Trouble != "" {
			text += "; " + firstLine(p.Trouble)
		}
		line(title, "%s", text)
	}
}

func rateText(r float64) string {
	if r >= 10 {
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.2g", r)
}

func seriesText(n uint64) string {
	if n == 1 {
		return "1 series"
	}
	return fmt.Sprintf("%d series", n)
}
