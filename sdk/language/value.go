package language

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/magpie-monitoring/magpie/sdk"
)

// reading is one attribute on its way from an expression to what the plugin is sent.
type reading struct {
	d    *Decoder
	attr *sdk.Attribute
	expr hcl.Expression // nil: a default
	at   hcl.Range
	bad  bool
}

// Attribute evaluates an attribute, converts it to its type and checks it. nil: it has no value, and if it should have one, the
// reason is reported.
func (d *Decoder) Attribute(x *Body, a *sdk.Attribute, written *hcl.Attribute) *Field {
	if a.Deprecated != "" {
		d.Warn(written.NameRange, "Deprecated argument", "%s: %s", a.Name, a.Deprecated)
	}
	at := written.Expr.Range()
	if a.Type == References && len(a.Checks) > 0 {
		addresses, isWritten, ok := d.references(a, written.Expr)
		if x.Broken = x.Broken || !ok; !isWritten {
			return nil
		}
		return d.NewField(a, written.Expr, at, addresses)
	}
	if a.Sensitive {
		d.cfg.HideSecret(written.Expr)
	}
	v, ok := d.Value(written.Expr)
	if ok {
		if u, _ := v.Unmark(); u.IsNull() && a.Required {
			ok = false
			d.Error(at, "Missing value", "%s of %s must not be null: it takes %s.", a.Name, x.Title, takes(d.typeOf(a), a.Unit))
		} else if u.IsNull() {
			return nil
		}
	}
	r := &reading{d: d, attr: a, expr: written.Expr, at: at}
	var value any
	if ok {
		value = r.convert(v, d.typeOf(a), nil, a.Sensitive)
		if _, known := value.(secret); v.IsMarked() && !known && value != nil { // with the keys of a map
			value = secret{value}
		}
	}
	if x.Broken = x.Broken || !ok || r.bad; !ok || r.bad || reveal(value) == nil { // nil without a mistake: unknown offline
		return nil
	}
	f := d.NewField(a, written.Expr, at, value)
	if f.Sensitive && slices.Contains(a.Checks, Public) {
		x.Broken = true
		d.Error(at, "Secret in the open", "%s is seen by everyone, in series, notifications or the API: it cannot hold a secret.", a.Name)
		return nil
	}
	return f
}

// NewField keeps a value with its text and, if it has secrets, their sum.
func (d *Decoder) NewField(a *sdk.Attribute, expr hcl.Expression, at hcl.Range, value any) *Field {
	if a.Sensitive {
		value = hide(value)
	}
	var secrets []byte
	f := &Field{Name: a.Name, Attr: a, Expr: expr, At: at, Value: value, Text: render(value, &secrets)}
	if f.Sensitive = secrets != nil; f.Sensitive && len(d.HMACKey) > 0 {
		sum := hmac.New(sha256.New, d.HMACKey)
		sum.Write(secrets)
		f.Sum = hex.EncodeToString(sum.Sum(nil))
	}
	if path, isText := value.(string); isText && slices.Contains(a.Checks, "file") {
		f.Sum = d.contentSum(path)
	}
	return f
}

// hide makes a secret of a value; of a map, of each element: what they are called is none.
func hide(value any) any {
	switch v := value.(type) {
	case secret:
		return v
	case map[string]any:
		for key, e := range v {
			v[key] = hide(e)
		}
		return v
	}
	return secret{value}
}

// defaultOf reads a default, once for all blocks.
func (d *Decoder) defaultOf(a *sdk.Attribute, at hcl.Range) *Field {
	f := d.defaults[a]
	if f == nil {
		v, t := cty.StringVal(a.Default), d.typeOf(a)
		switch {
		case isMap(t):
			v = cty.EmptyObjectVal
		case isList(t):
			elements := []cty.Value{}
			for _, e := range strings.Fields(a.Default) {
				elements = append(elements, cty.StringVal(e))
			}
			v = cty.TupleVal(elements)
		}
		r := &reading{d: d, attr: a, at: at}
		f = d.NewField(a, nil, at, r.convert(v, t, nil, false))
		d.defaults[a] = f
	}
	copied := *f
	copied.At = at
	return &copied
}

