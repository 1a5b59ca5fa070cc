package language

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// declared is a block that has an address, or what its for_each makes together.
type declared struct {
	block   *hcl.Block
	enabled bool
	each    bool // it has a for_each: its addresses are under byPrefix
	known   bool // of a for_each: what it makes is known
}

// identifier is what a name in a reference may be.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,127}$`)

// Declare gives all blocks of the configuration their addresses, before anything refers to them.
func (d *Decoder) Declare() { d.declareAll(d.cfg.Blocks) }

func (d *Decoder) declareAll(blocks []*hcl.Block) {
	for _, block := range blocks {
		if block.Type == "moved" {
			d.moved = append(d.moved, block)
			continue
		}
		if !d.declare(block) {
			continue
		}
		made := d.make(block)
		d.blocks = append(d.blocks, made...)
		if block.Type == "pack" {
			for _, x := range made {
				d.openPack(x)
			}
		}
	}
}

// declare checks a block's labels, and that no other has them.
func (d *Decoder) declare(block *hcl.Block) bool {
	address := Address(block)
	for i, l := range block.Labels {
		if !identifier.MatchString(l) && block.Type != "rules" && block.Type != "alert" && block.Type != "record" && block.Type != "test" && block.Type != "dashboard" {
			d.Error(block.LabelRanges[i], "Invalid name", "%q is not a name of letters, digits, _ and -, which references need.", l)
		}
	}
	if block.Type == "alert" || block.Type == "record" {
		return true // their names are their group's matter
	}
	if other := d.declared[address]; other != nil {
		d.Error(Header(block), "Duplicate block", "%s is declared at %s already.", Title(block), Place(Header(other.block)))
		return false
	}
	d.declared[address] = &declared{block: block}
	return true
}

// make declares what a block's for_each makes, or without one the block itself.
func (d *Decoder) make(block *hcl.Block) []*hcl.Block {
	blocks, each, known := d.expand(block)
	base := Address(block)
	if each && d.declared[base] != nil {
		d.declared[base].each, d.declared[base].known = true, known
	}
	for _, x := range blocks {
		address := Address(x)
		if block.Type == "alert" || block.Type == "record" || isShadow(x) {
			continue
		}
		if len(address) > maxAddress {
			d.Error(Header(block), "Address too long", "%s has more than %d bytes.", address, maxAddress)
		}
		at := d.declared[address]
		if at == nil {
			at = &declared{}
			d.declared[address] = at
		}
		at.block, at.enabled = x, d.Enabled(x)
		if !IsKind(block.Type) {
			continue
		}
		for _, prefix := range prefixesOf(x) {
			d.byPrefix[prefix] = append(d.byPrefix[prefix], address)
		}
	}
	return blocks
}

// maxAddress: it is the name of a directory.
const maxAddress = 200

// Expanded lists the blocks of the configuration in file order, with those that for_each makes in the place of theirs.
func (d *Decoder) Expanded() []*hcl.Block { return d.blocks }

// Enabled reads the attribute that every block with a name has. A block that is not enabled is not looked at further: what
// it needs may be missing on this machine.
func (d *Decoder) Enabled(block *hcl.Block) bool {
	a := attributeOf(block, "enabled")
	if a == nil || block.Type == "daemon" || block.Type == "http" || block.Type == "buffer" || block.Type == "route" {
		return true
	}
	saved, told := len(d.Diags), d.budget.told
	f := d.Attribute(&Body{}, &Core["component"].Attributes[0], a)
	d.budget.told = told
	d.Diags = d.Diags[:saved] // reported when the block is decoded
	return f == nil || f.Value == true
}

// IsOn reports whether a block is the one that has its address, and enabled.
func (d *Decoder) IsOn(block *hcl.Block) bool {
	if isShadow(block) {
		return IsKind(block.Type) // its mistakes are worth telling; it is broken in any case
	}
	x := d.declared[Address(block)]
	return x != nil && x.block == block && x.enabled
}

// Blocks lists the blocks of a type that are on, in file order.
func (d *Decoder) Blocks(of string) (list []*hcl.Block) {
	for _, block := range d.blocks {
		if block.Type == of && d.IsOn(block) {
			list = append(list, block)
		}
	}
	return list
}

// Address is what references call a block: the pack that it is in, its type, its labels and its key.
func Address(block *hcl.Block) string {
	_, in := unmake(block.Body)
	return packOf(in).Prefix() + strings.Join(append([]string{block.Type}, block.Labels...), ".") + Key(block)
}

// prefixesOf are the references that mean a component among others: its kind and its type, in its pack and in those around that, and what leaves out the
// keys of any of them.
func prefixesOf(x *hcl.Block) (prefixes []string) {
	_, in := unmake(x.Body)
	around, own := []string{""}, x.Type+"."+strings.Join(x.Labels, ".")
	var packs []*Pack
	for p := packOf(in); p != nil; p = p.Around {
		packs = append(packs, p)
	}
	prefixes = append(prefixes, x.Type, x.Type+"."+x.Labels[0])
	for _, p := range slices.Backward(packs) {
		var longer []string
		for _, before := range around {
			if longer = append(longer, before+"pack."+p.Name+p.Key+"."); p.Key != "" {
				longer = append(longer, before+"pack."+p.Name+".")
			}
		}
		around = longer
		for _, before := range around {
			prefixes = append(prefixes, before+x.Type, before+x.Type+"."+x.Labels[0])
		}
	}
	for i, before := range around {
		if Key(x) != "" {
			prefixes = append(prefixes, before+own)
		}
		if i > 0 {
			prefixes = append(prefixes, before+own+Key(x))
		}
	}
	return prefixes
}

// SplitAddress cuts an address behind the packs that it goes into: pack.etcd["a"]. and source.etcd.main.
func SplitAddress(address string) (packs, rest string) {
	for rest = address; strings.HasPrefix(rest, "pack."); {
		end := strings.IndexAny(rest[len("pack."):], ".[") + len("pack.")
		if end >= len("pack.") && rest[end] == '[' {
			if end = strings.Index(rest, `"]`) + 2; end < 2 || end == len(rest) {
				break
			}
		} else if end < len("pack.") {
			break
		}
		rest = rest[end+1:]
	}
	return address[:len(address)-len(rest)], rest
}

// On lists the components that are enabled of a kind, of a type, or of what has a for_each, once all are declared. The list belongs to the decoder.
func (d *Decoder) On(prefix string) []string {
	list, known := d.on[prefix]
	if !known {
		list = slices.DeleteFunc(slices.Clone(d.byPrefix[prefix]), func(a string) bool { return !d.declared[a].enabled })
		d.on[prefix] = list
	}
	return list
}

// Use notes that something needs a component, as a reference does.
func (d *Decoder) Use(address string) { d.used[address] = true }

// Used reports whether something needs a component.
func (d *Decoder) Used(address string) bool { return d.used[address] }
