// Package report renders diagnoses for people: as text for a terminal, as Markdown for tickets and chats, as a page of HTML.
package report

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Headline says in a line what was found.
func Headline(d *sdk.Diagnosis) string {
	counts := map[sdk.Severity]int{}
	for _, f := range d.Findings {
		counts[f.Severity]++
	}
	var parts []string
	for _, s := range []sdk.Severity{sdk.Critical, sdk.Warning, sdk.Info} {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := "nothing found"
	if len(parts) > 0 {
		text = strings.Join(parts, ", ")
	}
	if d.Problem != "" {
		text += "; not complete: " + d.Problem
	}
	return text
}

func took(d *sdk.Diagnosis) string {
	return fmt.Sprintf("%s, in %s", d.Started.UTC().Format("2006-01-02 15:04:05 UTC"), d.Ended.Sub(d.Started).Round(time.Millisecond))
}

func because(d *sdk.Diagnosis) string {
	if a := d.Question.Alert; a != nil {
		return "asked because of alert " + a.Labels["alertname"]
	}
	return ""
}

func left(d *sdk.Diagnosis) string {
	if d.Cut == 0 {
		return ""
	}
	return fmt.Sprintf("%d more were left out: there is too much for one report.", d.Cut)
}

// step is a step's text with what it does to the system.
func step(n sdk.NextStep) string {
	if n.Changes {
		return n.Text + " (this changes something)"
	}
	return n.Text
}

const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	faint  = "\x1b[2m"
)

// Text writes a diagnosis for a terminal.
func Text(w io.Writer, d *sdk.Diagnosis, colour bool) {
	paint := func(code, s string) string {
		if !colour || s == "" {
			return s
		}
		return code + s + "\x1b[0m"
	}
	fmt.Fprintf(w, "%s  %s\n", paint(bold, shown(d.Address+": "+Headline(d))), paint(faint, took(d)))
	if s := because(d); s != "" {
		fmt.Fprintln(w, shown(s))
	}
	for _, f := range d.Findings {
		code := map[sdk.Severity]string{sdk.Critical: red + bold, sdk.Warning: yellow + bold}[f.Severity]
		fmt.Fprintf(w, "\n%s %s\n", paint(code, fmt.Sprintf("%-9s", strings.ToUpper(string(f.Severity)))), paint(bold, shown(f.Title)))
		for line := range strings.Lines(f.Text) {
			fmt.Fprintf(w, "          %s\n", shown(strings.TrimRight(line, "\n")))
		}
		var wide [2]int
		for _, e := range f.Evidence {
			wide[0], wide[1] = max(wide[0], utf8.RuneCountInString(e.Where)), max(wide[1], utf8.RuneCountInString(e.What))
		}
		for _, e := range f.Evidence {
			fmt.Fprintf(w, "          %s  %-*s  %-*s  %s\n", paint(faint, e.Time.UTC().Format("15:04:05")), wide[0], shown(e.Where), wide[1], shown(e.What), shown(e.Value))
		}
		for i, n := range f.Next {
			fmt.Fprintf(w, "          %d. %s\n", i+1, shown(step(n)))
			for line := range strings.Lines(n.Command) {
				fmt.Fprintf(w, "             %s\n", paint(green, "$ "+shown(strings.TrimRight(line, "\n"))))
			}
		}
	}
	if len(d.Checks) > 0 {
		fmt.Fprintf(w, "\n%s\n", paint(bold, "Looked at"))
	}
	wide := 0
	for _, c := range d.Checks {
		wide = max(wide, utf8.RuneCountInString(c.Name))
	}
	for _, c := range d.Checks {
		if c.Trouble != "" {
			fmt.Fprintf(w, "  %s %-*s  %s\n", paint(yellow, "?"), wide, shown(c.Name), shown("not known: "+c.Trouble))
			continue
		}
		fmt.Fprintf(w, "  %s %-*s  %s\n", paint(green, "✓"), wide, shown(c.Name), shown(c.Outcome))
	}
	if s := left(d); s != "" {
		fmt.Fprintln(w, "\n"+s)
	}
}

// shown takes what moves a terminal's cursor out of a text.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return ' '
		}
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '�'
		}
		return r
	}, s)
}

var plainMarkdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", "#", `\#`, "|", `\|`, "\n", " ")

