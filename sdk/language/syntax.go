package language

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

var (
	afterNumber = regexp.MustCompile(`[0-9.]+$`)
	unitWord    = regexp.MustCompile(`^(ns|us|ms|s|m|h|d|w|y|[kKMGT]i?B|B)\b`)
	doubled     = regexp.MustCompile(`(?:[^$%]|^)([$%])\{\{`)
	endedString = regexp.MustCompile(`^[^"#]*=[^"#]*"([^"\\]|\\.)*"[^"#]*$`)
)

// explainSyntax rewords what HCL's parser says of the mistakes that people make, and drops what only follows from an
// earlier one: the rest of a line, and everything after a string without an end.
func explainSyntax(diags hcl.Diagnostics, src []byte) (kept hcl.Diagnostics) {
	sortByPlace(diags, nil)
	last := 0
	for _, d := range diags {
		if d.Subject == nil || d.Subject.Start.Line == last {
			continue
		}
		last = d.Subject.Start.Line
		explain(d, src)
		if kept = append(kept, d); d.Summary == "String without an end" || len(kept) > maxShown {
			break
		}
	}
	return kept
}

func explain(d *hcl.Diagnostic, src []byte) {
	at := min(d.Subject.Start.Byte, len(src))
	start := bytes.LastIndexByte(src[:at], '\n') + 1
	rest, _, _ := bytes.Cut(src[at:], []byte("\n"))
	before, after := string(src[start:at]), string(rest)
	say := func(summary, format string, args ...any) { d.Summary, d.Detail = summary, fmt.Sprintf(format, args...) }
	point := func(from, to int) { *d.Subject = rangeAt(src, d.Subject.Filename, from, to) }
	switch number, unit := afterNumber.FindString(before), unitWord.FindString(after); {
	case d.Summary == "Unclosed configuration block":
		say("Unclosed block", "There is no closing brace for this block before the end of the file.")
		if from, to, behind := unclosed(src); to > 0 {
			say("Unclosed block", "This block has no closing brace: by the indentation, it belongs before line %d.", behind)
			point(from, to)
		}
	case d.Summary == "Invalid multi-line string":
		say("String without an end", `A string in quotes ends on its line: add the closing ". Text of several lines is a heredoc: <<-EOT … EOT.`)
	case d.Summary == "Unterminated template string":
		say("String without an end", "The end of this text was not found: a heredoc ends with its word alone on a line, a string with a quote.")
		if d.Context != nil && at == len(src) {
			begin := bytes.LastIndex(src[:min(d.Context.Start.Byte, at)], []byte("<<"))
			point(begin, begin+2)
		}
	case doubled.MatchString(before + after):
		m := doubled.FindStringSubmatchIndex(before + after)
		sign := (before + after)[m[2]:m[3]]
		say("Template written by accident", `%[1]s{ begins a template of HCL's own. For the text %[1]s{{ double the sign: %[1]s%[1]s{{ … }}.`, sign)
		point(start+m[2], start+m[1])
	case d.Summary == "Invalid 'for' expression" && strings.HasPrefix(strings.TrimSpace(after), "="):
		say("A key named for", `After { the word for begins an expression. Put the key in quotes: { "for" = … }.`)
	case d.Summary == "Invalid single-argument block definition":
		say("Several arguments on one line", "A block on one line holds one argument and no block. Write each on a line of its own:\n  name {\n    a = 1\n    b = 2\n  }")
	case d.Summary == "Invalid escape sequence":
		say("Unknown escape", `In quotes, %s is no escape. For a backslash write \\, or use a heredoc (<<-EOT … EOT), where a backslash is a backslash.`, d.Subject.SliceBytes(src))
	case d.Summary == "Missing newline after argument" && number != "" && unit != "":
		say("Number with a unit", "Put a number with a unit in quotes: %q.", number+unit)
		point(at-len(number), at+len(unit))
	case endedString.MatchString(before) && strings.Contains(after, `"`):
		say("String ends too early", `The quote before this ended the string. Inside "…" write \" for a quote, or use single quotes (PromQL takes both), or a heredoc: <<-EOT … EOT.`)
	case d.Summary == "Missing newline after argument" && strings.HasPrefix(after, "{"):
		say("Text without quotes", `Text is written in quotes: "up{job='api'}", with single quotes inside.`)
	case strings.HasPrefix(d.Detail, "Single quotes are not valid"):
		say("Single quotes", `Strings are written in double quotes: "…".`)
	}
}

// unclosed looks for the line of the block that lacks its brace: one that is open where a line of no deeper indentation
// begins another block, or closes one around it.
func unclosed(src []byte) (from, to, behind int) {
	type line struct{ from, to, indent int }
	var open []line
	at := 0
	for text := range bytes.Lines(src) {
		behind++
		l := line{at, at + len(bytes.TrimRight(text, " \t\r\n")), len(text) - len(bytes.TrimLeft(text, " \t"))}
		at += len(text)
		text = bytes.TrimSpace(text)
		opens, closes := bytes.HasSuffix(text, []byte("{")), bytes.HasPrefix(text, []byte("}"))
		if n := len(open); n > 0 && (opens && l.indent <= open[n-1].indent || closes && l.indent < open[n-1].indent) {
			return open[n-1].from + open[n-1].indent, open[n-1].to, behind
		} else if closes && n > 0 {
			open = open[:n-1]
		}
		if opens {
			open = append(open, l)
		}
	}
	return 0, 0, 0
}
