package sdk

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Path leads from a block to an attribute: names, indexes of lists and repeated blocks, keys of maps.
type Path []Step

// Step is a name, an index or a key.
type Step struct {
	Name  string // of an attribute or a block
	Index int    // of a list or a repeated block, where Name and Key are empty
	Key   string // of a map
}

// String writes a path as target[1].port.
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.Name != "":
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Name)
		case s.Key != "":
			fmt.Fprintf(&b, "[%q]", s.Key)
		default:
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		}
	}
	return b.String()
}

// Fill sets a Config from what the daemon sends: JSON named by the hcl tags, durations in nanoseconds, sizes in bytes,
// absent where nothing was written, a block's labels under their names. Defaults are set first. What does not fit its
// field is a Problem with the attribute's path.
func Fill(cfg any, data []byte) error {
	v := reflect.ValueOf(cfg).Elem()
	if len(data) == 0 {
		data = []byte("{}")
	}
	return fill(v, data, nil)
}

func fill(v reflect.Value, data []byte, at Path) error {
	if string(data) == "null" {
		return nil
	}
	if u, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		return misfit(at, v.Type(), u.UnmarshalJSON(data))
	}
	if t := v.Type(); (t == textsType || t == textMapType) && json.Unmarshal(data, v.Addr().Interface()) == nil {
		return nil // otherwise one by one, to find the one that does not fit
	}
	switch v.Kind() {
	case reflect.Struct:
		return fillStruct(v, data, at)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), data, at)
	case reflect.Slice:
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return misfit(at, v.Type(), err)
		}
		v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
		for i, e := range list {
			if err := fill(v.Index(i), e, append(at, Step{Index: i})); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		var m map[string]json.RawMessage
		if err := json.Unmarshal(data, &m); err != nil {
			return misfit(at, v.Type(), err)
		}
		v.Set(reflect.MakeMap(v.Type()))
		for k, e := range m {
			elem := reflect.New(v.Type().Elem()).Elem()
			if err := fill(elem, e, append(at, Step{Key: k})); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(k).Convert(v.Type().Key()), elem)
		}
		return nil
	}
	return misfit(at, v.Type(), json.Unmarshal(data, v.Addr().Interface()))
}

// misfit says what an attribute takes, if err says that its value is something else. It does not show the value, which may
// be secret.
func misfit(at Path, t reflect.Type, err error) error {
	if err == nil {
		return nil
	}
	takes := "a number"
	switch t.Kind() {
	case reflect.Bool:
		takes = "true or false"
	case reflect.String:
		takes = "a text"
	case reflect.Slice:
		takes = "a list"
	case reflect.Map:
		takes = "a map"
	case reflect.Struct:
		if takes = "a block"; t == secretType {
			takes = "a text"
		}
	}
	if zero := reflect.Zero(t); zero.CanInt() {
		takes = fmt.Sprintf("a whole number from %d to %d", int64(-1)<<(t.Bits()-1), int64(1)<<(t.Bits()-1)-1)
	} else if zero.CanUint() {
		takes = fmt.Sprintf("a whole number from 0 to %d", ^uint64(0)>>(64-t.Bits()))
	}
	switch t {
	case durationType:
		takes += " of nanoseconds"
	case bytesType:
		takes += " of bytes"
	}
	return &Problem{Blame: BlameConfig, Permanent: true, Path: slices.Clone(at), Err: fmt.Errorf("%s takes %s", at, takes)}
}

func fillStruct(v reflect.Value, data []byte, at Path) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return misfit(at, v.Type(), err)
	}
	for _, f := range fieldsOf(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if text, ok := f.Tag.Lookup("default"); ok {
			if err := setText(fv, text); err != nil {
				return fmt.Errorf("%s: default: %w", append(at, Step{Name: f.hcl}), err)
			}
		}
		if raw, ok := m[f.hcl]; ok {
			if err := fill(fv, raw, append(at, Step{Name: f.hcl})); err != nil {
				return err
			}
		} else if f.option == "block" && f.Type.Kind() == reflect.Struct {
			if err := fill(fv, []byte("{}"), append(at, Step{Name: f.hcl})); err != nil {
				return err
			}
		}
	}
	return nil
}

// pathOf finds the attribute whose field ptr points to, nil if it is none of cfg's.
func pathOf(cfg, ptr any) Path {
	if cfg == nil || ptr == nil {
		return nil
	}
	p := reflect.ValueOf(ptr)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return nil
	}
	path, _ := find(reflect.ValueOf(cfg).Elem(), p, nil)
	return path
}

func find(v, ptr reflect.Value, at Path) (Path, bool) {
	if v.CanAddr() && v.Addr().Pointer() == ptr.Pointer() && v.Type() == ptr.Type().Elem() {
		return append(Path{}, at...), true
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return find(v.Elem(), ptr, at)
		}
	case reflect.Slice:
		for i := range v.Len() {
			if p, ok := find(v.Index(i), ptr, append(at, Step{Index: i})); ok {
				return p, true
			}
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			step := Step{Name: f.hcl}
			if p, ok := find(v.FieldByIndex(f.index), ptr, append(at, step)); ok {
				return p, true
			}
		}
	}
	return nil, false
}
