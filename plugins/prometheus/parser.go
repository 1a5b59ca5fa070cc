package main

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// format is a way of writing a page.
type format uint8

const (
	plainText    format = iota // Prometheus' text format, 0.0.4 and 1.0.0
	openMetrics                // OpenMetrics 1.0 and 0.0.1
	fromProtobuf               // as the rewriter has written it
)

// span is a stretch of the page.
type span struct{ from, to int }

// labelSpan is where a label stands, without its quotes and with its escapes.
type labelSpan struct{ name, value span }

// parser is the full parser. It reads a page from its position on, sample by sample: first the head, which is everything
// before the value with the comments and metadata above it, then the value. What it takes and refuses is what Prometheus'
// model/textparse takes and refuses, but for
//
//   - labels behind the name in a TYPE or HELP line, as brpc writes them, `# TYPE foo{a="b"} gauge`: they are skipped;
//   - blanks before a name in the text format, which the format allows: they do not become part of the name;
//   - a NUL byte outside of quotes and help: it is an error, and does not end the page.
//
// It allocates nothing but errors and, in state, families.
type parser struct {
	page   []byte
	pos    int
	format format
	metadata

	// The head that was read last.
	lineStart int // of the sample's line
	start     int // of its name, behind blanks
	headEnd   int // where the value begins
	name      span
	named     bool
	labels    []labelSpan

	// The exemplars behind the value that was read last.
	found         []found
	exampleLabels []labelSpan
}

// Bits of class.
const (
	nameFirst = 1 << iota // of a metric's name
	nameRest
	labelFirst // of a label's name
	labelRest
)

// class says what a byte may be part of.
var class = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
			t[c] = nameFirst | nameRest | labelFirst | labelRest
		case c == ':':
			t[c] = nameFirst | nameRest
		case c >= '0' && c <= '9':
			t[c] = nameRest | labelRest
		}
	}
	return t
}()

// head reads up to the value of the next sample; false means that the page ended as it should.
func (p *parser) head() (bool, error) {
	for {
		i := p.blanks(p.pos)
		p.lineStart, p.start = p.pos, i
		if i >= len(p.page) {
			if p.format == openMetrics {
				return false, p.wrong(i, "the page ends without # EOF: it was cut off, or the target does not write OpenMetrics")
			}
			p.pos = i
			return false, nil
		}
		switch c := p.page[i]; {
		case c == '\n' && p.format != openMetrics:
			p.pos = i + 1
		case c == '#':
			end, err := p.comment(i + 1)
			if end || err != nil {
				return false, err
			}
		case class[c]&nameFirst != 0 || c == '{':
			return true, p.sample(i)
		default:
			return false, p.wrong(i, "a line starts with a metric name, { or #")
		}
	}
}

// at is the byte at i, 0 behind the end.
func (p *parser) at(i int) byte {
	if i < len(p.page) {
		return p.page[i]
	}
	return 0
}

// blanks skips blanks where the format allows them.
func (p *parser) blanks(i int) int {
	if p.format != openMetrics {
		for i < len(p.page) && (p.page[i] == ' ' || p.page[i] == '\t') {
			i++
		}
	}
	return i
}

// word skips the bytes of a class.
func (p *parser) word(i int, bit uint8) int {
	for i < len(p.page) && class[p.page[i]]&bit != 0 {
		i++
	}
	return i
}

// quoted finds the end of the text in quotes that starts at i, -1 where it has none.
func (p *parser) quoted(i int, oneLine bool) int {
	for i++; i < len(p.page); i++ {
		switch p.page[i] {
		case '"':
			return i + 1
		case '\\':
			if i++; p.at(i) == '\n' {
				return -1
			}
		case '\n':
			if oneLine {
				return -1
			}
		}
	}
	return -1
}

