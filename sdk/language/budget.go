package language

import (
	"fmt"
	"math"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// What expressions may make and cost. Without a bound, twenty locals that double each other fill the memory, and a loop in a
// loop takes an hour. Work is counted, not timed, so that a configuration is as good on a slow machine as on a fast one: a unit
// is an element looked at or made, or some bytes of text, and takes about half a microsecond.
const (
	maxValue    = 2 << 20       // bytes of one value
	maxElements = maxValue / 16 // of one value
	maxHeld     = 32 << 20      // bytes of all values together
	ofElement   = 32            // bytes that an element takes beside its text
	perUnit     = 64            // bytes of text that a unit of work goes through
	minWork     = 800_000       // of a small configuration
	workPerByte = 1.0           // of what it may be more for a large one
	meterName   = "\x00meter"   // of a function that no file can name
)

// budget is what the expressions of a configuration may still make.
type budget struct {
	work, held float64
	exhausted  bool
	told       bool
}

// allow gives a configuration its budget: more to one of many files, as thousands of sources have thousands of values.
func (b *budget) allow(files map[string][]byte) {
	bytes := 0.0
	for _, f := range files {
		bytes += float64(len(f))
	}
	b.work, b.held = minWork+workPerByte*max(0, bytes-maxFile), maxHeld+max(0, 4*(bytes-maxFile))
}

// spend takes work from the budget; false: there is not so much left, and nothing more is evaluated.
func (b *budget) spend(work float64) bool {
	b.work -= work
	b.exhausted = b.exhausted || b.work < 0
	return !b.exhausted
}

// hold takes the room of a value.
func (b *budget) hold(z size) bool {
	if z.bytes > maxValue || z.elements > maxElements {
		return false
	}
	b.held -= z.bytes + ofElement*z.elements
	return b.held >= 0
}

// size is how large a value is.
type size struct{ bytes, elements float64 }

func (z size) work() float64 { return z.elements + z.bytes/perUnit }

// sizeOf measures a value, as far as it may be large. A number beyond float64 is as large as can be: written out as text, it
// would be.
func sizeOf(v cty.Value) (z size) {
	z.add(v)
	z.bytes += z.elements
	return z
}

func (z *size) add(v cty.Value) {
	if z.elements++; z.elements > maxElements {
		return
	}
	if v, _ = v.Unmark(); v == cty.NilVal || !v.IsKnown() || v.IsNull() {
		return
	}
	switch t := v.Type(); {
	case t == cty.String:
		z.bytes += float64(len(v.AsString()))
	case t == cty.Number:
		if f, _ := v.AsBigFloat().Float64(); math.IsInf(f, 0) {
			z.bytes = math.Inf(1)
		}
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next() && z.elements <= maxElements; {
			k, e := it.Element()
			if t.IsSetType() {
				z.elements += 3 // it is sorted each time
			} else if k.Type() == cty.String {
				z.bytes += float64(len(k.AsString()))
			}
			z.add(e)
		}
	}
}

// Afford takes work from the budget for what is done with a value outside of expressions; false: there is not so much left, which is
// said at a place.
func (s *Scope) Afford(work float64, at hcl.Range) bool {
	if s.budget.spend(work) {
		return true
	}
	if !s.budget.told {
		s.budget.told = true
		s.Error(at, "Too much to compute", "The texts of the configuration up to this one take more work than a configuration may: they are very long.")
	}
	return false
}

// tooDear says, once, that the budget is used up.
func (s *Scope) tooDear(expr hcl.Expression) (cty.Value, bool) {
	if !s.budget.told {
		s.budget.told = true
		s.Error(expr.Range(), "Too much to compute", "The expressions of the configuration up to this one take more work than a configuration may: loops in loops, or functions of large values. Compute less, or write the result out.")
	}
	return cty.NilVal, false
}

func (s *Scope) tooLarge(expr hcl.Expression, z size) (cty.Value, bool) {
	if z.bytes > maxValue || z.elements > maxElements {
		s.Error(expr.Range(), "Value too large", "An expression makes at most %d MiB and %d elements, and this one goes beyond.", maxValue>>20, maxElements)
	} else if !s.budget.told {
		s.budget.told, s.budget.exhausted = true, true
		s.Error(expr.Range(), "Values too large", "All values of a configuration together are at most %d MiB, and this one goes beyond.", maxHeld>>20)
	}
	return cty.NilVal, false
}

// afford reports whether an expression may be evaluated: the texts that it names, each as often as it does, may all end up in
// one.
func (s *Scope) afford(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	length := float64(expr.Range().End.Byte - expr.Range().Start.Byte)
	_, native := expr.(hclsyntax.Expression)
	bytes, work := length, 2+length/perUnit
	if ctx != s.plain {
		for _, t := range expr.Variables() {
			work++
			v, diags := t.TraverseAbs(ctx)
			if diags.HasErrors() {
				continue
			}
			if u, _ := v.Unmark(); u.IsKnown() && !u.IsNull() && u.Type() == cty.String {
				bytes += float64(len(u.AsString()))
			} else if !native { // its loops and comparisons are not metered
				work += 4 * sizeOf(v).work()
			}
		}
	}
	if !s.budget.spend(work) {
		_, _ = s.tooDear(expr)
		return false
	}
	if bytes > maxValue {
		_, _ = s.tooLarge(expr, size{bytes: bytes})
		return false
	}
	return true
}

// meter makes what repeats in an expression pay for what it makes: the body of a loop, what a splat takes, both sides of a
// comparison, the results of a condition.
func meter(body hcl.Body) {
	if native, ok := body.(*hclsyntax.Body); ok {
		_ = hclsyntax.VisitAll(native, func(n hclsyntax.Node) hcl.Diagnostics {
			switch x := n.(type) {
			case *hclsyntax.ForExpr:
				x.ValExpr, x.KeyExpr, x.CondExpr = metered(x.ValExpr), metered(x.KeyExpr), metered(x.CondExpr)
			case *hclsyntax.SplatExpr:
				x.Each = metered(x.Each)
			case *hclsyntax.TupleConsExpr:
				for i, e := range x.Exprs {
					if _, isCall := e.(*hclsyntax.FunctionCallExpr); isCall {
						x.Exprs[i] = metered(e)
					}
				}
			case *hclsyntax.BinaryOpExpr:
				if x.Op == hclsyntax.OpEqual || x.Op == hclsyntax.OpNotEqual {
					x.LHS, x.RHS = metered(x.LHS), metered(x.RHS)
				}
			case *hclsyntax.ConditionalExpr:
				x.TrueResult, x.FalseResult = metered(x.TrueResult), metered(x.FalseResult)
			}
			return nil
		})
	}
}

// meteredExpr is an expression in a loop. It looks like one in parentheses to what walks the syntax.
type meteredExpr struct{ *hclsyntax.ParenthesesExpr }

func metered(expr hclsyntax.Expression) hclsyntax.Expression {
	if expr == nil {
		return nil
	}
	return meteredExpr{&hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}}
}

