package language

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/prometheus/common/model"
	"github.com/zclconf/go-cty/cty"
	"go.yaml.in/yaml/v3"

	"github.com/magpie-monitoring/magpie/sdk"
)

// OfRuleFile is the kind of a body that a group of a rule file became.
const OfRuleFile = "rule file"

// maxFields bounds what is read of a rule file: with aliases, a small file can mean a large one.
const maxFields = 50_000

// maxCarets bounds how much of a line is pointed at.
const maxCarets = 200

// ruleFile is a rule file of Prometheus on its way to groups. Its groups and rules become bodies as those of blocks are, so that they are checked, shown
// and compared in the same way; their places are those in the file.
type ruleFile struct {
	*Decoder
	pack   *Pack // that brings it in; nil: none
	groups []*Body
	name   string
	src    []byte
	lines  []int // where each begins
	starts []int // of all nodes
	fields int
	line   int // of what was looked for last, with where that was: nodes come in the order of the file
	column int
	offset int
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// RuleFile reads a rule file of the configuration, or of a pack: a body for each of its groups.
func (d *Decoder) RuleFile(name string, pack *Pack) []*Body {
	f := &ruleFile{Decoder: d, pack: pack, name: name, src: d.cfg.Bytes(name)}
	began := len(d.Diags)
	if !d.cfg.broken[name] { // beyond the bounds
		f.read()
	}
	if wrong := func(x *hcl.Diagnostic) bool { return x.Severity == hcl.DiagError && x.Subject.Filename == name }; pack != nil {
		pack.unread = pack.unread || d.cfg.broken[name] || slices.ContainsFunc(d.Diags[began:], wrong)
	}
	return f.groups
}

func (f *ruleFile) read() {
	f.lines, f.line, f.column = []int{0}, 1, 1
	for i, c := range f.src {
		if c == '\n' {
			f.lines = append(f.lines, i+1)
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(f.src))
	var doc, second yaml.Node
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return // an empty file is one without rules, as in Prometheus
	}
	if err != nil {
		m := yamlError.FindStringSubmatch(err.Error())
		line := 1
		if m == nil {
			m = []string{"", "", err.Error()}
		} else if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		f.Error(f.restOf(f.at(line, 1)), "Invalid YAML", "%s", Sentence(m[2]))
		return
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		f.Warn(f.restOf(f.at(max(1, second.Line), 1)), "Several documents", "Only the first document of %s is read, as Prometheus does.", f.name)
	}
	f.index(&doc)
	slices.Sort(f.starts)
	top := f.mapping(doc.Content[0], "a rule file", "groups")
	seen := map[string]hcl.Range{}
	for _, n := range f.list(top["groups"], "groups") {
		g := f.mapping(n, "a group", "name", "interval", "query_offset", "limit", "labels", "rules")
		name, ok := f.text(g["name"], "name")
		if !ok {
			continue
		}
		if name == "" {
			f.Error(f.rangeOf(n), "Group without a name", "A group needs a name.")
			continue
		}
		if other, taken := seen[name]; taken {
			f.Error(f.rangeOf(g["name"]), "Duplicate group", "The file has a group %q at %s already.", name, Place(other))
			continue
		}
		seen[name] = f.rangeOf(g["name"])
		f.group(name, g)
	}
}

// group makes a body of a group's mapping.
func (f *ruleFile) group(name string, n map[string]*yaml.Node) {
	x := &Body{Kind: OfRuleFile, Title: fmt.Sprintf("rules %q", name), Key: " in " + f.name, Pack: f.pack, Header: f.rangeOf(n["name"]), Labels: []string{name}}
	if own, ok := f.duration(n["interval"], "interval"); ok && own > 0 {
		if own < 100*time.Millisecond {
			f.Error(f.rangeOf(n["interval"]), "Invalid value", "interval must be at least 100ms.")
		}
		f.field(x, "rules", "interval", n["interval"], own)
	}
	if text, ok := f.text(n["limit"], "limit"); ok && text != "" {
		if limit, err := strconv.Atoi(text); err != nil {
			f.Error(f.rangeOf(n["limit"]), "Invalid value", "limit takes a whole number, and %q is none.", text)
		} else {
			f.field(x, "rules", "limit", n["limit"], max(limit, 0)) // below 0 there is none, as in Prometheus
		}
	}
	if offset, ok := f.duration(n["query_offset"], "query_offset"); ok && resolved(n["query_offset"]) != nil {
		f.field(x, "rules", "query_offset", n["query_offset"], offset)
	}
	for _, r := range f.list(n["rules"], "rules") {
		if y := f.rule(r, n["labels"]); y != nil {
			x.Fields = append(x.Fields, &Field{Name: y.Kind, Blocks: []*Body{y}})
		}
	}
	if x = f.editedGroup(x); x != nil {
		f.groups = append(f.groups, x)
	}
}

// rule makes a body of a rule's mapping, nil if it is none.
func (f *ruleFile) rule(n, groupLabels *yaml.Node) *Body {
	m := f.mapping(n, "a rule", "alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
	if m == nil {
		return nil
	}
	kind, label := "alert", "label"
	alert, _ := f.text(m["alert"], "alert")
	record, _ := f.text(m["record"], "record")
	switch {
	case alert != "" && record != "":
		f.Error(f.rangeOf(m["record"]), "Alert and record", "A rule has either alert or record.")
		return nil
	case alert == "" && record == "":
		f.Error(f.rangeOf(n), "Rule without a name", "A rule needs alert or record.")
		return nil
	case record != "":
		kind, label = "record", "name"
		for _, name := range []string{"for", "keep_firing_for", "annotations"} {
			if m[name] != nil {
				f.Error(f.rangeOf(m[name]), "Not of a recorded rule", "%s is of alerts only.", name)
			}
		}
	}
	name := alert + record
	y := &Body{Kind: kind, Title: fmt.Sprintf("%s %q", kind, name), Header: f.rangeOf(m[kind]), Labels: []string{name}}
	if n.Kind == yaml.AliasNode {
		y.Header = f.rangeOf(n) // rules are in the order of their places
	}
	y.Fields = append(y.Fields, &Field{Name: label, Value: name, At: y.Header})
	expr, ok := f.text(m["expr"], "expr")
	switch {
	case !ok:
	case strings.TrimSpace(expr) == "":
		f.Error(y.Header, "Missing expression", "%s needs expr.", y.Title)
	default:
		f.field(y, kind, "expr", m["expr"], expr)
	}
	for _, name := range []string{"for", "keep_firing_for"} {
		if d, ok := f.duration(m[name], name); ok && d > 0 && kind == "alert" {
			f.field(y, kind, name, m[name], d)
		}
	}
	f.texts(y, "labels", groupLabels, m["labels"])
	if kind == "alert" {
		f.texts(y, "annotations", m["annotations"])
	}
	return f.editedRule(y, groupLabels)
}

// texts are a map of texts, or several: the later wins.
func (f *ruleFile) texts(y *Body, name string, maps ...*yaml.Node) {
	values, expr := map[string]any{}, &hclsyntax.ObjectConsExpr{}
	var last *yaml.Node
	for _, n := range maps {
		m := f.mapping(n, name)
		for _, key := range Sorted(m) {
			text, _ := f.text(m[key], key)
			if _, before := values[key]; before {
				expr.Items = slices.DeleteFunc(expr.Items, func(i hclsyntax.ObjectConsItem) bool {
					return i.KeyExpr.(*hclsyntax.LiteralValueExpr).Val.AsString() == key
				})
			}
			values[key] = text
			expr.Items = append(expr.Items, hclsyntax.ObjectConsItem{KeyExpr: &hclsyntax.LiteralValueExpr{Val: cty.StringVal(key)}, ValueExpr: f.expr(m[key])})
			last = n
		}
	}
	if last == nil {
		return
	}
	expr.SrcRange = f.rangeOf(last)
	f.field(y, y.Kind, name, last, values)
	y.Fields[len(y.Fields)-1].Expr = expr
}

// field gives a body the value of an attribute.
func (f *ruleFile) field(y *Body, kind, name string, n *yaml.Node, value any) {
	attrs := Core[kind].Attributes
	a := &attrs[slices.IndexFunc(attrs, func(a sdk.Attribute) bool { return a.Name == name })]
	y.Fields = append(y.Fields, f.NewField(a, f.expr(n), f.rangeOf(n), value))
}

// resolved is what an alias stands for; nil: null, or nothing at all.
func resolved(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil
	}
	return n
}

// spend counts what is read.
func (f *ruleFile) spend(n *yaml.Node) bool {
	if f.fields++; f.fields == maxFields {
		f.Error(f.rangeOf(n), "Too much in one file", "A rule file has at most %d fields, those of aliases counted each time.", maxFields)
	}
	return f.fields < maxFields
}

// mapping reads a mapping with these keys, or with any if there are none.
func (f *ruleFile) mapping(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	if n = resolved(n); n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		f.Error(f.rangeOf(n), "Wrong type", "%s is a mapping, key: value.", what)
		return nil
	}
	m, at := map[string]*yaml.Node{}, map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		key := cmp.Or(resolved(k), &yaml.Node{}).Value
		switch other := at[key]; {
		case !f.spend(k):
			return m
		case k.ShortTag() == "!!merge":
			f.Error(f.rangeOf(k), "Merged mapping", "<< is not read here: write the fields out.")
		case other != nil:
			f.Error(f.rangeOf(k), "Duplicate field", "%s is written at %s already.", key, Place(f.rangeOf(other)))
		case len(known) > 0 && !slices.Contains(known, key):
			hint := DidYouMean(key, known)
			if hint == "" {
				hint = " It takes " + strings.Join(known, ", ") + "."
			}
			f.Error(f.rangeOf(k), "Unknown field", "%q is not a field of %s.%s", key, what, hint)
		default:
			m[key], at[key] = n.Content[i+1], k
		}
	}
	return m
}

