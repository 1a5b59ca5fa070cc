package sdk

import (
	"fmt"
	"regexp"
	"strings"
)

// Matcher compares a label of an alert: team = 'db'. A label that an alert does not have is empty.
type Matcher struct {
	Label string // name
	Op    string // =, !=, =~, !~; regular expressions match the whole value
	Value string // as it was written, without quotes
}

// Func makes the comparison. The error is that Op is none, or Value no regular expression.
func (m Matcher) Func() (matches func(labels map[string]string) bool, err error) {
	not := strings.HasPrefix(m.Op, "!")
	switch m.Op {
	case "=", "!=":
		return func(labels map[string]string) bool { return (labels[m.Label] == m.Value) != not }, nil
	case "=~", "!~":
		re, err := regexp.Compile("^(?s:" + m.Value + ")$")
		if err != nil {
			return nil, fmt.Errorf("%s %s %q: %w", m.Label, m.Op, m.Value, err)
		}
		return func(labels map[string]string) bool { return re.MatchString(labels[m.Label]) != not }, nil
	}
	return nil, fmt.Errorf("%q is not one of =, !=, =~ and !~", m.Op)
}

// MatchError is a mistake in matchers, between the bytes From and To.
type MatchError struct {
	From, To int
	Text     string // what was expected there
}

var (
	matchLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*`)
	matchOp    = regexp.MustCompile(`^(=~|!~|!=|=)`)
	matchValue = regexp.MustCompile(`^('(\\.|[^'\\])*'|"(\\.|[^"\\])*"|[^\s,'"=~!][^\s,'"]*)`)
	unescape   = regexp.MustCompile(`\\([\\'"])`)
)

// ParseMatchers reads team = 'db', severity =~ "warning|critical": label, operator and value, separated by commas. The
// quotes are needed where the value holds a space, a comma or a quote.
func ParseMatchers(text string) (list []Matcher, wrong *MatchError) {
	rest := text
	skip := func() { rest = strings.TrimLeft(rest, " \t\r\n") }
	next := func(re *regexp.Regexp) string {
		skip()
		found := re.FindString(rest)
		rest = rest[len(found):]
		return found
	}
	fail := func(format string, args ...any) ([]Matcher, *MatchError) {
		at := len(text) - len(rest)
		return nil, &MatchError{at, at + 1, fmt.Sprintf(format, args...)}
	}
	for {
		m := Matcher{Label: next(matchLabel)}
		if m.Label == "" {
			return fail("A label's name is expected here: write match = \"team = 'db', severity =~ 'warning|critical'\".")
		}
		if m.Op = next(matchOp); m.Op == "" {
			return fail("After the label %s one of =, !=, =~ and !~ is expected.", m.Label)
		}
		if m.Value = next(matchValue); m.Value == "" {
			return fail("A value is expected here: %s %s 'value', in single quotes.", m.Label, m.Op)
		}
		from := len(text) - len(rest) - len(m.Value)
		if m.Value[0] == '\'' || m.Value[0] == '"' {
			m.Value = unescape.ReplaceAllString(m.Value[1:len(m.Value)-1], "$1")
		}
		if _, err := m.Func(); err != nil {
			return nil, &MatchError{from, len(text) - len(rest), fmt.Sprintf("%q is not a regular expression.", m.Value)}
		}
		list = append(list, m)
		if skip(); rest == "" {
			return list, nil
		}
		if rest[0] != ',' {
			return fail("Matchers are separated by commas.")
		}
		rest = rest[1:]
	}
}