// Markdown writes a diagnosis for tickets and chats.
func Markdown(w io.Writer, d *sdk.Diagnosis) {
	md := plainMarkdown.Replace
	fmt.Fprintf(w, "# %s: %s\n\n%s\n", md(d.Address), md(Headline(d)), took(d))
	if s := because(d); s != "" {
		fmt.Fprintf(w, "%s\n", md(s))
	}
	for _, f := range d.Findings {
		fmt.Fprintf(w, "\n## %s: %s\n", f.Severity, md(f.Title))
		if f.Text != "" {
			fmt.Fprintf(w, "\n%s\n", md(f.Text))
		}
		if len(f.Evidence) > 0 {
			fmt.Fprint(w, "\n| time | where | what | value |\n|---|---|---|---|\n")
		}
		for _, e := range f.Evidence {
			fmt.Fprintf(w, "| %s | %s | %s | %s |\n", e.Time.UTC().Format("15:04:05"), md(e.Where), md(e.What), md(e.Value))
		}
		for i, n := range f.Next {
			if i == 0 || f.Next[i-1].Command != "" {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "%d. %s\n", i+1, md(step(n)))
			if n.Command != "" {
				fmt.Fprintf(w, "\n       %s\n", strings.ReplaceAll(n.Command, "\n", "\n       "))
			}
		}
	}
	if len(d.Checks) > 0 {
		fmt.Fprint(w, "\n## Looked at\n\n")
	}
	for _, c := range d.Checks {
		if c.Trouble != "" {
			fmt.Fprintf(w, "- %s: not known: %s\n", md(c.Name), md(c.Trouble))
			continue
		}
		fmt.Fprintf(w, "- %s: %s\n", md(c.Name), md(c.Outcome))
	}
	if s := left(d); s != "" {
		fmt.Fprintf(w, "\n%s\n", s)
	}
}

const style = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2330;background:#fff}
h1{font-size:1.4rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin:0}p{margin:.4rem 0}.note{color:#5b6577}
section{border:1px solid #d8dde6;border-left:6px solid #8a94a6;border-radius:6px;padding:.8rem 1rem;margin:1rem 0}
section.critical{border-left-color:#c62828}section.warning{border-left-color:#e09100}
.severity{font-size:.75rem;text-transform:uppercase;letter-spacing:.05em;color:#5b6577}
table{border-collapse:collapse;margin:.6rem 0;width:100%}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top;border-bottom:1px solid #edf0f4;font-size:.9rem;overflow-wrap:anywhere}
pre{background:#f4f6f9;border-radius:4px;padding:.5rem .7rem;margin:.3rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#12161d;color:#dfe5ee}section{border-color:#2b3340}pre{background:#1b212b}td,th{border-color:#232b37}.note,.severity{color:#98a3b5}}`

// HTML writes a diagnosis as a page of its own, without scripts.
func HTML(w io.Writer, d *sdk.Diagnosis) {
	h := html.EscapeString
	fmt.Fprintf(w, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%s: %s</title><style>%s</style>\n",
		h(d.Address), h(Headline(d)), style)
	fmt.Fprintf(w, "<h1>%s</h1>\n<p>%s</p>\n<p class=\"note\">%s", h(d.Address), h(Headline(d)), h(took(d)))
	if s := because(d); s != "" {
		fmt.Fprintf(w, "; %s", h(s))
	}
	fmt.Fprint(w, "</p>\n")
	for _, f := range d.Findings {
		fmt.Fprintf(w, "<section class=\"%s\"><div class=\"severity\">%s</div><h2>%s</h2>\n", h(string(f.Severity)), h(string(f.Severity)), h(f.Title))
		if f.Text != "" {
			fmt.Fprintf(w, "<p>%s</p>\n", h(f.Text))
		}
		if len(f.Evidence) > 0 {
			fmt.Fprint(w, "<table>")
			for _, e := range f.Evidence {
				fmt.Fprintf(w, "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n", e.Time.UTC().Format("15:04:05"), h(e.Where), h(e.What), h(e.Value))
			}
			fmt.Fprint(w, "</table>\n")
		}
		if len(f.Next) > 0 {
			fmt.Fprint(w, "<ol>\n")
			for _, n := range f.Next {
				fmt.Fprintf(w, "<li>%s", h(step(n)))
				if n.Command != "" {
					fmt.Fprintf(w, "<pre>%s</pre>", h(n.Command))
				}
				fmt.Fprint(w, "</li>\n")
			}
			fmt.Fprint(w, "</ol>\n")
		}
		fmt.Fprint(w, "</section>\n")
	}
	if len(d.Checks) > 0 {
		fmt.Fprint(w, "<h2>Looked at</h2><table>\n")
	}
	for _, c := range d.Checks {
		mark, text := "✓", c.Outcome
		if c.Trouble != "" {
			mark, text = "?", "not known: "+c.Trouble
		}
		fmt.Fprintf(w, "<tr><td>%s</td><td>%s</td><td>%s</td></tr>\n", mark, h(c.Name), h(text))
	}
	if len(d.Checks) > 0 {
		fmt.Fprint(w, "</table>\n")
	}
	if s := left(d); s != "" {
		fmt.Fprintf(w, "<p class=\"note\">%s</p>\n", s)
	}
}
