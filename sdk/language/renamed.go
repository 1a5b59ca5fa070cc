package language

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Renamed is an old name in a file, and what it is called now.
type Renamed struct {
	From, To string
	At       hcl.Range // of the word
}

// Renames finds the old names in all blocks, also in those that are not enabled, in the order of the files. schemaOf gives what a block
// takes, nil where that is not known. An error says what is to be done by hand.
func (c *Config) Renames(schemaOf func(*hcl.Block) *sdk.Schema) ([]Renamed, hcl.Diagnostics) {
	w := &renaming{cfg: c, seen: map[hcl.Range]bool{}}
	d := &Decoder{Scope: &Scope{cfg: c}}
	for _, b := range c.Blocks {
		if s := schemaOf(b); s != nil {
			w.body(b.Body, s, 0)
		}
		if b.Type == "pack" {
			overrides, _ := d.overrides(b) // what is wrong with them is not the matter here
			for _, o := range overrides {
				if s := schemaOf(&hcl.Block{Type: o.Labels[0], Labels: o.Labels[1:]}); s != nil {
					w.body(o.Body, s, 0)
				}
			}
		}
	}
	slices.SortFunc(w.list, func(a, b Renamed) int {
		return cmp.Or(cmp.Compare(c.order[a.At.Filename], c.order[b.At.Filename]), cmp.Compare(a.At.Start.Byte, b.At.Start.Byte))
	})
	return w.list, w.Diags
}

// Migrate writes the new names into a file's text. Nothing else changes.
func (c *Config) Migrate(file string, list []Renamed) []byte {
	text, done := c.files[file], 0
	var out bytes.Buffer
	for _, r := range list {
		if r.At.Filename != file {
			continue
		}
		out.Write(text[done:r.At.Start.Byte])
		out.WriteString(strings.Replace(string(r.At.SliceBytes(text)), r.From, r.To, 1)) // in JSON and as a label it is in quotes
		done = r.At.End.Byte
	}
	out.Write(text[done:])
	return append([]byte{}, out.Bytes()...)
}

// renaming walks through blocks by their schemas; nothing is evaluated.
type renaming struct {
	Report
	cfg  *Config
	list []Renamed
	seen map[hcl.Range]bool
}

func (w *renaming) body(body hcl.Body, s *sdk.Schema, depth int) {
	schema := bodySchema(s)
	schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"type"}})
	content, _, _ := body.PartialContent(schema)
	if content == nil || depth > maxNesting {
		return
	}
	for i := range s.Attributes {
		a := &s.Attributes[i]
		if old := content.Attributes[a.Was]; a.Was != "" && old != nil {
			w.name(a.Was, a.Name, old.NameRange, content.Attributes[a.Name] != nil)
		}
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		for _, x := range content.Blocks.OfType(b.Name) {
			w.body(x.Body, &b.Body, depth+1)
		}
		if b.Was != "" {
			for _, x := range content.Blocks.OfType(b.Was) {
				w.name(b.Was, b.Name, x.TypeRange, len(content.Blocks.OfType(b.Name)) > 0)
				w.body(x.Body, &b.Body, depth+1)
			}
		}
		for _, x := range content.Blocks.OfType("dynamic") {
			if x.Labels[0] == b.Name || x.Labels[0] == b.Was {
				w.dynamic(x, b, depth)
			}
		}
	}
}

// dynamic is renamed with what it calls its elements, unless it says that itself.
func (w *renaming) dynamic(x *hcl.Block, b *sdk.Block, depth int) {
	content, _, _ := x.Body.PartialContent(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "iterator"}, {Name: "labels"}}, Blocks: []hcl.BlockHeaderSchema{{Type: "content"}},
	})
	if x.Labels[0] == b.Was {
		w.name(b.Was, b.Name, x.LabelRanges[0], false)
		body, native := x.Body.(*hclsyntax.Body)
		if content.Attributes["iterator"] == nil && !native {
			w.Error(x.LabelRanges[0], "To be renamed by hand", "In JSON, dynamic %q is not renamed, as %s.key and %s.value in it are: write it as %q, and them too.", b.Was, b.Was, b.Was, b.Name)
		} else if content.Attributes["iterator"] == nil {
			hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
				if t, ok := n.(*hclsyntax.ScopeTraversalExpr); ok && t.Traversal.RootName() == b.Was {
					w.name(b.Was, b.Name, t.Traversal[0].SourceRange(), false)
				}
				return nil
			})
		}
	}
	for _, inner := range content.Blocks {
		w.body(inner.Body, &b.Body, depth+1)
	}
}

// name notes a word once, though several blocks come of it.
func (w *renaming) name(from, to string, at hcl.Range, both bool) {
	if word := string(at.SliceBytes(w.cfg.files[at.Filename])); strings.Trim(word, `"`) != from {
		w.Error(at, "To be renamed by hand", "%q is called %q now, and is not written plainly here.", from, to)
		return
	}
	if both {
		w.Error(at, "Two names for one", "%q is called %q now, and that is written too: remove one of them.", from, to)
		return
	}
	if !w.seen[at] {
		w.seen[at] = true
		w.list = append(w.list, Renamed{from, to, at})
	}
}
