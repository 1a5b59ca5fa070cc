package plan

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/magpie-monitoring/magpie/sdk"
)

// secret is a value that is sent to the plugin, and shown to nobody.
type secret struct{ value any }

// MarshalJSON gives the value.
func (s secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.value) }

func reveal(value any) any {
	if s, ok := value.(secret); ok {
		return s.value
	}
	return value
}

// addresses are the components that references mean, as they are written.
type addresses struct {
	found []string
	text  string
}

// MarshalJSON gives what was found.
func (a addresses) MarshalJSON() ([]byte, error) { return json.Marshal(a.found) }

// render writes a value as HCL, and appends what it hides to secrets.
func render(value any, secrets *[]byte) string {
	switch v := value.(type) {
	case secret:
		data, _ := json.Marshal(v.value)
		*secrets = append(*secrets, data...)
		return "(sensitive)"
	case addresses:
		return v.text
	case string:
		return quote(v)
	case time.Duration:
		return quote(duration(v))
	case sdk.Bytes:
		return quote(v.String())
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			texts[i] = render(e, secrets)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case map[string]any:
		var texts []string
		for _, key := range sorted(v) {
			text := render(v[key], secrets)
			if !hclsyntax.ValidIdentifier(key) || key == "for" || key == "null" || key == "true" || key == "false" {
				key = quote(key)
			}
			texts = append(texts, key+" = "+text)
		}
		return strings.ReplaceAll("{ "+strings.Join(texts, ", ")+" }", "{  }", "{}")
	}
	return fmt.Sprint(value)
}

// quote writes a text as HCL does.
func quote(s string) string { return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()) }

// duration writes a duration in the units of HCL, the largest first: 30d, 1m30s.
func duration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	s := ""
	for i, size := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second, time.Millisecond, time.Microsecond, 1} {
		if n := d / size; n > 0 {
			s += strconv.FormatInt(int64(n), 10) + []string{"d", "h", "m", "s", "ms", "us", "ns"}[i]
			d -= n * size
		}
	}
	return s
}
