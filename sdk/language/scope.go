package language

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Scope evaluates expressions. Every expression gets a context of its own that holds only the locals it names: one context
// with everything, made for every block, takes time by the square of the blocks.
type Scope struct {
	Report
	cfg      *Config
	env      Env
	locals   map[string]*local
	funcs    map[string]function.Function
	plain    *hcl.EvalContext // of expressions that name no local
	evaluate []*local         // those being evaluated, to find cycles
	budget   budget
	secrets  map[string]bool   // that no message may repeat
	asked    map[string]answer // what programs gave
	watch    Signs             // of files whose content counts
	warned   map[string]bool   // variables
}

// Env is what a configuration may ask of the machine.
type Env struct {
	Getenv   func(name string) (string, bool)
	ReadFile func(path string) ([]byte, error)
	Ask      func(command string) (string, error) // runs a program for a secret
	Offline  bool                                 // secrets are not read: their values are unknown
}

// answer is what a program gave for a secret.
type answer struct {
	text string
	err  error
}

// local is one value of a locals block, or a variable.
type local struct {
	name     string         // as it is referred to: local.site, var.site
	expr     hcl.Expression // of a variable, its default; nil: it has none
	at       hcl.Range
	variable *variable  // nil: it is none
	in       *iteration // of a pack: what it sees
	given    *given     // of a pack's variable: what the pack block gives it; nil: nothing
	state    int        // 0: not looked at, 1: being evaluated, 2: done
	ok       bool
	value    cty.Value
	hidden   bool
}

// NewScope makes the scope of a configuration and evaluates its variables and locals.
func NewScope(c *Config, env Env) *Scope {
	s := &Scope{cfg: c, env: env, locals: map[string]*local{}, secrets: map[string]bool{}, asked: map[string]answer{}, watch: Signs{}, warned: map[string]bool{}}
	s.budget.allow(c.files)
	s.funcs = s.functions()
	s.plain = &hcl.EvalContext{Functions: s.funcs}
	for name, l := range c.locals {
		s.locals[name] = &local{name: name, expr: l.expr, at: l.at, variable: l.variable}
	}
	s.undeclared()
	s.evaluateAll(s.locals)
	return s
}

// evaluateAll evaluates locals and variables, and checks what variables say of their values.
func (s *Scope) evaluateAll(locals map[string]*local) {
	all := slices.Sorted(maps.Keys(locals))
	for _, name := range all {
		s.local(locals[name])
	}
	for _, name := range all {
		if l := locals[name]; l.ok && l.variable != nil {
			s.validate(l)
		}
	}
}

// Value evaluates an expression. false means that it has no value: the reason is reported, once.
func (s *Scope) Value(expr hcl.Expression) (cty.Value, bool) {
	expr, in := unbind(expr)
	if s.budget.exhausted {
		return cty.NilVal, false
	}
	ctx, ok := s.context(expr, in)
	if !ok || !s.afford(expr, ctx) {
		return cty.NilVal, false
	}
	v, diags := s.run(expr, ctx)
	if s.budget.exhausted {
		return s.tooDear(expr)
	}
	secretly := diags.HasErrors() && s.touchesSecret(expr, ctx)
	for _, d := range diags {
		if secretly && !harmless[d.Summary] && !s.ofSecret(d, ctx) {
			d.Detail = "Why is not shown, as a secret is part of it."
		}
		if _, reason, ok := strings.Cut(d.Detail, " parameter: "); ok && d.Summary == "Invalid function argument" {
			d.Detail = reason
		} else if d.Summary == "Call to unknown function" && d.Subject != nil {
			name := string(d.Subject.SliceBytes(s.cfg.files[d.Subject.Filename]))
			if s.cfg.isHidden(*d.Subject) {
				name = "of this name; a text is put in quotes" // perhaps the secret itself
			}
			d.Detail = "There is no function " + name + "." + cmp.Or(instead[name], DidYouMean(name, slices.Collect(maps.Keys(s.funcs))))
		}
		d.Expression, d.EvalContext = nil, nil // they hold values, secrets among them
	}
	s.Diags = append(s.Diags, diags...)
	if diags.HasErrors() {
		return v, false
	}
	z := sizeOf(v)
	if !s.budget.hold(z) {
		return s.tooLarge(expr, z)
	}
	if !s.budget.spend(z.work()) {
		return s.tooDear(expr)
	}
	return v, true
}

// harmless are the mistakes whose texts name no values.
var harmless = map[string]bool{
	"Call to unknown function": true, "Not enough function arguments": true, "Too many function arguments": true, "Unsupported attribute": true,
	"Unknown variable": true, "Variables not allowed": true,
}

// ofSecret reports whether a mistake is that of secret itself: the place cannot be read, and is none.
func (s *Scope) ofSecret(d *hcl.Diagnostic, ctx *hcl.EvalContext) bool {
	said, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
	if !ok || d.Expression == nil || said.CalledFunctionName() != "secret" && said.CalledFunctionName() != "env" {
		return false
	}
	if call, whole := d.Expression.(*hclsyntax.FunctionCallExpr); whole {
		return !slices.ContainsFunc(call.Args, func(x hclsyntax.Expression) bool { return s.touchesSecret(x, ctx) })
	}
	return !s.touchesSecret(d.Expression, ctx)
}

var callsSecret = regexp.MustCompile(`\b(secret|sensitive)\s*\(`)

// touchesSecret reports whether secrets are among what an expression works with.
func (s *Scope) touchesSecret(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	r := expr.Range()
	if src := s.cfg.files[r.Filename]; r.End.Byte <= len(src) && callsSecret.Match(r.SliceBytes(src)) {
		return true
	}
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool {
		v, diags := t.TraverseAbs(ctx)
		return diags.HasErrors() || IsSecret(v)
	})
}

