package language

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// valuesFile ends the name of a file of values, and flagged begins the name of a source that holds the text of one.
const (
	valuesFile = ".vars.hcl"
	flagged    = "-var "
)

// Flag makes a source of the command line's -var name=value, so that values go wherever the files go: to the daemon, and into
// the configuration that it keeps.
func Flag(text string) (Source, error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || !identifier.MatchString(name) {
		return Source{}, fmt.Errorf("-var takes a name and a value, such as -var site=fra1, not %q", text)
	}
	return Source{Name: flagged + name, Bytes: []byte(value)}, nil
}

func isValues(name string) bool {
	return strings.HasPrefix(name, flagged) || strings.HasSuffix(name, valuesFile) || strings.HasSuffix(name, valuesFile+".json")
}

// variable is what its block says.
type variable struct {
	block       *hcl.Block
	typ         cty.Type
	defaults    *typeexpr.Defaults
	nullable    bool // its default is null
	broken      bool // its block has a mistake, which is said
	sensitive   bool
	references  bool // it takes addresses of components, for the attributes that do: type = references
	validations []validation
}

type validation struct{ condition, message hcl.Expression }

// given is a value that somebody gave a variable: an expression of a file, or a text of the command line or the environment.
type given struct {
	expr hcl.Expression
	text string
	at   hcl.Range
}

var (
	variableBody = &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "sensitive"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
	}
	validationBody = &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "condition"}, {Name: "error_message"}}}
)

// addVariable declares the variable of a block. What it says of itself must be plain: it is read before anything is evaluated.
func (c *Config) addVariable(r *Report, b *hcl.Block, locals map[string]*local) {
	name := "var." + b.Labels[0]
	if !identifier.MatchString(b.Labels[0]) {
		r.Error(b.LabelRanges[0], "Invalid name", "%q is not a name of letters, digits, _ and -, which references need.", b.Labels[0])
		return
	}
	if other := locals[name]; other != nil {
		r.Error(Header(b), "Duplicate variable", "%s is declared at %s already.", name, Place(other.at))
		return
	}
	began := len(r.Diags)
	content, strays, diags := Content(b.Body, variableBody)
	r.Diags = append(r.Diags, diags...)
	for _, s := range strays {
		c.HideBehind(s.At)
		r.Error(s.At, "Unknown argument", "A variable has no argument %q.%s", s.Name, oneOf(s.Name, "type", "default", "description", "sensitive", "validation"))
	}
	v := &variable{block: b, typ: cty.DynamicPseudoType}
	l := &local{name: name, at: Header(b), variable: v}
	if a := content.Attributes["type"]; a != nil && hcl.ExprAsKeyword(a.Expr) == "references" {
		v.references = true
	} else if a != nil {
		t, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
		if diags.HasErrors() {
			r.Error(a.Expr.Range(), "Invalid type", "A type is string, number, bool, any, list(string), set(string), map(string), object({ name = string, port = optional(number, 80) }) or of such parts.")
		} else {
			v.typ, v.defaults = t, defaults
		}
	}
	if a := content.Attributes["sensitive"]; a != nil {
		set, diags := a.Expr.Value(nil)
		if diags.HasErrors() || set.Type() != cty.Bool || set.IsNull() {
			r.Error(a.Expr.Range(), "Wrong type", "sensitive takes true or false.")
		}
		v.sensitive = diags.HasErrors() || !set.RawEquals(cty.False) // in doubt it is
	}
	if a := content.Attributes["description"]; a != nil {
		if text, diags := a.Expr.Value(nil); diags.HasErrors() || !IsText(text) {
			r.Error(a.Expr.Range(), "Wrong type", "description takes a text, without references.")
		}
	}
	if a := content.Attributes["default"]; a != nil && v.references {
		if list, diags := hcl.ExprList(a.Expr); diags.HasErrors() || len(list) > 0 {
			r.Error(a.Expr.Range(), "Default with a reference", "The default of references is [], none: a pack does not know what is outside of it.")
		}
		l.expr = a.Expr
	} else if a != nil {
		l.expr = a.Expr
		if len(a.Expr.Variables()) > 0 {
			r.Error(a.Expr.Range(), "Default with a reference", "The default of a variable stands alone: for a value that is computed there are locals { … }.")
			l.expr = nil
		} else if value, diags := a.Expr.Value(nil); !diags.HasErrors() {
			v.nullable = value.IsNull()
		}
		if v.sensitive {
			c.HideSecret(a.Expr)
		}
	}
	for _, x := range content.Blocks {
		inner, strays, diags := Content(x.Body, validationBody)
		r.Diags = append(r.Diags, diags...)
		for _, s := range strays {
			r.Error(s.At, "Unknown argument", "A validation has no argument %q.%s", s.Name, oneOf(s.Name, "condition", "error_message"))
		}
		if condition, message := inner.Attributes["condition"], inner.Attributes["error_message"]; condition != nil && message != nil {
			v.validations = append(v.validations, validation{condition.Expr, message.Expr})
		} else if len(strays) == 0 {
			r.Error(Header(x), "Incomplete validation", "It takes condition = …, which is true for what is valid, and error_message = \"…\".")
		}
	}
	v.broken = r.Diags[began:].HasErrors()
	locals[name] = l
}

