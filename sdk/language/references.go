package language

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxEdges bounds what from = [source] in thousands of pipelines takes.
const maxEdges = 300_000

// references resolves an attribute that takes addresses, to those of enabled components, in order and each once. They are
// read from the syntax, never evaluated.
func (d *Decoder) references(a *sdk.Attribute, expr hcl.Expression) (result Addresses, ok bool) {
	expr, in := unbind(expr)
	items, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		items = []hcl.Expression{expr} // to = store.tsdb.main
	}
	ok, result.Found = true, []string{}
	var texts []string
	seen := map[string]bool{}
	for _, item := range items {
		t, valid := d.traversal(a, bind(item, in))
		if !valid {
			ok = false
			continue
		}
		found, written, valid := d.resolve(a, t, item.Range())
		ok = ok && valid
		texts = append(texts, written)
		if d.edges += len(found); d.edges > maxEdges {
			d.Error(item.Range(), "Too many references", "The references of a configuration mean at most %d components.", maxEdges)
			return result, false
		}
		for _, address := range found {
			if d.used[address] = true; !seen[address] {
				seen[address], result.Found = true, append(result.Found, address)
			}
		}
	}
	result.Text = "[" + strings.Join(texts, ", ") + "]"
	return result, ok
}

func (d *Decoder) traversal(a *sdk.Attribute, item hcl.Expression) (hcl.Traversal, bool) {
	if t, keyed := d.keyedReference(item); keyed {
		return t, t != nil
	}
	item, _ = unbind(item)
	t, diags := hcl.AbsTraversalForExpr(item)
	native, isNative := item.(hclsyntax.Expression)
	if variables := item.Variables(); diags.HasErrors() && !isNative && len(variables) == 1 { // JSON: "${store.tsdb.main}"
		return variables[0], true
	}
	if !diags.HasErrors() {
		return t, true
	}
	example := a.Checks[0] + ".TYPE.NAME"
	switch n := native.(type) {
	case *hclsyntax.TemplateExpr:
		if v, diags := n.Value(nil); !diags.HasErrors() && IsText(v) {
			example = v.AsString()
		}
		d.Error(item.Range(), "Reference in quotes", "%s takes references, without quotes: %s.", a.Name, example)
	case *hclsyntax.SplatExpr:
		d.Error(item.Range(), "Not a reference", "%s takes references without [*]: %s.TYPE is all of a type, %s is all.", a.Name, a.Checks[0], a.Checks[0])
	default:
		d.Error(item.Range(), "Not a reference", "%s takes references such as %s.", a.Name, example)
	}
	return nil, false
}

// resolve finds what a reference means: kind.type.name one component, or all that its for_each makes, kind.type.name["key"] one of
// those, kind.type those of a type, kind all.
func (d *Decoder) resolve(a *sdk.Attribute, t hcl.Traversal, at hcl.Range) (addresses []string, text string, ok bool) {
	kind := t.RootName()
	base, text, ok := d.written(a, t, at)
	if !ok {
		return nil, text, false
	}
	takes, x := slices.Contains(a.Checks, kind), d.declared[text]
	switch {
	case !takes && IsKind(kind):
		d.Error(at, "Wrong kind of reference", "%s takes a %s, and this is a %s.", a.Name, strings.Join(a.Checks, " or a "), kind)
		return nil, text, false
	case takes && x != nil && x.each && !x.known:
		return nil, text, false // what it makes has a mistake, which is said
	case takes && x != nil && x.each:
		addresses, ok = d.byPrefix[text], true
	case takes && len(t) >= 3 && x != nil:
		addresses, ok = []string{text}, true
	case takes && len(t) < 3:
		addresses, ok = d.byPrefix[text], d.byPrefix[text] != nil || d.hasEmpty(text)
	case takes && text != base && d.declared[base] != nil:
		d.unknownKey(base, text, at)
		return nil, text, false
	default:
		ok = false
	}
	if !ok {
		if !d.cfg.Partial {
			d.Error(at, "Undeclared reference", "%s", d.undeclaredReference(a, t, text))
		}
		return nil, text, false
	}
	return slices.DeleteFunc(slices.Clone(addresses), func(address string) bool { return !d.declared[address].enabled }), text, true
}

// written gives a reference as text: whole, and without its key.
func (d *Decoder) written(a *sdk.Attribute, t hcl.Traversal, at hcl.Range) (base, text string, ok bool) {
	base, text = t.RootName(), t.RootName()
	for i, step := range t[1:] {
		switch step := step.(type) {
		case hcl.TraverseAttr:
			base, text = text+"."+step.Name, text+"."+step.Name
			continue
		case hcl.TraverseIndex:
			if key, _ := step.Key.Unmark(); i == 2 && len(t) == 4 && key.IsKnown() && !key.IsNull() && key.Type() == cty.String {
				return base, text + "[" + Quote(key.AsString()) + "]", true
			} else if !key.IsKnown() {
				return base, text, false // the for_each around it makes none
			}
		}
		d.Error(at, "Not a reference", `%s takes references such as %s.TYPE.NAME or %s.TYPE.NAME["key"].`, a.Name, a.Checks[0], a.Checks[0])
		return base, text, false
	}
	return base, text, true
}

// hasEmpty reports whether a kind or a type is declared only by blocks whose for_each makes none.
func (d *Decoder) hasEmpty(prefix string) bool {
	for address, x := range d.declared {
		if x.each && strings.HasPrefix(address, prefix+".") {
			return true
		}
	}
	return false
}

func (d *Decoder) unknownKey(base, text string, at hcl.Range) {
	switch x := d.declared[base]; {
	case !x.each:
		d.Error(at, "Undeclared reference", "%s has no for_each, and so no keys: write %s.", base, base)
	case x.known:
		var keys []string
		for _, address := range d.byPrefix[base] {
			keys = append(keys, strings.TrimPrefix(address, base))
		}
		hint := ""
		if best := Closest(strings.TrimPrefix(text, base), keys); best != "" {
			hint = fmt.Sprintf(" Did you mean %s%s?", base, best)
		} else if len(keys) > 0 {
			hint = fmt.Sprintf(" Its keys are %s.", strings.Join(append(keys[:min(len(keys), 10)], "…")[:min(len(keys), 11)], ", "))
		}
		d.Error(at, "Undeclared reference", "There is no %s.%s", text, hint)
	}
}

func (d *Decoder) undeclaredReference(a *sdk.Attribute, t hcl.Traversal, text string) string {
	var known []string
	for prefix, addresses := range d.byPrefix {
		if kind, _, isType := strings.Cut(prefix, "."); slices.Contains(a.Checks, kind) {
			if len(t) < 3 {
				known = append(known, prefix)
			}
			if !isType && !d.Flooded() {
				known = append(known, addresses...)
			}
		}
	}
	if best := Closest(text, known); best != "" {
		where := ""
		if x := d.declared[best]; x != nil {
			where = " (" + Place(Header(x.block)) + ")"
		}
		return fmt.Sprintf("There is no %s. Did you mean %s%s?", text, best, where)
	}
	if slices.Sort(known); len(known) > 10 {
		known = append(known[:10], "…")
	}
	if len(known) == 0 {
		return fmt.Sprintf("There is no %s, and no other %s is declared.", text, strings.Join(a.Checks, " or "))
	}
	return fmt.Sprintf("There is no %s. Declared are %s.", text, strings.Join(known, ", "))
}
