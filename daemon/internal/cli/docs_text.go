package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/magpie-monitoring/magpie/sdk"
)

// wide writes text for people: aligned, wrapped to a width, coloured on a terminal.
type wide struct {
	w      io.Writer
	width  int
	colour bool
}

func (o *options) wide() *wide { return &wide{o.Out, o.width(), o.Colour} }

// width is the terminal's; COLUMNS says another, and elsewhere it is the usual one.
func (o *options) width() int {
	const usual, least, most = 80, 40, 160 // longer lines are hard to read
	n, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if f, ok := o.Out.(*os.File); err != nil && ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			n = int(size.Col)
		}
	}
	return min(max(cmp.Or(n, usual), least), most)
}

func (w *wide) line(format string, args ...any) {
	fmt.Fprintln(w.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (w *wide) head(text string) { w.line("%s", paint(w.colour, bold, text)) }

// prose writes a text in lines that begin with indent.
func (w *wide) prose(indent, text string) {
	w.hanging(indent, len(indent), plainText(text))
}

// hanging writes a text of which the first line stands behind a front of so many characters, and the others below it.
func (w *wide) hanging(front string, indent int, text string) {
	for _, line := range wrapped(text, max(w.width-indent, 20)) {
		w.line("%s%s", front, line)
		front = strings.Repeat(" ", indent)
	}
}

// plainText is a text of a manual without the marks for its readers in other forms.
func plainText(s string) string {
	return strings.NewReplacer("`", "", "*live*", "live", "*exclusive*", "exclusive").Replace(s)
}

// wrapped breaks a text into lines of at most so many characters, but for words that are longer.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// entries writes a list of names, each with what it is.
func (w *wide) entries(title string, list []docEntry) {
	w.head(title)
	name := 0
	for _, e := range list {
		name = max(name, len(e.Name))
	}
	for _, e := range list {
		w.hanging("  "+paint(w.colour, bold, e.Name)+strings.Repeat(" ", name-len(e.Name)+2), name+4, plainText(e.Doc))
	}
	w.line("")
}

func (w *wide) page(p docPage) {
	w.head(p.Title)
	if p.Plugin != "" {
		w.line("  plugin %s %s", p.Plugin, p.Version)
	}
	w.line("")
	if p.Doc != "" {
		w.prose("  ", p.Doc)
		w.line("")
	}
	for _, fact := range p.Facts {
		w.hanging("  - ", 4, plainText(fact))
	}
	if len(p.Facts) > 0 {
		w.line("")
	}
	w.sections(p.Sections, p.costs)
	w.sections(p.Core, false)
	if p.Example != "" {
		w.head("example")
		for line := range strings.Lines(p.Example) {
			w.line("  %s", strings.TrimRight(line, "\n"))
		}
	}
	if len(p.Metrics) > 0 {
		w.line("")
		w.head("metrics")
		for _, m := range p.Metrics {
			w.line("  %s  %s", paint(w.colour, bold, m.Name), strings.Join(append([]string{m.Type.String()}, m.LabelNames...), " "))
			w.prose("      ", m.Help)
		}
	}
}

// sections writes what blocks take. Where a change has a price, it stands behind each attribute.
func (w *wide) sections(list []sdk.Section, costs bool) {
	for i, s := range list {
		if i > 0 && s.Title != "" {
			w.line("%s", paint(w.colour, bold, s.Title)+", "+s.Number)
			w.prose("  ", s.Doc)
		} else if len(s.Attributes) > 0 {
			w.head("attributes of " + s.Title)
		} else {
			continue
		}
		if s.Same != "" {
			w.prose("  ", "It takes what "+s.Same+" takes.")
		}
		w.attributes(s.Attributes, costs)
		w.line("")
	}
}

// attributes writes each on a line of columns, and what it means below.
func (w *wide) attributes(list []sdk.Attribute, costs bool) {
	if len(list) == 0 {
		return
	}
	const widest = 34 // of a column; what is longer pushes the others
	title := [4]string{"", "takes", "default", ""}
	if costs {
		title[3] = "change"
	}
	name, takes, value := 0, len(title[1]), len(title[2])
	cells := make([][4]string, len(list))
	for i, a := range list {
		c := [4]string{a.Name, a.Takes(), a.DefaultText(), string(cmp.Or(a.Change, sdk.Replace))}
		if a.Required {
			c[2] = "required"
		}
		if !costs {
			c[3] = ""
		}
		cells[i] = c
		name, takes, value = max(name, len(c[0])), max(takes, min(len(c[1]), widest)), max(value, min(len(c[2]), widest))
	}
	w.line("  %-*s  %-*s  %-*s  %s", name, title[0], takes, title[1], value, title[2], title[3])
	for i, c := range cells {
		required := ""
		if list[i].Required {
			required = yellow
		}
		w.line("  %s  %-*s  %s  %s", w.cell(bold, c[0], name), takes, c[1], w.cell(required, c[2], value), c[3])
		w.prose("      ", list[i].Text())
	}
}

// cell pads a text to a column's width, coloured if there is a colour: that is no width.
func (w *wide) cell(colour, text string, width int) string {
	pad := strings.Repeat(" ", max(0, width-len(text)))
	return paint(w.colour && colour != "", colour, text) + pad
}
