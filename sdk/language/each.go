package language

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// maxMade bounds the blocks that for_each and dynamic make.
const maxMade = 6_000

// iteration is what each, or the iterator of a dynamic block, stands for in a block that was made.
type iteration struct {
	name   string    // each, or as the dynamic block says
	value  cty.Value // its key and its value
	around *iteration
	shadow bool // the block is only looked at: its for_each makes none
	from   *origin
	pack   *Pack // of the outermost in a pack: what there is to be seen
}

// origin is the for_each that an iteration goes through, the same for all that it makes.
type origin struct {
	hcl.Expression
	hidden bool
}

func (i *iteration) find(name string) *iteration {
	for ; i != nil; i = i.around {
		if i.name == name {
			return i
		}
	}
	return nil
}

// bound is an expression in a block that was made, or in a pack: it sees the iteration.
type bound struct {
	hcl.Expression
	in       *iteration
	override bool // it stands in an override
}

// UnwrapExpression gives the expression as it is written, to what reads lists, maps and references from the syntax.
func (b bound) UnwrapExpression() hcl.Expression { return b.Expression }

func bind(expr hcl.Expression, in *iteration) hcl.Expression {
	if in == nil {
		return expr
	}
	return bound{expr, in, false}
}

func unbind(expr hcl.Expression) (hcl.Expression, *iteration) {
	if b, ok := expr.(bound); ok {
		return b.Expression, b.in
	}
	return expr, nil
}

// made is the body of a block that was made, or that is in a pack.
type made struct {
	hcl.Body
	in   *iteration
	key  string      // of the whole block, ["prod"]; "" for a block in one
	over []*override // what stands in its place

	overrides bool // it stands in an override
}

func unmake(body hcl.Body) (hcl.Body, *iteration) {
	if m, ok := body.(made); ok {
		return m.Body, m.in
	}
	return body, nil
}

// Key is what for_each adds to a block's address: ["prod"], or nothing.
func Key(b *hcl.Block) string {
	m, _ := b.Body.(made)
	return m.key
}

// isShadow reports whether a block is only looked at, as its for_each makes none, or none that is known.
func isShadow(b *hcl.Block) bool {
	_, in := unmake(b.Body)
	return in != nil && in.shadow
}

// repeats reports whether blocks of a type take for_each.
func repeats(of string) bool {
	return IsKind(of) || of == "pipeline" || of == "rules" || of == "alert" || of == "record" || of == "pack" || of == "inhibit"
}

// expand makes the blocks that a block's for_each asks for; without one, it is the block itself. known is false if what for_each
// gives has a mistake.
func (d *Decoder) expand(block *hcl.Block) (blocks []*hcl.Block, each, known bool) {
	body, in := unmake(block.Body)
	a := attributeOf(block, "for_each")
	if a == nil || !repeats(block.Type) {
		return []*hcl.Block{block}, false, true
	}
	from, over := &origin{Expression: a.Expr}, overridesOf(block)
	list, known := d.elements(from.Expression, true)
	for _, e := range list {
		x := *block
		x.Body = made{body, &iteration{name: "each", value: e.object(), around: in, from: from}, "[" + Quote(e.key) + "]", over, false}
		blocks = append(blocks, &x)
	}
	if len(blocks) == 0 { // it has mistakes all the same, and they are told before there is a key
		x := *block
		x.Body = made{body, &iteration{name: "each", value: cty.ObjectVal(map[string]cty.Value{"key": cty.UnknownVal(cty.String), "value": cty.DynamicVal}), around: in, shadow: true, from: from}, "", over, false}
		blocks = append(blocks, &x)
	}
	return blocks, true, known
}

// element is one of those that for_each goes through.
type element struct {
	key        string
	id, values cty.Value
}

func (e element) object() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"key": e.id, "value": e.values})
}

// validKey is what may stand in an address, which is part of paths of files and URLs.
var validKey = regexp.MustCompile(`^[^\x00-\x1f\x7f/\\"${}%]{1,64}$`)