func (f *ruleFile) list(n *yaml.Node, what string) (list []*yaml.Node) {
	if n = resolved(n); n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		f.Error(f.rangeOf(n), "Wrong type", "%s is a list, with - before each.", what)
		return nil
	}
	for _, e := range n.Content {
		if !f.spend(e) {
			break
		}
		list = append(list, e)
	}
	return list
}

// text reads a scalar as Prometheus does: whatever it looks like, it is a text. false: it is none, which was said.
func (f *ruleFile) text(n *yaml.Node, what string) (string, bool) {
	if n = resolved(n); n == nil {
		return "", true
	}
	if n.Kind != yaml.ScalarNode {
		f.Error(f.rangeOf(n), "Wrong type", "%s is a text.", what)
		return "", false
	}
	if f.fields += len(n.Value) / 100; f.fields >= maxFields { // long texts are more than one
		f.fields = maxFields - 1
		return "", f.spend(n)
	}
	return n.Value, true
}

func (f *ruleFile) duration(n *yaml.Node, what string) (time.Duration, bool) {
	text, ok := f.text(n, what)
	if !ok || text == "" {
		return 0, ok
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		f.Error(f.rangeOf(n), "Invalid value", "%s takes a duration such as 5m or 1h30m, and %q is none.", what, text)
	}
	return time.Duration(d), err == nil
}

