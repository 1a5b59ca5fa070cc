package language

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Hide keeps a range of a file out of every snippet.
func (c *Config) Hide(r hcl.Range) { c.hidden[r.Filename] = append(c.hidden[r.Filename], r) }

// isHidden reports whether all of a range is.
func (c *Config) isHidden(r hcl.Range) bool {
	return slices.ContainsFunc(c.hidden[r.Filename], func(h hcl.Range) bool { return h.Start.Byte <= r.Start.Byte && h.End.Byte >= r.End.Byte })
}

// HideBehind hides the values on the line behind a name or a block's header, where nobody knows whether they are secret.
func (c *Config) HideBehind(r hcl.Range) {
	line, _, _ := bytes.Cut(c.files[r.Filename][r.End.Byte:], []byte("\n"))
	if value := valueStart.FindIndex(line); value != nil {
		r.Start.Byte, r.End.Byte = r.End.Byte+value[1], r.End.Byte+len(line)
		c.Hide(r)
	}
}

// HideSecret hides the expression of a sensitive argument, and the locals that it uses. What only names a secret, as
// secret("env:TOKEN") does, is shown.
func (c *Config) HideSecret(expr hcl.Expression) {
	expr, in := unbind(expr)
	call, isCall := expr.(*hclsyntax.FunctionCallExpr)
	if !isCall || call.Name != "secret" && (call.Name != "env" || len(call.Args) != 1) {
		c.Hide(expr.Range())
	}
	for _, t := range expr.Variables() {
		if i := in.find(t.RootName()); i != nil && i.from != nil && !i.from.hidden {
			i.from.hidden = true
			c.HideSecret(i.from.Expression)
		}
		locals := c.locals
		if p := packOf(in); p != nil {
			locals = p.locals
		}
		if l := localOf(locals, t); l != nil && !l.hidden {
			if l.hidden = true; l.expr != nil {
				c.HideSecret(bind(l.expr, l.in))
			}
			if l.in != nil {
				if l.given != nil {
					c.HideSecret(l.given.expr)
				}
			} else if name, isVariable := strings.CutPrefix(l.name, "var."); isVariable {
				for _, g := range append(c.values[name], c.flags[name]) {
					c.Hide(g.at)
				}
			}
		}
	}
}

var (
	valueStart = regexp.MustCompile(`[=:]\s*`)
)

// SoundsSecret reports whether an argument of this name probably holds a secret.
func SoundsSecret(name string) bool { return soundsSecret([]byte(name)) }

var secretWords = bytes.Fields([]byte("pass pwd secret token credential private key auth cookie header dsn"))

func soundsSecret(text []byte) bool {
	lower := bytes.ToLower(text)
	return slices.ContainsFunc(secretWords, func(word []byte) bool { return bytes.Contains(lower, word) })
}

// hiddenIn gives what is hidden of a line that begins at a byte. In a file that cannot be parsed nobody knows what is
// secret, and the words of the line have to do.
func (c *Config) hiddenIn(file string, line []byte, at int) []hcl.Range {
	hidden := slices.DeleteFunc(slices.Clone(c.hidden[file]), func(h hcl.Range) bool { return h.End.Byte <= at || h.Start.Byte >= at+len(line) })
	for _, call := range sensitiveCalls(line) {
		hidden = append(hidden, hcl.Range{Start: hcl.Pos{Byte: at + call[0]}, End: hcl.Pos{Byte: at + call[1]}})
	}
	if !c.broken[file] {
		return hidden
	}
	value := valueStart.FindIndex(line)
	switch {
	case value != nil && c.soundsSecret(file, line, at):
		if bytes.HasPrefix(line[value[1]:], []byte("secret(")) {
			return hidden
		}
	case argument.Match(line) || !c.goesOn(file, at):
		return hidden
	default: // all of the line
		value = []int{0, len(line) - len(bytes.TrimLeft(line, " \t"))}
	}
	return append(hidden, hcl.Range{Start: hcl.Pos{Byte: at + value[1]}, End: hcl.Pos{Byte: at + len(line)}})
}

// sensitiveCalls are the arguments of calls of the function that makes a secret of what is written; a call within another is in it. The line
// is read once: it may be a megabyte long.
func sensitiveCalls(line []byte) (calls [][2]int) {
	const name = "sensitive"
	for from := 0; ; {
		i := bytes.Index(line[from:], []byte(name))
		if i < 0 {
			return calls
		}
		begin := from + i
		from = begin + len(name)
		behind := bytes.TrimLeft(line[from:], " \t\r\f")
		if begin > 0 && wordChar(line[begin-1]) || !bytes.HasPrefix(behind, []byte("(")) {
			continue
		}
		first := len(line) - len(behind) + 1
		from = first + argumentsEnd(line[first:])
		calls = append(calls, [2]int{first, from})
	}
}

func wordChar(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// argumentsEnd finds the parenthesis that ends a call, or the end of the line.
func argumentsEnd(line []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch b := line[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '(':
			depth++
		case b == ')':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return len(line)
}

// argument is a line with which an argument begins, or a block begins or ends.
var argument = regexp.MustCompile(`^\s*(("?[\w-]+"?|"[^"]*")\s*[=:]|[\w-]+(\s+"[^"]*")*\s*\{|\})`)

// goesOn reports whether a line of a file belongs to a value of several lines, such as a heredoc, that sounds secret.
func (c *Config) goesOn(file string, at int) bool {
	above := c.files[file][:at]
	for range 200 {
		above = bytes.TrimSuffix(above, []byte("\n"))
		begin := bytes.LastIndexByte(above, '\n') + 1
		if line := above[begin:]; argument.Match(line) {
			return c.soundsSecret(file, line, begin)
		}
		if above = above[:begin]; begin == 0 {
			break
		}
	}
	return false
}

// soundsSecret looks at a line once: it may be a megabyte long, and have a hundred mistakes.
func (c *Config) soundsSecret(file string, line []byte, at int) bool {
	begin := fmt.Sprintf("%s:%d", file, at)
	if _, known := c.secretLines[begin]; !known {
		c.secretLines[begin] = bytes.Contains(line, []byte("://")) || soundsSecret(line)
	}
	return c.secretLines[begin]
}
