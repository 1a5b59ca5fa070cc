package sdk

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Schema is what a block takes: made from the struct tags of a Config, the only place where an author declares it.
//
//	URL     string        `hcl:"url" check:"url" doc:"Address to request."`
//	Method  string        `hcl:"method,optional" default:"GET" check:"oneof=GET HEAD" doc:"HTTP method."`
//	Wait    time.Duration `hcl:"wait,optional" default:"5s" check:"min=100ms,max=1m" doc:"…" change:"live"`
//	Token   sdk.Secret    `hcl:"token,optional" doc:"…"`
//	TLS     *TLS          `hcl:"tls,block" doc:"…"`              // at most one block
//	Auth    Auth          `hcl:"auth,block" doc:"…"`             // exactly one
//	Rules   []Rule        `hcl:"rule,block" doc:"…"`             // any number, in order
//	Name    string        `hcl:"name,label" doc:"…"`             // in a block's struct: its label
//
// Field types: string, bool, integers, float64, time.Duration (written "5s", "1h30m", "30d"), [Bytes] (written "256MiB"),
// [Secret], pointers to them (nil: not written), slices and maps of them. An embedded struct adds its fields. A sized integer
// takes what it can hold.
//
// The tags:
//
//	hcl         the attribute's name; with ,optional it need not be written, with ,block or ,label it is none
//	doc         a sentence or two for people; required
//	default     what it is if it is not written, as HCL has it without quotes; a list's elements are separated by spaces
//	check       conditions, separated by commas, see below
//	change      what a change costs: live, replace (the default) or exclusive, see [Change]
//	was         an old name, of an attribute or a block: it is taken with a warning, and `magpie fmt -migrate` writes the new one
//	deprecated  why not to use it any more, and what to use: a warning
//	sensitive   "true": it may hold secrets though its type is none, such as headers
//
// The checks, each of the value or of every element of a list or map. They are made of what is written, not of defaults:
//
//	url         it has a scheme, and a host or a path
//	hostport    it is a host and a port, 127.0.0.1:9470
//	regexp      it is a regular expression, as Go has them
//	oneof=a b   it is one of these words
//	min=, max=  bounds of a number, a duration or a size (in its own unit: min=100ms), or of a text's length in bytes
//	file        it is the path of a file, and another content of that is a change of the attribute
type Schema struct {
	Attributes []Attribute `json:"attributes,omitempty"` // in the order of the fields
	Blocks     []Block     `json:"blocks,omitempty"`     // in the order of the fields
}

// Attribute is a name = value line of a block.
type Attribute struct {
	Name       string   `json:"name"`                  // as it is written
	Type       string   `json:"type"`                  // in HCL's type syntax: string, number, list(string), …
	Unit       Unit     `json:"unit,omitempty"`        // how text is read and what the plugin is sent
	Checks     []string `json:"checks,omitempty"`      // url, hostport, regexp, file, oneof=a b, min=…, max=…
	Default    string   `json:"default,omitempty"`     // as written in HCL without quotes; "" with HasDefault: the empty value
	HasDefault bool     `json:"has_default,omitempty"` // it is Default if it is not written
	Required   bool     `json:"required,omitempty"`    // it has to be written
	Sensitive  bool     `json:"sensitive,omitempty"`   // its value is shown to nobody
	Doc        string   `json:"doc"`                   // what it is, for people
	Was        string   `json:"was,omitempty"`         // its old name, which is still taken
	Deprecated string   `json:"deprecated,omitempty"`  // why not to use it any more
	Change     Change   `json:"change,omitempty"`      // what a change of it costs
}

// Unit is the meaning of a string or a number.
type Unit string

// The units: a duration is sent in nanoseconds, a size in bytes.
const (
	Plain        Unit = ""
	DurationUnit Unit = "duration"
	BytesUnit    Unit = "bytes"
	IntegerUnit  Unit = "integer"
)

// Change is what a changed attribute costs.
type Change string

// Live: Reconfigure. Replace: the new component opens before the old one closes. Exclusive: the old one closes first, for
// what only one can hold (a directory, a device).
const (
	Live      Change = "live"
	Replace   Change = "replace"
	Exclusive Change = "exclusive"
)

// Block is a nested block of a schema.
type Block struct {
	Name     string   `json:"name"`               // as it is written
	Many     bool     `json:"many,omitempty"`     // any number; otherwise at most one
	Required bool     `json:"required,omitempty"` // at least one
	Labels   []string `json:"labels,omitempty"`   // names of its labels
	Body     Schema   `json:"body"`               // what it takes
	Doc      string   `json:"doc"`                // what it is, for people
	Was      string   `json:"was,omitempty"`      // its old name, which is still taken
}

