package language

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/text/width"
)

// Diagnostic is a remark as data, for -json and for HTTP. Lines and columns count from 1, as in editors.
type Diagnostic struct {
	Severity  string `json:"severity"` // error, warning
	Summary   string `json:"summary"`
	Detail    string `json:"detail,omitempty"`
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
	EndLine   int    `json:"end_line,omitempty"`
	EndColumn int    `json:"end_column,omitempty"`
	Snippet   string `json:"snippet,omitempty"` // the line, without its secrets
	Carets    string `json:"carets,omitempty"`  // to be written under the snippet
}

// maxShown bounds what a person is told at once.
const maxShown = 200

// Diagnostics puts remarks into the order of the files, each once.
func (c *Config) Diagnostics(diags hcl.Diagnostics) (list []Diagnostic) {
	diags = fold(diags)
	sortByPlace(diags, c.order)
	seen := map[Diagnostic]bool{}
	for _, d := range diags {
		out := c.diagnostic(d)
		if seen[out] {
			continue
		}
		seen[out] = true
		if list = append(list, out); len(list) == maxShown {
			return append(list, Diagnostic{Severity: "error", Summary: fmt.Sprintf("There is more: these are the first %d of %d remarks", maxShown, len(diags))})
		}
	}
	return list
}

// inBlock is of a remark on a block that for_each made: its address.
type inBlock string

func saidIn(address string, diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Extra == nil {
			d.Extra = inBlock(address)
		}
	}
}

// fold makes one of the remarks on the same place in several of the blocks that a for_each made.
func fold(diags hcl.Diagnostics) (folded hcl.Diagnostics) {
	type place struct {
		hcl.Range
		summary string
	}
	first, others := map[place]*hcl.Diagnostic{}, map[*hcl.Diagnostic]int{}
	for _, d := range diags {
		if _, many := d.Extra.(inBlock); !many || d.Subject == nil {
			folded = append(folded, d)
			continue
		}
		at := place{*d.Subject, d.Summary}
		if was := first[at]; was != nil {
			if was.Extra != d.Extra {
				others[was]++
			}
			continue
		}
		copied := *d
		first[at] = &copied
		folded = append(folded, &copied)
	}
	for _, d := range first {
		d.Detail += fmt.Sprintf("\n(In %s", d.Extra)
		if n := others[d]; n > 0 {
			d.Detail += fmt.Sprintf(", and in %d more", n)
		}
		d.Detail += ".)"
	}
	return folded
}

// sortByPlace sorts diagnostics by file and place; those without a place come first.
func sortByPlace(diags hcl.Diagnostics, order map[string]int) {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		x, y := cmp.Or(a.Subject, &hcl.Range{}), cmp.Or(b.Subject, &hcl.Range{})
		return cmp.Or(cmp.Compare(order[x.Filename], order[y.Filename]), cmp.Compare(x.Start.Byte, y.Start.Byte),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Summary, b.Summary), cmp.Compare(a.Detail, b.Detail))
	})
}

func (c *Config) diagnostic(d *hcl.Diagnostic) Diagnostic {
	out := Diagnostic{Severity: "error", Summary: printable(d.Summary), Detail: printable(d.Detail)}
	if d.Severity == hcl.DiagWarning {
		out.Severity = "warning"
	}
	if s := d.Subject; s != nil {
		out.File, out.Line, out.Column, out.EndLine, out.EndColumn = s.Filename, s.Start.Line, s.Start.Column, s.End.Line, s.End.Column
		out.Snippet, out.Carets = c.snippet(*s)
		if from := c.fromPack(s.Filename); from != "" {
			out.Detail = strings.TrimPrefix(out.Detail+"\n"+from, "\n")
		}
	}
	return out
}

// snippet gives the line where a range begins, and carets under the range. Tabs stay tabs, so that both align; of a very
// long line there is what stands around.
func (c *Config) snippet(r hcl.Range) (text, carets string) {
	const around = 100
	src := c.files[r.Filename]
	from := min(r.Start.Byte, len(src))
	start := bytes.LastIndexByte(src[:from], '\n') + 1
	line, _, _ := bytes.Cut(src[start:], []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	hidden := c.hiddenIn(r.Filename, line, start)
	var shown, under strings.Builder
	masked := false
	first := max(0, from-start-4*around) // a line may be a megabyte long
	for first > 0 && !utf8.RuneStart(line[first]) {
		first--
	}
	for i := first; i < len(line) && start+i <= from+around; {
		char, size := utf8.DecodeRune(line[i:])
		at, mark, wide := start+i, " ", columns(char)
		i += size
		if at == from || at > from && at < r.End.Byte {
			mark = "^"
		}
		was := masked
		masked = slices.ContainsFunc(hidden, func(h hcl.Range) bool { return at >= h.Start.Byte && at < h.End.Byte })
		out := string(char)
		switch {
		case at < from-around:
			continue
		case masked && was:
			continue
		case masked:
			out, wide = "(sensitive)", len("(sensitive)")
		case char == '\t' && mark == " ":
			mark = "\t"
		case unicode.IsControl(char):
			out, wide = "·", 1
		}
		shown.WriteString(out)
		under.WriteString(strings.Repeat(mark, wide))
	}
	if !strings.Contains(under.String(), "^") { // behind the line's end
		under.WriteByte('^')
	}
	return shown.String(), strings.TrimRight(under.String(), " \t")
}

// columns is how wide a terminal draws a character.
func columns(c rune) int {
	switch k := width.LookupRune(c).Kind(); {
	case unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case k == width.EastAsianWide || k == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// printable keeps what a file holds from steering a terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' && c != '\t' {
			return '·'
		}
		return c
	}, s)
}

// WriteDiagnostics writes each remark as file:line:column, the line with carets, and what to write instead.
func WriteDiagnostics(w io.Writer, c *Config, diags hcl.Diagnostics, colour bool) error {
	paint := func(code, s string) string {
		if !colour {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	var b strings.Builder
	for i, d := range c.Diagnostics(diags) {
		if i > 0 {
			b.WriteByte('\n')
		}
		code := map[string]string{"error": "1;31", "warning": "1;33"}[d.Severity]
		if d.File != "" {
			b.WriteString(paint("1", fmt.Sprintf("%s:%d:%d:", d.File, d.Line, d.Column)) + " ")
		}
		fmt.Fprintf(&b, "%s %s\n", paint(code, d.Severity+":"), paint("1", d.Summary))
		if d.File != "" {
			fmt.Fprintf(&b, "%5d | %s\n      | %s\n", d.Line, d.Snippet, paint(code, d.Carets))
		}
		if d.Detail != "" {
			b.WriteString("  " + strings.ReplaceAll(d.Detail, "\n", "\n  ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
