package language

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"go.yaml.in/yaml/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// What a pack block disables and overrides of the pack's rule files. Which rules those have is known when they are read, after all blocks are declared:
// a name that no block of the pack has waits until then.

// edit is a name that a pack block disables or overrides, with its place.
type edit struct {
	name string
	at   hcl.Range
	expr *hcl.Attribute // that an override has
}

// ofFile are the types of what a rule file may have.
var ofFile = []string{"alert", "record", "rules"}

// inFile reports whether a name that no block of the pack has may be one of its rule files, and lets it wait for them.
func (d *Decoder) inFile(p *Pack, e edit) bool {
	kind, _, _ := strings.Cut(e.name, ".")
	if !slices.Contains(ofFile, kind) || !p.reads {
		return false
	}
	if p.waiting == nil {
		p.inFiles = map[string]int{}
		d.waiting = append(d.waiting, p)
	}
	p.waiting = append(p.waiting, e)
	return true
}

func readsFiles(b *hcl.Block) bool { return b.Type == "rules" && attributeOf(b, "files") != nil }

// editedGroup is a group of a rule file as the pack block has it, nil if it is disabled. The name of a rules block is that: then it does not mean the
// group.
func (f *ruleFile) editedGroup(x *Body) *Body {
	name := "rules." + x.Labels[0]
	if f.pack == nil || slices.Contains(f.pack.known, name) {
		return x
	}
	return f.edited(x, name, &sdk.Schema{Attributes: slices.DeleteFunc(slices.Clone(Core["rules"].Attributes), func(a sdk.Attribute) bool {
		return a.Name != "interval" && a.Name != "limit" && a.Name != "query_offset"
	})})
}

// editedRule is a rule of a rule file as the pack block has it, nil if it is disabled. Below the labels that an override gives are those of the group.
func (f *ruleFile) editedRule(y *Body, groupLabels *yaml.Node) *Body {
	if y = f.edited(y, y.Kind+"."+y.Labels[0], Core[y.Kind]); y == nil || groupLabels == nil {
		return y
	}
	if own := y.Field("labels"); own != nil && own.IsOverride() {
		group := &Body{Kind: y.Kind}
		f.texts(group, "labels", groupLabels)
		all := map[string]any{}
		for _, labels := range append(group.Fields, own) {
			m, _ := labels.Value.(map[string]any)
			maps.Copy(all, m)
		}
		*own = *f.NewField(own.Attr, own.Expr, own.At, all)
	}
	return y
}

func (f *ruleFile) edited(x *Body, name string, schema *sdk.Schema) *Body {
	p := f.pack
	if p == nil {
		return x
	}
	if p.inFiles != nil {
		p.inFiles[name]++
	}
	if _, disabled := p.without[name]; disabled {
		return nil
	}
	began := len(f.Diags)
	for _, o := range p.over[name] {
		f.overrideOfFile(x, o, schema)
	}
	if p.keyed() {
		saidIn(p.Prefix()+name, f.Diags[began:])
	}
	return x
}

// overrideOfFile puts what an override says in the place of what a rule file says.
func (d *Decoder) overrideOfFile(x *Body, o *override, schema *sdk.Schema) {
	content, strays, diags := Content(o.body, bodySchema(schema))
	d.Diags = append(d.Diags, diags...)
	for _, s := range strays {
		if s.Name == "for_each" {
			d.Error(s.At, "for_each of a rule file", "What a rule file has is there once: disable it, and write an alert with for_each beside the pack.")
			continue
		}
		d.stray(x, s, schema, nil)
	}
	for i := range schema.Attributes {
		a := &schema.Attributes[i]
		written := content.Attributes[a.Name]
		if written == nil {
			continue
		}
		y := *written
		y.Expr = bound{written.Expr, o.in, true}
		was := slices.IndexFunc(x.Fields, func(f *Field) bool { return f.Name == a.Name && f.Attr != nil })
		f := d.Attribute(x, a, &y)
		if f == nil && a.HasDefault { // null takes away what the file says
			f = d.defaultOf(a, x.Header)
		}
		if was < 0 {
			was = len(x.Fields)
		} else {
			x.Fields = slices.Delete(x.Fields, was, was+1)
		}
		if f != nil && !(f.Value == true && slices.Contains(a.Checks, Quiet)) {
			x.Fields = slices.Insert(x.Fields, was, f)
		}
	}
}

// CheckEdits says what pack blocks disable and override that neither a block of the pack nor one of its rule files has, when all of those have been read.
func (d *Decoder) CheckEdits() {
	for _, p := range d.waiting {
		off := d.unreadFiles(p)
		for _, e := range p.waiting {
			switch n := p.inFiles[e.name]; {
			case n > 1 && e.expr != nil:
				d.Error(e.expr.Expr.Range(), "One expression for several rules", "The rule files of the pack have %d rules %s: each would get this expression. Disable them, and write your own beside the pack.", n, e.name)
			case n > 0 || p.text.partial || p.unread:
			case off != "":
				d.Warn(e.at, "Nothing to change", "The pack in %s has no %s. A rule file that %s names may have it, and that is not enabled.%s", p.Place, e.name, off, d.likeIn(p, e.name))
			default:
				d.notInPack(p, e.name, e.at)
			}
		}
	}
}

// unreadFiles is a rules block with files that is not on, "" if there is none.
func (d *Decoder) unreadFiles(p *Pack) string {
	on := map[string]bool{}
	for _, b := range d.Blocks("rules") {
		if PackOf(b) == p {
			on[b.Labels[0]] = true
		}
	}
	for _, b := range p.text.blocks {
		if readsFiles(b) && !on[b.Labels[0]] {
			return Title(b)
		}
	}
	return ""
}

// notInPack says that a pack has nothing of a name.
func (d *Decoder) notInPack(p *Pack, name string, at hcl.Range) {
	kind, _, _ := strings.Cut(name, ".")
	hint := d.likeIn(p, name)
	if hint == "" && !d.Flooded() {
		same := slices.DeleteFunc(p.all(), func(k string) bool { return !strings.HasPrefix(k, kind+".") })
		if len(same) > 10 {
			same = append(same[:10], "…")
		}
		if len(same) > 0 {
			hint = " There are " + strings.Join(same, ", ") + "."
		}
	}
	d.Error(at, "Not in the pack", "The pack in %s has no %s.%s", p.Place, name, hint)
}

// all are the names of what is in a pack, as far as it is known.
func (p *Pack) all() []string { return append(slices.Clone(p.known), Sorted(p.inFiles)...) }

func (d *Decoder) likeIn(p *Pack, name string) string {
	if d.Flooded() {
		return ""
	}
	return DidYouMean(name, p.all())
}
