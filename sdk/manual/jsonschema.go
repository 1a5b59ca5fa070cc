package manual

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/magpie-monitoring/magpie/sdk"
)

// JSONSchema says in JSON Schema 2020-12 what the blocks of a plugin's types take when they are written in JSON (config.hcl.json),
// with what core says of every block of the kind. It is for editors and for programs that write configurations: what it accepts
// can still be refused, for what belongs together, or for the value of an expression; and the daemon takes a number or true for a
// text, which it does not.
func JSONSchema(name, version string, types []sdk.Type, core func(sdk.Type) *sdk.Schema) map[string]any {
	kinds, defs := map[string]any{}, map[string]any{
		"expression": object{"type": "string", "pattern": `[$%]\{`, "description": "A template, which the daemon evaluates."},
	}
	for _, t := range types {
		key := string(t.Kind) + "." + t.Name
		whole := sdk.Schema{Attributes: slices.Clone(t.Config.Attributes), Blocks: t.Config.Blocks}
		if c := core(t); c != nil {
			whole.Attributes = slices.Concat(c.Attributes, whole.Attributes)
			whole.Blocks = slices.Concat(c.Blocks, whole.Blocks)
		}
		body := bodySchema(whole)
		body["properties"].(object)["for_each"] = object{"description": "A block for each element."}
		body["title"] = fmt.Sprintf("%s %q", t.Kind, t.Name)
		if t.Doc != "" {
			body["description"] = t.Doc
		}
		defs[key] = body
		kind, _ := kinds[string(t.Kind)].(object)
		if kind == nil {
			kind = object{}
			kinds[string(t.Kind)] = kind
		}
		kind[t.Name] = labelled(object{"$ref": "#/$defs/" + key}, 1, true)
	}
	properties := object{}
	for kind, of := range kinds {
		properties[kind] = oneOrMore(object{"type": "object", "properties": of})
	}
	return object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": strings.TrimSpace("Blocks of plugin " + name + " " + version),
		"type": "object", "properties": properties, "$defs": defs,
	}
}

type object = map[string]any

// bodySchema is what is between the braces of a block.
func bodySchema(s sdk.Schema) object {
	properties := object{"//": object{"description": "A comment."}}
	var required []string
	var either []any // of the new and the old name of what is required
	demand := func(is bool, name, was string) {
		switch {
		case is && was != "":
			either = append(either, object{"anyOf": []any{object{"required": []string{name}}, object{"required": []string{was}}}})
		case is:
			required = append(required, name)
		}
	}
	for _, a := range s.Attributes {
		properties[a.Name] = attributeSchema(a)
		if a.Was != "" {
			old := attributeSchema(a)
			old["deprecated"], old["description"] = true, fmt.Sprintf("Is called %s now.", a.Name)
			properties[a.Was] = old
		}
		demand(a.Required, a.Name, a.Was)
	}
	for _, b := range s.Blocks {
		inner := labelled(bodySchema(b.Body), len(b.Labels), b.Many)
		inner["description"] = b.Doc
		properties[b.Name] = inner
		if b.Was != "" {
			old := labelled(bodySchema(b.Body), len(b.Labels), b.Many)
			old["deprecated"], old["description"] = true, fmt.Sprintf("Is called %s now.", b.Name)
			properties[b.Was] = old
		}
		properties["dynamic"] = object{"type": []string{"object", "array"}, "description": "Blocks for each element of a collection."}
		demand(b.Required && !b.Many, b.Name, b.Was) // many may come of dynamic
	}
	body := object{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		body["required"] = required
	}
	if either != nil {
		body["allOf"] = either
	}
	return body
}

// labelled wraps a body in its labels, each of which is a key; several blocks of the same labels are an array.
func labelled(body object, labels int, many bool) object {
	inner := oneOrMore(body)
	if !many {
		inner = oneOf(body)
	}
	for range labels {
		keyed := object{"type": "object", "additionalProperties": inner}
		if !many {
			keyed["maxProperties"] = 1
		}
		inner = oneOrMore(keyed)
	}
	return inner
}

func oneOrMore(s object) object {
	return object{"anyOf": []any{s, object{"type": "array", "items": s}}}
}

func oneOf(s object) object {
	return object{"anyOf": []any{s, object{"type": "array", "items": s, "maxItems": 1}}}
}

