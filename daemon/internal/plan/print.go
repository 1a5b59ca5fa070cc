package plan

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// actions say how each is written: symbol, colour, words, and what it is forced by.
var actions = map[Action][4]string{
	Create: {"+", "32", "create"}, Update: {"~", "33", "update in place"}, Remove: {"-", "31", "remove"},
	Replace: {"±", "35", "replace, the new one first", "  # forces replacement"}, Restart: {"±", "35", "restart, with a gap", "  # forces restart"}, Move: {">", "36", "move from ", ""},
}

// Print writes a plan for people. What keeps running is counted at the end.
func (p *Plan) Print(w io.Writer, colour bool) error {
	var b strings.Builder
	counts := map[Action]int{}
	steps := slices.Concat(p.Steps, p.Settings, p.Pipelines, p.Groups, p.Route, p.Dashboards)
	for _, s := range steps {
		counts[s.Action]++
	}
	steps = slices.DeleteFunc(steps, func(s Step) bool { return s.Action == Keep })
	wide := 0
	for _, s := range steps {
		wide = max(wide, min(len(s.Address), 60))
	}
	for _, s := range steps {
		a := actions[s.Action]
		line := fmt.Sprintf("%s %-*s  %s%s", a[0], wide, s.Address, a[2], s.From)
		if colour {
			line = "\x1b[" + a[1] + "m" + line + "\x1b[0m"
		}
		fmt.Fprintf(&b, "  %s\n", line)
		if s.Gap != "" {
			fmt.Fprintf(&b, "      gap: %s\n", s.Gap)
		}
		s.printAttrs(&b)
	}
	if b.WriteString("\n"); p.Empty() {
		b.Reset()
		b.WriteString("Nothing changes")
	} else {
		fmt.Fprintf(&b, "Plan: %d to create, %d to update in place, %d to replace, %d to restart, %d to remove", counts[Create], counts[Update], counts[Replace], counts[Restart], counts[Remove])
		if counts[Move] > 0 {
			fmt.Fprintf(&b, ", %d to move with what they keep", counts[Move])
		}
	}
	fmt.Fprintf(&b, "; %d keep running untouched.\n", counts[Keep])
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Step) printAttrs(b *strings.Builder) {
	wide := 0
	for _, c := range s.Attrs {
		wide = max(wide, min(len(c.Path), 40))
	}
	for _, c := range s.Attrs {
		remark := ""
		switch {
		case c.Change == sdk.Exclusive && s.Action == Update:
			remark = "  # when the daemon starts again"
		case c.Change != sdk.Live:
			remark = actions[s.Action][3]
		}
		if c.Old == c.New { // secrets
			c.New += " (changed)"
		}
		if c.Path == "rules" { // of a group: there may be many
			c.Old, c.New = language.Apart(c.Old, c.New)
		}
		fmt.Fprintf(b, "      %-*s  %s -> %s%s\n", wide, c.Path, cmp.Or(c.Old, "(unset)"), cmp.Or(c.New, "(unset)"), remark)
	}
}
