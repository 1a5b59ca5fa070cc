package language

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Move says that what was called From is called To now: it goes on under the new address.
type Move struct{ From, To string }

var movedBody = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "from"}, {Name: "to"}}}

// Moves reads the moved blocks, each resolved to an address that is declared: of a → b and b → c it gives a → c and b → c. A block with a
// for_each moves with all its keys.
func (d *Decoder) Moves() (moves Moves) {
	if len(d.moved) == 0 {
		return nil
	}
	next, at := map[string]string{}, map[string]hcl.Range{}
	var order []string
	for _, block := range d.moved {
		body, in := unmake(block.Body)
		content, strays, diags := Content(body, movedBody)
		d.Diags = append(d.Diags, diags...)
		for _, s := range strays {
			d.Error(s.At, "Unknown argument", "moved has no argument %q.%s", s.Name, oneOf(s.Name, "from", "to"))
		}
		if content.Attributes["from"] == nil || content.Attributes["to"] == nil {
			d.Error(Header(block), "Incomplete move", "It takes from = …, what it was called, and to = …, what it is called now.")
			continue
		}
		from, ok1 := d.movable(content.Attributes["from"], packOf(in))
		to, ok2 := d.movable(content.Attributes["to"], packOf(in))
		where := content.Attributes["from"].Expr.Range()
		switch {
		case !ok1 || !ok2:
		case movedType(from) != movedType(to):
			d.Error(where, "Only names move", "%s and %s are of different types: what the one keeps, the other cannot read.", from, to)
		case next[from] != "":
			d.Error(where, "Moved twice", "%s is moved at %s already.", from, Place(at[from]))
		case d.declared[from] != nil:
			d.Error(where, "Still there", "%s is declared at %s: moved is for what has another name now.", from, Place(Header(d.declared[from].block)))
		default:
			next[from], at[from] = to, where
			order = append(order, from)
		}
	}
	addresses := make([]string, len(d.blocks))
	for i, y := range d.blocks {
		addresses[i] = Address(y)
	}
	for _, from := range order {
		to := from
		for range len(next) + 1 {
			if next[to] == "" {
				break
			}
			to = next[to]
		}
		switch x := d.declared[to]; {
		case next[to] != "":
			d.Error(at[from], "Cycle", "The moved blocks lead from %s back to it.", from)
		case x == nil && !d.cfg.Partial:
			d.Error(at[from], "Undeclared reference", "There is no %s, to which %s is moved.%s", to, from, DidYouMean(to, Sorted(d.declared)))
		case x != nil && x.block.Type == "pack" && !(x.each && strings.HasSuffix(from, "]")): // with all that is in it
			for i, y := range d.blocks {
				rest, inside := strings.CutPrefix(addresses[i], to)
				if inside && rest != "" && (rest[0] == '.' || rest[0] == '[') && namesOfMovable(y.Type) > 0 && y.Type != "pack" {
					moves = append(moves, Move{from + rest, to + rest})
				}
			}
		case x != nil && x.each && !strings.HasSuffix(from, "]"):
			for i, y := range d.blocks {
				if strings.HasPrefix(addresses[i], to+"[") {
					moves = append(moves, Move{from + Key(y), addresses[i]})
				}
			}
		case x != nil && x.each:
			d.Error(at[from], "Move without a key", "%s has a for_each: say which of its keys %s is now.", to, from)
		case x != nil:
			moves = append(moves, Move{from, to})
		}
	}
	return moves
}

// movable reads the address of a component, a pipeline, a group of rules or a pack.
func (d *Decoder) movable(a *hcl.Attribute, from *Pack) (string, bool) {
	t, diags := hcl.AbsTraversalForExpr(a.Expr)
	if _, native := a.Expr.(hclsyntax.Expression); diags.HasErrors() && !native { // JSON: "${store.tsdb.main}"
		if v := a.Expr.Variables(); len(v) == 1 {
			t = v[0]
		}
	}
	if address, ok := movableAddress(t); ok {
		return from.Prefix() + address, true
	}
	d.Error(a.Expr.Range(), "Not an address", `%s takes the address of a component, a pipeline, rules or a pack, such as source.TYPE.NAME, source.TYPE.NAME["key"], pipeline.NAME, rules.NAME or pack.NAME.`, a.Name)
	return "", false
}

