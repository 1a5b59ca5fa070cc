package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// settingsBlocks are the types of the blocks that make the settings.
var settingsBlocks = []string{"daemon", "http", "buffer"}

// Show writes the effective configuration as HCL: every attribute that has a value, those that nobody wrote marked as
// defaults, secrets as (sensitive).
func Show(d *Desired) string {
	var ways strings.Builder
	for _, p := range d.Pipelines {
		if p.Name == "default" {
			fmt.Fprintf(&ways, "# default pipeline: %s -> %s\n", strings.Join(p.From, ", "), p.To)
		}
	}
	return language.Show(d.Bodies()) + ways.String()
}

// ShowBlocks gives the effective configuration to programs.
func ShowBlocks(d *Desired) []language.Shown { return language.ShowBlocks(d.Bodies()) }

// Bodies are the decoded blocks, in the order in which they are shown.
func (d *Desired) Bodies() (all []*language.Body) {
	for _, x := range d.blocks {
		if slices.Contains(settingsBlocks, x.Kind) {
			all = append(all, x)
		}
	}
	for _, c := range d.Components {
		if c.body != nil { // it was not built here
			all = append(all, c.body)
		}
	}
	for _, x := range d.blocks {
		if !slices.Contains(settingsBlocks, x.Kind) {
			all = append(all, x)
		}
	}
	return all
}