// Reserved are the core attributes, which a Config may not declare.
var Reserved = []string{"labels", "job", "interval", "timeout", "limit_series", "enabled", "for_each", "isolate", "discover", "plugin", "queue", "dynamic", "content"}

// SchemaOf reads the tags of a struct type.
func SchemaOf(t reflect.Type) (Schema, error) {
	s, _, err := schemaOf(t, nil)
	if err != nil {
		return s, err
	}
	for _, name := range s.names() {
		if slices.Contains(Reserved, name) {
			return s, fmt.Errorf("%s declares %q, which is a core attribute of every block: rename it", t, name)
		}
	}
	return s, nil
}

func (s Schema) names() (all []string) {
	for _, a := range s.Attributes {
		all = append(all, a.Name)
	}
	for _, b := range s.Blocks {
		all = append(all, b.Name)
	}
	return all
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// schemaOf reads a struct that is nested in those of around.
func schemaOf(t reflect.Type, around []reflect.Type) (s Schema, labels []string, err error) {
	if t.Kind() != reflect.Struct {
		return s, nil, fmt.Errorf("%s is not a struct", t)
	}
	if slices.Contains(around, t) {
		return s, nil, fmt.Errorf("%s is nested in itself, and a schema has an end: give the inner blocks a struct of their own", t)
	}
	around = append(around, t)
	for _, f := range fieldsOf(t) {
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("%s.%s: "+format, append([]any{t, f.Name}, args...)...)
		}
		if !f.IsExported() {
			return s, nil, wrong("has an hcl tag and is not exported")
		}
		if !validName.MatchString(f.hcl) {
			return s, nil, wrong("%q is not a name of lower-case letters, digits and underscores", f.hcl)
		}
		doc := f.Tag.Get("doc")
		if doc == "" {
			return s, nil, wrong("needs a doc tag")
		}
		switch f.option {
		case "label":
			labels = append(labels, f.hcl)
		case "block":
			b := Block{Name: f.hcl, Doc: doc, Was: f.Tag.Get("was"), Required: f.Type.Kind() == reflect.Struct}
			elem := f.Type
			switch elem.Kind() {
			case reflect.Slice:
				b.Many, elem = true, elem.Elem()
			case reflect.Pointer:
				elem = elem.Elem()
			}
			if b.Body, b.Labels, err = schemaOf(elem, around); err != nil {
				return s, nil, err
			}
			s.Blocks = append(s.Blocks, b)
		case "", "optional":
			a := Attribute{Name: f.hcl, Doc: doc, Was: f.Tag.Get("was"), Deprecated: f.Tag.Get("deprecated"), Required: f.option == ""}
			if a.Type, a.Unit, a.Sensitive, err = typeOf(f.Type, nil); err != nil {
				return s, nil, wrong("%w", err)
			}
			a.Sensitive = a.Sensitive || f.Tag.Get("sensitive") == "true"
			if a.Default, a.HasDefault = f.Tag.Lookup("default"); a.HasDefault {
				a.Required = false
				if err := setText(reflect.New(f.Type).Elem(), a.Default); err != nil {
					return s, nil, wrong("default: %w", err)
				}
			}
			if a.Checks, err = parseChecks(f.Tag.Get("check")); err != nil {
				return s, nil, wrong("%w", err)
			}
			a.Checks = append(a.Checks, boundsOf(f.Type)...)
			switch a.Change = Change(f.Tag.Get("change")); a.Change {
			case "":
				a.Change = Replace
			case Live, Replace, Exclusive:
			default:
				return s, nil, wrong("change is %q, and can be live, replace or exclusive", a.Change)
			}
			s.Attributes = append(s.Attributes, a)
		default:
			return s, nil, wrong("unknown option %q in its hcl tag", f.option)
		}
	}
	for _, f := range fieldsOf(t) {
		switch was := f.Tag.Get("was"); {
		case was == "":
		case f.option == "label":
			return s, nil, fmt.Errorf("%s.%s: a label has no name in a file: was is for attributes and blocks", t, f.Name)
		case !validName.MatchString(was) || slices.Contains(Reserved, was) || slices.Contains(s.names(), was) || wasTwice(s, was):
			return s, nil, fmt.Errorf("%s.%s: was is %q, and takes a name that nothing else in the block has or had", t, f.Name, was)
		}
	}
	return s, labels, nil
}

