package language

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// The functions that Terraform has and cty's library has not.

func textFunc(f func(string) string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(f(args[0].AsString())), nil
		},
	})
}

func textTest(f func(s, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}}, Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// truthFunc is alltrue and anytrue: which of both decides is the value that ends the search.
func truthFunc(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}}, Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for it := args[0].ElementIterator(); it.Next(); {
				_, v := it.Element()
				if !v.IsKnown() {
					return cty.UnknownVal(cty.Bool), nil
				}
				if yes := !v.IsNull() && v.True(); yes != all {
					return cty.BoolVal(yes), nil
				}
			}
			return cty.BoolVal(all), nil
		},
	})
}

var sensitiveFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
	Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return args[0].Mark(secretMark{}), nil },
})

var sumFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}}, Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !isList(args[0].Type()) || args[0].LengthInt() == 0 {
			return cty.NilVal, function.NewArgErrorf(0, "a list of numbers has a sum, and not an empty one")
		}
		total := cty.Zero
		for it := args[0].ElementIterator(); it.Next(); {
			_, v := it.Element()
			n, err := convert.Convert(v, cty.Number)
			if err != nil || n.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "a list of numbers has a sum, and %s is none", called(v.Type()))
			}
			total = total.Add(n)
		}
		return total, nil
	},
})

// indexFunc finds the first element that is equal.
var indexFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}}, Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !isList(args[0].Type()) || args[0].Type().IsSetType() {
			return cty.NilVal, function.NewArgErrorf(0, "it takes a list")
		}
		for i, v := range args[0].AsValueSlice() {
			if equal := v.Equals(args[1]); equal.IsKnown() && equal.True() {
				return cty.NumberIntVal(int64(i)), nil
			}
		}
		return cty.NilVal, function.NewArgErrorf(1, "the list has no such element")
	},
})

// one gives the only element of a list, null if there is none.
var oneFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		switch t := args[0].Type(); {
		case t.IsListType() || t.IsSetType():
			return t.ElementType(), nil
		case t.IsTupleType() && t.Length() == 1:
			return t.TupleElementType(0), nil
		case t.IsTupleType() && t.Length() == 0:
			return cty.DynamicPseudoType, nil
		case t == cty.DynamicPseudoType:
			return t, nil
		}
		return cty.NilType, function.NewArgErrorf(0, "it takes a list of one element, or of none")
	},
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		switch args[0].LengthInt() {
		case 0:
			return cty.NullVal(t), nil
		case 1:
			it := args[0].ElementIterator()
			it.Next()
			_, v := it.Element()
			return v, nil
		}
		return cty.NilVal, function.NewArgErrorf(0, "it takes a list of one element, or of none, and this has %d", args[0].LengthInt())
	},
})

// replaceFunc takes a text, or between slashes a regular expression.
var replaceFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}, {Name: "by", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		s, part, by := args[0].AsString(), args[1].AsString(), args[2].AsString()
		if len(part) < 2 || part[0] != '/' || part[len(part)-1] != '/' {
			return cty.StringVal(strings.ReplaceAll(s, part, by)), nil
		}
		re, err := regexp.Compile(part[1 : len(part)-1])
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		return cty.StringVal(re.ReplaceAllString(s, by)), nil
	},
})

var base64decodeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		b, err := base64.StdEncoding.DecodeString(args[0].AsString())
		if err != nil || !utf8.Valid(b) {
			return cty.NilVal, function.NewArgErrorf(0, "this is not text in base64")
		}
		return cty.StringVal(string(b)), nil
	},
})

// matchkeys gives the values whose keys are searched for.
var matchkeysFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "values", Type: cty.List(cty.DynamicPseudoType)}, {Name: "keys", Type: cty.List(cty.DynamicPseudoType)}, {Name: "searched", Type: cty.List(cty.DynamicPseudoType)},
	},
	Type: func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		if args[0].LengthInt() != args[1].LengthInt() {
			return cty.NilVal, errors.New("there are as many keys as values")
		}
		var found []cty.Value
		keys, searched := args[1].AsValueSlice(), args[2].AsValueSlice()
		for i, v := range args[0].AsValueSlice() {
			if slices.ContainsFunc(searched, func(s cty.Value) bool { return s.RawEquals(keys[i]) }) {
				found = append(found, v)
			}
		}
		if found == nil {
			return cty.ListValEmpty(t.ElementType()), nil
		}
		return cty.ListVal(found), nil
	},
})

// transpose makes the values keys: of { a = ["x"] } it makes { x = ["a"] }.
var transposeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "map", Type: cty.Map(cty.List(cty.String))}}, Type: function.StaticReturnType(cty.Map(cty.List(cty.String))),
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		lists, out := map[string][]cty.Value{}, map[string]cty.Value{}
		for it := args[0].ElementIterator(); it.Next(); {
			k, list := it.Element()
			if !list.IsKnown() || list.IsNull() {
				return cty.NilVal, errors.New("every value is a list")
			}
			for _, v := range list.AsValueSlice() {
				if !IsText(v) {
					return cty.NilVal, errors.New("every value is a list of texts")
				}
				lists[v.AsString()] = append(lists[v.AsString()], k)
			}
		}
		for k, list := range lists {
			out[k] = cty.ListVal(list)
		}
		if len(out) == 0 {
			return cty.MapValEmpty(t.ElementType()), nil
		}
		return cty.MapVal(out), nil
	},
})

var timecmpFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "a", Type: cty.String}, {Name: "b", Type: cty.String}}, Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		var at [2]time.Time
		for i, a := range args {
			var err error
			if at[i], err = time.Parse(time.RFC3339, a.AsString()); err != nil {
				return cty.NilVal, function.NewArgErrorf(i, "it takes a time such as 2006-01-02T15:04:05Z")
			}
		}
		return cty.NumberIntVal(int64(at[0].Compare(at[1]))), nil
	},
})

