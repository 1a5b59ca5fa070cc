package language

import (
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Stray is an argument or a block that the schema of its body does not know.
type Stray struct {
	Name    string
	IsBlock bool // written as one; JSON does not say
	At      hcl.Range
}

var strayName = regexp.MustCompile(`^(?:An argument named|(Blocks of type)|No argument or block type is named) "([^"]*)"`)

// Content gives what a schema knows of a body, and what it does not know. The diagnostics are about labels, and about JSON
// of the wrong shape.
func Content(body hcl.Body, schema *hcl.BodySchema) (content *hcl.BodyContent, strays []Stray, diags hcl.Diagnostics) {
	content, all := body.Content(schema)
	for _, d := range all {
		if m := strayName.FindStringSubmatch(d.Detail); m != nil && d.Subject != nil {
			strays = append(strays, Stray{m[2], m[1] != "", *d.Subject})
		} else {
			diags = append(diags, d)
		}
	}
	return content, strays, diags
}

// Header is the range of a block's first line: what names it.
func Header(b *hcl.Block) hcl.Range {
	body, _ := unmake(b.Body)
	if _, native := body.(*hclsyntax.Body); !native && len(b.LabelRanges) > 0 {
		return b.LabelRanges[len(b.LabelRanges)-1]
	}
	return b.DefRange
}
