package language

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Decoder reads blocks by their schemas, and reports what is wrong with them.
type Decoder struct {
	*Scope
	// HMACKey is of the sums of secrets; without one, a changed secret is not seen.
	HMACKey []byte

	types    map[string]cty.Type
	defaults map[*sdk.Attribute]*Field
	declared map[string]*declared
	blocks   []*hcl.Block        // with those that for_each makes
	byPrefix map[string][]string // kind, kind.type, or what has a for_each → addresses
	on       map[string][]string // the same without what is not enabled, of what was asked for
	used     map[string]bool     // addresses that something refers to
	edges    int                 // what all references mean
	made     int                 // blocks that for_each, dynamic and packs made
	moved    []*hcl.Block
	packs    map[string]*declaredPack // by address, with and without keys
	waiting  []*Pack                  // whose pack blocks change what may be in rule files
}

// NewDecoder makes a decoder of the blocks of a configuration.
func NewDecoder(s *Scope) *Decoder {
	return &Decoder{
		Scope: s, types: map[string]cty.Type{}, defaults: map[*sdk.Attribute]*Field{},
		declared: map[string]*declared{}, byPrefix: map[string][]string{}, on: map[string][]string{}, used: map[string]bool{}, packs: map[string]*declaredPack{},
	}
}

// References is the type of attributes that take the addresses of components: they are not evaluated. Their checks are the kinds that they take.
const References = "references"

// Checks of attributes that plugins do not have.
const (
	Public = "public" // what it says is in series, notifications or the API, and no place for a secret
	Quiet  = "quiet"  // true goes without saying: the body lacks it
)

// Body is a decoded block: the attributes that have a value, written or by default, and the blocks in it.
type Body struct {
	Kind   string // the block's type
	Title  string // as people write it: source "etcd" "main"
	Key    string // of one that for_each made: ["prod"]
	Pack   *Pack  // that it is in; nil: none
	Header hcl.Range
	Labels []string
	Fields []*Field
	Broken bool // a mistake was reported: this is not the whole

	many      bool // one of a repeated block
	overrides bool // it stands in an override
}

// Field is an attribute, or the blocks of one name.
type Field struct {
	Name      string
	Attr      *sdk.Attribute // nil: blocks, or a label
	Blocks    []*Body
	Expr      hcl.Expression // nil: nobody wrote it
	At        hcl.Range
	Value     any // as the plugin is sent it
	Text      string
	Sum       string
	Sensitive bool
}

// Attr is one attribute's value as people may see it.
type Attr struct {
	Path      string // interval, tls.ca_file, target[0].labels
	Text      string // as HCL; "(sensitive)" for a secret
	Sum       string // keyed HMAC of a secret, so that a changed one is seen
	Default   bool   // nobody wrote it
	Sensitive bool
	Change    sdk.Change
	Range     hcl.Range // where it is written; the header if Default
}

