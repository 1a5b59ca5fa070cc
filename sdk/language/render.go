package language

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/magpie-monitoring/magpie/sdk"
)

// secret is a value that is sent to the plugin, and shown to nobody.
type secret struct{ value any }

// MarshalJSON gives the value.
func (s secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.value) }

func reveal(value any) any {
	if s, ok := value.(secret); ok {
		return s.value
	}
	return value
}

// Addresses are the components that references mean, as they are written.
type Addresses struct {
	Found []string
	Text  string
}

// MarshalJSON gives what was found.
func (a Addresses) MarshalJSON() ([]byte, error) { return json.Marshal(a.Found) }

// render writes a value as HCL, and appends what it hides to secrets.
func render(value any, secrets *[]byte) string {
	switch v := value.(type) {
	case secret:
		data, _ := json.Marshal(v.value)
		*secrets = append(*secrets, data...)
		return "(sensitive)"
	case Addresses:
		return v.Text
	case string:
		return Quote(v)
	case time.Duration:
		return Quote(Duration(v))
	case sdk.Bytes:
		return Quote(v.String())
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			texts[i] = render(e, secrets)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case map[string]any:
		var texts []string
		for _, key := range Sorted(v) {
			text := render(v[key], secrets)
			if !hclsyntax.ValidIdentifier(key) || key == "for" || key == "null" || key == "true" || key == "false" {
				key = Quote(key)
			}
			texts = append(texts, key+" = "+text)
		}
		return strings.ReplaceAll("{ "+strings.Join(texts, ", ")+" }", "{  }", "{}")
	}
	return fmt.Sprint(value)
}

// Quote writes a text as HCL does.
func Quote(s string) string { return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()) }

// Duration writes a duration in the units of HCL, the largest first: 30d, 1m30s.
func Duration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	s := ""
	for i, size := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second, time.Millisecond, time.Microsecond, 1} {
		if n := d / size; n > 0 {
			s += strconv.FormatInt(int64(n), 10) + []string{"d", "h", "m", "s", "ms", "us", "ns"}[i]
			d -= n * size
		}
	}
	return s
}

// Sorted are the keys of a map, in order.
func Sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Show writes bodies as HCL: what nobody wrote is marked as a default.
func Show(all []*Body) string { return showAll(all, false) }

// ShowPack writes those of a pack, or of all of its for_each, with their origins: where blocks and rules are written, and where what stands in the place of
// what the pack says.
func ShowPack(all []*Body, address string) string {
	return showAll(slices.DeleteFunc(slices.Clone(all), func(x *Body) bool { return !x.Pack.Within(address) }), true)
}

func showAll(all []*Body, origins bool) string {
	var b strings.Builder
	for _, x := range all {
		parts := []*Body{x}
		if x.Kind == "file" { // loose rules stand alone
			parts = x.Nested()
		}
		for _, y := range parts {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			y.Pack = x.Pack
			show(&b, y, origins, false)
		}
	}
	return string(hclwrite.Format([]byte(b.String())))
}

func show(b *strings.Builder, x *Body, origins, inner bool) {
	about := strings.TrimSpace(x.Key)
	if !inner && x.Pack != nil {
		about = x.Pack.Address() + x.Key
	}
	switch {
	case !origins:
	case x.overrides:
		about = "overridden at " + Place(x.Header)
	case x.Kind == OfRuleFile:
		about = x.Pack.Address() + " " + Place(x.Header)
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
		show(b, y, origins, true)
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