// sample reads name and labels from i on, and leaves the position at the value.
func (p *parser) sample(i int) (err error) {
	p.named, p.labels = false, p.labels[:0]
	if p.page[i] != '{' {
		end := p.word(i, nameRest)
		p.name, p.named = span{i, end}, true
		i = p.blanks(end)
	}
	if p.at(i) == '{' {
		if i, err = p.braces(i+1, false); err != nil {
			return err
		}
	}
	if !p.named {
		return p.wrong(i, "the sample has no metric name")
	}
	if p.format == openMetrics {
		if p.at(i) != ' ' {
			return p.wrong(i, "one blank and a value are expected behind the metric")
		}
		i++
	}
	p.pos = p.blanks(i)
	p.headEnd = p.pos
	return nil
}

// braces reads labels from behind { to behind }. A quoted name without a value is the metric's. The labels of an exemplar
// have a place of their own.
func (p *parser) braces(i int, exemplar bool) (int, error) {
	for {
		i = p.blanks(i)
		var name span
		quoted := p.at(i) == '"'
		switch {
		case quoted:
			end := p.quoted(i, exemplar)
			if end < 0 {
				return i, p.wrong(i, "a name in quotes does not end")
			}
			name, i = span{i + 1, end - 1}, p.blanks(end)
		case class[p.at(i)]&labelFirst != 0:
			end := p.word(i, labelRest)
			name, i = span{i, end}, p.blanks(end)
		case p.at(i) == '}':
			return i + 1, nil
		default:
			return i, p.wrong(i, "a label name is expected")
		}
		if c := p.at(i); quoted && !exemplar && (c == ',' || c == '}') {
			if p.named {
				return i, p.wrong(name.from, "the metric has a second name")
			}
			p.name, p.named = name, true
			if i++; c == '}' {
				return i, nil
			}
			continue
		}
		var err error
		if i, err = p.label(i, name, exemplar); err != nil {
			return i, err
		}
	}
}

// label reads = and the value of a label, and the comma behind it.
func (p *parser) label(i int, name span, exemplar bool) (int, error) {
	if p.at(i) != '=' {
		return i, p.wrong(i, "= is expected behind a label name")
	}
	if i = p.blanks(i + 1); p.at(i) != '"' {
		return i, p.wrong(i, "a label value in quotes is expected")
	}
	end := p.quoted(i, p.format == openMetrics)
	if end < 0 {
		return i, p.wrong(i, "a label value does not end")
	}
	value := span{i + 1, end - 1}
	if !utf8.Valid(p.page[value.from:value.to]) {
		return i, p.wrong(i, "a label value is not UTF-8")
	}
	if exemplar {
		p.exampleLabels = append(p.exampleLabels, labelSpan{name, value})
	} else {
		p.labels = append(p.labels, labelSpan{name, value})
	}
	switch i = p.blanks(end); {
	case p.at(i) == ',':
		i++
	case p.format == openMetrics && p.at(i) != '}':
		return i, p.wrong(i, ", or } is expected behind a label")
	}
	return i, nil
}

// unescape makes a string of escaped text; \" is an escape in labels, and in the help of OpenMetrics.
func unescape(b []byte, quotes bool) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			switch c := b[i+1]; {
			case c == 'n':
				out = append(out, '\n')
				i++
				continue
			case c == '\\', c == '"' && quotes:
				out = append(out, c)
				i++
				continue
			}
		}
		out = append(out, b[i])
	}
	return string(out)
}

// mistake is what is wrong at a place of the page. It is cheap to make, since many a mistake is not one: see behindMatch.
type mistake struct {
	at   int
	what string
}

func (m *mistake) Error() string { return m.what }

func (p *parser) wrong(i int, what string) error { return &mistake{i, what} }

// tell adds to a mistake where it is, as line and column, and what stands there.
func (p *parser) tell(err error) error {
	m, ok := errors.AsType[*mistake](err)
	if !ok {
		return err
	}
	i := min(m.at, len(p.page))
	line := bytes.Count(p.page[:i], []byte{'\n'}) + 1
	column := i - bytes.LastIndexByte(p.page[:i], '\n')
	rest := p.page[i:]
	if n := bytes.IndexByte(rest, '\n'); n >= 0 {
		rest = rest[:n]
	}
	if len(rest) == 0 {
		return fmt.Errorf("line %d, column %d: %s", line, column, m.what)
	}
	return fmt.Errorf("line %d, column %d: %s, not %q", line, column, m.what, rest[:min(len(rest), 40)])
}