// Block reads a block by its schema. outer is the schema of the block around it, nil for one at the top.
func (d *Decoder) Block(block *hcl.Block, schema, outer *sdk.Schema) *Body {
	x := &Body{Kind: block.Type, Title: Title(block), Key: Key(block), Header: Header(block), Labels: block.Labels}
	began := len(d.Diags)
	m, _ := block.Body.(made)
	x.overrides = m.overrides
	if x.Pack = packOf(m.in); x.Key != "" || x.Pack.keyed() {
		defer func() { saidIn(Address(block), d.Diags[began:]) }()
	}
	content, strays, diags := d.content(block, bodySchema(schema))
	d.Diags = append(d.Diags, diags...)
	x.Broken = d.Diags[began:].HasErrors() || len(strays) > 0 || isShadow(block)
	meant := map[string]bool{} // by misspelt names
	for _, s := range strays {
		meant[d.stray(x, s, schema, outer)] = true
	}
	for i := range schema.Attributes {
		a := &schema.Attributes[i]
		written := content.Attributes[a.Name]
		if old := content.Attributes[a.Was]; a.Was != "" && old != nil {
			if written == nil || isOverride(old.Expr) != isOverride(written.Expr) {
				if written == nil || isOverride(old.Expr) {
					written = old
				}
				d.renamed(old.NameRange, "Renamed argument", a.Was, a.Name)
			} else {
				x.Broken = true
				if a.Sensitive {
					d.cfg.HideSecret(old.Expr)
				}
				d.Error(old.NameRange, "Duplicate argument", "%q is written too, at %s: remove this one.", a.Name, Place(written.NameRange))
			}
		}
		var f *Field
		if written != nil {
			f = d.Attribute(x, a, written)
		}
		if f == nil && a.HasDefault {
			f = d.defaultOf(a, x.Header)
		}
		if f != nil && f.Value == true && slices.Contains(a.Checks, Quiet) {
			continue
		} else if f != nil {
			x.Fields = append(x.Fields, f)
		} else if a.Required && written == nil && !meant[a.Name] {
			x.Broken = true
			d.Error(x.Header, "Missing argument", "%s needs %s, %s: %s", x.Title, a.Name, takes(d.typeOf(a), a.Unit), a.Doc)
		}
	}
	for i := range schema.Blocks {
		s := &schema.Blocks[i]
		blocks := content.Blocks.OfType(s.Name)
		if old := content.Blocks.OfType(s.Was); s.Was != "" && len(old) > 0 && len(blocks) > 0 {
			x.Broken = true
			d.Error(old[0].TypeRange, "Duplicate block", "%q is called %q now, and that is written too, at %s: give all of them one name.", s.Was, s.Name, Place(Header(blocks[0])))
		} else if s.Was != "" {
			for _, b := range old {
				d.renamed(b.TypeRange, "Renamed block", s.Was, s.Name)
				now := *b
				now.Type = s.Name
				blocks = append(blocks, &now)
			}
		}
		d.decodeBlocks(x, s, schema, blocks, meant)
	}
	return x
}

func (d *Decoder) renamed(at hcl.Range, summary, was, is string) {
	d.Warn(at, summary, "%q is called %q now: magpie fmt -migrate writes it so.", was, is)
}

func (d *Decoder) decodeBlocks(x *Body, s *sdk.Block, outer *sdk.Schema, blocks hcl.Blocks, meant map[string]bool) {
	if len(blocks) == 0 {
		if s.Required && !meant[s.Name] {
			x.Broken = true
			d.Error(x.Header, "Missing block", "%s needs a block %s { … }: %s", x.Title, s.Name, s.Doc)
		}
		return
	}
	if !s.Many && len(blocks) > 1 {
		x.Broken = true
		d.Error(Header(blocks[1]), "Duplicate block", "%s takes one block %s, and there is one at %s already.", x.Title, s.Name, Place(Header(blocks[0])))
	}
	f := &Field{Name: s.Name}
	for _, nested := range blocks {
		y := d.Block(nested, &s.Body, outer)
		y.many = s.Many
		for i, label := range s.Labels {
			y.Fields = append(y.Fields, &Field{Name: label, Value: nested.Labels[i], At: nested.LabelRanges[i]})
		}
		x.Broken = x.Broken || y.Broken
		f.Blocks = append(f.Blocks, y)
		if !s.Many {
			break
		}
	}
	x.Fields = append(x.Fields, f)
}

// Title is how a block begins.
func Title(b *hcl.Block) string {
	s := b.Type
	for _, l := range b.Labels {
		s += fmt.Sprintf(" %q", l)
	}
	return s
}

func bodySchema(s *sdk.Schema) *hcl.BodySchema {
	h := &hcl.BodySchema{}
	for _, a := range s.Attributes {
		h.Attributes = append(h.Attributes, hcl.AttributeSchema{Name: a.Name})
		if a.Was != "" {
			h.Attributes = append(h.Attributes, hcl.AttributeSchema{Name: a.Was})
		}
	}
	for _, n := range s.Blocks {
		h.Blocks = append(h.Blocks, hcl.BlockHeaderSchema{Type: n.Name, LabelNames: n.Labels})
		if n.Was != "" {
			h.Blocks = append(h.Blocks, hcl.BlockHeaderSchema{Type: n.Was, LabelNames: n.Labels})
		}
	}
	return h
}

