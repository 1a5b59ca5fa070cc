package plan

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

var symbols = map[Action]string{Create: "+", Update: "~", Replace: "±", Restart: "±", Remove: "-"}

var colours = map[Action]string{Create: "32", Update: "33", Replace: "35", Restart: "35", Remove: "31"}

var wordings = map[Action]string{
	Create: "create", Update: "update in place", Replace: "replace, the new one first", Restart: "restart, with a gap", Remove: "remove",
}

// Print writes a plan for people. What keeps running is counted at the end.
func (p *Plan) Print(w io.Writer, colour bool) error {
	var b strings.Builder
	counts := map[Action]int{}
	wide := 0
	for _, s := range p.Steps {
		wide = max(wide, len(s.Address))
	}
	others := slices.Concat(p.Settings, p.Pipelines, p.Groups, p.Route)
	for _, c := range others {
		wide = max(wide, len(c.Name))
	}
	line := func(name string, a Action, attrs []AttrChange, wording string) {
		text := fmt.Sprintf("%s %-*s  %s", symbols[a], min(wide, 60), name, wording)
		if colour {
			text = "\x1b[" + colours[a] + "m" + text + "\x1b[0m"
		}
		fmt.Fprintf(&b, "  %s\n", text)
		printAttrs(&b, attrs, a)
	}
	for _, s := range p.Steps {
		if counts[s.Action]++; s.Action != Keep {
			line(s.Address, s.Action, s.Attrs, wordings[s.Action])
		}
	}
	for _, c := range others {
		line(c.Name, c.Action, c.Attrs, wordings[c.Action])
	}
	if p.Empty() {
		b.WriteString("Nothing changes")
	} else {
		fmt.Fprintf(&b, "\nPlan: %d to create, %d to update in place, %d to replace, %d to restart, %d to remove", counts[Create], counts[Update], counts[Replace], counts[Restart], counts[Remove])
	}
	fmt.Fprintf(&b, "; %d keep running untouched.\n", counts[Keep])
	_, err := io.WriteString(w, b.String())
	return err
}

func printAttrs(b *strings.Builder, attrs []AttrChange, a Action) {
	wide := 0
	for _, c := range attrs {
		wide = max(wide, len(c.Path))
	}
	for _, c := range attrs {
		old, now := orUnset(c.Old), orUnset(c.New)
		if old == now && strings.Contains(now, sensitive) {
			now += " (changed)"
		}
		fmt.Fprintf(b, "      %-*s  %s -> %s", min(wide, 40), c.Path, old, now)
		switch {
		case a == Restart && c.Change != sdk.Live:
			b.WriteString("  # forces restart")
		case a == Replace && c.Change != sdk.Live:
			b.WriteString("  # forces replacement")
		case a == Update && c.Change == sdk.Exclusive:
			b.WriteString("  # when the daemon starts again")
		}
		b.WriteByte('\n')
	}
}

func orUnset(text string) string {
	if text == "" {
		return "(unset)"
	}
	return text
}
