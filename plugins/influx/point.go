package main

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

// What can be wrong with a line, for its sender; the first word is the reason under which it is counted.
const (
	noFields     = "fields: missing"
	noMeasure    = "measurement: missing"
	badTag       = "tag: it is to be key=value, neither of them empty"
	twiceTag     = "tag: the same key twice"
	tooManyTags  = "tag: too many"
	badField     = "field: it is to be key=value, neither of them empty"
	badNumber    = "field: the value is neither a number, nor a boolean, nor a text in quotes"
	openQuote    = "field: the text's quote is not closed"
	tooManyField = "field: too many"
	badTime      = "timestamp: it is to be a whole number"
	timeRange    = "timestamp: it is beyond what can be kept"
	noText       = "text: it is no UTF-8"
	longLine     = "line: it is too long"
)

// What a point may have.
const (
	maxLine   = 1 << 20
	maxTags   = 200
	maxFields = 10_000
)

// point is a line of the protocol. Its texts are parts of the line, with their backslashes.
type point struct {
	head   []byte // measurement and tags
	fields []field
	stamp  int64
	timed  bool
}

// field is a number; texts has how many fields were none.
type field struct {
	key   []byte
	value float64
	text  bool
}

// skip passes over empty lines and comments, and says over how many line ends.
func skip(text []byte) (rest []byte, ends int) {
	for len(text) > 0 {
		switch text[0] {
		case '\n':
			ends++
			text = text[1:]
		case ' ', '\t', '\r', 0:
			text = text[1:]
		case '#':
			if text = after(text); text != nil {
				ends++
			}
		default:
			return text, ends
		}
	}
	return nil, ends
}

// next reads the line that text begins with, and says what follows it and over how many line ends it went: a text in quotes may
// hold some. Behind a line that is wrong, reading goes on with the next.
func (p *point) next(text []byte) (rest []byte, ends int, fault string) {
	at, fault := p.read(text)
	if fault != "" {
		return after(text), 1, fault
	}
	ends = bytes.Count(text[:at], []byte{'\n'}) + 1
	return text[min(at+1, len(text)):], ends, ""
}

// after is what follows a line, nil where it is the last.
func after(text []byte) []byte {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return text[i+1:]
	}
	return nil
}

// read reads a line up to its end.
func (p *point) read(line []byte) (end int, fault string) {
	i, fault := p.readHead(line)
	if fault != "" {
		return 0, fault
	}
	p.head = line[:i]
	for i < len(line) && line[i] == ' ' {
		i++
	}
	p.fields = p.fields[:0]
	for {
		if i, fault = p.readField(line, i); fault != "" {
			return 0, fault
		}
		if i == len(line) || line[i] != ',' {
			break
		}
		i++
	}
	for i < len(line) && line[i] == ' ' {
		i++
	}
	p.stamp, p.timed = 0, false
	start := i
	for i < len(line) && line[i] != '\n' && line[i] != ' ' && line[i] != '\r' {
		i++
	}
	if i > start {
		if p.stamp, fault = whole(line[start:i]); fault != "" {
			return 0, fault
		}
		p.timed = true
	}
	for i < len(line) && (line[i] == ' ' || line[i] == '\r') {
		i++
	}
	if i < len(line) && line[i] != '\n' {
		return 0, badTime
	}
	if i > maxLine {
		return 0, longLine
	}
	return i, ""
}

// readHead goes over measurement and tags, whose parts are checked when they are seen for the first time.
func (p *point) readHead(line []byte) (int, string) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			if i+1 < len(line) && line[i+1] != '\n' {
				i++
			}
		case ' ':
			if line[0] == ',' || i == 0 {
				return 0, noMeasure
			}
			return i, ""
		case '\n', '\r':
			return 0, noFields
		}
	}
	return 0, noFields
}