// stray says what to write instead of a name that the schema does not know, and gives the name that was probably meant.
func (d *Decoder) stray(x *Body, s Stray, schema, outer *sdk.Schema) string {
	if d.Flooded() {
		d.cfg.HideBehind(s.At)
		d.Error(s.At, "Unknown argument", "%s is not known here.", s.Name)
		return ""
	}
	inside := slices.IndexFunc(schema.Blocks, func(n sdk.Block) bool { return n.Name != s.Name && slices.Contains(namesOf(&n.Body), s.Name) })
	guess, summary, text, secret := "", "Argument in the wrong block", "", false
	switch names := namesOf(schema); {
	case slices.Contains(names, s.Name) && s.IsBlock:
		guess, summary, text = s.Name, "Argument written as a block", fmt.Sprintf("%s of %s is an argument: write %s = { … }.", s.Name, x.Title, s.Name)
	case slices.Contains(names, s.Name):
		guess, summary, text = s.Name, "Block written as an argument", fmt.Sprintf("%s of %s is a block: write %s { … }, without =.", s.Name, x.Title, s.Name)
	case inside >= 0:
		guess = schema.Blocks[inside].Name
		text = fmt.Sprintf("%s belongs inside the block %s:\n  %s {\n    %s = …\n  }", s.Name, guess, guess, s.Name)
	case outer != nil && slices.Contains(namesOf(outer), s.Name):
		text = fmt.Sprintf("%s belongs outside of the block %s, into the block around it.", s.Name, x.Title)
	default:
		if summary, text = explainStray(x, s, outer); text != "" {
			break
		}
		all := names
		if outer == nil && repeats(x.Kind) {
			all = append(slices.Clone(names), "for_each")
		}
		guess = Closest(s.Name, all)
		hint := DidYouMean(s.Name, all)
		if guess == "" && len(names) > 0 {
			hint = " It takes " + strings.Join(names, ", ") + "."
		}
		summary, text = "Unknown argument", fmt.Sprintf("%s has no argument %q.%s", x.Title, s.Name, hint)
		secret = holdsSecret(schema, guess)
	}
	if secret || s.IsBlock || SoundsSecret(s.Name) {
		d.cfg.HideBehind(s.At)
	}
	d.Error(s.At, summary, "%s", text)
	return guess
}

// holdsSecret reports whether the attribute of a name is sensitive; "": whether one is.
func holdsSecret(s *sdk.Schema, name string) bool {
	return slices.ContainsFunc(s.Attributes, func(a sdk.Attribute) bool { return a.Sensitive && (name == "" || a.Name == name) })
}