// index notes where nodes begin: a text ends before the next one.
func (f *ruleFile) index(n *yaml.Node) {
	f.starts = append(f.starts, f.at(n.Line, n.Column).Start.Byte)
	for _, c := range n.Content {
		f.index(c)
	}
}

// at is a place as YAML counts them.
func (f *ruleFile) at(line, column int) hcl.Range {
	line, column = min(max(line, 1), len(f.lines)), max(column, 1)
	if line != f.line || column < f.column {
		f.line, f.column, f.offset = line, 1, f.lines[line-1]
	}
	for f.column < column && f.offset < len(f.src) && f.src[f.offset] != '\n' {
		_, size := utf8.DecodeRune(f.src[f.offset:])
		f.offset += size
		f.column++
	}
	p := hcl.Pos{Line: line, Column: f.column, Byte: f.offset}
	return hcl.Range{Filename: f.name, Start: p, End: p}
}

// restOf is from a place to the end of its line.
func (f *ruleFile) restOf(r hcl.Range) hcl.Range {
	line, _, _ := bytes.Cut(f.src[r.Start.Byte:min(len(f.src), r.Start.Byte+maxCarets)], []byte("\n"))
	if r.Start.Column == 1 {
		r.Start.Column += len(line) - len(bytes.TrimLeft(line, " "))
		r.Start.Byte += r.Start.Column - 1
		line = bytes.TrimLeft(line, " ")
	}
	return RangeWithin(f.src, r, r.Start.Byte, r.Start.Byte+len(bytes.TrimRight(line, " \r")))
}

// rangeOf is where a node stands; of one with several lines, what the first has.
func (f *ruleFile) rangeOf(n *yaml.Node) hcl.Range {
	if n == nil {
		return f.at(1, 1)
	}
	r := f.at(n.Line, n.Column)
	if size := len(n.Value); n.Kind == yaml.ScalarNode && n.Style == 0 && bytes.HasPrefix(f.src[r.Start.Byte:], []byte(n.Value)) && !strings.Contains(n.Value, "\n") {
		return RangeWithin(f.src, r, r.Start.Byte, r.Start.Byte+size)
	}
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		if m := quotedText.Find(f.src[r.Start.Byte:]); m != nil {
			return RangeWithin(f.src, r, r.Start.Byte, r.Start.Byte+len(m))
		}
	}
	return f.restOf(r)
}

var quotedText = regexp.MustCompile(`^(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*')`)

// expr is a text as the language has it: places in the text are found in the lines that it was made of.
func (f *ruleFile) expr(n *yaml.Node) hclsyntax.Expression {
	if n = resolved(n); n == nil || n.Kind != yaml.ScalarNode {
		return &hclsyntax.LiteralValueExpr{Val: cty.StringVal(""), SrcRange: f.rangeOf(n)}
	}
	whole := f.rangeOf(n)
	from := whole.Start.Byte
	i, _ := slices.BinarySearch(f.starts, from+1)
	end := len(f.src)
	if i < len(f.starts) {
		end = f.starts[i]
	}
	part := whole
	part.Start.Byte, part.End.Byte = from, end
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		part.Start.Byte += max(0, bytes.IndexByte(f.src[from:end], '\n')) // behind what introduces it
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		part.Start.Byte = min(from+1, end)
	}
	return &hclsyntax.TemplateExpr{Parts: []hclsyntax.Expression{&hclsyntax.LiteralValueExpr{Val: cty.StringVal(n.Value), SrcRange: part}}, SrcRange: whole}
}