// run evaluates until the budget is exhausted.
func (s *Scope) run(expr hcl.Expression, ctx *hcl.EvalContext) (v cty.Value, diags hcl.Diagnostics) {
	defer func() {
		if r := recover(); r != nil && r != error(errTooDear) {
			panic(r)
		}
	}()
	return expr.Value(ctx)
}

// context makes the context of an expression: the locals and variables that it names, evaluated, and what for_each and dynamic give.
func (s *Scope) context(expr hcl.Expression, in *iteration) (*hcl.EvalContext, bool) {
	variables := expr.Variables()
	if len(variables) == 0 {
		return s.plain, true
	}
	ok, roots, values := true, map[string]cty.Value{}, map[string]map[string]cty.Value{}
	for _, t := range variables {
		if i := in.find(t.RootName()); i != nil {
			roots[i.name] = i.value
			continue
		}
		l := localOf(s.localsOf(in), t)
		if l == nil {
			ok = s.strange(t, in)
			continue
		}
		if s.local(l); !l.ok {
			ok = false
		} else if l.variable != nil && l.variable.references {
			s.Error(t.SourceRange(), "A component is no value", "%s takes references, for from, through, to, notify, discover and store only.", l.name)
			ok = false
		}
		root, name, _ := strings.Cut(l.name, ".")
		if values[root] == nil {
			values[root] = map[string]cty.Value{}
		}
		values[root][name] = l.value
	}
	if !ok {
		return nil, false
	}
	for root, of := range values {
		roots[root] = cty.ObjectVal(of)
	}
	return &hcl.EvalContext{Functions: s.funcs, Variables: roots}, true
}

// localsOf are the locals and variables that can be seen: those of the pack, or those of the configuration itself.
func (s *Scope) localsOf(in *iteration) map[string]*local {
	if p := packOf(in); p != nil {
		return p.locals
	}
	return s.locals
}

// localOf gives the local or the variable that a traversal names, nil if it names none.
func localOf(locals map[string]*local, t hcl.Traversal) *local {
	if len(t) < 2 || t.RootName() != "local" && t.RootName() != "var" {
		return nil
	}
	name, _ := t[1].(hcl.TraverseAttr)
	return locals[t.RootName()+"."+name.Name]
}

// strange reports a name that is no local; it gives false, for its caller's ok.
func (s *Scope) strange(t hcl.Traversal, in *iteration) bool {
	root, at, locals := t.RootName(), t.SourceRange(), s.localsOf(in)
	switch {
	case s.cfg.isHidden(at): // perhaps the secret itself
		s.Error(at, "Unknown name", "There is no value of this name. If it is a text, put it in quotes.")
	case (root == "local" || root == "var") && s.cfg.Partial: // perhaps declared in the file that could not be read
	case (root == "local" || root == "var") && len(t) == 1:
		s.Error(at, "Incomplete reference", "Write %s and a name, such as %s.site.", root, root)
	case root == "local" || root == "var":
		name, _ := t[1].(hcl.TraverseAttr)
		hint := ""
		if !s.Flooded() {
			hint = DidYouMean(name.Name, names(locals, root+"."))
		}
		other, called := "var", "No locals block declares"
		if root == "var" {
			other, called = "local", "No variable block declares"
		}
		if locals[other+"."+name.Name] != nil {
			hint = fmt.Sprintf(" Did you mean %s.%s?", other, name.Name)
		} else if packOf(in) != nil && s.locals[root+"."+name.Name] != nil {
			hint = " A pack sees nothing of what is outside of it: give it what it needs by a variable."
		}
		s.Error(at, "Undeclared "+map[string]string{"local": "local", "var": "variable"}[root], "%s %q.%s", called, name.Name, hint)
	case root == "each":
		s.Error(at, "each without for_each", "each.key and each.value are there in a block that says for_each = …")
	case root == "count":
		s.Error(at, "Unknown name", "There is no count: blocks are repeated by for_each = …, and know each.key and each.value.")
	case slices.ContainsFunc(grammar.Blocks, func(b hcl.BlockHeaderSchema) bool { return b.Type == root && len(t) > 1 }):
		s.Error(at, "A component is no value", "References to components are taken by from, through, to, notify, discover and store only.")
	case len(t) == 1:
		s.Error(at, "Unknown name", "There is no value %q. If it is a text, put it in quotes: %q.", root, root)
	default:
		s.Error(at, "Unknown name", "There is no value %q. Values come from local.NAME, var.NAME, env(\"NAME\") and secret(\"file:…\").", root)
	}
	return false
}

// local evaluates a local, once.
func (s *Scope) local(l *local) {
	if l.state == 1 {
		s.cycle(l)
	}
	if l.state != 0 {
		return
	}
	l.state, s.evaluate = 1, append(s.evaluate, l)
	if l.variable != nil {
		l.value, l.ok = s.variable(l)
	} else {
		l.value, l.ok = s.Value(bind(l.expr, l.in))
	}
	if !l.ok {
		l.value = cty.DynamicVal
	}
	l.state, s.evaluate = 2, s.evaluate[:len(s.evaluate)-1]
}

func (s *Scope) cycle(l *local) {
	from := slices.Index(s.evaluate, l)
	var path strings.Builder
	for i, in := range s.evaluate[from:] {
		next := l
		if from+i+1 < len(s.evaluate) {
			next = s.evaluate[from+i+1]
		}
		for _, t := range in.expr.Variables() {
			if localOf(s.localsOf(l.in), t) == next {
				path.WriteString("\n  " + in.name + " uses " + next.name + " at " + Place(t.SourceRange()))
				break
			}
		}
	}
	s.Error(l.at, "Cycle", "%s needs its own value:%s", l.name, path.String())
}