func namesOf(s *sdk.Schema) (names []string) {
	for _, a := range s.Attributes {
		names = append(names, a.Name)
	}
	for _, n := range s.Blocks {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return names
}

// Address is what identifies it among all blocks: pack.etcd.rules "etcd"["a"].
func (x *Body) Address() string { return x.Pack.Prefix() + x.Title + x.Key }

// Field finds a field, nil if it has no value.
func (x *Body) Field(name string) *Field {
	for _, f := range x.Fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Nested are the blocks in a block, in the order of the file.
func (x *Body) Nested() (blocks []*Body) {
	for _, f := range x.Fields {
		blocks = append(blocks, f.Blocks...)
	}
	slices.SortStableFunc(blocks, func(y, z *Body) int { // those of an override are in another file
		return cmp.Or(cmp.Compare(y.Header.Filename, z.Header.Filename), cmp.Compare(y.Header.Start.Byte, z.Header.Start.Byte))
	})
	return blocks
}

// SetDefault gives an attribute that nobody wrote the value that the configuration as a whole implies.
func (d *Decoder) SetDefault(x *Body, schema *sdk.Schema, name string, value any) {
	for i := range schema.Attributes {
		if a := &schema.Attributes[i]; a.Name == name && x.Field(name) == nil {
			x.Fields = append(x.Fields, d.NewField(a, nil, x.Header, value))
		}
	}
}

// Values are the fields as a plugin is sent them, but for those of a schema.
func (x *Body) Values(without *sdk.Schema) map[string]any {
	m := map[string]any{}
	for _, f := range x.Fields {
		switch {
		case without != nil && slices.Contains(namesOf(without), f.Name):
		case f.Blocks == nil:
			m[f.Name] = f.Value
		case f.Blocks[0].many:
			list := []any{}
			for _, y := range f.Blocks {
				list = append(list, y.Values(nil))
			}
			m[f.Name] = list
		default:
			m[f.Name] = f.Blocks[0].Values(nil)
		}
	}
	return m
}

// Fill sets the struct that the body's schema was made of.
func Fill[T any](x *Body) (t T) {
	data, err := json.Marshal(x.Values(nil))
	if err == nil {
		err = sdk.Fill(&t, data)
	}
	if err != nil {
		panic(err) // the schema is made from T: what fits the one fits the other
	}
	return t
}

// Attrs lists the attributes for plan and show.
func (x *Body) Attrs(prefix string) (list []Attr) {
	seen := map[string]int{} // by path: loose rules are a field each
	for _, f := range x.Fields {
		if f.Attr != nil && f.Text != "" {
			list = append(list, Attr{
				Path: prefix + f.Name, Text: f.Text, Sum: f.Sum, Default: f.Expr == nil, Sensitive: f.Sensitive, Change: f.Attr.Change, Range: f.At,
			})
		}
		for i, y := range f.Blocks {
			path := prefix + f.Name
			if len(y.Labels) > 0 {
				path += fmt.Sprintf("[%q]%s", strings.Join(y.Labels, " "), y.Key)
				if seen[path]++; seen[path] > 1 {
					path += fmt.Sprintf("#%d", seen[path])
				}
			} else if y.many {
				path += fmt.Sprintf("[%d]", i)
			}
			inner := y.Attrs(path + ".")
			if inner == nil {
				inner = []Attr{{Path: path, Text: "{}", Change: sdk.Replace, Range: y.Header}}
			}
			list = append(list, inner...)
		}
	}
	return list
}

// RangeOf finds what a path names: its value if somebody wrote it, or else the nearest thing around it.
func (x *Body) RangeOf(path sdk.Path) hcl.Range {
	if len(path) == 0 {
		return x.Header
	}
	f := x.Field(path[0].Name)
	switch {
	case f == nil:
		return x.Header
	case len(f.Blocks) > 0:
		rest, i := path[1:], 0
		if len(rest) > 0 && rest[0].Name == "" && rest[0].Key == "" {
			rest, i = rest[1:], min(rest[0].Index, len(f.Blocks)-1)
		}
		return f.Blocks[max(0, i)].RangeOf(rest)
	case f.Expr == nil:
		return f.At
	}
	return Within(f.Expr, path[1:]).Range()
}

// Within finds the expression of an element.
func Within(expr hcl.Expression, path sdk.Path) hcl.Expression {
	expr, in := unbind(expr)
	for _, step := range path {
		var next hcl.Expression
		if list, diags := hcl.ExprList(expr); !diags.HasErrors() && step.Key == "" && step.Index >= 0 && step.Index < len(list) {
			next = list[step.Index]
		}
		if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() && step.Key != "" {
			for _, p := range pairs {
				if k, diags := p.Key.Value(nil); !diags.HasErrors() && IsText(k) && k.AsString() == step.Key {
					next = p.Value
				}
			}
		}
		if next == nil {
			break
		}
		expr = next
	}
	return bind(expr, in)
}
