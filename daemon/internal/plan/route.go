package plan

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// route reads the route block. What a route does not say it has from the one around it, the first from Alertmanager's
// defaults.
func (b *builder) route() {
	for _, block := range b.blocks("route") {
		x := b.decodeCore(block)
		b.desired.blocks = append(b.desired.blocks, x)
		if f := x.Field("match"); f != nil {
			b.Error(f.At, "The first route takes every alert", "Write match in a route block within this one.")
		}
		b.desired.Route = b.routeOf(x, &Route{GroupBy: []string{}, GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour})
	}
}

func (b *builder) routeOf(x *language.Body, around *Route) *Route {
	f := language.Fill[routeFields](x)
	r := &Route{
		Notify: f.Notify, GroupBy: f.GroupBy, GroupWait: f.GroupWait, GroupInterval: f.GroupInterval, RepeatInterval: f.RepeatInterval,
		Continue: f.Continue, Range: x.Header,
	}
	if r.Notify == nil {
		r.Notify = around.Notify
		b.SetDefault(x, schemas["route"], "notify", language.Addresses{Found: r.Notify, Text: "[" + strings.Join(r.Notify, ", ") + "]"})
	}
	if r.GroupBy == nil {
		r.GroupBy = around.GroupBy
		labels := []any{}
		for _, l := range r.GroupBy {
			labels = append(labels, l)
		}
		b.SetDefault(x, schemas["route"], "group_by", labels)
	}
	for _, d := range []struct {
		name   string
		value  *time.Duration
		around time.Duration
	}{{"group_wait", &r.GroupWait, around.GroupWait}, {"group_interval", &r.GroupInterval, around.GroupInterval}, {"repeat_interval", &r.RepeatInterval, around.RepeatInterval}} {
		if x.Field(d.name) == nil {
			*d.value = d.around
			b.SetDefault(x, schemas["route"], d.name, d.around)
		}
	}
	if m := x.Field("match"); m != nil {
		text, _ := m.Value.(string)
		var wrong *matchError
		if r.Match, wrong = parseMatchers(text); wrong != nil {
			b.Error(b.InText(m.Expr, m.At, text, wrong.from, wrong.to), "Invalid match", "%s", wrong.text)
		}
	}
	if children := x.Field("route"); children != nil {
		for _, y := range children.Blocks {
			r.Routes = append(r.Routes, b.routeOf(y, r))
		}
	}
	return r
}

// matchError is a mistake between two bytes of a match attribute.
type matchError struct {
	from, to int
	text     string
}

var (
	matchLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*`)
	matchOp    = regexp.MustCompile(`^(=~|!~|!=|=)`)
	matchValue = regexp.MustCompile(`^('(\\.|[^'\\])*'|"(\\.|[^"\\])*"|[^\s,'"=~!][^\s,'"]*)`)
	unescape   = regexp.MustCompile(`\\([\\'"])`)
)

// parseMatchers reads team = 'db', severity =~ "warning|critical": label, operator and value, separated by commas. The
// quotes are needed where the value holds a space, a comma or a quote.
func parseMatchers(text string) (list []Matcher, wrong *matchError) {
	rest := text
	skip := func() { rest = strings.TrimLeft(rest, " \t\r\n") }
	next := func(re *regexp.Regexp) string {
		skip()
		found := re.FindString(rest)
		rest = rest[len(found):]
		return found
	}
	fail := func(format string, args ...any) ([]Matcher, *matchError) {
		at := len(text) - len(rest)
		return nil, &matchError{at, at + 1, fmt.Sprintf(format, args...)}
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
		if _, err := regexp.Compile("^(?:" + m.Value + ")$"); err != nil && strings.HasSuffix(m.Op, "~") {
			return nil, &matchError{from, len(text) - len(rest), fmt.Sprintf("%q is not a regular expression.", m.Value)}
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