func movableAddress(t hcl.Traversal) (address string, ok bool) {
	names := 0 // that the last part must still have
	for i, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			address, names = step.Name, namesOfMovable(step.Name)
		case hcl.TraverseAttr:
			if address += "." + step.Name; names > 0 {
				names--
			} else if _, last := SplitAddress(address); last == step.Name { // behind a pack
				names = namesOfMovable(step.Name)
			} else {
				return "", false
			}
		case hcl.TraverseIndex:
			if _, behind := SplitAddress(address + "."); !IsText(step.Key) || names != 0 || i+1 < len(t) && behind != "" {
				return "", false
			}
			address += "[" + Quote(step.Key.AsString()) + "]"
		}
	}
	return address, len(t) > 0 && names == 0
}

// namesOfMovable is how many names follow a word in an address; -1: none begins with it.
func namesOfMovable(word string) int {
	switch {
	case word == "pipeline" || word == "rules" || word == "pack":
		return 1
	case IsKind(word):
		return 2
	}
	return -1
}

// movedType is what does not change by a move: the kind and the type.
func movedType(address string) string {
	_, rest := SplitAddress(address)
	parts := strings.SplitN(rest, ".", 3)
	if IsKind(parts[0]) && len(parts) == 3 {
		return parts[0] + "." + parts[1]
	}
	return parts[0]
}

// Moves are what moved blocks say, resolved.
type Moves []Move

// Was lists the addresses that an address had before.
func (moves Moves) Was(address string) (was []string) {
	for _, m := range moves {
		if m.To == address {
			was = append(was, m.From)
		}
	}
	return was
}

// Keys lists what key gave for a pipeline when it, or its destination, was called otherwise.
func (moves Moves) Keys(name, to string, key func(name, to string) string) (keys []string) {
	if len(moves) == 0 {
		return nil
	}
	for _, n := range append(moves.Was(name), name) {
		for _, t := range append(moves.Was(to), to) {
			if k := key(n, t); k != key(name, to) {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// Titles lists the titles that a group of rules had before: rules "etcd"["a"].
func (moves Moves) Titles(title string) (was []string) {
	for _, m := range moves {
		if rulesTitle(m.To) == title {
			was = append(was, rulesTitle(m.From))
		}
	}
	return was
}

// GroupName is the name of the group of rules that had an address: that of one in a pack begins with the pack's address.
func GroupName(address string) string {
	packs, rest := SplitAddress(address)
	return packs + strings.TrimPrefix(rest, "rules.")
}

func rulesTitle(address string) string {
	packs, rest := SplitAddress(address)
	name, isRules := strings.CutPrefix(rest, "rules.")
	if !isRules {
		return address
	}
	name, key, keyed := strings.Cut(name, "[")
	if name = packs + "rules " + Quote(name); keyed {
		name += "[" + key
	}
	return name
}

// Rename gives what is under an earlier name in old its name of now, so that it is compared with what it became, and tells which
// did.
func Rename(old, now map[string][]Attr, was func(name string) []string) (from map[string]string) {
	from = map[string]string{}
	for name := range now {
		if _, had := old[name]; had {
			continue
		}
		for _, before := range was(name) {
			if attrs, had := old[before]; had {
				from[name], old[name] = before, attrs
				delete(old, before)
				break
			}
		}
	}
	return from
}

// Paths renames what attributes are called after an address.
func (moves Moves) Paths(all map[string][]Attr, prefix string) {
	for _, attrs := range all {
		for i, a := range attrs {
			for _, m := range moves {
				if a.Path == prefix+m.From {
					attrs[i].Path = prefix + m.To
				}
			}
		}
	}
}
