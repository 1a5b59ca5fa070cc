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
// read from the syntax, never evaluated. written is false if it comes to nothing by what a pack's variables were not given.
func (d *Decoder) references(a *sdk.Attribute, expr hcl.Expression) (result Addresses, written, ok bool) {
	ok, result.Found = true, []string{}
	var texts []string
	seen := map[string]bool{}
	items := d.items(expr)
	written = len(items) > 0 || !namesVariable(expr)
	for _, item := range items {
		t, valid := d.traversal(a, item)
		if !valid {
			ok = false
			continue
		}
		_, in := unbind(item)
		found, written, valid := d.resolve(a, t, packOf(in), item.Range())
		ok = ok && valid
		texts = append(texts, written)
		if d.edges += len(found); d.edges > maxEdges {
			d.Error(item.Range(), "Too many references", "The references of a configuration mean at most %d components.", maxEdges)
			return result, true, false
		}
		for _, address := range found {
			if d.used[address] = true; !seen[address] {
				seen[address], result.Found = true, append(result.Found, address)
			}
		}
	}
	result.Text = "[" + strings.Join(texts, ", ") + "]"
	return result, written, ok
}

// items are the references of a list, or the one that stands alone; those that a pack's variable was given are in its place.
func (d *Decoder) items(expr hcl.Expression) (all []hcl.Expression) {
	plain, in := unbind(expr)
	items, diags := hcl.ExprList(plain)
	if diags.HasErrors() {
		items = []hcl.Expression{plain} // to = store.tsdb.main
	}
	for _, item := range items {
		t, diags := hcl.AbsTraversalForExpr(item)
		l := localOf(d.localsOf(in), t)
		switch {
		case diags.HasErrors() || l == nil || l.variable == nil || !l.variable.references:
			all = append(all, bind(item, in))
		case l.given != nil:
			all = append(all, d.items(l.given.expr)...)
		}
	}
	return all
}

func namesVariable(expr hcl.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return t.RootName() == "var" })
}

