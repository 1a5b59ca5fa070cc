package language

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// secretMark goes with every value that comes from secret(…), through all that is computed from it.
type secretMark struct{}

// IsSecret reports whether a value, or a part of it, is secret.
func IsSecret(v cty.Value) bool { return v.ContainsMarked() }

// functions are named and behave as Terraform's, but for env and secret. They depend on nothing but their arguments: none reads a
// file, asks the network, or knows the time.
func (s *Scope) functions() map[string]function.Function {
	all := map[string]function.Function{
		"env": s.envFunc(), "secret": s.secretFunc(), "length": lengthFunc, "sensitive": sensitiveFunc,

		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "log": stdlib.LogFunc, "max": stdlib.MaxFunc, "min": stdlib.MinFunc,
		"parseint": stdlib.ParseIntFunc, "pow": bounded(stdlib.PowFunc, powers), "signum": stdlib.SignumFunc, "sum": sumFunc,

		"chomp": stdlib.ChompFunc, "endswith": textTest(strings.HasSuffix), "format": bounded(stdlib.FormatFunc, widths),
		"formatlist": bounded(stdlib.FormatListFunc, widths), "indent": bounded(stdlib.IndentFunc, indents), "join": bounded(stdlib.JoinFunc, product),
		"lower": stdlib.LowerFunc, "regex": stdlib.RegexFunc, "regexall": bounded(stdlib.RegexAllFunc, groups), "replace": bounded(replaceFunc, product),
		"split": stdlib.SplitFunc, "startswith": textTest(strings.HasPrefix), "strcontains": textTest(strings.Contains), "strrev": stdlib.ReverseFunc,
		"substr": stdlib.SubstrFunc, "title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc, "trimspace": stdlib.TrimSpaceFunc,
		"trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc, "basename": textFunc(path.Base), "dirname": textFunc(path.Dir),

		"alltrue": truthFunc(true), "anytrue": truthFunc(false), "chunklist": stdlib.ChunklistFunc, "coalesce": stdlib.CoalesceFunc,
		"coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
		"distinct": bounded(stdlib.DistinctFunc, squares), "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc, "index": indexFunc,
		"keys": stdlib.KeysFunc, "lookup": stdlib.LookupFunc, "matchkeys": bounded(matchkeysFunc, squares), "merge": stdlib.MergeFunc, "one": oneFunc,
		"range": stdlib.RangeFunc, "reverse": stdlib.ReverseListFunc, "setintersection": stdlib.SetIntersectionFunc,
		"setproduct": bounded(stdlib.SetProductFunc, lengths), "setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc,
		"slice": stdlib.SliceFunc, "sort": stdlib.SortFunc, "transpose": transposeFunc, "values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,

		"base64decode": base64decodeFunc, "base64encode": textFunc(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
		"csvdecode": stdlib.CSVDecodeFunc, "jsondecode": bounded(stdlib.JSONDecodeFunc, nested), "jsonencode": stdlib.JSONEncodeFunc, "urlencode": textFunc(url.QueryEscape),
		"md5":    textFunc(func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }),
		"sha1":   textFunc(func(s string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(s))) }),
		"sha256": textFunc(func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }),
		"sha512": textFunc(func(s string) string { return fmt.Sprintf("%x", sha512.Sum512([]byte(s))) }),

		"cidrcontains": cidrcontainsFunc, "cidrhost": cidrhostFunc, "cidrnetmask": cidrnetmaskFunc, "cidrsubnet": cidrsubnetFunc, "cidrsubnets": cidrsubnetsFunc,

		"formatdate": stdlib.FormatDateFunc, "timeadd": stdlib.TimeAddFunc, "timecmp": timecmpFunc,

		"tobool": stdlib.MakeToFunc(cty.Bool), "tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber": stdlib.MakeToFunc(cty.Number), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "tostring": stdlib.MakeToFunc(cty.String),
	}
	for name, f := range all {
		all[name] = s.paid(name, f)
	}
	all["can"], all["try"], all[meterName] = tryfunc.CanFunc, tryfunc.TryFunc, s.meterFunc()
	return all
}

// instead says what to write instead of functions of Terraform's that are not here.
var instead = map[string]string{
	"file": ` For a password write secret("file:/path").`, "nonsensitive": " What is secret stays secret.", "timestamp": " A configuration means the same at any time.",
	"uuid": " A configuration means the same at any time.", "templatefile": " Put the text into a heredoc: <<-EOT … EOT.", "fileexists": " No function reads files.",
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

// secret reads file:PATH or env:NAME, or asks exec:PROGRAM; offline, it only looks at the form.
func (s *Scope) secret(place string) (string, error) {
	how, where, _ := strings.Cut(place, ":")
	switch {
	case how != "file" && how != "env" && how != "exec" || where == "":
		return "", fmt.Errorf(`secret("file:/run/secrets/token"), secret("env:TOKEN") or secret("exec:/usr/bin/pass show token") is how to say where it is, not %q`, place)
	case s.env.Offline:
		return "", nil
	case how == "env":
		v, ok := s.env.Getenv(where)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", where)
		}
		return v, nil
	case how == "exec":
		if known, asked := s.asked[where]; asked { // of several who need it, the first one asks
			return known.text, known.err
		}
		if s.env.Ask == nil {
			return "", errors.New("no programs are asked for secrets here")
		}
		text, err := s.env.Ask(where)
		s.asked[where] = answer{text, err}
		return text, err
	}
	s.watch[where] = signOf(where)
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

// Secrets are all that was kept.
func (s *Scope) Secrets() []string { return Sorted(s.secrets) }

// Scrub takes the secrets out of what the diagnostics say: a function may quote its arguments.
func (s *Scope) Scrub() {
	if len(s.Diags) == 0 {
		return
	}
	p := patternsOf(s.Secrets())
	for _, d := range s.Diags {
		d.Summary, d.Detail = p.clean(d.Summary), p.clean(d.Detail)
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
