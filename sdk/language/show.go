package language

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Show writes bodies as HCL: what nobody wrote is marked as a default.
func Show(all []*Body) string { return showAll(all, false) }

// ShowOf writes those of a pack, or of all of its for_each, or the one with an address, with their origins: where blocks and rules are written, and where what stands in the place of
// what the pack says; behind them, what is disabled.
func ShowOf(all []*Body, address string) string {
	all = within(all, address)
	return showAll(all, true) + disabled(all, address)
}

// disabled tells what the packs of an address have that pack blocks disable.
func disabled(all []*Body, address string) string {
	var b strings.Builder
	said := map[*Pack]bool{}
	for _, x := range all {
		for p := x.Pack; p != nil && p.Within(address) && !said[p]; p = p.Around {
			said[p] = true
			for _, name := range Sorted(p.without) {
				kind, rest, _ := strings.Cut(name, ".")
				labels := []string{rest}
				if IsKind(kind) {
					labels = strings.SplitN(rest, ".", 2)
				}
				fmt.Fprintf(&b, "# %s %s is disabled at %s\n", p.Address(), Title(&hcl.Block{Type: kind, Labels: labels}), Place(p.without[name]))
			}
		}
	}
	if b.Len() > 0 {
		return "\n" + b.String()
	}
	return ""
}

func within(all []*Body, address string) []*Body {
	return slices.DeleteFunc(slices.Clone(all), func(x *Body) bool { return !x.Pack.Within(address) && x.address(x.Pack) != address })
}

// address is that of a block at the top.
func (x *Body) address(pack *Pack) string {
	if IsKind(x.Kind) && len(x.Labels) == 2 {
		return pack.Prefix() + x.Kind + "." + strings.Join(x.Labels, ".") + x.Key
	}
	return pack.Prefix() + x.Title + x.Key
}

func showAll(all []*Body, origins bool) string {
	var b strings.Builder
	for x, pack := range alone(all) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		show(&b, x, pack, origins, false)
	}
	return string(hclwrite.Format([]byte(b.String())))
}

// alone ranges over the blocks at the top with the packs that they are in: loose rules stand alone.
func alone(all []*Body) iter.Seq2[*Body, *Pack] {
	return func(yield func(*Body, *Pack) bool) {
		for _, x := range all {
			parts := []*Body{x}
			if x.Kind == "file" {
				parts = x.Nested()
			}
			for _, y := range parts {
				if !yield(y, x.Pack) {
					return
				}
			}
		}
	}
}

// show writes a block; pack is what one at the top is in.
func show(b *strings.Builder, x *Body, pack *Pack, origins, inner bool) {
	about := strings.TrimSpace(x.Key)
	if !inner && pack != nil {
		about = pack.Address() + x.Key
	}
	switch {
	case !origins:
	case x.overrides:
		about = "overridden at " + Place(x.Header)
	case x.Kind == OfRuleFile:
		about = pack.Address() + " " + Place(x.Header)
	case !inner || x.Kind == "alert" || x.Kind == "record":
		about = strings.TrimSpace(about + " " + Place(x.Header))
	}
	if about != "" {
		fmt.Fprintf(b, "# %s\n", about)
	}
	fmt.Fprintf(b, "%s {\n", x.Title)
	for _, f := range x.Fields {
		switch {
		case f.Attr == &content:
		case f.IsOverride() && origins:
			fmt.Fprintf(b, "# overridden at %s\n%s = %s\n", Place(f.At), f.Name, heredoc(f))
		case f.Attr != nil && f.Text != "" && f.Expr == nil && len(f.Text) > 60: // comments are aligned: not as far as that
			fmt.Fprintf(b, "# default\n%s = %s\n", f.Name, f.Text)
		case f.Attr != nil && f.Text != "" && f.Expr == nil:
			fmt.Fprintf(b, "%s = %s # default\n", f.Name, f.Text)
		case f.Attr != nil && f.Text != "":
			fmt.Fprintf(b, "%s = %s\n", f.Name, heredoc(f))
		}
	}
	for _, y := range x.Nested() {
		show(b, y, nil, origins, true)
	}
	b.WriteString("}\n")
}

// heredoc writes a text of several lines as it was probably written.
func heredoc(f *Field) string {
	s, isText := f.Value.(string) // no secret
	if s = strings.TrimSuffix(s, "\n"); !isText || !strings.Contains(s, "\n") || f.Name != "expr" {
		return f.Text
	}
	return "<<-EOT\n" + strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s) + "\nEOT"
}

// Shown is a block as programs are shown it.
type Shown struct {
	Address    string                    `json:"address,omitempty"` // of a block at the top: source.etcd.main, pack.etcd.alert "down"
	Type       string                    `json:"type"`
	Labels     []string                  `json:"labels,omitempty"`
	Key        string                    `json:"key,omitempty"`  // of one that for_each made: ["prod"]
	Pack       string                    `json:"pack,omitempty"` // that it is in
	At         string                    `json:"at"`             // file:line:column
	Attributes map[string]ShownAttribute `json:"attributes,omitempty"`
	Blocks     []Shown                   `json:"blocks,omitempty"` // in file order
}

// ShownAttribute is a value that a block has: durations and sizes as HCL writes them, references as the addresses that they mean.
type ShownAttribute struct {
	Value     any    `json:"value"` // null: a secret, or one that holds a secret
	Default   bool   `json:"default,omitempty"`
	Sensitive bool   `json:"sensitive,omitempty"`
	At        string `json:"at,omitempty"` // where it is written
}

// ShowBlocks gives bodies to programs, as Show gives them to people.
func ShowBlocks(all []*Body) []Shown {
	list := []Shown{}
	for x, pack := range alone(all) {
		list = append(list, x.shown(pack, true))
	}
	return list
}

// ShowBlocksOf gives to programs what ShowOf gives to people.
func ShowBlocksOf(all []*Body, address string) []Shown { return ShowBlocks(within(all, address)) }

func (x *Body) shown(pack *Pack, top bool) Shown {
	s := Shown{Type: x.Kind, Labels: x.Labels, Key: x.Key, At: Place(x.Header), Attributes: map[string]ShownAttribute{}}
	if top {
		s.Address = x.address(pack)
		if pack != nil {
			s.Pack = pack.Address()
		}
	}
	for _, f := range x.Fields {
		if f.Attr == nil || f.Attr == &content || f.Text == "" {
			continue
		}
		a := ShownAttribute{Value: shownValue(f.Value), Default: f.Expr == nil, Sensitive: f.Sensitive}
		if f.Sensitive {
			a.Value = nil
		}
		if f.Expr != nil {
			a.At = Place(f.At)
		}
		s.Attributes[f.Name] = a
	}
	for _, y := range x.Nested() {
		s.Blocks = append(s.Blocks, y.shown(nil, false))
	}
	return s
}

func shownValue(value any) any {
	switch v := value.(type) {
	case secret:
		return nil
	case time.Duration:
		return Duration(v)
	case sdk.Bytes:
		return v.String()
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = shownValue(e)
		}
		return list
	case map[string]any:
		m := map[string]any{}
		for key, e := range v {
			m[key] = shownValue(e)
		}
		return m
	}
	return value
}
