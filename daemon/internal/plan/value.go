package plan

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/magpie-monitoring/magpie/daemon/internal/config"
	"github.com/magpie-monitoring/magpie/sdk"
)

// reading is one attribute on its way from an expression to what the plugin is sent.
type reading struct {
	b      *builder
	attr   *sdk.Attribute
	expr   hcl.Expression // nil: a default
	at     hcl.Range
	hidden strings.Builder // what nobody may see, for its sum
	bad    bool
}

const sensitive = "(sensitive)"

// read evaluates an attribute, converts it to its type and checks it. nil: it has no value, and if it should have one, the
// reason is reported.
func (b *builder) read(x *body, a *sdk.Attribute, written *hcl.Attribute) *field {
	if a.Deprecated != "" {
		b.Warn(written.NameRange, "Deprecated argument", "%s: %s", a.Name, a.Deprecated)
	}
	f := &field{name: a.Name, attr: a, expr: written.Expr, at: written.Expr.Range()}
	if a.Type == references {
		addresses, text, ok := b.references(a, written.Expr)
		f.value, f.text = addresses, text
		x.broken = x.broken || !ok
		return f
	}
	if a.Sensitive {
		b.cfg.HideSecret(written.Expr)
	}
	v, ok := b.Value(written.Expr)
	if ok {
		if u, _ := v.Unmark(); u.IsNull() && a.Required {
			ok = false
			b.Error(f.at, "Missing value", "%s of %s must not be null: it takes %s.", a.Name, x.title, takes(b.typeOf(a), a.Unit))
		} else if u.IsNull() {
			return nil
		}
	}
	r := &reading{b: b, attr: a, expr: written.Expr, at: f.at}
	if ok {
		f.value, f.text = r.convert(v, b.typeOf(a), nil, false)
	}
	if !ok || r.bad || f.value == nil {
		x.broken = x.broken || !ok || r.bad // without either, it is not known offline
		return nil
	}
	if a.Sensitive {
		f.text = r.hide(f.value)
	}
	if f.sensitive = r.hidden.Len() > 0; f.sensitive && len(b.env.HMACKey) > 0 {
		sum := hmac.New(sha256.New, b.env.HMACKey)
		sum.Write([]byte(r.hidden.String()))
		f.sum = hex.EncodeToString(sum.Sum(nil))
	}
	return f
}

// defaultOf reads a default, once for all blocks.
func (b *builder) defaultOf(a *sdk.Attribute, at hcl.Range) *field {
	f := b.defaults[a]
	if f == nil {
		f = &field{name: a.Name, attr: a, sensitive: a.Sensitive}
		v, t := cty.StringVal(a.Default), b.typeOf(a)
		switch {
		case t.IsMapType():
			v = cty.EmptyObjectVal
		case t.IsCollectionType():
			elements := []cty.Value{}
			for _, e := range strings.Fields(a.Default) {
				elements = append(elements, cty.StringVal(e))
			}
			v = cty.TupleVal(elements)
		}
		r := &reading{b: b, attr: a, at: at}
		if f.value, f.text = r.convert(v, t, nil, false); a.Sensitive {
			f.text = sensitive
		}
		b.defaults[a] = f
	}
	copied := *f
	copied.at = at
	return &copied
}

// typeOf reads the type of an attribute; one that cannot be read takes anything.
func (b *builder) typeOf(a *sdk.Attribute) cty.Type {
	t, ok := b.types[a.Type]
	if !ok {
		t = cty.DynamicPseudoType
		if expr, diags := hclsyntax.ParseExpression([]byte(a.Type[:min(len(a.Type), 1000)]), "type", hcl.InitialPos); !diags.HasErrors() {
			if known, _, diags := typeexpr.TypeConstraintWithDefaults(expr); !diags.HasErrors() {
				t = known
			}
		}
		b.types[a.Type] = t
	}
	return t
}

func isList(t cty.Type) bool { return t.IsListType() || t.IsSetType() || t.IsTupleType() }

func isMap(t cty.Type) bool { return t.IsMapType() || t.IsObjectType() }

func isText(v cty.Value) bool {
	return v.Type() == cty.String && v.IsKnown() && !v.IsNull() && !v.IsMarked()
}