// typeOf reads the type of an attribute; one that cannot be read takes anything.
func (d *Decoder) typeOf(a *sdk.Attribute) cty.Type {
	t, ok := d.types[a.Type]
	if !ok {
		t = cty.DynamicPseudoType
		if expr, diags := hclsyntax.ParseExpression([]byte(a.Type[:min(len(a.Type), 1000)]), "type", hcl.InitialPos); !diags.HasErrors() {
			if known, _, diags := typeexpr.TypeConstraintWithDefaults(expr); !diags.HasErrors() {
				t = known
			}
		}
		d.types[a.Type] = t
	}
	return t
}

func isList(t cty.Type) bool { return t.IsListType() || t.IsSetType() || t.IsTupleType() }

func isMap(t cty.Type) bool { return t.IsMapType() || t.IsObjectType() }

// IsText reports whether a value is a text that is known, and no secret.
func IsText(v cty.Value) bool {
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
func (r *reading) wrong(path sdk.Path, summary, format string, args ...any) any {
	r.bad = true
	at := r.at
	if r.expr != nil {
		at = Within(r.expr, path).Range()
	}
	r.d.Error(at, summary, "%s "+format, append([]any{append(sdk.Path{{Name: r.attr.Name}}, path...)}, args...)...)
	return nil
}

var regexGroup = regexp.MustCompile(`^"\$\{[0-9]+\}"$`)

func (r *reading) wrongType(v cty.Value, t cty.Type, path sdk.Path, hidden bool) any {
	if r.bad = true; r.expr != nil && regexGroup.Match(Within(r.expr, path).Range().SliceBytes(r.d.cfg.Bytes(r.at.Filename))) {
		return nil // said already, when the file was read
	}
	given, hint := v.Type(), ""
	if given.IsPrimitiveType() && !hidden {
		switch literal := string(hclwrite.TokensForValue(v).Bytes()); {
		case given == cty.Number && r.attr.Unit == sdk.DurationUnit:
			hint = fmt.Sprintf(`: add the unit, such as "%ss"`, literal)
		case given == cty.Number && r.attr.Unit == sdk.BytesUnit:
			hint = fmt.Sprintf(`: add the unit, such as "%sMiB"`, literal)
		case t == cty.String && !r.isLiteral(path):
			hint = ": make a text of it, tostring(…)"
		case t == cty.String:
			hint = fmt.Sprintf(": put it in quotes, %q", literal)
		case isList(t):
			hint = fmt.Sprintf(": write [%s]", literal)
		}
	}
	return r.wrong(path, "Wrong type", "takes %s, and this is %s%s.", takes(t, r.attr.Unit), called(given), hint)
}

// written is the expression of an element, as it stands in the file; nil for a default.
func (r *reading) written(path sdk.Path) hcl.Expression {
	if r.expr == nil {
		return nil
	}
	expr, _ := unbind(Within(r.expr, path))
	return expr
}

func (r *reading) isLiteral(path sdk.Path) bool {
	expr := r.written(path)
	return expr == nil || len(expr.Variables()) == 0
}

// convert makes what the plugin is sent: string, bool, json.Number, time.Duration, sdk.Bytes, []any, map[string]any, and
// secret around any of them. hidden: it is in a secret already.
func (r *reading) convert(v cty.Value, t cty.Type, path sdk.Path, hidden bool) any {
	v, marks := v.Unmark()
	if len(marks) > 0 && !hidden {
		return secret{r.convert(v, t, path, true)}
	}
	if t == cty.DynamicPseudoType {
		t = v.Type()
	}
	switch {
	case v.IsNull():
		return r.wrong(path, "Missing value", "must not be null.")
	case !v.IsKnown() && t == cty.String && r.attr.Unit == sdk.Plain: // offline: a secret that is there, and not read
		return "unknown"
	case !v.IsKnown():
		return nil
	case t.IsPrimitiveType():
		return r.simple(v, t, path, hidden || r.attr.Sensitive)
	case isList(t) && isList(v.Type()):
		values := []any{}
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			of := cty.DynamicPseudoType
			if t.IsCollectionType() {
				of = t.ElementType()
			}
			values = append(values, r.convert(e, of, append(path, sdk.Step{Index: len(values)}), hidden))
		}
		return values
	case isMap(t) && isMap(v.Type()):
		return r.object(v, t, path, hidden)
	}
	return r.wrongType(v, t, path, hidden)
}