// elements evaluates a for_each. That of a whole block takes a map or a set of texts, since what it makes is told apart by its keys; a
// dynamic block takes lists too.
func (d *Decoder) elements(expr hcl.Expression, keyed bool) (list []element, ok bool) {
	v, ok := d.Value(expr)
	if !ok {
		return nil, false
	}
	at, t := expr.Range(), v.Type()
	switch {
	case v.IsMarked():
		d.Error(at, "Secret in the open", "for_each cannot come from a secret: what it makes is seen by everyone.")
		return nil, false
	case !v.IsKnown():
		return nil, false // it depends on an each that is not known either
	case v.IsNull():
		d.Error(at, "Missing value", "for_each must not be null: it takes a map, { name = … }, or toset([ … ]). An empty one makes no block.")
		return nil, false
	case keyed && isList(t) && !t.IsSetType():
		d.Error(at, "Wrong type", "for_each takes a map, { name = … }, or a set of texts: write toset([ … ]), so that each has a key that does not change when another goes.")
		return nil, false
	case !isMap(t) && !isList(t) || keyed && t.IsSetType() && t.ElementType() != cty.String:
		d.Error(at, "Wrong type", "for_each takes a map, { name = … }, or toset([ … ]) of texts, and this is %s.", called(t))
		return nil, false
	}
	if d.made += v.LengthInt(); d.made > maxMade {
		d.Error(at, "Too many blocks", "All for_each of a configuration make at most %d blocks.", maxMade)
		return nil, false
	}
	ok = true
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		x := element{id: k, values: e}
		if t.IsSetType() {
			x.id = e
		}
		if keyed {
			if !x.id.IsKnown() || x.id.IsNull() {
				d.Error(at, "Missing value", "A key of for_each must not be null.")
				return nil, false
			}
			if x.key = x.id.AsString(); !validKey.MatchString(x.key) {
				d.Error(at, "Invalid key", `%q cannot be a key: a key is part of addresses and paths, 1 to 64 characters long and without / \ " $ %% { }.`, x.key)
				ok = false
				continue
			}
		}
		list = append(list, x)
	}
	return list, ok
}

// content gives what a schema knows of a block's body, and what it does not know; what for_each and dynamic make stands in the place
// of them.
func (d *Decoder) content(block *hcl.Block, schema *hcl.BodySchema) (content *hcl.BodyContent, strays []Stray, diags hcl.Diagnostics) {
	body, in := unmake(block.Body)
	extended := &hcl.BodySchema{Attributes: schema.Attributes, Blocks: append(slices.Clone(schema.Blocks), hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"type"}})}
	if repeats(block.Type) {
		extended.Attributes = append(slices.Clone(schema.Attributes), hcl.AttributeSchema{Name: "for_each"})
	}
	content, strays, diags = Content(body, extended)
	delete(content.Attributes, "for_each")
	if in != nil {
		for name, a := range content.Attributes {
			b := *a
			b.Expr = bind(a.Expr, in)
			content.Attributes[name] = &b
		}
	}
	written := content.Blocks
	content.Blocks = nil
	for _, b := range written {
		if in != nil {
			x := *b
			x.Body = made{Body: b.Body, in: in}
			b = &x
		}
		if isRule := b.Type == "alert" || b.Type == "record"; isRule && block.Type == "rules" {
			if b = packOf(in).edited(b); b == nil {
				continue // disabled
			}
		}
		switch b.Type {
		case "dynamic":
			content.Blocks = append(content.Blocks, d.dynamic(b, block, schema)...)
		case "alert", "record":
			blocks, _, _ := d.expand(b)
			content.Blocks = append(content.Blocks, blocks...)
		default:
			content.Blocks = append(content.Blocks, b)
		}
	}
	for _, o := range overridesOf(block) {
		more, problems := d.override(content, block, o, extended)
		strays, diags = append(strays, more...), append(diags, problems...)
	}
	return content, strays, diags
}

