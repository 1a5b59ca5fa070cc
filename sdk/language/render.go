package language

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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

// Addresses are the components that references mean, as they are written.
type Addresses struct {
	Found []string
	Text  string
}

// MarshalJSON gives what was found.
func (a Addresses) MarshalJSON() ([]byte, error) { return json.Marshal(a.Found) }

// render writes a value as HCL, and appends what it hides to secrets.
func render(value any, secrets *[]byte) string {
	switch v := value.(type) {
	case secret:
		data, _ := json.Marshal(v.value)
		*secrets = append(*secrets, data...)
		return "(sensitive)"
	case Addresses:
		return v.Text
	case string:
		return Quote(v)
	case time.Duration:
		return Quote(Duration(v))
	case sdk.Bytes:
		return Quote(v.String())
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			texts[i] = render(e, secrets)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case map[string]any:
		var texts []string
		for _, key := range Sorted(v) {
			text := render(v[key], secrets)
			if !hclsyntax.ValidIdentifier(key) || key == "for" || key == "null" || key == "true" || key == "false" {
				key = Quote(key)
			}
			texts = append(texts, key+" = "+text)
		}
		return strings.ReplaceAll("{ "+strings.Join(texts, ", ")+" }", "{  }", "{}")
	}
	return fmt.Sprint(value)
}

// Quote writes a text as HCL does.
func Quote(s string) string { return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()) }

// Duration writes a duration in the units of HCL, the largest first: 30d, 1m30s.
func Duration(d time.Duration) string {
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

// Sorted are the keys of a map, in order.
func Sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Apart leaves out of two lists, as they are written, what they begin and end with alike.
func Apart(old, now string) (string, string) {
	x, y := strings.Split(strings.Trim(old, "[]"), ", "), strings.Split(strings.Trim(now, "[]"), ", ")
	most, begin, end := min(len(x), len(y)), 0, 0
	for begin < most && x[begin] == y[begin] {
		begin++
	}
	for end < most-begin && x[len(x)-1-end] == y[len(y)-1-end] {
		end++
	}
	short := func(list []string) string {
		differ := slices.Clone(list[begin : len(list)-end])
		if begin > 0 {
			differ = slices.Insert(differ, 0, "…")
		}
		if end > 0 {
			differ = append(differ, "…")
		}
		return "[" + strings.Join(differ, ", ") + "]"
	}
	return short(x), short(y)
}
