package language

import (
	"errors"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxProduct bounds what a call may make by multiplying what it is given.
const maxProduct = 64 << 20

var errLarge = errors.New("the result would be too large")

// bounded refuses a call that could make much more than it is given, before it is made.
func bounded(f function.Function, tooMuch func(args []cty.Value) bool) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if tooMuch(plain(args)) {
				return cty.NilType, errLarge
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

// plain gives arguments without their marks; what is not known is as nothing.
func plain(args []cty.Value) []cty.Value {
	out := make([]cty.Value, len(args))
	for i, a := range args {
		a, _ = a.UnmarkDeep()
		if out[i] = a; !a.IsKnown() || a.IsNull() {
			out[i] = cty.EmptyObjectVal
		}
	}
	return out
}

// product: each letter of one may stand for all of another.
func product(args []cty.Value) bool {
	p := 1.0
	for _, a := range args {
		p *= max(1, sizeOf(a).bytes)
	}
	return p > maxProduct
}

// squares: each element is compared with each.
func squares(args []cty.Value) bool {
	n := 0.0
	for _, a := range args {
		n = max(n, sizeOf(a).elements)
	}
	return n*n > 10_000_000
}

// lengths: each element of one is joined with each of the others.
func lengths(args []cty.Value) bool {
	n := float64(len(args))
	for _, a := range args {
		if a.CanIterateElements() {
			n *= float64(a.LengthInt())
		}
	}
	return n > maxElements
}

// wide is a width that makes much text from nothing.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*([0-9]{4,}|\*)`)

func widths(args []cty.Value) bool {
	count := 1.0
	for _, a := range args {
		if a.CanIterateElements() {
			count = max(count, float64(a.LengthInt()))
		}
	}
	if args[0].Type() == cty.String {
		count *= float64(len(args[0].AsString()))
	}
	return count > maxValue || args[0].Type() == cty.String && wide.MatchString(args[0].AsString())
}

func indents(args []cty.Value) bool {
	n, isNumber := number(args[0])
	return isNumber && n*(1+float64(strings.Count(text(args[1]), "\n"))) > maxValue/2
}

func powers(args []cty.Value) bool {
	base, _ := number(args[0])
	n, _ := number(args[1])
	return n > 1100 || n < -1100 || base > 1e300 || base < -1e300
}

// groups: an empty match at each letter has them all.
func groups(args []cty.Value) bool {
	return float64(len(text(args[1]))+1)*float64(1+strings.Count(text(args[0]), "(")) > maxElements
}

// nested: the decoder calls itself.
func nested(args []cty.Value) bool {
	depth, elements := 0, 0
	for _, c := range []byte(text(args[0])) {
		switch c {
		case '[', '{':
			depth++
			elements++
		case ']', '}':
			depth--
		case ',':
			elements++
		}
		if depth > maxNesting || elements > maxElements {
			return true
		}
	}
	return false
}

func text(v cty.Value) string {
	if IsText(v) {
		return v.AsString()
	}
	return ""
}

func number(v cty.Value) (float64, bool) {
	if v.Type() != cty.Number || !v.IsKnown() || v.IsNull() {
		return 0, false
	}
	f, _ := v.AsBigFloat().Float64()
	return f, true
}
