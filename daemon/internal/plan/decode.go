package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/magpie-monitoring/magpie/daemon/internal/config"
	"github.com/magpie-monitoring/magpie/sdk"
)

// body is a decoded block: the attributes that have a value, written or by default, and the blocks in it.
type body struct {
	kind   string // the block's type
	title  string // as people write it: source "etcd" "main"
	header hcl.Range
	labels []string
	many   bool // one of a repeated block
	fields []*field
	broken bool // a mistake was reported: this is not the whole
}

// field is an attribute, or the blocks of one name.
type field struct {
	name      string
	attr      *sdk.Attribute // nil: blocks, or a label
	blocks    []*body
	expr      hcl.Expression // nil: nobody wrote it
	at        hcl.Range
	value     any // as the plugin is sent it
	text      string
	sum       string
	sensitive bool
}

// decodeCore reads a block of language at the top of a file, with its name.
func (b *builder) decodeCore(block *hcl.Block) *body {
	x := b.decode(block, schemas[block.Type], nil)
	for i, label := range block.Labels {
		name := "name"
		if block.Type == "alert" {
			name = "label"
		}
		x.fields = append(x.fields, &field{name: name, value: label, at: block.LabelRanges[i]})
	}
	return x
}

// decode reads a block by its schema. outer is the schema of the block around it, nil for one at the top.
func (b *builder) decode(block *hcl.Block, schema, outer *sdk.Schema) *body {
	x := &body{kind: block.Type, title: title(block), header: config.Header(block), labels: block.Labels}
	content, strays, diags := config.Content(block.Body, bodySchema(schema))
	b.Diags = append(b.Diags, diags...)
	x.broken = diags.HasErrors() || len(strays) > 0
	meant := map[string]bool{} // by misspelt names
	for _, s := range strays {
		meant[b.stray(x, s, schema, outer)] = true
	}
	for i := range schema.Attributes {
		a := &schema.Attributes[i]
		written := content.Attributes[a.Name]
		if old := content.Attributes[a.Was]; a.Was != "" && old != nil {
			if written == nil {
				written = old
				b.Warn(old.NameRange, "Renamed argument", "%q is called %q now.", a.Was, a.Name)
			} else {
				b.Error(old.NameRange, "Duplicate argument", "%q is written too, at %s: remove this one.", a.Name, config.Place(written.NameRange))
			}
		}
		var f *field
		if written != nil {
			f = b.read(x, a, written)
		}
		if f == nil && a.HasDefault {
			f = b.defaultOf(a, x.header)
		}
		if f != nil && f.value == true && a.Doc == schemas["component"].Attributes[0].Doc {
			continue // enabled: without it, this would not be here
		} else if f != nil {
			x.fields = append(x.fields, f)
		} else if a.Required && written == nil && !meant[a.Name] {
			x.broken = true
			b.Error(x.header, "Missing argument", "%s needs %s, %s: %s", x.title, a.Name, takes(b.typeOf(a), a.Unit), a.Doc)
		}
	}
	for i := range schema.Blocks {
		b.decodeBlocks(x, &schema.Blocks[i], schema, content.Blocks.OfType(schema.Blocks[i].Name), meant)
	}
	return x
}

func (b *builder) decodeBlocks(x *body, s *sdk.Block, outer *sdk.Schema, blocks hcl.Blocks, meant map[string]bool) {
	if len(blocks) == 0 {
		if s.Required && !meant[s.Name] {
			x.broken = true
			b.Error(x.header, "Missing block", "%s needs a block %s { … }: %s", x.title, s.Name, s.Doc)
		}
		return
	}
	if !s.Many && len(blocks) > 1 {
		x.broken = true
		b.Error(config.Header(blocks[1]), "Duplicate block", "%s takes one block %s, and there is one at %s already.", x.title, s.Name, config.Place(config.Header(blocks[0])))
	}
	f := &field{name: s.Name}
	for _, nested := range blocks {
		y := b.decode(nested, &s.Body, outer)
		y.many = s.Many
		for i, label := range s.Labels {
			y.fields = append(y.fields, &field{name: label, value: nested.Labels[i], at: nested.LabelRanges[i]})
		}
		x.broken = x.broken || y.broken
		f.blocks = append(f.blocks, y)
		if !s.Many {
			break
		}
	}
	x.fields = append(x.fields, f)
}

