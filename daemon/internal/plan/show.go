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
func Show(d *Desired) string { return d.show(func(*language.Body) bool { return true }, language.Show) }

// ShowPack writes what a pack becomes, or all of its for_each, with the places where it is written; "" if there is none of the address.
func ShowPack(d *Desired, address string) string {
	return d.show(func(x *language.Body) bool { return x.Pack.Within(address) }, language.ShowPacked)
}

func (d *Desired) show(wanted func(*language.Body) bool, as func(*strings.Builder, *language.Body)) string {
	var b strings.Builder
	write := func(x *language.Body) {
		if x == nil || !wanted(x) {
			return // it was not built here
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		as(&b, x)
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
			y.Pack = x.Pack
			write(y)
		}
	}
	for _, p := range d.Pipelines {
		if p.Name == "default" && wanted(&language.Body{}) {
			fmt.Fprintf(&b, "# default pipeline: %s -> %s\n", strings.Join(p.From, ", "), p.To)
		}
	}
	return string(hclwrite.Format([]byte(b.String())))
}
