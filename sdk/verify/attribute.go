package verify

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// checkAttribute looks at type, unit and checks of an attribute.
func checkAttribute(a sdk.Attribute) error {
	expr, diags := hclsyntax.ParseExpression([]byte(a.Type), "type", hcl.InitialPos)
	if !diags.HasErrors() {
		_, _, diags = typeexpr.TypeConstraintWithDefaults(expr)
	}
	if diags.HasErrors() {
		return fmt.Errorf("%q is no type of the language, such as string, number, bool, list(string), map(string)", a.Type)
	}
	within := map[sdk.Unit]string{sdk.Plain: "", sdk.DurationUnit: "string", sdk.BytesUnit: "string", sdk.IntegerUnit: "number"}
	if basis, known := within[a.Unit]; !known {
		return fmt.Errorf("there is no unit %q", a.Unit)
	} else if !strings.Contains(a.Type, basis) {
		return fmt.Errorf("its unit is %s, and its type %s", a.Unit, a.Type)
	}
	bounds := map[string]float64{}
	for _, c := range a.Checks {
		name, arg, given := strings.Cut(c, "=")
		switch name {
		case "url", "hostport", "regexp", "file":
			if given || !strings.Contains(a.Type, "string") {
				return fmt.Errorf("the check %s is for texts", c)
			}
		case "oneof":
			if len(strings.Fields(arg)) == 0 || !strings.Contains(a.Type, "string") {
				return fmt.Errorf("the check %s allows nothing: name the texts", c)
			}
		case "min", "max":
			limit, err := inUnit(a.Unit, arg)
			if err != nil {
				return fmt.Errorf("the check %s: %w", c, err)
			}
			if old, twice := bounds[name]; !twice || (name == "min") == (limit > old) {
				bounds[name] = limit
			}
		default:
			return fmt.Errorf("there is no check %q", c)
		}
	}
	if least, ok := bounds["min"]; ok {
		if most, ok := bounds["max"]; ok && least > most {
			return fmt.Errorf("no value passes the checks %s", strings.Join(a.Checks, ", "))
		}
	}
	return nil
}

func inUnit(unit sdk.Unit, text string) (float64, error) {
	switch unit {
	case sdk.DurationUnit:
		d, err := sdk.ParseDuration(text)
		return float64(d), err
	case sdk.BytesUnit:
		n, err := sdk.ParseBytes(text)
		return float64(n), err
	}
	return strconv.ParseFloat(text, 64)
}

// nothing are defaults that may be outside of the checks: they stand for "not given".
var nothing = regexp.MustCompile(`^0?(\.0+)?[a-zA-Z]*$`)

// checkDefault reads a default as if somebody had written it.
func checkDefault(a sdk.Attribute) error {
	if a.Default == "" || nothing.MatchString(a.Default) && !slices.ContainsFunc(a.Checks, func(c string) bool { return strings.HasPrefix(c, "oneof") }) {
		return nil
	}
	a.Required, a.HasDefault, a.Sensitive = true, true, false
	text := fmt.Sprintf("sink \"a\" \"b\" {\n  %s = %s\n}\n", a.Name, a.DefaultText())
	a.HasDefault = false
	parsed, diags := language.Parse([]language.Source{{Name: "default.hcl", Bytes: []byte(text)}})
	d := language.NewDecoder(language.NewScope(parsed, surroundings{}.env()))
	d.Declare()
	for _, b := range d.Expanded() {
		d.Block(b, &sdk.Schema{Attributes: []sdk.Attribute{a}}, nil)
	}
	for _, x := range append(diags, d.Diags...) {
		if x.Severity == hcl.DiagError {
			return errors.New(x.Detail)
		}
	}
	return nil
}
