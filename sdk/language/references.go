package language

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxEdges bounds what from = [source] in thousands of pipelines takes.
const maxEdges = 1_000_000

// references resolves an attribute that takes addresses, to those of enabled components, in order and each once. They are
// read from the syntax, never evaluated.
func (d *Decoder) references(a *sdk.Attribute, expr hcl.Expression) (result Addresses, ok bool) {
	items, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		items = []hcl.Expression{expr} // to = store.tsdb.main
	}
	ok, result.Found = true, []string{}
	var texts []string
	seen := map[string]bool{}
	for _, item := range items {
		t, valid := d.traversal(a, item)
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

// resolve finds what a reference means: kind.type.name one component, kind.type those of a type, kind all.
func (d *Decoder) resolve(a *sdk.Attribute, t hcl.Traversal, at hcl.Range) (addresses []string, text string, ok bool) {
	text = t.RootName()
	for _, step := range t[1:] {
		name, isName := step.(hcl.TraverseAttr)
		if !isName {
			d.Error(at, "Not in this version yet", "Components have no keys: this version does not have for_each.")
			return nil, text, false
		}
		text += "." + name.Name
	}
	kind := t.RootName()
	takes := slices.Contains(a.Checks, kind)
	switch {
	case !takes && IsKind(kind):
		d.Error(at, "Wrong kind of reference", "%s takes a %s, and this is a %s.", a.Name, strings.Join(a.Checks, " or a "), kind)
		return nil, text, false
	case takes && len(t) == 3 && d.declared[text] != nil:
		addresses = []string{text}
	case takes && len(t) < 3:
		addresses = d.byPrefix[text]
	}
	if len(addresses) == 0 {
		if !d.cfg.Partial {
			d.Error(at, "Undeclared reference", "%s", d.undeclared(a, t, text))
		}
		return nil, text, false
	}
	return slices.DeleteFunc(slices.Clone(addresses), func(address string) bool { return !d.declared[address].enabled }), text, true
}

func (d *Decoder) undeclared(a *sdk.Attribute, t hcl.Traversal, text string) string {
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
