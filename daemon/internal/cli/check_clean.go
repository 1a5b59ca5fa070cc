package cli

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// secretsOf are the texts in a component's configuration that nobody is to see.
func secretsOf(s sdk.Schema, config []byte) (all []string) {
	var values map[string]any
	if json.Unmarshal(config, &values) == nil {
		secretsIn(s, values, &all)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // no part of one is left standing
	for i := 0; i < len(all); i += 2 {
		all = slices.Insert(all, i+1, "(sensitive)")
	}
	return all
}

func secretsIn(s sdk.Schema, values any, all *[]string) {
	switch v := values.(type) {
	case []any: // of a repeated block
		for _, e := range v {
			secretsIn(s, e, all)
		}
	case map[string]any:
		for _, a := range s.Attributes {
			if a.Sensitive {
				textsIn(v[a.Name], all)
			}
		}
		for _, b := range s.Blocks {
			secretsIn(b.Body, v[b.Name], all)
		}
	}
}

func textsIn(value any, all *[]string) {
	switch v := value.(type) {
	case string:
		if len(v) >= 4 { // a shorter one would blot out half of every message
			*all = append(*all, v)
		}
	case []any:
		for _, e := range v {
			textsIn(e, all)
		}
	case map[string]any:
		for _, e := range v {
			textsIn(e, all)
		}
	}
}

// clean takes secrets out of what a plugin says.
func (x *probe) clean(secrets []string, err error) error {
	r := strings.NewReplacer(secrets...)
	for i := range x.Found {
		x.Found[i] = r.Replace(x.Found[i])
	}
	for _, d := range x.diags {
		d.Detail = r.Replace(d.Detail)
	}
	if err == nil {
		return nil
	}
	p := sdk.AsProblem(err)
	p.Err, p.Fix = errors.New(r.Replace(p.Error())), r.Replace(p.Fix)
	return p
}