func (p *point) readField(line []byte, i int) (int, string) {
	start := i
	for i < len(line) && line[i] != '=' {
		switch line[i] {
		case '\\':
			if i+1 < len(line) && line[i+1] != '\n' {
				i++
			}
		case ' ', ',', '\n', '\r', '"':
			if i == start && line[i] != '"' && len(p.fields) == 0 && (line[i] == '\n' || line[i] == '\r') {
				return 0, noFields
			}
			if line[i] != '"' {
				return 0, badField
			}
		}
		i++
	}
	if start == len(line) {
		return 0, noFields
	}
	if i >= len(line) || i == start {
		return 0, badField
	}
	if len(p.fields) == maxFields {
		return 0, tooManyField
	}
	f := field{key: line[start:i]}
	i++
	start = i
	if i < len(line) && line[i] == '"' {
		if i = closing(line, i+1); i < 0 {
			return 0, openQuote
		}
		f.text = true
	} else {
		for i < len(line) && line[i] != ',' && line[i] != ' ' && line[i] != '\n' && line[i] != '\r' {
			i++
		}
		if i == start {
			return 0, badField
		}
		var ok bool
		if f.value, ok = value(line[start:i]); !ok {
			return 0, badNumber
		}
	}
	if i < len(line) && line[i] != ',' && line[i] != ' ' && line[i] != '\n' && line[i] != '\r' {
		return 0, badField
	}
	p.fields = append(p.fields, f)
	return i, ""
}

// closing is behind the quote that ends a text, -1 where there is none.
func closing(line []byte, i int) int {
	for ; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// value reads a field's value: 1.5, 3i, 3u, true.
func value(text []byte) (float64, bool) {
	switch string(text) {
	case "t", "T", "true", "True", "TRUE":
		return 1, true
	case "f", "F", "false", "False", "FALSE":
		return 0, true
	}
	switch n := len(text) - 1; text[n] {
	case 'i':
		v, err := strconv.ParseInt(string(text[:n]), 10, 64)
		return float64(v), err == nil && text[0] != '+'
	case 'u':
		v, err := strconv.ParseUint(string(text[:n]), 10, 64)
		return float64(v), err == nil
	}
	digits := 0
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E':
			return 0, false
		}
	}
	if digits == len(text) && digits < 16 {
		v := 0
		for _, c := range text {
			v = v*10 + int(c-'0')
		}
		return float64(v), true
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil && v-v == 0 && text[0] != '+'
}

// whole reads a timestamp.
func whole(text []byte) (int64, string) {
	v, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case err == nil && text[0] != '+':
		return v, ""
	case err != nil && len(text) > 18 && bytes.IndexFunc(text[1:], func(r rune) bool { return r < '0' || r > '9' }) < 0:
		return 0, timeRange
	}
	return 0, badTime
}

// tag is a key and a value without backslashes.
type tag struct{ key, value string }

// parts takes a head apart. It makes new strings: it is called for what was not seen before.
func parts(head []byte) (measurement string, tags []tag, fault string) {
	if !utf8.Valid(head) {
		return "", nil, noText
	}
	part, rest, more := split(head, ',')
	if measurement = plain(part, ", "); measurement == "" {
		return "", nil, noMeasure
	}
	for more {
		part, rest, more = split(rest, ',')
		key, text, found := split(part, '=')
		if !found || len(key) == 0 || len(text) == 0 {
			return "", nil, badTag
		}
		if _, _, another := split(text, '='); another {
			return "", nil, badTag
		}
		if len(tags) == maxTags {
			return "", nil, tooManyTags
		}
		t := tag{plain(key, ",= "), plain(text, ",= ")}
		for _, other := range tags {
			if other.key == t.key {
				return "", nil, twiceTag
			}
		}
		tags = append(tags, t)
	}
	return measurement, tags, ""
}

// split cuts at the first separator that no backslash stands before.
func split(text []byte, separator byte) (before, rest []byte, found bool) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case separator:
			return text[:i], text[i+1:], true
		}
	}
	return text, nil, false
}

// plain takes away the backslashes before special characters; others stand for themselves.
func plain(text []byte, special string) string {
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (bytes.IndexByte([]byte(special), text[i+1]) >= 0) {
			i++
		}
		out = append(out, text[i])
	}
	return string(out)
}

// precisions are the units of timestamps, in nanoseconds, as both versions of the API name them.
var precisions = map[string]int64{
	"": 1, "n": 1, "ns": 1, "u": 1e3, "us": 1e3, "µ": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9,
}

// millis is a timestamp in Unix milliseconds.
func millis(stamp, unit int64) (int64, bool) {
	if unit < 1e6 {
		per := 1_000_000 / unit
		ms := stamp / per
		if stamp%per < 0 {
			ms--
		}
		return ms, true
	}
	times := unit / 1e6
	if stamp > math.MaxInt64/times/1e3 || stamp < math.MinInt64/times/1e3 {
		return 0, false
	}
	return stamp * times, true
}
