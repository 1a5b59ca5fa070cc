package language

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// Pack is a pack block at work, once for each key of its for_each.
type Pack struct {
	Name    string
	Key     string    // ["prod"], or nothing
	Header  hcl.Range // of the pack block
	Place   string    // directory or archive
	Around  *Pack     // nil: the configuration itself
	locals  map[string]*local
	over    map[string][]*override // by what it is called in the pack: alert.down
	without map[string]hcl.Range   // disabled
	text    *packText
	known   []string       // what its blocks are called
	reads   bool           // it has rule files
	waiting []edit         // what the pack block says of none of them
	inFiles map[string]int // what its rule files have of each name, where something waits for that
	unread  bool           // a rule file has mistakes: what is in it is not known
}

// declaredPack is what is known of an address pack.NAME.
type declaredPack struct {
	each bool // it means several
	open bool // what is in it is declared
}

// packOf is the pack that an expression stands in, nil for the configuration itself.
func packOf(in *iteration) *Pack {
	for ; in != nil; in = in.around {
		if in.pack != nil {
			return in.pack
		}
	}
	return nil
}

// Address is what references call it.
func (p *Pack) Address() string { return p.Around.Prefix() + "pack." + p.Name + p.Key }

// Prefix begins the addresses of all that is in it; "" outside of packs.
func (p *Pack) Prefix() string {
	if p == nil {
		return ""
	}
	return p.Address() + "."
}

// Within reports whether it is what an address means, one of its for_each, or in such a pack.
func (p *Pack) Within(address string) bool {
	for ; p != nil; p = p.Around {
		if own := p.Address(); own == address || slices.Contains(withoutKeys(own), address) {
			return true
		}
	}
	return false
}

// PackOf is the pack that a block is in, nil if none.
func PackOf(block *hcl.Block) *Pack {
	_, in := unmake(block.Body)
	return packOf(in)
}

// keyed reports whether there may be others of the same files beside it.
func (p *Pack) keyed() bool { return p != nil && (p.Key != "" || p.Around.keyed()) }

// edited gives a block of a pack's files what it sees, and what stands in its place. nil: it is disabled.
func (p *Pack) edited(b *hcl.Block) *hcl.Block {
	if p == nil {
		return b
	}
	name := strings.Join(append([]string{b.Type}, b.Labels...), ".")
	if _, disabled := p.without[name]; disabled {
		return nil
	}
	body, in := unmake(b.Body)
	if in == nil {
		in = &iteration{pack: p}
	}
	x := *b
	x.Body = made{Body: body, in: in, key: Key(b), over: p.over[name]}
	return &x
}

// openPack declares what a pack block brings in.
func (d *Decoder) openPack(block *hcl.Block) {
	address := Address(block)
	each := Key(block) != "" || isShadow(block)
	d.packs[address] = &declaredPack{each: each}
	general := withoutKeys(address)
	for _, a := range general {
		if d.packs[a] == nil {
			d.packs[a] = &declaredPack{each: true}
		}
	}
	_, in := unmake(block.Body)
	var quiet Report // it was said when the files were read
	at, ok := d.cfg.place(&quiet, block)
	if on := d.declared[address]; !ok || isShadow(block) || on == nil || !on.enabled {
		return
	}
	p := &Pack{Name: block.Labels[0], Key: Key(block), Header: Header(block), Place: at.name, Around: packOf(in), locals: map[string]*local{}}
	depth := 1
	for q := p.Around; q != nil; q = q.Around {
		if depth++; q.Place == p.Place {
			d.Error(at.at, "Cycle", "The pack brings itself in: %s is of the same files.", q.Address())
			return
		}
	}
	if depth > maxPacks {
		d.Error(at.at, "Packs in packs", "Packs are at most %d deep in each other.", maxPacks)
		return
	}
	text := d.cfg.packs[at.name]
	if problem := d.cfg.problems[at.name]; at.name == d.cfg.own && !IsArchive(at.name) {
		d.Error(at.at, "Cycle", "This is the directory of the configuration itself: a pack has one of its own.")
		return
	} else if problem != "" {
		if problem != otherArchive { // said
			d.Error(at.at, "No such pack", "%s cannot be read: %s.", at.source, strings.TrimSuffix(problem, "."))
		}
		return
	} else if text == nil {
		if !d.cfg.opened[at.name] || !d.cfg.Partial {
			d.Error(at.at, "No such pack", "There is no *.hcl file in %s.", at.name)
		}
		return
	}
	if d.made += text.weight; d.made > maxMade {
		d.Error(Header(block), "Too many blocks", "All for_each and packs of a configuration make at most %d blocks.", maxMade)
		return
	}
	for _, a := range append(general, address) {
		d.packs[a].open = true
	}
	d.give(p, text, block)
	d.evaluateAll(p.locals)
	var blocks []*hcl.Block
	for _, b := range text.blocks {
		if x := p.edited(b); x != nil {
			blocks = append(blocks, x)
		}
	}
	d.declareAll(blocks)
}

