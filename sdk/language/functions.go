package language

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// secretMark goes with every value that comes from secret(…), through all that is computed from it.
type secretMark struct{}

// IsSecret reports whether a value, or a part of it, is secret.
func IsSecret(v cty.Value) bool { return v.ContainsMarked() }

// functions are named and behave as Terraform's.
func (s *Scope) functions() map[string]function.Function {
	return map[string]function.Function{
		"env": s.envFunc(), "secret": s.secretFunc(), "length": lengthFunc,
		"format": bounded(stdlib.FormatFunc, widths), "join": bounded(stdlib.JoinFunc, product), "replace": bounded(stdlib.ReplaceFunc, product),
		"coalesce": stdlib.CoalesceFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "distinct": stdlib.DistinctFunc,
		"flatten": stdlib.FlattenFunc, "jsonencode": stdlib.JSONEncodeFunc, "keys": stdlib.KeysFunc, "lookup": stdlib.LookupFunc,
		"lower": stdlib.LowerFunc, "merge": stdlib.MergeFunc, "sort": stdlib.SortFunc, "split": stdlib.SplitFunc,
		"toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc,
		"trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc, "values": stdlib.ValuesFunc,
	}
}

func (s *Scope) envFunc() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.NilVal, function.NewArgErrorf(2, "env takes a name and one default")
			}
			name := args[0].AsString()
			if v, ok := s.env.Getenv(name); ok {
				return cty.StringVal(v), nil
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return cty.NilVal, function.NewArgErrorf(0, "the environment variable %s is not set: set it, or give a default, env(%q, \"…\")", name, name)
		},
	})
}

func (s *Scope) secretFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "place", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := s.secret(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			if s.env.Offline {
				return cty.UnknownVal(cty.String).RefineNotNull().Mark(secretMark{}), nil
			}
			s.KeepSecret(text)
			return cty.StringVal(text).Mark(secretMark{}), nil
		},
	})
}

// secret reads file:PATH or env:NAME; offline, it only looks at the form.
func (s *Scope) secret(place string) (string, error) {
	how, where, _ := strings.Cut(place, ":")
	switch {
	case how == "exec":
		return "", fmt.Errorf("secrets from programs are not in this version yet: use file: or env: instead")
	case how != "file" && how != "env" || where == "":
		return "", fmt.Errorf(`secret("file:/run/secrets/token") or secret("env:TOKEN") is how to say where it is, not %q`, place)
	case s.env.Offline:
		return "", nil
	case how == "env":
		v, ok := s.env.Getenv(where)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", where)
		}
		return v, nil
	}
	b, err := s.env.ReadFile(where)
	if err != nil {
		return "", fmt.Errorf("the secret cannot be read: %w", err)
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" || len(text) > maxFile {
		return "", fmt.Errorf("the file %s is empty, or larger than %d MiB", where, maxFile>>20)
	}
	return text, nil
}

// KeepSecret makes Scrub remove a text.
func (s *Scope) KeepSecret(text string) {
	if len(text) >= 4 { // a shorter one would blot out half of every message
		s.secrets[text] = true
	}
}

// Scrub takes the secrets out of what the diagnostics say: a function may quote its arguments.
func (s *Scope) Scrub() {
	for _, d := range s.Diags {
		for secret := range s.secrets {
			d.Summary = strings.ReplaceAll(d.Summary, secret, "(sensitive)")
			d.Detail = strings.ReplaceAll(d.Detail, secret, "(sensitive)")
		}
	}
}

var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		switch {
		case args[0].Type() == cty.String:
			return stdlib.Strlen(args[0])
		case args[0].CanIterateElements():
			return cty.NumberIntVal(int64(args[0].LengthInt())), nil
		}
		return cty.NilVal, function.NewArgErrorf(0, "a text, a list or a map has a length, and this is none")
	},
})

// wide is a width that makes much text from nothing.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*[0-9]{4,}`)

// bounded refuses a call that could make much more text than it is given.
func bounded(f function.Function, tooMuch func(args []cty.Value) bool) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(), Type: f.ReturnTypeForValues,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if tooMuch(args) {
				return cty.NilVal, fmt.Errorf("the text would be too large")
			}
			return f.Call(args)
		},
	})
}

func product(args []cty.Value) bool {
	p := 1.0
	for _, a := range args {
		p *= sizeOf(a).bytes
	}
	return p > maxLoop
}

func widths(args []cty.Value) bool {
	text, _ := args[0].Unmark()
	return text.IsKnown() && wide.MatchString(text.AsString())
}
