package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// settingsBlocks are the types of the blocks that make the settings.
var settingsBlocks = []string{"daemon", "http", "buffer"}

// Show writes the effective configuration as HCL: every attribute that has a value, those that nobody wrote marked as
// defaults, secrets as (sensitive).
func Show(d *Desired) string {
	var b strings.Builder
	write := func(x *language.Body) {
		if x == nil {
			return // it was not built here
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		show(&b, x)
	}
	for _, x := range d.blocks {
		if slices.Contains(settingsBlocks, x.Kind) {
			write(x)
		}
	}
	for _, c := range d.Components {
		write(c.body)
	}
	for _, x := range d.blocks {
		if slices.Contains(settingsBlocks, x.Kind) {
			continue
		}
		if x.Kind != "file" {
			write(x)
			continue
		}
		for _, y := range x.Nested() { // loose rules stand alone
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

func show(b *strings.Builder, x *language.Body) {
	if x.Key != "" {
		fmt.Fprintf(b, "# %s\n", x.Key)
	}
	fmt.Fprintf(b, "%s {\n", x.Title)
	for _, f := range x.Fields {
		switch {
		case f.Attr != nil && f.Text != "" && f.Expr == nil && len(f.Text) > 60: // comments are aligned: not as far as that
			fmt.Fprintf(b, "# default\n%s = %s\n", f.Name, f.Text)
		case f.Attr != nil && f.Text != "" && f.Expr == nil:
			fmt.Fprintf(b, "%s = %s # default\n", f.Name, f.Text)
		case f.Attr != nil && f.Text != "":
			fmt.Fprintf(b, "%s = %s\n", f.Name, heredoc(f))
		}
	}
	for _, y := range x.Nested() {
		show(b, y)
	}
	b.WriteString("}\n")
}

// heredoc writes a text of several lines as it was probably written.
func heredoc(f *language.Field) string {
	s, isText := f.Value.(string) // no secret
	if s = strings.TrimSuffix(s, "\n"); !isText || !strings.Contains(s, "\n") || f.Name != "expr" {
		return f.Text
	}
	return "<<-EOT\n" + strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s) + "\nEOT"
}
