package sdk

import "testing"

func TestManualsSayWhatAnAttributeTakes(t *testing.T) {
	for _, c := range []struct {
		attr         Attribute
		takes, value string
	}{
		{Attribute{Type: "string"}, "string", ""},
		{Attribute{Type: "string", HasDefault: true}, "string", `""`},
		{Attribute{Type: "string", HasDefault: true, Default: `^\d+${x}|"$`, Checks: []string{"regexp"}}, "regexp", `"^\\d+$${x}|\"$"`},
		{Attribute{Type: "string", Checks: []string{"oneof=GET HEAD"}, HasDefault: true, Default: "GET"}, "string: GET, HEAD", `"GET"`},
		{Attribute{Type: "string", Sensitive: true}, "secret string", ""},
		{Attribute{Type: "string", Sensitive: true, Checks: []string{"url"}}, "secret URL", ""},
		{Attribute{Type: "list(string)", Checks: []string{"hostport"}}, "list(host:port)", ""},
		{Attribute{Type: "string", Unit: DurationUnit, Checks: []string{"min=100ms"}, HasDefault: true, Default: "5s"}, "duration, at least 100ms", `"5s"`},
		{Attribute{Type: "list(string)", Unit: DurationUnit}, "list(duration)", ""},
		{Attribute{Type: "string", Unit: BytesUnit, Checks: []string{"min=0B"}}, "size", ""},
		{Attribute{Type: "number", Unit: IntegerUnit, Checks: []string{"min=1", "min=0", "max=65535"}, HasDefault: true, Default: "53"}, "integer, 1 to 65535", "53"},
		{Attribute{Type: "number", Checks: []string{"max=1"}}, "number, at most 1", ""},
		{Attribute{Type: "map(list(string))", HasDefault: true}, "map(list(string))", "{}"},
		{Attribute{Type: "list(string)", HasDefault: true, Default: "a b"}, "list(string)", `["a", "b"]`},
		{Attribute{Type: "list(number)", HasDefault: true, Default: "1 2"}, "list(number)", "[1, 2]"},
		{Attribute{Type: "bool", HasDefault: true, Default: "true"}, "bool", "true"},
	} {
		if got := c.attr.Takes(); got != c.takes {
			t.Errorf("%+v takes %q, want %q", c.attr, got, c.takes)
		}
		if got := c.attr.DefaultText(); got != c.value {
			t.Errorf("%+v is by default %q, want %q", c.attr, got, c.value)
		}
	}
}
