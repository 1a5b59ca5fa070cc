package config

import (
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Stray is an argument or a block that the schema of its body does not know.
type Stray struct {
	Name      string
	IsBlock   bool // written as one; JSON does not say
	Native    bool // not JSON
	NameRange hcl.Range
	Range     hcl.Range // of its value
}

// Content gives what a schema knows of a body, and what it does not know. The diagnostics are about labels and about
// JSON of the wrong shape.
func Content(body hcl.Body, schema *hcl.BodySchema) (*hcl.BodyContent, []Stray, hcl.Diagnostics) {
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		return jsonContent(body, schema)
	}
	content, _, diags := body.PartialContent(schema)
	attrs, blocks := map[string]bool{}, map[string]bool{}
	for _, a := range schema.Attributes {
		attrs[a.Name] = true
	}
	for _, b := range schema.Blocks {
		blocks[b.Type] = true
	}
	var strays []Stray
	for _, a := range native.Attributes {
		if !attrs[a.Name] {
			strays = append(strays, Stray{Name: a.Name, Native: true, NameRange: a.NameRange, Range: a.Expr.Range()})
		}
	}
	for _, b := range native.Blocks {
		if !blocks[b.Type] {
			strays = append(strays, Stray{Name: b.Type, IsBlock: true, Native: true, NameRange: b.TypeRange, Range: inside(b)})
		}
	}
	return content, strays, diags
}

// inside is what stands between a block's braces.
func inside(b *hclsyntax.Block) hcl.Range {
	return hcl.Range{Filename: b.OpenBraceRange.Filename, Start: b.OpenBraceRange.End, End: b.CloseBraceRange.Start}
}

var extraneous = regexp.MustCompile(`^No argument or block type is named "([^"]*)"`)

// jsonContent takes the strays from the diagnostics: the JSON body does not say otherwise what else it holds.
func jsonContent(body hcl.Body, schema *hcl.BodySchema) (*hcl.BodyContent, []Stray, hcl.Diagnostics) {
	content, all := body.Content(schema)
	var strays []Stray
	var diags hcl.Diagnostics
	for _, d := range all {
		if m := extraneous.FindStringSubmatch(d.Detail); m != nil && d.Subject != nil && d.Context != nil {
			strays = append(strays, Stray{Name: m[1], NameRange: *d.Subject, Range: hcl.Range{Filename: d.Subject.Filename, Start: d.Subject.End, End: d.Context.End}})
			continue
		}
		diags = append(diags, d)
	}
	return content, strays, diags
}

// Header is the range of a block's first line: what names it.
func Header(b *hcl.Block) hcl.Range {
	if _, native := b.Body.(*hclsyntax.Body); !native && len(b.LabelRanges) > 0 {
		return b.LabelRanges[len(b.LabelRanges)-1]
	}
	return b.DefRange
}
