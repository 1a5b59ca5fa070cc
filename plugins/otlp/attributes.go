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

	"github.com/magpie-monitoring/magpie/plugins/internal/protobuf"
)

// maxDepth is how deep lists and maps in an attribute may be nested.
const maxDepth = 16

// attribute is a KeyValue, its value written as text.
type attribute struct{ key, value string }

// readAttribute reads a KeyValue.
func readAttribute(raw []byte) (a attribute, err error) {
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			a.key = string(m.Bytes)
		case 2<<3 | asBytes:
			if a.value, err = valueText(m.Bytes); err != nil {
				return a, err
			}
		}
	}
	return a, errOf(&m)
}

// readAttributes reads all KeyValues that a message holds under a tag, sorted by key.
func readAttributes(raw []byte, tag uint64) (list []attribute, err error) {
	m := protobuf.Read(raw)
	for m.Next() {
		if m.Tag == tag {
			a, err := readAttribute(m.Bytes)
			if err != nil {
				return nil, err
			}
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b attribute) int { return cmp.Compare(a.key, b.key) })
	return list, errOf(&m)
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
	m := protobuf.Read(raw)
	for m.Next() {
		switch m.Tag {
		case 1<<3 | asBytes:
			v = string(m.Bytes)
		case 2<<3 | asVarint:
			v = m.Bits != 0
		case 3<<3 | asVarint:
			v = int64(m.Bits)
		case 4<<3 | asFixed64:
			v = m.Float()
		case 5<<3 | asBytes:
			v, err = listValue(m.Bytes, depth+1)
		case 6<<3 | asBytes:
			v, err = mapValue(m.Bytes, depth+1)
		case 7<<3 | asBytes:
			v = slices.Clone(m.Bytes)
		}
		if err != nil {
			return nil, err
		}
	}
	return v, errOf(&m)
}

func listValue(raw []byte, depth int) (any, error) {
	list := []any{}
	m := protobuf.Read(raw)
	for m.Next() {
		if m.Tag == 1<<3|asBytes {
			v, err := value(m.Bytes, depth)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	}
	return list, errOf(&m)
}

func mapValue(raw []byte, depth int) (any, error) {
	all := map[string]any{}
	m := protobuf.Read(raw)
	for m.Next() {
		if m.Tag != 1<<3|asBytes {
			continue
		}
		var key string
		var v any
		kv := protobuf.Read(m.Bytes)
		for kv.Next() {
			var err error
			switch kv.Tag {
			case 1<<3 | asBytes:
				key = string(kv.Bytes)
			case 2<<3 | asBytes:
				v, err = value(kv.Bytes, depth)
			}
			if err != nil {
				return nil, err
			}
		}
		if kv.Err != nil {
			return nil, errMalformed
		}
		all[key] = v
	}
	return all, errOf(&m)
}