// oneOf ends a sentence about a name that is none of a few.
func oneOf(name string, names ...string) string {
	if hint := DidYouMean(name, names); hint != "" {
		return hint
	}
	return " It takes " + strings.Join(names, ", ") + "."
}

// addValues reads the values of a file, which win over those of files before it, or the value of a flag, which wins over all.
func (c *Config) addValues(r *Report, s Source, body hcl.Body) {
	if name, isFlag := strings.CutPrefix(s.Name, flagged); isFlag {
		c.flags[name] = given{text: string(s.Bytes), at: rangeAt(s.Bytes, s.Name, 0, len(s.Bytes))}
		return
	}
	attrs, diags := body.JustAttributes()
	for _, d := range diags {
		d.Summary, d.Detail = "Only values", "A file whose name ends in "+valuesFile+" holds values of variables, each as name = value. Blocks are in other files."
	}
	r.Diags = append(r.Diags, diags...)
	for name, a := range attrs {
		if len(a.Expr.Variables()) > 0 {
			r.Error(a.Expr.Range(), "Value with a reference", "The values of variables stand alone: for a value that is computed there are locals { … }.")
			continue
		}
		c.values[name] = append(c.values[name], given{expr: a.Expr, at: a.Expr.Range()})
	}
}

// givenTo finds the value of a variable: of one of a pack, what the pack block gives; else the flag's, the last file's, the environment's.
func (s *Scope) givenTo(l *local) (g given, found bool) {
	if l.in != nil {
		if l.given == nil {
			return g, false
		}
		return *l.given, true
	}
	name := strings.TrimPrefix(l.name, "var.")
	if g, found = s.cfg.flags[name]; found {
		return g, true
	}
	if all := s.cfg.values[name]; len(all) > 0 {
		return all[len(all)-1], true
	}
	if text, set := s.env.Getenv("MAGPIE_VAR_" + name); set {
		file := "MAGPIE_VAR_" + name
		s.cfg.files[file], s.cfg.order[file] = []byte(text), len(s.cfg.order)+1
		return given{text: text, at: rangeAt([]byte(text), file, 0, len(text))}, true
	}
	return given{}, false
}

// undeclared reports values for variables that nobody declares.
func (s *Scope) undeclared() {
	report := func(name string, g given) {
		if s.locals["var."+name] == nil && !s.cfg.Partial {
			s.cfg.Hide(g.at)
			s.Error(g.at, "Undeclared variable", "No variable block declares %q.%s", name, DidYouMean(name, names(s.locals, "var.")))
		}
	}
	for name, g := range s.cfg.flags {
		report(name, g)
	}
	for name, all := range s.cfg.values {
		for _, g := range all {
			report(name, g)
		}
	}
}

