package main

import (
	"bytes"
	"strconv"
)

// kind is what a line says that it measures.
type kind uint8

const (
	counter kind = iota
	gauge
	timer        // in milliseconds
	distribution // histograms too: what one calls them makes no difference here
	set
	kinds
)

var kindNames = [kinds]string{"counter", "gauge", "timer", "distribution", "set"}

// What can be wrong with a line: values of the label reason.
const (
	malformed    = "malformed_line"
	noType       = "missing_type"
	unknownType  = "unknown_type"
	badValue     = "invalid_value"
	badRate      = "invalid_sample_rate"
	badName      = "invalid_name"
	negative     = "negative_counter"
	conflicting  = "conflicting_type"
	overLimit    = "limit_series"
	setFull      = "set_full"
	tooLong      = "line_too_long"
	cutOff       = "line_cut_off"
	notCollected = "event_or_service_check"
)

// maxLine bounds a line; what is longer is refused.
const maxLine = 16 << 10

// sample is one measurement on a line. Its texts are parts of the line.
type sample struct {
	head   []byte // the name, with tags in the manner of Influx, Librato or SignalFx
	values []byte // a number; several with colons between, as DogStatsD 1.1 has them; of a set any text
	kind   kind
	rate   float64 // 1 where none is written
	tags   []byte  // as DogStatsD writes them, behind |#
}

// split cuts a line into its head and the measurements behind it.
func split(line []byte) (head, rest []byte, fault string) {
	switch {
	case len(line) > maxLine:
		return nil, nil, tooLong
	case bytes.HasPrefix(line, []byte("_e{")), bytes.HasPrefix(line, []byte("_sc|")):
		return nil, nil, notCollected
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || colon+1 == len(line) {
		return nil, nil, malformed
	}
	if colon == 0 {
		return nil, nil, badName
	}
	return line[:colon], line[colon+1:], ""
}

// next reads the measurement that rest begins with, and says what follows it on the same line: name:1|c:2|c|@0.5:3|ms is
// three. Sections that extensions of the protocol add (container, timestamp, cardinality, …) are passed over.
func (s *sample) next(rest []byte) (more []byte, fault string) {
	bar := bytes.IndexByte(rest, '|')
	if bar < 0 {
		return nil, noType
	}
	s.values, rest = rest[:bar], rest[bar+1:]
	s.rate, s.tags = 1, nil
	section, rest, another := cut(rest)
	section, more = splitMore(section, rest, another)
	if s.kind, fault = kindOf(section); fault != "" || more != nil {
		return more, fault
	}
	for another {
		section, rest, another = cut(rest)
		if len(section) == 0 {
			return nil, malformed
		}
		switch section[0] {
		case '#':
			s.tags = section[1:]
		case '@':
			section, more = splitMore(section, rest, another)
			rate, err := strconv.ParseFloat(string(section[1:]), 64)
			if err != nil || !(rate >= 1e-9 && rate <= 1) {
				return more, badRate
			}
			if s.rate = rate; more != nil {
				return more, ""
			}
		}
	}
	return nil, ""
}

// cut ends a section at its bar.
func cut(rest []byte) (section, after []byte, found bool) {
	if i := bytes.IndexByte(rest, '|'); i >= 0 {
		return rest[:i], rest[i+1:], true
	}
	return rest, nil, false
}

// splitMore finds the colon within a section where another measurement begins, which reaches behind the section's bar.
func splitMore(section, rest []byte, another bool) ([]byte, []byte) {
	i := bytes.IndexByte(section, ':')
	if i < 0 {
		return section, nil
	}
	more := section[i+1:]
	if another { // section and rest lie beside each other in the line, a bar between them
		more = more[:len(more)+1+len(rest)]
	}
	return section[:i], more
}

func kindOf(text []byte) (kind, string) {
	switch string(text) {
	case "c":
		return counter, ""
	case "g":
		return gauge, ""
	case "ms":
		return timer, ""
	case "h", "d":
		return distribution, ""
	case "s":
		return set, ""
	case "":
		return 0, noType
	}
	return 0, unknownType
}

// number reads a finite number. Most are short and whole, and need no more than a loop.
func number(text []byte) (float64, bool) {
	if n := len(text); n > 0 && n < 16 {
		v := 0
		for i, c := range text {
			if c < '0' || c > '9' {
				break
			}
			if v = v*10 + int(c-'0'); i == n-1 {
				return float64(v), true
			}
		}
	}
	if bytes.IndexByte(text, '_') >= 0 || bytes.IndexByte(text, 'x') >= 0 || bytes.IndexByte(text, 'X') >= 0 {
		return 0, false // Go's numbers, nobody else's
	}
	v, err := strconv.ParseFloat(string(text), 64)
	return v, err == nil && v-v == 0
}
