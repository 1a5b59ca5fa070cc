package language

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// override is a block override of a pack block: what it says stands in the place of what the pack says.
type override struct {
	body hcl.Body
	in   *iteration // it sees what the pack block sees
}

func overridesOf(block *hcl.Block) []*override {
	m, _ := block.Body.(made)
	return m.over
}

// attributeOf is one attribute of a block, bound; nil: it has none.
func attributeOf(block *hcl.Block, name string) (found *hcl.Attribute) {
	schema := &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: name}}}
	body, in := unmake(block.Body)
	content, _, _ := body.PartialContent(schema)
	if a := content.Attributes[name]; a != nil {
		bound := *a
		bound.Expr, found = bind(a.Expr, in), &bound
	}
	for _, o := range overridesOf(block) {
		content, _, _ := o.body.PartialContent(schema)
		if a := content.Attributes[name]; a != nil {
			over := *a
			over.Expr, found = bound{a.Expr, o.in, true}, &over
		}
	}
	return found
}

// IsOverride reports whether a field's value stands in an override.
func (f *Field) IsOverride() bool { return isOverride(f.Expr) }

func isOverride(expr hcl.Expression) bool {
	b, ok := expr.(bound)
	return ok && b.override
}

// override puts what an override says into the content of a block: its arguments, each as a whole, and its nested blocks in the place of all of
// their type.
func (d *Decoder) override(content *hcl.BodyContent, block *hcl.Block, o *override, schema *hcl.BodySchema) ([]Stray, hcl.Diagnostics) {
	over, strays, diags := Content(o.body, schema)
	delete(over.Attributes, "for_each")
	for name, a := range over.Attributes {
		x := *a
		x.Expr = bound{a.Expr, o.in, true}
		content.Attributes[name] = &x
	}
	replaced := map[string]bool{}
	for _, b := range over.Blocks {
		of := b.Type
		if of == "dynamic" {
			of = b.Labels[0]
		}
		if of == "alert" || of == "record" {
			d.Error(Header(b), "Override of a rule", "A rule is overridden by its own name, beside the others: override %q \"NAME\" { … }.", of)
			continue
		}
		if !replaced[of] {
			replaced[of] = true
			content.Blocks = slices.DeleteFunc(content.Blocks, func(x *hcl.Block) bool { return x.Type == of })
		}
		x := *b
		x.Body = made{Body: b.Body, in: o.in, overrides: true}
		if b.Type == "dynamic" {
			content.Blocks = append(content.Blocks, d.dynamic(&x, block, schema)...)
		} else {
			content.Blocks = append(content.Blocks, &x)
		}
	}
	return strays, diags
}

// edits reads what a pack block disables and overrides.
func (d *Decoder) edits(p *Pack, text *packText, block *hcl.Block, disable *hcl.Attribute) {
	p.text, p.known, p.reads = text, text.names(), slices.ContainsFunc(text.blocks, readsFiles)
	p.without, p.over = map[string]hcl.Range{}, map[string][]*override{}
	missing := func(e edit) bool {
		if slices.Contains(p.known, e.name) || d.inFile(p, e) {
			return false
		}
		if !text.partial {
			d.notInPack(p, e.name, e.at)
		}
		return true
	}
	if disable != nil {
		expr, _ := unbind(disable.Expr)
		items, diags := hcl.ExprList(expr)
		if diags.HasErrors() {
			items = []hcl.Expression{expr}
		}
		for _, item := range items {
			name, ok := blockName(item)
			switch {
			case !ok:
				d.Error(item.Range(), "Not a block of the pack", `disable takes what the pack calls its blocks: alert.NAME, record["NAME"], rules.NAME, test["NAME"], source.TYPE.NAME.`)
			case !missing(edit{name: name, at: item.Range()}):
				p.without[name] = item.Range()
			}
		}
	}
	blocks, in := d.overrides(block)
	for _, b := range blocks {
		name := strings.Join(b.Labels, ".")
		if other, disabled := p.without[name]; disabled {
			d.Error(Header(b), "Override of what is disabled", "%s is disabled at %s.", name, Place(other))
		} else if !missing(edit{name, Header(b), attributeOf(b, "expr")}) {
			p.over[name] = append(p.over[name], &override{b.Body, in})
		}
	}
}

// overrides are the blocks override of a pack block: their labels are those of what they override.
func (d *Decoder) overrides(block *hcl.Block) (blocks []*hcl.Block, in *iteration) {
	body, in := unmake(block.Body)
	var all []*hcl.Block
	if native, ok := body.(*hclsyntax.Body); ok {
		for _, b := range native.Blocks {
			if b.Type == "override" {
				all = append(all, b.AsHCLBlock())
			}
		}
	} else {
		for _, labels := range [][]string{{"type", "name"}, {"type", "kind", "name"}} {
			content, _, _ := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "override", LabelNames: labels}}})
			for _, b := range content.Blocks {
				if IsKind(b.Labels[0]) == (len(labels) == 3) {
					all = append(all, b)
				}
			}
		}
	}
	for _, b := range all {
		labels := 0
		for _, g := range grammar.Blocks {
			if len(b.Labels) > 0 && g.Type == b.Labels[0] && g.Type != "variable" {
				labels = len(g.LabelNames)
			}
		}
		if labels == 0 || len(b.Labels) != labels+1 {
			d.Error(Header(b), "Incomplete override", `It takes the type and the name of a block of the pack: override "alert" "NAME" { … }, override "source" "TYPE" "NAME" { … }.`)
			continue
		}
		blocks = append(blocks, b)
	}
	return blocks, in
}

// names are what a pack calls its blocks, and the rules in them.
func (t *packText) names() (names []string) {
	for _, b := range t.blocks {
		if len(b.Labels) > 0 {
			names = append(names, strings.Join(append([]string{b.Type}, b.Labels...), "."))
		}
		if b.Type == "rules" {
			content, _, _ := b.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "alert", LabelNames: []string{"name"}}, {Type: "record", LabelNames: []string{"name"}}}})
			for _, r := range content.Blocks {
				names = append(names, r.Type+"."+r.Labels[0])
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// blockName reads alert.NAME, record["NAME"] and source.TYPE.NAME.
func blockName(item hcl.Expression) (string, bool) {
	t, diags := hcl.AbsTraversalForExpr(item)
	if v := item.Variables(); diags.HasErrors() && len(v) == 1 { // JSON: "${alert.down}"
		if _, native := item.(hclsyntax.Expression); !native {
			t = v[0]
		}
	}
	if len(t) < 2 {
		return "", false
	}
	name := t.RootName()
	for _, step := range t[1:] {
		switch step := step.(type) {
		case hcl.TraverseAttr:
			name += "." + step.Name
		case hcl.TraverseIndex:
			if !IsText(step.Key) {
				return "", false
			}
			name += "." + step.Key.AsString()
		default:
			return "", false
		}
	}
	return name, true
}