// title is how a block begins.
func title(b *hcl.Block) string {
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
	}
	return h
}

// notYet says what to write instead of the arguments that this version does not have, in the blocks that will take them.
var notYet = map[string]string{
	"for_each":          "Write a block for each.",
	"dynamic":           "Write a block for each.",
	"http.tls":          "Serve on a loopback address, behind a proxy that speaks TLS.",
	"http.auth":         "Serve on a loopback address, behind a proxy that asks who is there.",
	"rules.files":       "Write the rules as alert and record blocks.",
	"alert.diagnose":    "Remove it.",
	"component.isolate": "The components of a plugin share one process.",
	"component.plugin":  "Keep one plugin that offers the type in the plugin directories.",
	"component.queue":   "The buffer keeps what a sink has not taken yet, and drops the oldest when it is full.",
}

// stray says what to write instead of a name that the schema does not know, and gives the name that was probably meant.
func (b *builder) stray(x *body, s config.Stray, schema, outer *sdk.Schema) string {
	if b.Flooded() {
		b.cfg.HideBehind(s.At)
		b.Error(s.At, "Unknown argument", "%s is not known here.", s.Name)
		return ""
	}
	in := x.kind
	if outer == nil && kinds[sdk.Kind(in)] {
		in = "component"
	}
	later := cmp.Or(notYet[in+"."+s.Name], notYet[s.Name])
	inside := slices.IndexFunc(schema.Blocks, func(n sdk.Block) bool { return n.Name != s.Name && slices.Contains(namesOf(&n.Body), s.Name) })
	guess, summary, text, secret := "", "Argument in the wrong block", "", false
	switch names := namesOf(schema); {
	case slices.Contains(names, s.Name) && s.IsBlock:
		guess, summary, text = s.Name, "Argument written as a block", fmt.Sprintf("%s of %s is an argument: write %s = { … }.", s.Name, x.title, s.Name)
	case slices.Contains(names, s.Name):
		guess, summary, text = s.Name, "Block written as an argument", fmt.Sprintf("%s of %s is a block: write %s { … }, without =.", s.Name, x.title, s.Name)
	case inside >= 0:
		guess = schema.Blocks[inside].Name
		text = fmt.Sprintf("%s belongs inside the block %s:\n  %s {\n    %s = …\n  }", s.Name, guess, guess, s.Name)
	case outer != nil && slices.Contains(namesOf(outer), s.Name):
		text = fmt.Sprintf("%s belongs outside of the block %s, into the block around it.", s.Name, x.title)
	case later != "":
		summary, text = "Not in this version yet", fmt.Sprintf("This version does not have %s. %s", s.Name, later)
	case in == "component" && x.kind == "source" && s.Name == "discover":
		summary, text = "Unknown argument", x.title+" does not take targets from discoveries."
	case in == "component" && slices.Contains(namesOf(schemas["source"]), s.Name):
		summary, text = "Unknown argument", s.Name+" is an argument of sources only."
	default:
		guess = config.Closest(s.Name, names)
		hint := config.DidYouMean(s.Name, names)
		if guess == "" && len(names) > 0 {
			hint = " It takes " + strings.Join(names, ", ") + "."
		}
		summary, text = "Unknown argument", fmt.Sprintf("%s has no argument %q.%s", x.title, s.Name, hint)
		secret = holdsSecret(schema, guess)
	}
	if secret || s.IsBlock || config.SoundsSecret(s.Name) {
		b.cfg.HideBehind(s.At)
	}
	b.Error(s.At, summary, "%s", text)
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

// field finds a field, nil if it has no value.
func (x *body) field(name string) *field {
	for _, f := range x.fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// nested are the blocks in a block, in the order of the file.
func (x *body) nested() (blocks []*body) {
	for _, f := range x.fields {
		blocks = append(blocks, f.blocks...)
	}
	slices.SortFunc(blocks, func(y, z *body) int { return y.header.Start.Byte - z.header.Start.Byte })
	return blocks
}

// setDefault gives an attribute that nobody wrote the value that the configuration as a whole implies.
func (b *builder) setDefault(x *body, schema *sdk.Schema, name string, value any) {
	for i := range schema.Attributes {
		if a := &schema.Attributes[i]; a.Name == name && x.field(name) == nil {
			x.fields = append(x.fields, b.newField(a, nil, x.header, value))
		}
	}
}

// values are the fields as a plugin is sent them, but for those of a schema.
func (x *body) values(without *sdk.Schema) map[string]any {
	m := map[string]any{}
	for _, f := range x.fields {
		switch {
		case without != nil && slices.ContainsFunc(without.Attributes, func(a sdk.Attribute) bool { return a.Name == f.name }):
		case f.blocks == nil:
			m[f.name] = f.value
		case f.blocks[0].many:
			list := []any{}
			for _, y := range f.blocks {
				list = append(list, y.values(nil))
			}
			m[f.name] = list
		default:
			m[f.name] = f.blocks[0].values(nil)
		}
	}
	return m
}

// fill sets a struct of language.
func fill[T any](x *body) (t T) {
	data, err := json.Marshal(x.values(nil))
	if err == nil {
		err = sdk.Fill(&t, data)
	}
	if err != nil {
		panic(err) // the schema is made from T: what fits the one fits the other
	}
	return t
}

// attrs lists the attributes for plan and show.
func (x *body) attrs(prefix string) (list []Attr) {
	for _, f := range x.fields {
		if f.attr != nil && f.text != "" {
			list = append(list, Attr{
				Path: prefix + f.name, Text: f.text, Sum: f.sum, Default: f.expr == nil, Sensitive: f.sensitive, Change: f.attr.Change, Range: f.at,
			})
		}
		seen := map[string]int{}
		for i, y := range f.blocks {
			path := prefix + f.name
			if label := strings.Join(y.labels, " "); label != "" {
				path += fmt.Sprintf("[%q]", label)
				if seen[label]++; seen[label] > 1 {
					path += fmt.Sprintf("#%d", seen[label])
				}
			} else if y.many {
				path += fmt.Sprintf("[%d]", i)
			}
			inner := y.attrs(path + ".")
			if inner == nil {
				inner = []Attr{{Path: path, Text: "{}", Change: sdk.Replace, Range: y.header}}
			}
			list = append(list, inner...)
		}
	}
	return list
}

// rangeOf finds what a path names: its value if somebody wrote it, or else the nearest thing around it.
func (x *body) rangeOf(path sdk.Path) hcl.Range {
	if len(path) == 0 {
		return x.header
	}
	f := x.field(path[0].Name)
	switch {
	case f == nil:
		return x.header
	case len(f.blocks) > 0:
		rest, i := path[1:], 0
		if len(rest) > 0 && rest[0].Name == "" && rest[0].Key == "" {
			rest, i = rest[1:], min(rest[0].Index, len(f.blocks)-1)
		}
		return f.blocks[max(0, i)].rangeOf(rest)
	case f.expr == nil:
		return f.at
	}
	return within(f.expr, path[1:]).Range()
}

// within finds the expression of an element.
func within(expr hcl.Expression, path sdk.Path) hcl.Expression {
	for _, step := range path {
		var next hcl.Expression
		if list, diags := hcl.ExprList(expr); !diags.HasErrors() && step.Key == "" && step.Index >= 0 && step.Index < len(list) {
			next = list[step.Index]
		}
		if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() && step.Key != "" {
			for _, p := range pairs {
				if k, diags := p.Key.Value(nil); !diags.HasErrors() && isText(k) && k.AsString() == step.Key {
					next = p.Value
				}
			}
		}
		if next == nil {
			break
		}
		expr = next
	}
	return expr
}
