package plan

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/magpie-monitoring/magpie/daemon/internal/config"
	"github.com/magpie-monitoring/magpie/sdk"
)

// maxText bounds expressions and templates: their parsers recurse.
const maxText = 64 << 10

var promQL = parser.NewParser(parser.Options{})

var unknownFunction = regexp.MustCompile(`unknown function with name "(.*)"`)

// checkExpr parses PromQL, and points at its first mistake.
func (b *builder) checkExpr(f *field) {
	if f == nil {
		return
	}
	text, _ := f.value.(string)
	if len(text) > maxText {
		b.Error(f.at, "Expression too long", "An expression has at most %d KiB.", maxText>>10)
		return
	}
	_, err := promQL.ParseExpr(text)
	if err == nil {
		return
	}
	reason, at := err.Error(), f.at
	if several := (parser.ParseErrors)(nil); errors.As(err, &several) && len(several) > 0 {
		reason, at = several[0].Err.Error(), b.inText(f.expr, f.at, text, int(several[0].PositionRange.Start), int(several[0].PositionRange.End))
	}
	if m := unknownFunction.FindStringSubmatch(reason); m != nil {
		reason += "." + config.DidYouMean(m[1], sorted(parser.Functions))
	}
	b.Error(at, "Invalid PromQL", "%s", sentence(reason))
}

func sentence(s string) string {
	if strings.HasSuffix(s, "?") {
		return s
	}
	return strings.TrimSuffix(s, ".") + "."
}

// templateNames are the functions of Prometheus' templates; room rule has them.
var templateNames = func() template.FuncMap {
	m := template.FuncMap{}
	for _, name := range strings.Fields(`args externalURL first graphLink humanize humanize1024 humanizeDuration humanizePercentage humanizeTimestamp label
		match now parseDuration pathPrefix query reReplaceAll safeHtml sortByLabel stripDomain stripPort strvalue tableLink title tmpl toDuration
		toLower toTime toUpper urlQueryEscape value`) {
		m[name] = func(...any) string { return "" }
	}
	return m
}()

// templateStart declares the variables of a template, as Prometheus does.
const templateStart = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"

var templateError = regexp.MustCompile(`(?s)^template: t:(\d+)(?::\d+)?: (.*)$`)

// checkTemplates parses the texts of labels or annotations.
func (b *builder) checkTemplates(y *body, attribute string, texts map[string]string) {
	f := y.field(attribute)
	for _, key := range sorted(texts) {
		text := texts[key]
		at := y.rangeOf(sdk.Path{{Name: attribute}, {Key: key}})
		if len(text) > maxText {
			b.Error(at, "Text too long", "A text has at most %d KiB.", maxText>>10)
			continue
		}
		_, err := template.New("t").Funcs(templateNames).Parse(templateStart + text)
		if err == nil {
			continue
		}
		reason := err.Error()
		if m := templateError.FindStringSubmatch(reason); m != nil {
			reason = m[2]
			if line, _ := strconv.Atoi(m[1]); line > 1 {
				from, to := lineOf(text, line)
				at = b.inText(within(f.expr, sdk.Path{{Key: key}}), at, text, from, to)
			}
		}
		if name, ok := strings.CutPrefix(reason, "function "); ok {
			name, _, _ = strings.Cut(strings.TrimPrefix(name, `"`), `"`)
			reason += "." + config.DidYouMean(name, sorted(templateNames))
		}
		b.Error(at, "Invalid template", "%s[%q]: %s", attribute, key, sentence(reason))
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

// inText finds where the bytes from and to of a text's value stand in the file; whole, if that cannot be told.
func (b *builder) inText(expr hcl.Expression, whole hcl.Range, value string, from, to int) hcl.Range {
	src := b.cfg.Bytes(whole.Filename)
	offsets := b.offsets(expr, src, len(value))
	if offsets == nil || from < 0 || from >= len(offsets) {
		return whole
	}
	start, end := offsets[from], offsets[max(from, min(to, len(offsets)-1))]
	return config.RangeWithin(src, whole, start, max(end, start+1))
}

// offsets gives for each byte of a text's value the place in the file that it comes from, and for its end the place behind.
// What an interpolation makes comes from the beginning of its expression. nil: it cannot be told.
func (b *builder) offsets(expr hcl.Expression, src []byte, size int) []int {
	for {
		inner, ok := expr.(*hclsyntax.ParenthesesExpr)
		if !ok {
			break
		}
		expr = inner.Expression
	}
	t, ok := expr.(*hclsyntax.TemplateExpr)
	if !ok {
		return nil
	}
	whole := t.Range().SliceBytes(src)
	quoted := len(whole) > 0 && whole[0] == '"'
	offsets := make([]int, 0, size+1)
	for _, part := range t.Parts {
		v, ok := b.Value(part)
		if v, _ = v.Unmark(); !ok || !v.IsKnown() {
			return nil
		}
		s, err := convert.Convert(v, cty.String)
		if err != nil || s.IsNull() {
			return nil
		}
		r := part.Range()
		if _, literal := part.(*hclsyntax.LiteralValueExpr); literal {
			offsets = align(offsets, s.AsString(), r.SliceBytes(src), r.Start.Byte, quoted)
			continue
		}
		for range len(s.AsString()) {
			offsets = append(offsets, r.Start.Byte)
		}
	}
	end := t.Range().Start.Byte + len(whole)
	if quoted {
		end--
	} else if n := len(t.Parts); n > 0 {
		end = t.Parts[n-1].Range().End.Byte
	}
	if len(offsets) != size {
		return nil
	}
	return append(offsets, end)
}

// align finds the characters of a literal in its source, which has more of them: the indentation that <<- takes away, and
// escapes.
func align(offsets []int, value string, raw []byte, at int, quoted bool) []int {
	j := 0
	for _, c := range value {
		n := 1
		for j < len(raw) {
			var is rune
			if is, n = character(raw[j:], quoted); is == c {
				break
			}
			j += n
		}
		for range utf8.RuneLen(c) {
			offsets = append(offsets, at+min(j, len(raw)))
		}
		j += n
	}
	return offsets
}

// character decodes what the source of a literal begins with.
func character(raw []byte, quoted bool) (rune, int) {
	if len(raw) > 2 && (raw[0] == '$' || raw[0] == '%') && raw[1] == raw[0] && raw[2] == '{' {
		return rune(raw[0]), 2
	}
	if quoted && raw[0] == '\\' && len(raw) > 1 {
		switch raw[1] {
		case 'n':
			return '\n', 2
		case 'r':
			return '\r', 2
		case 't':
			return '\t', 2
		case 'u', 'U':
			digits := map[byte]int{'u': 4, 'U': 8}[raw[1]]
			if n, err := strconv.ParseUint(string(raw[2:min(2+digits, len(raw))]), 16, 32); err == nil {
				return rune(n), 2 + digits
			}
		}
		return rune(raw[1]), 2
	}
	return utf8.DecodeRune(raw)
}
