package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxDepth is how deep lists and maps in an attribute may be nested.
const maxDepth = 16

// attribute is a KeyValue, its value written as text.
type attribute struct{ key, value string }

// readAttribute reads a KeyValue.
func readAttribute(raw []byte) (a attribute, err error) {
	m := message{rest: raw}
	for m.next() {
		switch m.tag {
		case 1<<3 | asBytes:
			a.key = string(m.bytes)
		case 2<<3 | asBytes:
			if a.value, err = valueText(m.bytes); err != nil {
				return a, err
			}
		}
	}
	return a, m.err()
}

// readAttributes reads all KeyValues that a message holds under a tag, sorted by key.
func readAttributes(raw []byte, tag uint64) (list []attribute, err error) {
	m := message{rest: raw}
	for m.next() {
		if m.tag == tag {
			a, err := readAttribute(m.bytes)
			if err != nil {
				return nil, err
			}
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b attribute) int { return cmp.Compare(a.key, b.key) })
	return list, m.err()
}

// valueText is an AnyValue as text, as the Collector's AsString has it: lists and maps are JSON.
func valueText(raw []byte) (string, error) {
	v, err := value(raw, 0)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return floatText(v), nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return "", nil // a NaN in a list, which JSON cannot say
	}
	return strings.TrimRight(b.String(), "\n"), nil
}

func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	text, _ := json.Marshal(f)
	return string(text)
}

// value is an AnyValue as Go has it; what comes last in the message counts.
func value(raw []byte, depth int) (v any, err error) {
	if depth > maxDepth {
		return nil, errMalformed
	}
	m := message{rest: raw}
	for m.next() {
		switch m.tag {
		case 1<<3 | asBytes:
			v = string(m.bytes)
		case 2<<3 | asVarint:
			v = m.bits != 0
		case 3<<3 | asVarint:
			v = int64(m.bits)
		case 4<<3 | asFixed64:
			v = math.Float64frombits(m.bits)
		case 5<<3 | asBytes:
			v, err = listValue(m.bytes, depth+1)
		case 6<<3 | asBytes:
			v, err = mapValue(m.bytes, depth+1)
		case 7<<3 | asBytes:
			v = slices.Clone(m.bytes)
		}
		if err != nil {
			return nil, err
		}
	}
	return v, m.err()
}

func listValue(raw []byte, depth int) (any, error) {
	list := []any{}
	m := message{rest: raw}
	for m.next() {
		if m.tag == 1<<3|asBytes {
			v, err := value(m.bytes, depth)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	}
	return list, m.err()
}

func mapValue(raw []byte, depth int) (any, error) {
	all := map[string]any{}
	m := message{rest: raw}
	for m.next() {
		if m.tag != 1<<3|asBytes {
			continue
		}
		var key string
		var v any
		kv := message{rest: m.bytes}
		for kv.next() {
			var err error
			switch kv.tag {
			case 1<<3 | asBytes:
				key = string(kv.bytes)
			case 2<<3 | asBytes:
				v, err = value(kv.bytes, depth)
			}
			if err != nil {
				return nil, err
			}
		}
		if kv.bad {
			return nil, errMalformed
		}
		all[key] = v
	}
	return all, m.err()
}