func (d *Decoder) traversal(a *sdk.Attribute, item hcl.Expression) (hcl.Traversal, bool) {
	item, in := unbind(item)
	t, keyed, ok := d.traversalOf(item, in)
	native, isNative := item.(hclsyntax.Expression)
	if variables := item.Variables(); !ok && !isNative && len(variables) == 1 { // JSON: "${store.tsdb.main}"
		return variables[0], true
	}
	if ok || keyed {
		return t, ok
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

// reference is one as it is written.
type reference struct {
	base, text string // its whole address: without its key, and with it
	written    string // the same as its pack writes it
	pack       string // the pack that it goes into; "": none
	kind       string // "": all that is in the pack
	names      int    // kind, type and name: how many it has
}

// resolve finds what a reference means: kind.type.name one component, or all that its for_each makes, kind.type.name["key"] one of
// those, kind.type those of a type, kind all; behind pack.name, those in a pack. It is looked for in the pack that it stands in.
func (d *Decoder) resolve(a *sdk.Attribute, t hcl.Traversal, from *Pack, at hcl.Range) (addresses []string, text string, ok bool) {
	r, ok := d.written(a, t, from, at)
	if !ok {
		return nil, r.written, false
	}
	takes, x := slices.Contains(a.Checks, r.kind), d.declared[r.text]
	switch {
	case r.pack != "" && d.packs[r.pack] == nil:
		if !d.cfg.Partial && !d.closedPack(r.pack) {
			d.Error(at, "Undeclared reference", "There is no %s.%s", strings.TrimPrefix(r.pack, from.Prefix()), d.likePack(r.pack, from))
		}
		return nil, r.written, d.closedPack(r.pack)
	case r.kind == "":
		for _, kind := range a.Checks {
			addresses = append(addresses, d.On(r.text+"."+kind)...)
		}
	case !takes && IsKind(r.kind):
		d.Error(at, "Wrong kind of reference", "%s takes a %s, and this is a %s.", a.Name, strings.Join(a.Checks, " or a "), r.kind)
		return nil, r.written, false
	case takes && x != nil && x.each && !x.known:
		return nil, r.written, false // what it makes has a mistake, which is said
	case takes && x != nil && x.each:
		addresses = d.On(r.text)
	case takes && r.names == 3 && x != nil:
		if x.enabled {
			addresses = []string{r.text}
		}
	case takes && d.byPrefix[r.text] != nil:
		addresses = d.On(r.text)
	case takes && (r.names < 3 && d.hasEmpty(r.text) || r.pack != "" && !d.packs[r.pack].open):
	case takes && r.text != r.base && d.declared[r.base] != nil:
		d.unknownKey(r, at)
		return nil, r.written, false
	default:
		if !d.cfg.Partial {
			d.Error(at, "Undeclared reference", "%s", d.undeclaredReference(a, r, from))
		}
		return nil, r.written, false
	}
	return addresses, r.written, true
}

// written reads a traversal as a reference.
func (d *Decoder) written(a *sdk.Attribute, t hcl.Traversal, from *Pack, at hcl.Range) (r reference, ok bool) {
	i := 0
	step := func() (name string, ok bool) { // the next name
		if i < len(t) {
			switch s := t[i].(type) {
			case hcl.TraverseRoot:
				name, ok = s.Name, true
			case hcl.TraverseAttr:
				name, ok = s.Name, true
			}
		}
		if ok {
			i++
		}
		return name, ok
	}
	key := func() (text string, known bool) { // that stands here, if one does
		if i < len(t) {
			if s, isIndex := t[i].(hcl.TraverseIndex); isIndex {
				k, _ := s.Key.Unmark()
				if !k.IsKnown() {
					return "", false // the for_each around it makes none
				}
				if !k.IsNull() && k.Type() == cty.String {
					i++
					return "[" + Quote(k.AsString()) + "]", true
				}
			}
		}
		return "", true
	}
	known := true
	name, _ := step()
	for name == "pack" {
		if r.written != "" {
			r.written += "."
		}
		inner, named := step()
		k, isKnown := key()
		if known = known && isKnown; !named || !known {
			name = ""
			break
		}
		r.written += "pack." + inner + k
		r.pack = from.Prefix() + r.written
		if name, ok = step(); !ok {
			break
		}
	}
	if r.kind = name; name != "" {
		if r.pack != "" {
			r.written += "."
		}
		r.written += name
		for r.names = 1; ; r.names++ {
			next, more := step()
			if !more {
				break
			}
			r.written += "." + next
		}
	}
	r.base = from.Prefix() + r.written
	if r.names == 3 {
		k, isKnown := key()
		known = known && isKnown
		r.written += k
	}
	r.text = from.Prefix() + r.written
	if !known {
		return r, false
	}
	if i < len(t) || r.pack == "" && r.kind == "" {
		d.Error(at, "Not a reference", `%s takes references such as %s.TYPE.NAME or %s.TYPE.NAME["key"].`, a.Name, a.Checks[0], a.Checks[0])
		return r, false
	}
	return r, true
}

// closedPack reports whether an address is of a pack in one that is not enabled.
func (d *Decoder) closedPack(address string) bool {
	for i, c := range address {
		if c == '.' && d.packs[address[:i]] != nil && !d.packs[address[:i]].open {
			return true
		}
	}
	return false
}

func (d *Decoder) likePack(address string, from *Pack) string {
	best := ""
	if !d.Flooded() {
		best = Closest(address, Sorted(d.packs))
	}
	if !strings.HasPrefix(best, from.Prefix()) || best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %s?", strings.TrimPrefix(best, from.Prefix()))
}

// hasEmpty reports whether a kind or a type is declared only by blocks whose for_each makes none.
func (d *Decoder) hasEmpty(prefix string) bool {
	for address, x := range d.declared {
		if x.each && x.block.Type != "pack" && strings.HasPrefix(address, prefix+".") {
			return true
		}
	}
	return false
}

func (d *Decoder) unknownKey(r reference, at hcl.Range) {
	base, text := r.base, r.text
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

func (d *Decoder) undeclaredReference(a *sdk.Attribute, r reference, from *Pack) string {
	var known, near []string
	inside := from.Prefix()
	if r.pack != "" {
		inside = r.pack + "."
	}
	for address, addresses := range d.byPrefix {
		rest, found := strings.CutPrefix(address, inside)
		kind, _, isType := strings.Cut(rest, ".")
		if !found || !slices.Contains(a.Checks, kind) {
			continue
		}
		short := strings.TrimPrefix(address, from.Prefix())
		if near = append(near, short); r.names < 3 {
			known = append(known, short)
		}
		if !isType && !d.Flooded() {
			for _, x := range addresses {
				known = append(known, strings.TrimPrefix(x, from.Prefix()))
			}
		}
	}
	slices.Sort(known)
	if best := Closest(r.written, append(near, known...)); best != "" {
		where := ""
		if x := d.declared[from.Prefix()+best]; x != nil {
			where = " (" + Place(Header(x.block)) + ")"
		}
		return fmt.Sprintf("There is no %s. Did you mean %s%s?", r.written, best, where)
	}
	for _, k := range known { // it is in a pack
		if strings.HasSuffix(k, "."+r.written) {
			return fmt.Sprintf("There is no %s here. Did you mean %s?", r.written, k)
		}
	}
	if known = slices.Compact(known); len(known) > 10 {
		known = append(known[:10], "…")
	}
	if len(known) == 0 {
		if r.pack != "" {
			return fmt.Sprintf("There is no %s, and no %s in it.", r.written, strings.Join(a.Checks, " or "))
		}
		if from != nil {
			return fmt.Sprintf("There is no %s in the pack, and no other %s: what is outside of it comes by a variable of the type references.", r.written, strings.Join(a.Checks, " or "))
		}
		return fmt.Sprintf("There is no %s, and no other %s is declared.", r.written, strings.Join(a.Checks, " or "))
	}
	return fmt.Sprintf("There is no %s. Declared are %s.", r.written, strings.Join(known, ", "))
}
