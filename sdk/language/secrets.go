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
	secretName = regexp.MustCompile(`(?i)pass|pwd|secret|token|credential|private|key|auth`)
	valueStart = regexp.MustCompile(`[=:]\s*`)
)

// SoundsSecret reports whether an argument of this name probably holds a secret.
func SoundsSecret(name string) bool { return secretName.MatchString(name) }

// hiddenIn gives what is hidden of a line that begins at a byte. In a file that cannot be parsed nobody knows what is
// secret, and the words of the line have to do.
func (c *Config) hiddenIn(file string, line []byte, at int) []hcl.Range {
	hidden := slices.DeleteFunc(slices.Clone(c.hidden[file]), func(h hcl.Range) bool { return h.End.Byte <= at || h.Start.Byte >= at+len(line) })
	if value := valueStart.FindIndex(line); c.broken[file] && value != nil && c.soundsSecret(file, line, at) && !bytes.HasPrefix(line[value[1]:], []byte("secret(")) {
		hidden = append(hidden, hcl.Range{Start: hcl.Pos{Byte: at + value[1]}, End: hcl.Pos{Byte: at + len(line)}})
	}
	return hidden
}

// soundsSecret looks at a line once: it may be a megabyte long, and have a hundred mistakes.
func (c *Config) soundsSecret(file string, line []byte, at int) bool {
	begin := fmt.Sprintf("%s:%d", file, at)
	if _, known := c.secretLines[begin]; !known {
		c.secretLines[begin] = secretName.Match(line)
	}
	return c.secretLines[begin]
}
