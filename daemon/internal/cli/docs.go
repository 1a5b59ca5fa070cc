package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

const docsHelp = `show what a block takes: attributes, blocks in it, an example, metrics

WHAT is a plugin's type, source.etcd, or etcd for all kinds of it; a kind, source, for its types; or a block of the language,
such as alert, pipeline or variable. Without it everything is listed. No plugin is started that was asked before`

// docPage is the manual of one block. Its JSON is for programs.
type docPage struct {
	Title    string        `json:"title"` // source "etcd" "NAME"
	Kind     sdk.Kind      `json:"kind,omitempty"`
	Name     string        `json:"name"`
	Plugin   string        `json:"plugin,omitempty"`
	Version  string        `json:"version,omitempty"`
	Doc      string        `json:"doc,omitempty"`
	Facts    []string      `json:"facts,omitempty"`
	Sections []sdk.Section `json:"sections,omitempty"` // the first is the block itself, those behind it the blocks in it
	Core     []sdk.Section `json:"core,omitempty"`     // what every component of the kind takes
	Example  string        `json:"example,omitempty"`
	Metrics  []sdk.Metric  `json:"metrics,omitempty"`

	costs bool // a change has a price
}

// docEntry is a line of a list of pages.
type docEntry struct {
	Name string `json:"name"` // what docs takes
	Doc  string `json:"doc"`
}

func docs(ctx context.Context, o *options, args []string) int {
	if len(args) > 1 {
		return o.fail(fmt.Errorf("one at a time, and these are %d: %s", len(args), strings.Join(args, " ")))
	}
	plugins, err := o.plugins(ctx)
	if err != nil {
		return o.fail(err)
	}
	var pages []docPage
	for _, p := range plugins {
		if p.Err != nil {
			fmt.Fprintf(o.Err, "magpie: %v\n", p.Err) // the others have their manuals all the same
			continue
		}
		for _, t := range p.Types {
			pages = append(pages, typePage(p, t))
		}
	}
	if len(args) == 0 {
		return o.listDocs(entries(pages, ""), coreEntries())
	}
	return o.docsOf(args[0], pages)
}

// docsOf shows what a word means: a type, a kind, a block of the language; several things at times.
func (o *options) docsOf(what string, pages []docPage) int {
	kind, name, both := strings.Cut(what, ".")
	var found []docPage
	var core []sdk.Section
	if list := entries(pages, what); !both && language.IsKind(what) {
		t := sdk.Type{Kind: sdk.Kind(what), Discovers: true}
		core = language.CoreManual(t).Sections(what + ` "TYPE" "NAME"`)
		if !o.json {
			o.listDocs(list, nil)
			o.wide().sections(core, false)
			return exitOK
		}
		return o.writeJSON(map[string]any{"types": list, "core": core})
	}
	for _, m := range language.Manuals() {
		if m.Name == what {
			found = append(found, corePage(m))
		}
	}
	for _, p := range pages {
		if p.Name == what || both && string(p.Kind) == kind && p.Name == name {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return o.fail(fmt.Errorf("there is no type, kind or block %q.%s Run magpie docs for all of them", what, language.DidYouMean(what, words(pages))))
	}
	if o.json {
		return o.writeJSON(found)
	}
	w := o.wide()
	for i, p := range found {
		if i > 0 {
			fmt.Fprintln(o.Out)
		}
		w.page(p)
	}
	return exitOK
}

// words are all that docs takes.
func words(pages []docPage) (all []string) {
	for _, p := range pages {
		all = append(all, string(p.Kind)+"."+p.Name, p.Name, string(p.Kind))
	}
	for _, m := range language.Manuals() {
		all = append(all, m.Name)
	}
	return all
}

func typePage(p client.Plugin, t sdk.Type) docPage {
	title := fmt.Sprintf("%s %q", t.Kind, t.Name)
	page := docPage{
		Title: title + ` "NAME"`, Kind: t.Kind, Name: t.Name, Plugin: p.Name, Version: p.Version, Doc: t.Doc, Facts: t.Facts(), costs: true,
		Core: language.CoreManual(t).Sections(fmt.Sprintf("every %s", t.Kind)), Example: exampleOf(t),
	}
	s := t.Config
	if !t.Live { // what a change costs is what it costs here
		s = costing(t, s)
	}
	page.Sections = s.Sections(title)
	if t.Kind == sdk.KindSource {
		page.Metrics = slices.SortedFunc(slices.Values(p.Metrics), func(a, b sdk.Metric) int { return strings.Compare(a.Name, b.Name) })
	}
	return page
}

func costing(t sdk.Type, s sdk.Schema) sdk.Schema {
	s.Attributes, s.Blocks = slices.Clone(s.Attributes), slices.Clone(s.Blocks)
	for i := range s.Attributes {
		s.Attributes[i].Change = t.Cost(s.Attributes[i])
	}
	for i := range s.Blocks {
		s.Blocks[i].Body = costing(t, s.Blocks[i].Body)
	}
	return s
}

func corePage(m language.Manual) docPage {
	return docPage{Title: m.Title(), Name: m.Name, Doc: m.Doc, Sections: m.Body.Sections(m.Name), Example: m.Example, costs: m.Settles}
}

// exampleOf are the blocks of a type in its plugin's example; a plugin that has none gets what it cannot do without.
func exampleOf(t sdk.Type) string {
	file, diags := hclsyntax.ParseConfig([]byte(t.Example), "example.hcl", hcl.InitialPos)
	if diags.HasErrors() || file == nil {
		return skeleton(t)
	}
	var parts []string
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		if b.Type != string(t.Kind) || len(b.Labels) == 0 || b.Labels[0] != t.Name {
			continue
		}
		r := b.Range()
		parts = append(parts, comments(t.Example[:r.Start.Byte])+t.Example[r.Start.Byte:b.CloseBraceRange.End.Byte])
	}
	if parts == nil {
		return skeleton(t)
	}
	return strings.Join(parts, "\n\n")
}

