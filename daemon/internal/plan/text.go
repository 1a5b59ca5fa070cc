package plan

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/language"
	"github.com/magpie-monitoring/magpie/sdk/template"
)

// maxText bounds expressions and templates: their parsers recurse.
const maxText = 64 << 10

var promQL = parser.NewParser(parser.Options{})

var unknownFunction = regexp.MustCompile(`unknown function with name "(.*)"`)

// checkExpr parses PromQL, and points at its first mistake.
func (b *builder) checkExpr(f *language.Field) {
	if f != nil {
		text, _ := f.Value.(string)
		b.checkPromQL(f, text)
	}
}

// checkPromQL parses what stands for the text of a field, byte for byte.
func (b *builder) checkPromQL(f *language.Field, text string) {
	if len(text) > maxText {
		b.Error(f.At, "Expression too long", "An expression has at most %d KiB.", maxText>>10)
		return
	}
	if long := float64(len(text)) / 80; !b.Afford(long*long, f.At) { // its parser takes time by the square of what it is given
		return
	}
	_, err := promQL.ParseExpr(text)
	if err == nil {
		return
	}
	reason, at := err.Error(), f.At
	if several := (parser.ParseErrors)(nil); errors.As(err, &several) && len(several) > 0 {
		reason, at = several[0].Err.Error(), b.InText(f.Expr, f.At, text, int(several[0].PositionRange.Start), int(several[0].PositionRange.End))
	}
	if m := unknownFunction.FindStringSubmatch(reason); m != nil {
		reason += "." + language.DidYouMean(m[1], language.Sorted(parser.Functions))
	}
	b.Error(at, "Invalid PromQL", "%s", language.Sentence(parserToken.ReplaceAllString(reason, `"$1"`)))
}

// parserToken is how the parser writes operators and keywords: <op:>=>, <by>.
var parserToken = regexp.MustCompile(`<(?:op:)?([^\s>]+|>=?)>`)

var templateError = regexp.MustCompile(`(?s)^template: __alert_t:(\d+)(?::\d+)?: (.*)$`)

// checkTemplates parses the texts of labels or annotations.
func (b *builder) checkTemplates(y *language.Body, attribute string, texts map[string]string) {
	f := y.Field(attribute)
	for _, key := range language.Sorted(texts) {
		text := texts[key]
		at := y.RangeOf(sdk.Path{{Name: attribute}, {Key: key}})
		if len(text) > maxText {
			b.Error(at, "Text too long", "A text has at most %d KiB.", maxText>>10)
			continue
		}
		err := template.Check(text)
		if err == nil {
			continue
		}
		reason := err.Error()
		if m := templateError.FindStringSubmatch(reason); m != nil {
			reason = m[2]
			if line, _ := strconv.Atoi(m[1]); line > 1 {
				from, to := lineOf(text, line)
				at = b.InText(language.Within(f.Expr, sdk.Path{{Key: key}}), at, text, from, to)
			}
		}
		if name, ok := strings.CutPrefix(reason, "function "); ok {
			name, _, _ = strings.Cut(strings.TrimPrefix(name, `"`), `"`)
			reason += "." + language.DidYouMean(name, template.Functions())
		}
		b.Error(at, "Invalid template", "%s[%q]: %s", attribute, key, language.Sentence(reason))
	}
}

// lineOf gives the offsets of a line without its indentation.
func lineOf(text string, number int) (from, to int) {
	for range number - 1 {
		from += strings.IndexByte(text[from:], '\n') + 1
	}
	to = len(text)
	if n := strings.IndexByte(text[from:], '\n'); n >= 0 {
		to = from + n
	}
	return from + len(text[from:to]) - len(strings.TrimLeft(text[from:to], " \t")), to
}
