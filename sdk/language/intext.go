package language

import (
	"strconv"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// InText finds where the bytes from and to of a text's value stand in the file; whole, if that cannot be told.
func (s *Scope) InText(expr hcl.Expression, whole hcl.Range, value string, from, to int) hcl.Range {
	src := s.cfg.Bytes(whole.Filename)
	offsets := s.offsets(expr, src, len(value))
	if offsets == nil || from < 0 || from >= len(offsets) {
		return whole
	}
	start, end := offsets[from], offsets[max(from, min(to, len(offsets)-1))]
	return RangeWithin(src, whole, start, max(end, start+1))
}

// offsets gives for each byte of a text's value the place in the file that it comes from, and for its end the place behind.
// What an interpolation makes comes from the beginning of its expression. nil: it cannot be told.
func (s *Scope) offsets(expr hcl.Expression, src []byte, size int) []int {
	expr, in := unbind(expr)
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
		v, ok := s.Value(bind(part, in))
		if v, _ = v.Unmark(); !ok || !v.IsKnown() {
			return nil
		}
		text, err := convert.Convert(v, cty.String)
		if err != nil || text.IsNull() {
			return nil
		}
		r := part.Range()
		if _, literal := part.(*hclsyntax.LiteralValueExpr); literal {
			offsets = align(offsets, text.AsString(), r.SliceBytes(src), r.Start.Byte, quoted)
			continue
		}
		for range len(text.AsString()) {
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