// comments are the lines of comment that a text ends in.
func comments(text string) string {
	lines := strings.SplitAfter(text, "\n")
	from := len(lines) - 1
	for from > 0 && strings.HasPrefix(lines[from-1], "#") {
		from--
	}
	return strings.Join(lines[from:], "")
}

// skeleton writes a block with all that it must have.
func skeleton(t sdk.Type) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q \"main\" {\n", t.Kind, t.Name)
	skeletonOf(&b, t.Config, "  ")
	return strings.Replace(b.String()+"}", "{\n}", "{}", 1)
}

func skeletonOf(b *strings.Builder, s sdk.Schema, indent string) {
	wide := 0
	for _, a := range s.Attributes {
		if a.Required {
			wide = max(wide, len(a.Name))
		}
	}
	for _, a := range s.Attributes {
		if a.Required {
			fmt.Fprintf(b, "%s%-*s = … # %s\n", indent, wide, a.Name, a.Takes())
		}
	}
	for _, x := range s.Blocks {
		if x.Required {
			var inner strings.Builder
			if skeletonOf(&inner, x.Body, indent+"  "); inner.Len() > 0 {
				inner.WriteString(indent)
			}
			fmt.Fprintf(b, "%s%s {%s}\n", indent, x.Title(), strings.TrimRight("\n"+inner.String(), "\n"))
		}
	}
}

// entries lists pages, of one kind or of all.
func entries(pages []docPage, kind string) []docEntry {
	list := []docEntry{}
	for _, p := range pages {
		if kind == "" || string(p.Kind) == kind {
			list = append(list, docEntry{string(p.Kind) + "." + p.Name, p.Doc})
		}
	}
	slices.SortFunc(list, func(a, b docEntry) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func coreEntries() (list []docEntry) {
	for _, m := range language.Manuals() {
		list = append(list, docEntry{m.Name, m.Doc})
	}
	return list
}

func (o *options) listDocs(types, blocks []docEntry) int {
	if o.json {
		return o.writeJSON(map[string]any{"types": types, "blocks": blocks})
	}
	w := o.wide()
	w.entries("types of plugins", types)
	if blocks != nil {
		w.entries("blocks of the language", blocks)
		w.prose("", "magpie docs NAME says what each takes.")
	}
	return exitOK
}
