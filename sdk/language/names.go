package language

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// declared is a block that has an address.
type declared struct {
	block   *hcl.Block
	enabled bool
}

// identifier is what a name in a reference may be.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,127}$`)

// Declare gives all blocks of the configuration their addresses, before anything refers to them.
func (d *Decoder) Declare() {
	for _, block := range d.cfg.Blocks {
		d.declare(block)
	}
}

func (d *Decoder) declare(block *hcl.Block) {
	address := Address(block)
	for i, l := range block.Labels {
		if !identifier.MatchString(l) && block.Type != "rules" && block.Type != "alert" && block.Type != "record" {
			d.Error(block.LabelRanges[i], "Invalid name", "%q is not a name of letters, digits, _ and -, which references need.", l)
		}
	}
	if block.Type == "alert" || block.Type == "record" {
		return // their names are their group's matter
	}
	if other := d.declared[address]; other != nil {
		d.Error(Header(block), "Duplicate block", "%s is declared at %s already.", Title(block), Place(Header(other.block)))
		return
	}
	d.declared[address] = &declared{block: block, enabled: d.Enabled(block)}
	if IsKind(block.Type) {
		for _, prefix := range []string{block.Type, block.Type + "." + block.Labels[0]} {
			d.byPrefix[prefix] = append(d.byPrefix[prefix], address)
		}
	}
}

// Enabled reads the attribute that every block with a name has. A block that is not enabled is not looked at further: what
// it needs may be missing on this machine.
func (d *Decoder) Enabled(block *hcl.Block) bool {
	content, _, _ := block.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "enabled"}}})
	a := content.Attributes["enabled"]
	if a == nil || block.Type == "daemon" || block.Type == "http" || block.Type == "buffer" || block.Type == "route" {
		return true
	}
	saved := len(d.Diags)
	f := d.Attribute(&Body{}, &Core["component"].Attributes[0], a)
	d.Diags = d.Diags[:saved] // reported when the block is decoded
	return f == nil || f.Value == true
}

// IsOn reports whether a block is the one that has its address, and enabled.
func (d *Decoder) IsOn(block *hcl.Block) bool {
	x := d.declared[Address(block)]
	return x != nil && x.block == block && x.enabled
}

// Blocks lists the blocks of a type that are on, in file order.
func (d *Decoder) Blocks(of string) (list []*hcl.Block) {
	for _, block := range d.cfg.Blocks {
		if block.Type == of && d.IsOn(block) {
			list = append(list, block)
		}
	}
	return list
}

// Address is what references call a block: its type and its labels.
func Address(block *hcl.Block) string {
	return strings.Join(append([]string{block.Type}, block.Labels...), ".")
}

// On lists the components of a kind that are enabled.
func (d *Decoder) On(kind string) []string {
	return slices.DeleteFunc(slices.Clone(d.byPrefix[kind]), func(a string) bool { return !d.declared[a].enabled })
}

// Use notes that something needs a component, as a reference does.
func (d *Decoder) Use(address string) { d.used[address] = true }

// Used reports whether something needs a component.
func (d *Decoder) Used(address string) bool { return d.used[address] }
