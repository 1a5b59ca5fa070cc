package language

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/magpie-monitoring/magpie/sdk"
)

// isDashboard reports whether a file is one of Grafana's dashboards, by its name.
func isDashboard(name string) bool {
	return strings.HasSuffix(name, ".json") && !strings.HasSuffix(name, ".hcl.json")
}

// Dashboard is what is known of a dashboard's file.
type Dashboard struct {
	Name, Title string // the name begins with the address of the pack that it is in
	JSON        []byte
	Queries     []Query
}

// Query is PromQL of a panel, to be checked. There are none of those with template variables where they could be anything, a number or a name.
type Query struct {
	Field *Field // Value is as it is written
	Text  string // the same with template variables replaced by what PromQL can read there, byte for byte
}

// content is an attribute that nobody writes: the plan tells by it that a file is another.
var content = sdk.Attribute{Name: "content", Change: sdk.Live}

// DashboardFile is the file that a dashboard block names, from where the block is.
func (d *Decoder) DashboardFile(x *Body) (f RuleFilePattern, ok bool) {
	field := x.Field("file")
	if field == nil {
		return f, false
	}
	name, _ := field.Value.(string)
	f = RuleFilePattern{name, field.At}
	if !isDashboard(name) {
		d.Error(field.At, "Not a dashboard by its name", "The name of a dashboard's file ends in .json, and not in .hcl.json.")
		return f, false
	}
	if f.Pattern, ok = d.cfg.beside(field.At.Filename, name); !ok {
		d.Error(field.At, "Outside of the archive", "What is in an archive names only what is in it too.")
	}
	return f, ok
}

// Dashboard reads the file that a dashboard block names. nil: it has mistakes.
func (d *Decoder) Dashboard(x *Body) *Dashboard {
	f, ok := d.DashboardFile(x)
	if !ok {
		return nil
	}
	src, found := d.cfg.files[f.Pattern]
	if !found {
		d.Error(f.At, "No such dashboard", "There is no file %s.", f.Pattern)
		return nil
	}
	if !d.cfg.Readable(f.Pattern) {
		return nil // said
	}
	r := &jsonReader{src: src, dec: json.NewDecoder(bytes.NewReader(src))}
	top, err := r.value(0)
	if err == nil {
		if _, more := r.dec.Token(); more == nil {
			err = errors.New("there is something behind the dashboard")
		}
	}
	if err != nil {
		end := int(r.dec.InputOffset())
		d.Error(rangeAt(src, f.Pattern, max(0, end-1), end), "Invalid JSON", "%s.", err)
		return nil
	}
	first := rangeAt(src, f.Pattern, top.from, top.from+1)
	panels, rows, title := top.fields["panels"], top.fields["rows"], top.fields["title"]
	switch {
	case top.fields == nil:
		d.Error(first, "Not a dashboard", "A dashboard is an object, as Grafana exports it.")
		return nil
	case title == nil && panels == nil && top.fields["dashboard"] != nil:
		d.Error(first, "Not a dashboard", "This is an answer of Grafana's API: its \"dashboard\" is what belongs here.")
		return nil
	case title == nil || strings.TrimSpace(title.text) == "":
		d.Error(first, "Dashboard without a title", "A dashboard has a \"title\".")
		return nil
	case (panels == nil || panels.list == nil) && (rows == nil || rows.list == nil):
		d.Error(first, "Dashboard without panels", "A dashboard has \"panels\", a list.")
		return nil
	}
	out := &Dashboard{Name: x.Pack.Prefix() + x.Labels[0], Title: title.text, JSON: src}
	out.queries(src, f.Pattern, top)
	x.Fields = append(x.Fields, &Field{Name: content.Name, Attr: &content, At: f.At, Text: fmt.Sprintf("sha256:%.12x", sha256.Sum256(src))})
	return out
}

