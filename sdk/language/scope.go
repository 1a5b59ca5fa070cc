package language

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// What expressions may make, in bytes of text and elements of collections: without a bound, twenty locals that double each
// other fill the memory. A loop makes at most what it works on, times its elements.
const (
	maxValue    = 2 << 20
	maxElements = maxValue / 16
	maxLoop     = 256 << 20
	maxTotal    = 32 << 20 // all values together
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
	spent    float64
	secrets  map[string]bool // that no message may repeat
}

// Env is what a configuration may ask of the machine.
type Env struct {
	Getenv   func(name string) (string, bool)
	ReadFile func(path string) ([]byte, error)
	Offline  bool // secrets are not read: their values are unknown
}

// local is one value of a locals block.
type local struct {
	name   string
	expr   hcl.Expression
	at     hcl.Range
	state  int // 0: not looked at, 1: being evaluated, 2: done
	ok     bool
	value  cty.Value
	size   size
	hidden bool
}

// NewScope makes the scope of a configuration and evaluates its locals.
func NewScope(c *Config, env Env) *Scope {
	s := &Scope{cfg: c, env: env, locals: map[string]*local{}, secrets: map[string]bool{}}
	s.funcs = s.functions()
	s.plain = &hcl.EvalContext{Functions: s.funcs}
	for name, l := range c.locals {
		s.locals[name] = &local{name: name, expr: l.expr, at: l.at}
	}
	for _, name := range slices.Sorted(maps.Keys(s.locals)) {
		s.local(s.locals[name])
	}
	return s
}

// Value evaluates an expression. false means that it has no value: the reason is reported, once.
func (s *Scope) Value(expr hcl.Expression) (cty.Value, bool) {
	ctx, ok := s.context(expr)
	if !ok {
		return cty.NilVal, false
	}
	if !s.afford(expr) {
		return s.tooLarge(expr, maxValue)
	}
	v, diags := expr.Value(ctx)
	for _, d := range diags {
		if _, reason, ok := strings.Cut(d.Detail, " parameter: "); ok && d.Summary == "Invalid function argument" {
			d.Detail = reason
		} else if d.Summary == "Call to unknown function" && d.Subject != nil {
			name := string(d.Subject.SliceBytes(s.cfg.files[d.Subject.Filename]))
			d.Detail = "There is no function " + name + "." + DidYouMean(name, slices.Collect(maps.Keys(s.funcs)))
		}
		d.Expression, d.EvalContext = nil, nil // they hold values, secrets among them
	}
	s.Diags = append(s.Diags, diags...)
	if diags.HasErrors() {
		return v, false
	}
	switch z := sizeOf(v); {
	case z.bytes > maxValue || z.elements > maxElements:
		return s.tooLarge(expr, maxValue)
	case s.spent+z.bytes > maxTotal:
		return s.tooLarge(expr, maxTotal)
	default:
		s.spent += z.bytes
		return v, true
	}
}

func (s *Scope) tooLarge(expr hcl.Expression, limit int) (cty.Value, bool) {
	s.Error(expr.Range(), "Value too large", "An expression makes at most %d MiB, and all together %d; this one goes beyond %d MiB.", maxValue>>20, maxTotal>>20, limit>>20)
	return cty.NilVal, false
}

// context makes the context of an expression: the locals that it names, evaluated.
func (s *Scope) context(expr hcl.Expression) (*hcl.EvalContext, bool) {
	variables := expr.Variables()
	if len(variables) == 0 {
		return s.plain, true
	}
	ok, values := true, map[string]cty.Value{}
	for _, t := range variables {
		l := localOf(s.locals, t)
		if l == nil {
			ok = s.strange(t)
			continue
		}
		if s.local(l); !l.ok {
			ok = false
		}
		values[l.name] = l.value
	}
	if !ok {
		return nil, false
	}
	return &hcl.EvalContext{Functions: s.funcs, Variables: map[string]cty.Value{"local": cty.ObjectVal(values)}}, true
}

// localOf gives the local that a traversal names, nil if it names none.
func localOf(locals map[string]*local, t hcl.Traversal) *local {
	if len(t) < 2 || t.RootName() != "local" {
		return nil
	}
	name, _ := t[1].(hcl.TraverseAttr)
	return locals[name.Name]
}

// strange reports a name that is no local; it gives false, for its caller's ok.
func (s *Scope) strange(t hcl.Traversal) bool {
	root, at := t.RootName(), t.SourceRange()
	switch {
	case root == "local" && s.cfg.Partial: // perhaps declared in the file that could not be read
	case root == "local" && len(t) == 1:
		s.Error(at, "Incomplete reference", "Write local and a name, such as local.site.")
	case root == "local":
		name, _ := t[1].(hcl.TraverseAttr)
		hint := ""
		if !s.Flooded() {
			hint = DidYouMean(name.Name, slices.Collect(maps.Keys(s.locals)))
		}
		s.Error(at, "Undeclared local", "No locals block declares %q.%s", name.Name, hint)
	case root == "each" || root == "var":
		s.Error(at, "Not in this version yet", "This version has neither for_each nor variable. For values that are used more than once there are locals { … }.")
	case slices.ContainsFunc(grammar.Blocks, func(b hcl.BlockHeaderSchema) bool { return b.Type == root && len(t) > 1 }):
		s.Error(at, "A component is no value", "References to components are taken by from, through, to, notify, discover and store only.")
	case len(t) == 1:
		s.Error(at, "Unknown name", "There is no variable %q. If it is a text, put it in quotes: %q.", root, root)
	default:
		s.Error(at, "Unknown name", "There is no variable %q. Values come from local.NAME, env(\"NAME\") and secret(\"file:…\").", root)
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
	l.value, l.ok = s.Value(l.expr)
	if l.ok {
		l.size = sizeOf(l.value)
	} else {
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
			if localOf(s.locals, t) == next {
				path.WriteString("\n  local." + in.name + " uses local." + next.name + " at " + Place(t.SourceRange()))
				break
			}
		}
	}
	s.Error(l.at, "Cycle", "local.%s needs its own value:%s", l.name, path.String())
}

// afford reports whether the scope may evaluate an expression, whose locals have their values.
func (s *Scope) afford(expr hcl.Expression) bool {
	length := float64(expr.Range().End.Byte - expr.Range().Start.Byte)
	z, loops := size{bytes: length, elements: length / 2}, 0.0
	for _, t := range expr.Variables() {
		if l := localOf(s.locals, t); l != nil {
			z.bytes += l.size.bytes
			z.elements += l.size.elements
		}
	}
	if native, ok := expr.(hclsyntax.Expression); ok {
		_ = hclsyntax.VisitAll(native, func(n hclsyntax.Node) hcl.Diagnostics {
			if _, is := n.(*hclsyntax.ForExpr); is {
				loops++
			}
			return nil
		})
	}
	return z.bytes <= maxValue && (loops == 0 || z.bytes*math.Pow(z.elements, loops) <= maxLoop)
}

// size is how large a value is.
type size struct{ bytes, elements float64 }

// sizeOf measures a value. A number beyond float64 is as large as can be: written out as text, it would be.
func sizeOf(v cty.Value) (z size) {
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		z.elements++
		if v, _ = v.Unmark(); v.IsKnown() && !v.IsNull() {
			switch v.Type() {
			case cty.String:
				z.bytes += float64(len(v.AsString()))
			case cty.Number:
				if f, _ := v.AsBigFloat().Float64(); math.IsInf(f, 0) {
					z.bytes = math.Inf(1)
				}
			}
		}
		return true, nil
	})
	z.bytes += z.elements
	return z
}