// takes says what an attribute takes.
func takes(t cty.Type, unit sdk.Unit) string {
	units := map[sdk.Unit]string{sdk.DurationUnit: `a duration such as "15s"`, sdk.BytesUnit: `a size such as "256MiB"`, sdk.IntegerUnit: "a whole number"}
	if s := units[unit]; s != "" && t.IsPrimitiveType() {
		return s
	}
	return called(t)
}

func called(t cty.Type) string {
	switch {
	case isList(t):
		return "a list, [ … ]"
	case isMap(t):
		return "a map, { name = … }"
	case t == cty.Bool:
		return "true or false"
	case t == cty.Number:
		return "a number"
	case t == cty.String:
		return "a text"
	}
	return "a value"
}

// wrong reports what is wrong at an element of the attribute's value.
func (r *reading) wrong(path sdk.Path, summary, format string, args ...any) (any, string) {
	r.bad = true
	at := r.at
	if r.expr != nil {
		at = within(r.expr, path).Range()
	}
	r.b.Error(at, summary, "%s "+format, append([]any{append(sdk.Path{{Name: r.attr.Name}}, path...)}, args...)...)
	return nil, ""
}

var regexGroup = regexp.MustCompile(`^"\$\{[0-9]+\}"$`)

func (r *reading) wrongType(v cty.Value, t cty.Type, path sdk.Path, hidden bool) (any, string) {
	if r.bad = true; r.expr != nil && regexGroup.Match(within(r.expr, path).Range().SliceBytes(r.b.cfg.Bytes(r.at.Filename))) {
		return nil, "" // said already, when the file was read
	}
	given, hint := v.Type(), ""
	if given.IsPrimitiveType() && !hidden {
		switch literal := string(hclwrite.TokensForValue(v).Bytes()); {
		case given == cty.Number && r.attr.Unit == sdk.DurationUnit:
			hint = fmt.Sprintf(`: add the unit, such as "%ss"`, literal)
		case given == cty.Number && r.attr.Unit == sdk.BytesUnit:
			hint = fmt.Sprintf(`: add the unit, such as "%sMiB"`, literal)
		case t == cty.String:
			hint = fmt.Sprintf(": put it in quotes, %q", literal)
		case isList(t):
			hint = fmt.Sprintf(": write [%s]", literal)
		}
	}
	return r.wrong(path, "Wrong type", "takes %s, and this is %s%s.", takes(t, r.attr.Unit), called(given), hint)
}

// hide keeps a value for the sum.
func (r *reading) hide(v any) string {
	data, _ := json.Marshal(v)
	r.hidden.Write(data)
	return sensitive
}

// convert makes what the plugin is sent, and the text of it as HCL. hidden: it must not be shown, not even in errors.
func (r *reading) convert(v cty.Value, t cty.Type, path sdk.Path, hidden bool) (any, string) {
	v, marks := v.Unmark()
	if len(marks) > 0 && !hidden {
		value, _ := r.convert(v, t, path, true)
		return value, r.hide(value)
	}
	if t == cty.DynamicPseudoType {
		t = v.Type()
	}
	switch {
	case v.IsNull():
		return r.wrong(path, "Missing value", "must not be null.")
	case !v.IsKnown() && t == cty.String && r.attr.Unit == sdk.Plain: // offline: a secret that is there, and not read
		return "unknown", ""
	case !v.IsKnown():
		return nil, ""
	case t.IsPrimitiveType():
		return r.simple(v, t, path, hidden || r.attr.Sensitive)
	case isList(t) && isList(v.Type()):
		return r.list(v, t, path, hidden)
	case isMap(t) && isMap(v.Type()):
		return r.object(v, t, path, hidden)
	}
	return r.wrongType(v, t, path, hidden)
}

func (r *reading) list(v cty.Value, t cty.Type, path sdk.Path, hidden bool) (any, string) {
	values, texts := []any{}, []string{}
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		of := cty.DynamicPseudoType
		if t.IsCollectionType() {
			of = t.ElementType()
		}
		value, text := r.convert(e, of, append(path, sdk.Step{Index: len(values)}), hidden)
		values, texts = append(values, value), append(texts, text)
	}
	return values, "[" + strings.Join(texts, ", ") + "]"
}