// names lists what may follow local. or var.
func names(locals map[string]*local, prefix string) (names []string) {
	for name := range locals {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names
}

// variable gives a variable its value: what was given, or else its default.
func (s *Scope) variable(l *local) (cty.Value, bool) {
	v, name := l.variable, strings.TrimPrefix(l.name, "var.")
	if v.references {
		return s.referencesOf(l)
	}
	g, found := s.givenTo(l)
	switch {
	case !found && l.expr != nil:
		g = given{expr: l.expr, at: l.expr.Range()}
	case !found && v.broken:
		return cty.NilVal, false
	case !found && v.sensitive && s.env.Offline:
		return cty.UnknownVal(v.typ).Mark(secretMark{}), true
	case !found && s.env.Offline && l.in == nil && s.cfg.IsPack(): // whoever brings it in gives it one
		return cty.UnknownVal(v.typ), true
	case !found:
		s.Error(l.at, "Variable without a value", "var.%s has no default, and no value was given: write default = …, or give one with -var %s=…, in a file *%s or in the environment variable MAGPIE_VAR_%s.", name, name, valuesFile, name)
		return cty.NilVal, false
	case v.sensitive && strings.HasPrefix(g.at.Filename, flagged) && !s.warned[name]:
		s.warned[name] = true
		s.Warn(g.at, "Secret on the command line", "Other users of the machine can read the value of var.%s there: give it in a file *%s or in the environment variable MAGPIE_VAR_%s.", name, valuesFile, name)
	}
	if v.sensitive {
		s.cfg.Hide(g.at)
	}
	what := "The value"
	if l.in != nil {
		what = name
	}
	value, ok := s.evaluateGiven(v, g, what)
	if !ok {
		return value, false
	}
	if v.sensitive {
		_ = cty.Walk(value, func(_ cty.Path, x cty.Value) (bool, error) {
			if x, _ = x.Unmark(); IsText(x) {
				s.KeepSecret(x.AsString())
			}
			return true, nil
		})
		value = value.Mark(secretMark{})
	}
	return value, true
}

// referencesOf has no value to give: what a pack's variable of this type was given is resolved where it is used.
func (s *Scope) referencesOf(l *local) (cty.Value, bool) {
	if l.in == nil && !s.cfg.IsPack() {
		s.Error(l.at, "Only in packs", "A variable of the type references is one of a pack: here components are named as they are.")
	}
	return cty.DynamicVal, true
}

func (s *Scope) evaluateGiven(v *variable, g given, what string) (cty.Value, bool) {
	expr := g.expr
	value, ok := cty.StringVal(g.text), true
	if expr == nil && !v.typ.IsPrimitiveType() && v.typ != cty.DynamicPseudoType {
		var r Report
		if expr = parseValue(&r, g); expr == nil {
			s.Error(g.at, "Invalid value", "It takes %s, written as in a file.", called(v.typ))
			return cty.NilVal, false
		}
	}
	if expr != nil {
		if value, ok = s.Value(expr); !ok {
			return value, false
		}
	}
	if u, _ := value.Unmark(); u.IsNull() && !v.nullable {
		s.Error(g.at, "Missing value", "%s must not be null: it takes %s.", what, called(v.typ))
		return cty.NilVal, false
	}
	if v.defaults != nil && !value.IsNull() {
		value = v.defaults.Apply(value)
	}
	if problem := misfit(value, v.typ, what); problem != "" {
		s.Error(g.at, "Wrong type", "%s", problem)
		return cty.NilVal, false
	}
	value, err := convert.Convert(value, v.typ)
	if err != nil {
		s.Error(g.at, "Wrong type", "%s takes %s: %s.", what, called(v.typ), err)
	}
	return value, err == nil
}

// parseValue reads a text of the command line or the environment as an expression without references; nil if it is none.
func parseValue(r *Report, g given) hcl.Expression {
	if len(g.text) > maxFile {
		return nil
	}
	tokens, _ := hclsyntax.LexExpression([]byte(g.text), g.at.Filename, hcl.InitialPos)
	if !checkTokens(r, tokens, false) {
		return nil
	}
	expr, diags := hclsyntax.ParseExpression([]byte(g.text), g.at.Filename, hcl.InitialPos)
	if diags.HasErrors() || len(expr.Variables()) > 0 {
		return nil
	}
	return expr
}

// misfit says how a value differs from a type; "" if it can be converted and nothing is lost: cty's own conversion drops keys that it
// does not know, and makes texts of numbers.
func misfit(v cty.Value, t cty.Type, what string) string {
	v, _ = v.Unmark()
	given := v.Type()
	if t == cty.DynamicPseudoType || v.IsNull() || !v.IsKnown() || given.Equals(t) {
		return ""
	}
	wrong := fmt.Sprintf("%s takes %s, and this is %s.", what, called(t), called(given))
	switch {
	case t.IsPrimitiveType() && given == cty.String:
		if _, err := convert.Convert(v, t); err != nil {
			return wrong
		}
		return ""
	case isMap(t) && isMap(given):
		return misfitMap(v, t, what)
	case isList(t) && isList(given) && t.IsCollectionType():
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			at := what
			if k.Type() == cty.Number {
				at = fmt.Sprintf("%s[%s]", what, k.AsBigFloat().Text('f', 0))
			}
			if problem := misfit(e, t.ElementType(), at); problem != "" {
				return problem
			}
		}
		return ""
	case isList(t) && isList(given):
		return ""
	}
	return wrong
}

func misfitMap(v cty.Value, t cty.Type, what string) string {
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		var of cty.Type
		key := k.AsString()
		if t.IsMapType() {
			of = t.ElementType()
		} else if t.HasAttribute(key) {
			of = t.AttributeType(key)
		} else {
			return fmt.Sprintf("%s has no key %q.%s", what, key, DidYouMean(key, Sorted(t.AttributeTypes())))
		}
		if problem := misfit(e, of, fmt.Sprintf("%s[%q]", what, key)); problem != "" {
			return problem
		}
	}
	if t.IsObjectType() {
		for _, key := range Sorted(t.AttributeTypes()) {
			if !v.Type().IsMapType() && !v.Type().HasAttribute(key) && !t.AttributeOptional(key) {
				return fmt.Sprintf("%s needs the key %q.", what, key)
			}
		}
	}
	return ""
}

// validate checks a variable's value by what its block says.
func (s *Scope) validate(l *local) {
	for _, x := range l.variable.validations {
		v, ok := s.Value(bind(x.condition, l.in))
		if !ok {
			continue
		}
		if v, _ = v.Unmark(); !v.IsKnown() {
			continue
		}
		if v.IsNull() || v.Type() != cty.Bool {
			s.Error(x.condition.Range(), "Wrong type", "condition takes true or false.")
			continue
		}
		if v.True() {
			continue
		}
		text, ok := s.Value(bind(x.message, l.in))
		if ok && IsSecret(text) {
			s.Error(x.message.Range(), "Secret in the open", "The message is shown: it cannot hold a secret.")
		} else if ok && !IsText(text) {
			s.Error(x.message.Range(), "Wrong type", "error_message takes a text.")
		} else if ok {
			at := l.at
			if g, found := s.givenTo(l); found {
				at = g.at
			}
			s.Error(at, "Invalid value of "+l.name, "%s (The condition is at %s.)", text.AsString(), Place(x.condition.Range()))
		}
	}
}