// attributeSchema is a value of the attribute's type, or a text that is evaluated to one.
func attributeSchema(a sdk.Attribute) object {
	s := object{"description": a.Text()}
	takes := a.Takes()
	value := valueSchema(a.Type, a)
	if value["type"] != nil {
		s["anyOf"] = []any{value, object{"$ref": "#/$defs/expression"}}
	}
	if a.Unit != sdk.Plain || len(a.Checks) > 0 {
		s["description"] = strings.TrimSpace(a.Text() + " (" + takes + ")")
	}
	if d, ok := defaultOf(a); ok {
		s["default"] = d
	}
	if a.Deprecated != "" {
		s["deprecated"] = true
	}
	if a.Sensitive {
		s["writeOnly"] = true
	}
	return s
}

// The forms of a duration, such as 1m30s, and of a size, such as 16MiB, as the SDK reads them.
const (
	durationPattern = `^\s*(0|-?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w|y))+)\s*$`
	sizePattern     = `^\s*[0-9]*\.?[0-9]+\s*([KMGT]iB|kB|[MGT]B|B)\s*$`
)

// valueSchema is that of a type in HCL's syntax. Checks are of the innermost value.
func valueSchema(hcl string, a sdk.Attribute) object {
	of, _ := strings.CutSuffix(hcl, ")")
	switch outer, inner, _ := strings.Cut(of, "("); outer {
	case "list", "set", "tuple":
		return object{"type": "array", "items": elementSchema(inner+closing(inner), a)}
	case "map":
		return object{"type": "object", "additionalProperties": elementSchema(inner+closing(inner), a)}
	case "references":
		return object{"type": "array", "items": object{"type": "string"}}
	case "bool":
		return object{"type": "boolean"}
	case "number":
		s := object{"type": "number"}
		if a.Unit == sdk.IntegerUnit {
			s["type"] = "integer"
		}
		bounded(s, a.Checks)
		return s
	case "string":
		s := object{"type": "string"}
		switch a.Unit {
		case sdk.DurationUnit:
			s["pattern"] = durationPattern
		case sdk.BytesUnit:
			s["pattern"] = sizePattern
		default:
			textual(s, a.Checks)
		}
		return s
	}
	return object{} // whatever it is, the daemon decides
}

// closing gives back the parenthesis that was cut from around an inner type.
func closing(inner string) string {
	return strings.Repeat(")", strings.Count(inner, "(")-strings.Count(inner, ")"))
}

func elementSchema(hcl string, a sdk.Attribute) object {
	value := valueSchema(hcl, a)
	if value["type"] == nil {
		return value
	}
	return object{"anyOf": []any{value, object{"$ref": "#/$defs/expression"}}}
}

func bounded(s object, checks []string) {
	for _, c := range checks {
		name, arg, _ := strings.Cut(c, "=")
		n, err := strconv.ParseFloat(arg, 64)
		if err != nil {
			continue
		}
		switch name { // there may be several: the author's, and those of what the field can hold
		case "min":
			if had, ok := s["minimum"].(float64); !ok || n > had {
				s["minimum"] = n
			}
		case "max":
			if had, ok := s["maximum"].(float64); !ok || n < had {
				s["maximum"] = n
			}
		}
	}
}

func textual(s object, checks []string) {
	for _, c := range checks {
		switch name, arg, _ := strings.Cut(c, "="); name {
		case "oneof":
			s["enum"] = strings.Fields(arg)
		case "url":
			s["format"] = "uri"
		case "regexp":
			s["format"] = "regex"
		}
	}
}

// defaultOf is the default as JSON has it.
func defaultOf(a sdk.Attribute) (v any, ok bool) {
	if !a.HasDefault {
		return nil, false
	}
	scalar := func(text, of string) any {
		var v any
		if of != "string" && json.Unmarshal([]byte(text), &v) == nil {
			return v
		}
		return text
	}
	switch {
	case strings.HasPrefix(a.Type, "map"), strings.HasPrefix(a.Type, "object"):
		return object{}, true
	case strings.HasPrefix(a.Type, "list"):
		list := []any{}
		for _, e := range strings.Fields(a.Default) {
			list = append(list, scalar(e, strings.TrimSuffix(strings.TrimPrefix(a.Type, "list("), ")")))
		}
		return list, true
	}
	return scalar(a.Default, cmp.Or(a.Type, "string")), true
}