func (r *reading) object(v cty.Value, t cty.Type, path sdk.Path, hidden bool) (any, string) {
	values, texts := map[string]any{}, []string{}
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		key, of := k.AsString(), cty.DynamicPseudoType
		here := append(path, sdk.Step{Key: key})
		switch {
		case t.IsMapType():
			of = t.ElementType()
		case !t.HasAttribute(key):
			r.wrong(here, "Unknown key", "is not known here.%s", config.DidYouMean(key, sorted(t.AttributeTypes())))
			continue
		case e.IsNull() && t.AttributeOptional(key):
			continue
		default:
			of = t.AttributeType(key)
		}
		value, text := r.convert(e, of, here, hidden)
		values[key] = value
		if !hclsyntax.ValidIdentifier(key) || key == "for" || key == "null" || key == "true" || key == "false" {
			key = quote(key)
		}
		texts = append(texts, key+" = "+text)
	}
	for _, key := range sorted(attributesOf(t)) {
		if _, ok := values[key]; !ok && !t.AttributeOptional(key) && !r.bad {
			return r.wrong(path, "Missing key", "needs %s.", key)
		}
	}
	return values, strings.ReplaceAll("{ "+strings.Join(texts, ", ")+" }", "{  }", "{}")
}

func attributesOf(t cty.Type) map[string]cty.Type {
	if t.IsObjectType() {
		return t.AttributeTypes()
	}
	return nil
}

func (r *reading) simple(v cty.Value, t cty.Type, path sdk.Path, hidden bool) (any, string) {
	if v.Type() == cty.String && t != cty.String { // what env gives is a text
		switch s := strings.TrimSpace(v.AsString()); {
		case t == cty.Bool && (s == "true" || s == "false"):
			v = cty.BoolVal(s == "true")
		case t == cty.Number:
			if n, err := cty.ParseNumberVal(s); err == nil {
				v = n
			}
		}
	}
	switch {
	case v.Type() != t:
		return r.wrongType(v, t, path, hidden)
	case t == cty.Bool:
		return v.True(), strconv.FormatBool(v.True())
	case t == cty.Number:
		return r.number(v, path)
	}
	s, shown := v.AsString(), strconv.Quote(v.AsString())
	if hidden {
		shown = "the value"
		r.b.KeepSecret(s)
	}
	var n int64
	var text string
	var err error
	switch r.attr.Unit {
	default:
		return r.checked(s, quote(s), float64(len(s)), path, shown)
	case sdk.DurationUnit:
		var d time.Duration
		d, err = sdk.ParseDuration(s)
		n, text = int64(d), duration(d)
	case sdk.BytesUnit:
		var size sdk.Bytes
		size, err = sdk.ParseBytes(s)
		n, text = int64(size), size.String()
	}
	switch _, plain := strconv.ParseUint(s, 10, 64); {
	case err != nil && plain == nil:
		return r.wrong(path, "Number without a unit", "needs a unit: it takes %s, and %s has none.", takes(t, r.attr.Unit), shown)
	case err != nil:
		return r.wrong(path, "Invalid value", "takes %s, and %s is none.", takes(t, r.attr.Unit), shown)
	case n < 0:
		return r.wrong(path, "Invalid value", "must not be negative.")
	}
	return r.checked(json.Number(strconv.FormatInt(n, 10)), quote(text), float64(n), path, shown)
}

// number is exact for integers of 64 bits.
func (r *reading) number(v cty.Value, path sdk.Path) (any, string) {
	big := v.AsBigFloat()
	f, _ := big.Float64()
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if big.IsInt() && big.MantExp(nil) <= 64 {
		text = big.Text('f', 0)
	}
	_, signed := strconv.ParseInt(text, 10, 64)
	_, unsigned := strconv.ParseUint(text, 10, 64)
	if strings.HasSuffix(text, "Inf") || r.attr.Unit == sdk.IntegerUnit && signed != nil && unsigned != nil {
		return r.wrong(path, "Wrong number", "takes %s of at most 64 bits.", takes(cty.Number, r.attr.Unit))
	}
	return r.checked(json.Number(text), text, f, path, text)
}

// quote writes a text as HCL does.
func quote(s string) string { return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()) }

// duration writes a duration in the units of HCL, the largest first: 30d, 1m30s.
func duration(d time.Duration) string {
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