// withoutKeys are the addresses that mean an address among others.
func withoutKeys(address string) (general []string) {
	for i := 0; i < len(address); i++ {
		if address[i] != '[' {
			continue
		}
		end := i + strings.Index(address[i:], `"]`) + 2
		for _, rest := range append(withoutKeys(address[end:]), address[end:]) {
			general = append(general, address[:i]+rest)
		}
		for _, rest := range withoutKeys(address[end:]) {
			general = append(general, address[:end]+rest)
		}
		return general
	}
	return nil
}

// give reads a pack block: the variables get what it says, and what it changes of the pack is noted.
func (d *Decoder) give(p *Pack, text *packText, block *hcl.Block) {
	in := &iteration{pack: p}
	for name, l := range text.locals {
		p.locals[name] = &local{name: name, expr: l.expr, at: l.at, variable: l.variable, in: in}
	}
	variables := names(p.locals, "var.")
	schema := &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "source"}, {Name: "sha256"}, {Name: "disable"}, {Name: "enabled"}}}
	for _, name := range variables {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	content, strays, diags := d.content(block, schema)
	d.Diags = append(d.Diags, diags...)
	meant := map[string]bool{}
	for _, s := range strays {
		if s.Name == "override" {
			continue
		}
		if SoundsSecret(s.Name) || s.IsBlock || text.keepsSecrets() {
			d.cfg.HideBehind(s.At)
		}
		guess := Closest(s.Name, append(slices.Clone(variables), ofPack...))
		meant[guess] = true
		hint := DidYouMean(s.Name, append(slices.Clone(variables), ofPack...))
		if hint == "" && len(variables) > 0 {
			hint = " It has " + strings.Join(variables, ", ") + "."
		}
		d.Error(s.At, "Unknown variable", "The pack in %s has no variable %q.%s", p.Place, s.Name, hint)
	}
	for _, name := range variables {
		l, a := p.locals["var."+name], content.Attributes[name]
		switch {
		case a != nil:
			l.given = &given{expr: a.Expr, at: a.Expr.Range()}
		case l.expr == nil:
			l.state = 2 // what depends on it stays quiet
			if !l.variable.broken && !meant[name] && !text.partial {
				d.Error(p.Header, "Missing variable", "%s needs %s, %s:%s (%s)", Title(block), name, called(l.variable.typ), cmp.Or(describes(l.variable), " it has no default."), Place(l.at))
			}
		}
	}
	d.edits(p, text, block, content.Attributes["disable"])
}

// keepsSecrets reports whether one of the variables is sensitive: a misspelt one may be that.
func (t *packText) keepsSecrets() bool {
	for _, l := range t.locals {
		if l.variable != nil && l.variable.sensitive {
			return true
		}
	}
	return false
}

// describes is what a variable says of itself, to end a sentence.
func describes(v *variable) string {
	content, _, _ := v.block.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "description"}}})
	if a := content.Attributes["description"]; a != nil {
		if text, diags := a.Expr.Value(nil); !diags.HasErrors() && IsText(text) {
			return " " + Sentence(fmt.Sprintf("%.200s", text.AsString()))
		}
	}
	return ""
}

// IsPack reports whether this is a pack looked at by itself: it has neither a file config.hcl nor a block that only a configuration of a daemon needs.
func (c *Config) IsPack() bool {
	for name := range c.order {
		if name == "config.hcl" || strings.HasSuffix(name, "/config.hcl") && c.fromPack(name) == "" {
			return false
		}
	}
	return len(c.Blocks) > 0 && !slices.ContainsFunc(c.Blocks, func(b *hcl.Block) bool {
		return notInPacks[b.Type] != "" || b.Type == "store" || b.Type == "sink"
	})
}
