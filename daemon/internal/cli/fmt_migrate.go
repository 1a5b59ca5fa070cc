package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// renamedName is an old name and where it stands.
type renamedName struct {
	Line   int    `json:"line"`
	Column int    `json:"column"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// schemas are what the types of plugins take: source.etcd.
type schemas map[string]*sdk.Schema

// schemas asks the plugins, where names are to be migrated.
func (o *options) schemas(ctx context.Context) (schemas, error) {
	if !o.fmt.migrate {
		return nil, nil
	}
	plugins, err := o.plugins(ctx)
	if err != nil {
		return nil, err
	}
	all := schemas{}
	for _, p := range plugins {
		for _, t := range p.Types {
			all[string(t.Kind)+"."+t.Name] = language.Whole(t)
		}
	}
	return all, nil
}

// migrate writes the new names into a text. It is nil if there are mistakes, which are said.
func (o *options) migrate(s language.Source, schemas schemas) ([]byte, []renamedName) {
	c, diags := language.Parse([]language.Source{s})
	if c.Partial {
		language.WriteDiagnostics(o.Err, c, diags, o.Colour)
		return nil, nil
	}
	var unknown []string
	list, diags := c.Renames(func(b *hcl.Block) *sdk.Schema {
		if !language.IsKind(b.Type) {
			return language.Core[b.Type]
		}
		known := schemas[b.Type+"."+b.Labels[0]]
		if title := fmt.Sprintf("%s %q", b.Type, b.Labels[0]); known == nil && !slices.Contains(unknown, title) {
			unknown = append(unknown, title)
		}
		return known
	})
	if unknown != nil {
		fmt.Fprintf(o.Err, "magpie: %s: no plugin offers %s: the names in their blocks stay as they are\n", s.Name, strings.Join(unknown, ", "))
	}
	if diags.HasErrors() {
		language.WriteDiagnostics(o.Err, c, diags, o.Colour)
		return nil, nil
	}
	var names []renamedName
	for _, r := range list {
		names = append(names, renamedName{r.At.Start.Line, r.At.Start.Column, r.From, r.To})
	}
	return c.Migrate(s.Name, list), names
}