// dynamic makes the blocks that a dynamic block asks for.
func (d *Decoder) dynamic(b, outer *hcl.Block, schema *hcl.BodySchema) (blocks hcl.Blocks) {
	at := slices.IndexFunc(schema.Blocks, func(s hcl.BlockHeaderSchema) bool { return s.Type == b.Labels[0] })
	if at < 0 {
		var names []string
		for _, s := range schema.Blocks {
			names = append(names, s.Type)
		}
		d.Error(b.LabelRanges[0], "Unknown block", "%s has no block %q.%s", Title(outer), b.Labels[0], DidYouMean(b.Labels[0], names))
		return nil
	}
	of := schema.Blocks[at]
	body, in := unmake(b.Body)
	content, strays, diags := Content(body, &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "for_each"}, {Name: "iterator"}, {Name: "labels"}}, Blocks: []hcl.BlockHeaderSchema{{Type: "content"}},
	})
	d.Diags = append(d.Diags, diags...)
	for _, s := range strays {
		hint := oneOf(s.Name, "for_each", "iterator", "labels", "content")
		if !s.IsBlock {
			hint = " Arguments of the blocks that it makes are inside content { … }."
		}
		d.cfg.HideBehind(s.At)
		d.Error(s.At, "Unknown argument", "dynamic %q has no argument %q.%s", of.Type, s.Name, hint)
	}
	a := content.Attributes["for_each"]
	if a == nil || len(content.Blocks) != 1 {
		d.Error(Header(b), "Incomplete dynamic block", "It takes for_each = … and one block content { … }.")
		return nil
	}
	name := of.Type
	if x := content.Attributes["iterator"]; x != nil {
		if name = hcl.ExprAsKeyword(x.Expr); name == "" {
			d.Error(x.Expr.Range(), "Invalid iterator", "iterator takes a name, without quotes.")
			return nil
		}
	}
	if len(of.LabelNames) > 0 && content.Attributes["labels"] == nil {
		d.Error(Header(b), "Missing labels", "A block %s has the label %s: write labels = [%s.value].", of.Type, strings.Join(of.LabelNames, " and "), name)
		return nil
	}
	from := &origin{Expression: bind(a.Expr, in)}
	list, ok := d.elements(from.Expression, false)
	if !ok { // one that is only looked at
		list = []element{{id: cty.DynamicVal, values: cty.DynamicVal}}
	}
	for _, e := range list {
		x := &hcl.Block{Type: of.Type, DefRange: b.DefRange, TypeRange: b.LabelRanges[0]}
		now := &iteration{name: name, value: e.object(), around: in, shadow: !ok || in != nil && in.shadow, from: from}
		if labels := content.Attributes["labels"]; labels != nil && !d.labels(x, bind(labels.Expr, now), len(of.LabelNames), now.shadow) {
			return blocks
		}
		x.Body = made{Body: content.Blocks[0].Body, in: now}
		blocks = append(blocks, x)
	}
	return blocks
}

func (d *Decoder) labels(x *hcl.Block, expr hcl.Expression, count int, shadow bool) bool {
	v, ok := d.Value(expr)
	if !ok {
		return false
	}
	plain, marks := v.UnmarkDeep()
	if !isList(plain.Type()) || !plain.IsKnown() || plain.IsNull() || plain.LengthInt() != count || len(marks) > 0 {
		d.Error(expr.Range(), "Wrong labels", "labels takes a list of %d texts, and no secret.", count)
		return false
	}
	for it := plain.ElementIterator(); it.Next(); {
		_, e := it.Element()
		text := fmt.Sprintf("(unknown %s)", x.Type)
		if IsText(e) {
			text = e.AsString()
		} else if !shadow || e.IsKnown() {
			d.Error(expr.Range(), "Wrong labels", "labels takes a list of %d texts, and no secret.", count)
			return false
		}
		x.Labels, x.LabelRanges = append(x.Labels, text), append(x.LabelRanges, expr.Range())
	}
	return true
}

// traversalOf reads source.etcd.main[each.key] and pack.etcd[each.key].source, whose keys are the only thing that is evaluated in a reference.
func (d *Decoder) traversalOf(expr hcl.Expression, in *iteration) (t hcl.Traversal, keyed, ok bool) {
	switch x := expr.(type) {
	case *hclsyntax.IndexExpr:
		if t, _, ok = d.traversalOf(x.Collection, in); !ok || !IsKind(t.RootName()) && t.RootName() != "pack" {
			return nil, false, false
		}
		key, ok := d.Value(bind(x.Key, in))
		if !ok {
			return nil, true, false // said
		}
		return append(slices.Clone(t), hcl.TraverseIndex{Key: key, SrcRange: x.Key.Range()}), true, true
	case *hclsyntax.RelativeTraversalExpr:
		t, keyed, ok := d.traversalOf(x.Source, in)
		return append(slices.Clone(t), x.Traversal...), keyed, ok
	}
	t, diags := hcl.AbsTraversalForExpr(expr)
	return t, false, !diags.HasErrors()
}