func (r *reading) object(v cty.Value, t cty.Type, path sdk.Path, hidden bool) any {
	values, attributes := map[string]any{}, map[string]cty.Type{}
	if t.IsObjectType() {
		attributes = t.AttributeTypes()
	}
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		key := k.AsString()
		of, known := attributes[key]
		if t.IsMapType() {
			of, known = t.ElementType(), true
		}
		switch here := append(path, sdk.Step{Key: key}); {
		case !known:
			r.wrong(here, "Unknown key", "is not known here.%s", DidYouMean(key, Sorted(attributes)))
		case t.IsObjectType() && e.IsNull() && t.AttributeOptional(key):
		default:
			values[key] = r.convert(e, of, here, hidden)
		}
	}
	for _, key := range Sorted(attributes) {
		if _, ok := values[key]; !ok && !t.AttributeOptional(key) && !r.bad {
			return r.wrong(path, "Missing key", "needs %s.", key)
		}
	}
	return values
}

func (r *reading) simple(v cty.Value, t cty.Type, path sdk.Path, hidden bool) any {
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
	if _, inQuotes := r.written(path).(*hclsyntax.TemplateWrapExpr); inQuotes && t == cty.String && v.Type().IsPrimitiveType() {
		v, _ = convert.Convert(v, t) // "${each.value}" is a text, whatever it holds
	}
	switch {
	case v.Type() != t:
		return r.wrongType(v, t, path, hidden)
	case t == cty.Bool:
		return v.True()
	case t == cty.Number:
		return r.number(v, path, hidden)
	}
	s, shown := v.AsString(), strconv.Quote(v.AsString())
	if password := r.passwordIn(s); password != "" {
		r.d.KeepSecret(password)
		if plain, err := url.PathUnescape(password); err == nil {
			r.d.KeepSecret(plain)
		}
		if !hidden {
			if written := r.written(path); written != nil {
				r.d.cfg.HideSecret(Within(r.expr, path))
			}
			return secret{r.simple(v, t, path, true)}
		}
	}
	if hidden {
		shown = "the value"
		r.d.KeepSecret(s)
	}
	var value any = s
	var size float64
	var err error
	switch r.attr.Unit {
	case sdk.DurationUnit:
		var d time.Duration
		d, err = sdk.ParseDuration(s)
		value, size = d, float64(d)
	case sdk.BytesUnit:
		var n sdk.Bytes
		n, err = sdk.ParseBytes(s)
		value, size = n, float64(n)
	default:
		size = float64(len(s))
	}
	switch _, plain := strconv.ParseUint(s, 10, 64); {
	case err != nil && plain == nil:
		return r.wrong(path, "Number without a unit", "needs a unit: it takes %s, and %s has none.", takes(t, r.attr.Unit), shown)
	case err != nil:
		return r.wrong(path, "Invalid value", "takes %s, and %s is none.", takes(t, r.attr.Unit), shown)
	case size < 0:
		return r.wrong(path, "Invalid value", "must not be negative.")
	}
	return r.checked(value, size, path, shown)
}

// withLogin is a URL with a password; where one is to stand, its scheme may have been forgotten.
var withLogin = regexp.MustCompile(`^([a-zA-Z][a-zA-Z0-9+.-]*://|/*)[^/?#\s:@]*:([^/?#\s]+)@`)

// passwordIn gives the password of a URL, "" if it has none. What everyone sees is not looked at: it says whatever it says.
func (r *reading) passwordIn(s string) string {
	m := withLogin.FindStringSubmatch(s)
	if m == nil || slices.Contains(r.attr.Checks, Public) || !strings.Contains(m[1], ":") && !slices.Contains(r.attr.Checks, "url") {
		return ""
	}
	return m[2]
}

// number is exact for integers of 64 bits.
func (r *reading) number(v cty.Value, path sdk.Path, hidden bool) any {
	big := v.AsBigFloat()
	f, _ := big.Float64()
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if big.IsInt() && big.MantExp(nil) <= 64 {
		text = big.Text('f', 0)
	}
	shown := text
	if hidden {
		shown = "the value"
		r.d.KeepSecret(text)
	}
	_, signed := strconv.ParseInt(text, 10, 64)
	_, unsigned := strconv.ParseUint(text, 10, 64)
	if strings.HasSuffix(text, "Inf") || r.attr.Unit == sdk.IntegerUnit && signed != nil && unsigned != nil {
		return r.wrong(path, "Wrong number", "takes %s of at most 64 bits.", takes(cty.Number, r.attr.Unit))
	}
	return r.checked(json.Number(text), f, path, shown)
}