// Value pays for the value, and ends the evaluation as a whole when there is nothing left to pay with: a loop would go on, and make
// a diagnostic for each of its elements.
func (m meteredExpr) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	v, diags := m.Expression.Value(ctx)
	for around := ctx; around != nil; around = around.Parent() {
		if pay, ok := around.Functions[meterName]; ok {
			if _, err := pay.Call([]cty.Value{v}); err != nil {
				panic(errTooDear)
			}
			break
		}
	}
	return v, diags
}

func (s *Scope) meterFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if !s.budget.spend(2 + sizeOf(args[0]).work()) {
				return cty.NilVal, errTooDear
			}
			return args[0], nil
		},
	})
}

var errTooDear = fmt.Errorf("too much to compute")

// paid makes a function pay for what it is given and what it makes; weight is the work for each unit of its arguments.
func (s *Scope) paid(name string, f function.Function) function.Function {
	weight, ofEach := 1.0, 1.0
	switch {
	case strings.HasPrefix(name, "set") || name == "toset" || name == "sort" || name == "distinct":
		ofEach = 20 // they are hashed and sorted

	case strings.HasPrefix(name, "regex") || name == "replace" || name == "length" || name == "title" || name == "substr" || name == "strrev" || strings.HasPrefix(name, "sha") || name == "md5":
		weight = 8 // of texts
	}
	return function.New(&function.Spec{
		Description: f.Description(), Params: f.Params(), VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			work := 2.0
			if s.budget.exhausted {
				return cty.NilType, errTooDear
			}
			for _, a := range args {
				z := sizeOf(a)
				work += ofEach*z.elements + weight*z.bytes/perUnit
			}
			if !s.budget.spend(work) {
				return cty.NilType, errTooDear
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := f.Call(args)
			if err == nil && !s.budget.spend(sizeOf(v).work()) {
				return cty.NilVal, errTooDear
			}
			return v, err
		},
	})
}
