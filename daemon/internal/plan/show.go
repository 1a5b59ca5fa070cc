package plan

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Show writes the effective configuration as HCL: every attribute that has a value, those that nobody wrote marked as
// defaults, secrets as (sensitive).
func Show(d *Desired) string {
	var b strings.Builder
	write := func(x *body) {
		if x == nil {
			return // it was not built here
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		x.show(&b)
	}
	for _, x := range d.blocks {
		if x.kind == "daemon" || x.kind == "http" {
			write(x)
		}
	}
	for _, c := range d.Components {
		write(c.body)
	}
	for _, x := range d.blocks {
		if x.kind == "daemon" || x.kind == "http" {
			continue
		}
		if x.kind != "file" {
			write(x)
			continue
		}
		for _, y := range x.nested() { // loose rules stand alone
			write(y)
		}
	}
	for _, p := range d.Pipelines {
		if p.Name == "default" {
			fmt.Fprintf(&b, "# default pipeline: %s -> %s\n", strings.Join(p.From, ", "), p.To)
		}
	}
	return string(hclwrite.Format([]byte(b.String())))
}

func (x *body) show(b *strings.Builder) {
	fmt.Fprintf(b, "%s {\n", x.title)
	for _, f := range x.fields {
		switch {
		case f.attr != nil && f.text != "" && f.expr == nil && len(f.text) > 60: // comments are aligned: not as far as that
			fmt.Fprintf(b, "# default\n%s = %s\n", f.name, f.text)
		case f.attr != nil && f.text != "" && f.expr == nil:
			fmt.Fprintf(b, "%s = %s # default\n", f.name, f.text)
		case f.attr != nil && f.text != "":
			fmt.Fprintf(b, "%s = %s\n", f.name, heredoc(f))
		}
	}
	for _, y := range x.nested() {
		y.show(b)
	}
	b.WriteString("}\n")
}

// heredoc writes a text of several lines as it was probably written.
func heredoc(f *field) string {
	s, isText := f.value.(string) // no secret
	if s = strings.TrimSuffix(s, "\n"); !isText || !strings.Contains(s, "\n") || f.name != "expr" {
		return f.text
	}
	return "<<-EOT\n" + strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s) + "\nEOT"
}