// queries finds the PromQL of panels, in rows too.
func (x *Dashboard) queries(src []byte, file string, in *jsonValue) {
	for _, name := range []string{"rows", "panels"} {
		for _, p := range in.field(name).elements() {
			for _, t := range p.field("targets").elements() {
				from := t.field("datasource")
				if from == nil {
					from = p.field("datasource")
				}
				kind := from.field("type")
				expr := t.field("expr")
				if expr == nil || expr.text == "" || kind != nil && kind.text != "prometheus" && !strings.HasPrefix(kind.text, "$") {
					continue
				}
				at := rangeAt(src, file, expr.from, expr.to)
				inside := rangeAt(src, file, expr.from+1, expr.to-1)
				part := &hclsyntax.LiteralValueExpr{Val: cty.StringVal(expr.text), SrcRange: inside}
				if text, certain := withoutVariables(expr.text); certain {
					x.Queries = append(x.Queries, Query{
						&Field{Name: "expr", At: at, Value: expr.text, Expr: &hclsyntax.TemplateExpr{Parts: []hclsyntax.Expression{part}, SrcRange: at}}, text,
					})
				}
			}
			x.queries(src, file, p)
		}
	}
}

// templateVariable is $name, ${name:format}, [[name]] of Grafana's templates.
var templateVariable = regexp.MustCompile(`\$\{[^{}\n]*\}|\$[A-Za-z_][A-Za-z0-9_]*|\[\[[A-Za-z0-9_:]+\]\]`)

// withoutVariables puts something as long in the place of template variables: in a text nothing, behind [ and : a duration, elsewhere a name.
func withoutVariables(expr string) (text string, certain bool) {
	out, certain := []byte(expr), true
	for _, m := range templateVariable.FindAllStringIndex(expr, -1) {
		before := strings.TrimRight(expr[:m[0]], " \t\n")
		switch {
		case inQuotes(expr[:m[0]]):
		case (strings.HasSuffix(before, "[") || strings.HasSuffix(before, ":") || strings.HasSuffix(before, "offset")) && m[1]-m[0] > 1:
			copy(out[m[0]:], strings.Repeat("0", m[1]-m[0]-2)+"1m")
		default:
			certain = false
			copy(out[m[0]:], strings.Repeat("x", m[1]-m[0]))
		}
	}
	return string(out), certain
}

func inQuotes(before string) bool {
	var quote byte
	for i := 0; i < len(before); i++ {
		switch c := before[i]; {
		case quote == 0 && (c == '"' || c == '\'' || c == '`'):
			quote = c
		case quote != 0 && c == '\\' && quote != '`':
			i++
		case c == quote:
			quote = 0
		}
	}
	return quote != 0
}

// jsonValue is a value with its place.
type jsonValue struct {
	from, to int
	text     string
	fields   map[string]*jsonValue
	list     []*jsonValue
}

func (v *jsonValue) field(name string) *jsonValue {
	if v == nil {
		return nil
	}
	return v.fields[name]
}

func (v *jsonValue) elements() []*jsonValue {
	if v == nil {
		return nil
	}
	return v.list
}

// jsonReader reads JSON whose size and nesting are bounded already.
type jsonReader struct {
	src []byte
	dec *json.Decoder
}

func (r *jsonReader) value(depth int) (*jsonValue, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("it nests more than %d deep", maxNesting)
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	v := &jsonValue{to: int(r.dec.InputOffset())}
	switch t := token.(type) {
	case string:
		v.text, v.from = t, r.start(v.to)
	case json.Delim:
		v.from = v.to - 1
		if t == '[' {
			v.list = []*jsonValue{}
		} else {
			v.fields = map[string]*jsonValue{}
		}
		for r.dec.More() {
			key := ""
			if t == '{' {
				k, err := r.dec.Token()
				if err != nil {
					return nil, err
				}
				key, _ = k.(string)
			}
			inner, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			if t == '{' {
				v.fields[key] = inner
			} else {
				v.list = append(v.list, inner)
			}
		}
		if _, err := r.dec.Token(); err != nil {
			return nil, err
		}
		v.to = int(r.dec.InputOffset())
	default:
		v.from = v.to - 1
	}
	return v, nil
}

// start is where a text begins that ends at a place: at the quote before, which no backslash escapes.
func (r *jsonReader) start(end int) int {
	for i := end - 2; i >= 0; i-- {
		if r.src[i] != '"' {
			continue
		}
		slashes := 0
		for j := i - 1; j >= 0 && r.src[j] == '\\'; j-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
	return 0
}