func wasTwice(s Schema, was string) bool {
	n := 0
	for _, a := range s.Attributes {
		if a.Was == was {
			n++
		}
	}
	for _, b := range s.Blocks {
		if b.Was == was {
			n++
		}
	}
	return n > 1
}

type field struct {
	reflect.StructField
	hcl    string
	option string
	index  []int
}

// fieldsOf lists the fields with an hcl tag, those of embedded structs among them.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fields.Load(t); ok {
		return known.([]field)
	}
	var list []field
	for _, f := range reflect.VisibleFields(t) {
		if tag, ok := f.Tag.Lookup("hcl"); ok {
			name, option, _ := strings.Cut(tag, ",")
			list = append(list, field{f, name, option, f.Index})
		}
	}
	fields.Store(t, list)
	return list
}

var fields sync.Map // reflect.Type → []field, of every type that was asked for: as many as a program has

var (
	durationType = reflect.TypeFor[time.Duration]()
	bytesType    = reflect.TypeFor[Bytes]()
	secretType   = reflect.TypeFor[Secret]()
	textsType    = reflect.TypeFor[[]string]()
	textMapType  = reflect.TypeFor[map[string]string]()
)

// typeOf names the type of an attribute; around are the types that it is an element of.
func typeOf(t reflect.Type, around []reflect.Type) (hcl string, unit Unit, sensitive bool, err error) {
	switch t {
	case durationType:
		return "string", DurationUnit, false, nil
	case bytesType:
		return "string", BytesUnit, false, nil
	case secretType:
		return "string", Plain, true, nil
	}
	if slices.Contains(around, t) {
		return "", Plain, false, fmt.Errorf("the type %s is an element of itself", t)
	}
	around = append(around, t)
	switch t.Kind() {
	case reflect.Pointer:
		return typeOf(t.Elem(), around)
	case reflect.String:
		return "string", Plain, false, nil
	case reflect.Bool:
		return "bool", Plain, false, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "number", IntegerUnit, false, nil
	case reflect.Float64:
		return "number", Plain, false, nil
	case reflect.Slice:
		hcl, unit, sensitive, err = typeOf(t.Elem(), around)
		return "list(" + hcl + ")", unit, sensitive, err
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			hcl, unit, sensitive, err = typeOf(t.Elem(), around)
			return "map(" + hcl + ")", unit, sensitive, err
		}
	}
	return "", Plain, false, fmt.Errorf("the type %s cannot be written in HCL", t)
}

// boundsOf are the checks of what a sized integer cannot hold, so that the daemon says it where the number is written.
func boundsOf(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32:
		return []string{fmt.Sprintf("min=%d", -1<<(t.Bits()-1)), fmt.Sprintf("max=%d", 1<<(t.Bits()-1)-1)}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return []string{"min=0", fmt.Sprintf("max=%d", 1<<t.Bits()-1)}
	case reflect.Uint, reflect.Uint64:
		return []string{"min=0"}
	}
	return nil
}

func parseChecks(tag string) (checks []string, err error) {
	if tag == "" {
		return nil, nil
	}
	for _, c := range strings.Split(tag, ",") {
		switch name, _, _ := strings.Cut(c, "="); name {
		case "url", "hostport", "regexp", "oneof", "min", "max", "file":
			checks = append(checks, c)
		default:
			return nil, fmt.Errorf("unknown check %q", c)
		}
	}
	return checks, nil
}

// setText sets a field from a default's text. Lists and maps take the empty text only.
func setText(v reflect.Value, text string) error {
	switch v.Type() {
	case durationType:
		d, err := ParseDuration(text)
		v.SetInt(int64(d))
		return err
	case bytesType:
		n, err := ParseBytes(text)
		v.SetInt(int64(n))
		return err
	case secretType:
		v.Set(reflect.ValueOf(Secret{text}))
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return setText(v.Elem(), text)
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.SetBool(b)
		return err
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		v.SetFloat(f)
		return err
	case reflect.Slice:
		if text != "" {
			elem := reflect.New(v.Type().Elem()).Elem()
			for _, part := range strings.Split(text, " ") {
				if err := setText(elem, part); err != nil {
					return err
				}
				v.Set(reflect.Append(v, elem))
			}
		}
		return nil
	}
	if v.CanInt() {
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
		return err
	}
	if v.CanUint() {
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
		return err
	}
	return fmt.Errorf("a %s takes no default", v.Type())
}