func prefixOf(i int, v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, function.NewArgErrorf(i, "it takes a network such as 10.0.0.0/8")
	}
	return p.Masked(), nil
}

// offset adds a number to the first address of a network.
func offset(p netip.Prefix, n *big.Int) netip.Addr {
	raw := p.Addr().AsSlice()
	sum := new(big.Int).Add(new(big.Int).SetBytes(raw), n)
	a, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, len(raw))))
	return a
}

func cidrFunc(t cty.Type, params []string, f func(p netip.Prefix, args []cty.Value) (cty.Value, error)) function.Function {
	spec := &function.Spec{Params: []function.Parameter{{Name: "network", Type: cty.String}}, Type: function.StaticReturnType(t)}
	for _, name := range params {
		spec.Params = append(spec.Params, function.Parameter{Name: name, Type: cty.Number})
	}
	spec.Impl = func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefixOf(0, args[0])
		if err != nil {
			return cty.NilVal, err
		}
		return f(p, args)
	}
	return function.New(spec)
}

func whole(i int, v cty.Value) (*big.Int, error) {
	n, accuracy := v.AsBigFloat().Int(nil)
	if n == nil || accuracy != big.Exact || n.BitLen() > 128 {
		return nil, function.NewArgErrorf(i, "it takes a whole number")
	}
	return n, nil
}

var cidrhostFunc = cidrFunc(cty.String, []string{"number"}, func(p netip.Prefix, args []cty.Value) (cty.Value, error) {
	n, err := whole(1, args[1])
	if err != nil {
		return cty.NilVal, err
	}
	size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
	if n.Sign() < 0 { // from the end
		n = new(big.Int).Add(n, size)
	}
	if n.Sign() < 0 || n.Cmp(size) >= 0 {
		return cty.NilVal, function.NewArgErrorf(1, "%s has no such address", p)
	}
	return cty.StringVal(offset(p, n).String()), nil
})

var cidrnetmaskFunc = cidrFunc(cty.String, nil, func(p netip.Prefix, _ []cty.Value) (cty.Value, error) {
	if !p.Addr().Is4() {
		return cty.NilVal, function.NewArgErrorf(0, "only networks of IPv4 have a mask")
	}
	ones, _ := netip.MustParseAddr("255.255.255.255").Prefix(p.Bits())
	return cty.StringVal(ones.Addr().String()), nil
})

// subnet is the n-th of the networks that are so many bits longer.
func subnet(p netip.Prefix, bits, n *big.Int) (netip.Prefix, error) {
	if !bits.IsInt64() || bits.Sign() < 0 || bits.Int64() > int64(p.Addr().BitLen()-p.Bits()) {
		return p, fmt.Errorf("%s has no room for subnetworks of %s bits more", p, bits)
	}
	size := p.Bits() + int(bits.Int64())
	if n.Sign() < 0 || n.BitLen() > int(bits.Int64()) {
		return p, fmt.Errorf("%s has no subnetwork %s of %s bits more", p, n, bits)
	}
	return netip.PrefixFrom(offset(p, new(big.Int).Lsh(n, uint(p.Addr().BitLen()-size))), size), nil
}

var cidrsubnetFunc = cidrFunc(cty.String, []string{"bits", "number"}, func(p netip.Prefix, args []cty.Value) (cty.Value, error) {
	bits, err1 := whole(1, args[1])
	n, err2 := whole(2, args[2])
	if err := cmp.Or(err1, err2); err != nil {
		return cty.NilVal, err
	}
	q, err := subnet(p, bits, n)
	return cty.StringVal(q.String()), err
})

// cidrsubnets gives networks one behind the other.
var cidrsubnetsFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "network", Type: cty.String}}, VarParam: &function.Parameter{Name: "bits", Type: cty.Number},
	Type: function.StaticReturnType(cty.List(cty.String)),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefixOf(0, args[0])
		if err != nil {
			return cty.NilVal, err
		}
		width, next, list := p.Addr().BitLen(), new(big.Int), []cty.Value{}
		for i, a := range args[1:] {
			bits, err := whole(i+1, a)
			if err != nil {
				return cty.NilVal, err
			}
			if bits.Sign() < 1 || !bits.IsInt64() || bits.Int64() > int64(width-p.Bits()) {
				return cty.NilVal, function.NewArgErrorf(i+1, "%s has no room for subnetworks of %s bits more", p, bits)
			}
			shift := uint(width - p.Bits() - int(bits.Int64()))
			n := new(big.Int).Rsh(new(big.Int).Add(next, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), shift), big.NewInt(1))), shift)
			q, err := subnet(p, bits, n)
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(i+1, "%s has no room for it", p)
			}
			next = new(big.Int).Lsh(n.Add(n, big.NewInt(1)), shift)
			list = append(list, cty.StringVal(q.String()))
		}
		if len(list) == 0 {
			return cty.ListValEmpty(cty.String), nil
		}
		return cty.ListVal(list), nil
	},
})

var cidrcontainsFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "network", Type: cty.String}, {Name: "inside", Type: cty.String}}, Type: function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefixOf(0, args[0])
		if err != nil {
			return cty.NilVal, err
		}
		if a, err := netip.ParseAddr(args[1].AsString()); err == nil {
			return cty.BoolVal(p.Contains(a)), nil
		}
		q, err := prefixOf(1, args[1])
		return cty.BoolVal(q.Bits() >= p.Bits() && p.Contains(q.Addr())), err
	},
})
