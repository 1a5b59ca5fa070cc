package language

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What a configuration may be. HCL's parser and evaluator recurse, so that 100 KB of "(" or a million of "!" would end the
// process: depth is bounded by maxNesting times maxChain before they run.
const (
	maxFile    = 1 << 20
	maxFiles   = 1000
	maxBytes   = 32 << 20
	maxNesting = 64
	maxChain   = 500  // operators and indexes in a row
	maxLines   = 5000 // of one text: HCL's parser takes time by their square

	// What a file of 1 MiB has of each, if people or programs wrote it for a purpose, is less; somebody who writes a megabyte of brackets
	// makes a parser take gigabytes.
	maxTokens    = 250_000 // words, numbers, signs
	maxBlocks    = 4_000
	maxArguments = 25_000
	maxNodes     = 100_000 // of JSON: values and keys
	templateNode = 4       // such as a text with a template counts
)

// checkText reports whether a file is a text that is not too large.
func checkText(r *Report, s Source) bool {
	valid := 0
	for valid < len(s.Bytes) && s.Bytes[valid] != 0 {
		c, size := utf8.DecodeRune(s.Bytes[valid:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		valid += size
	}
	switch at := rangeAt(s.Bytes, s.Name, valid, valid+1); {
	case len(s.Bytes) > maxFile && isDashboard(s.Name):
		r.Error(rangeAt(s.Bytes, s.Name, 0, 1), "File too large", "A dashboard is at most %d MiB.", maxFile>>20)
		return false
	case len(s.Bytes) > maxFile:
		r.Error(rangeAt(s.Bytes, s.Name, 0, 1), "File too large", "A configuration file is at most %d MiB: split it into files of one directory.", maxFile>>20)
		return false
	case valid < len(s.Bytes):
		r.Error(at, "Not a text file", "The byte 0x%02x here is not text in UTF-8. Is this a configuration file?", s.Bytes[valid])
		return false
	}
	return true
}

// checkLimits reports whether a file may be parsed.
func checkLimits(r *Report, s Source, inJSON bool) bool {
	if !checkText(r, s) {
		return false
	}
	if inJSON {
		return checkJSON(r, s)
	}
	if at := tooMany(s.Bytes); at < len(s.Bytes) {
		r.Error(rangeAt(s.Bytes, s.Name, at, at+1), "Too much in one file", "A file has at most %d words and signs: split it into files of one directory.", maxTokens)
		return false
	}
	if IsRuleFile(s.Name) {
		return true
	}
	tokens, _ := hclsyntax.LexConfig(s.Bytes, s.Name, hcl.InitialPos)
	return checkTokens(r, tokens, false)
}

// tooMany finds the place where a file has more tokens than it may have, roughly and before there are any; its end if it has not. In
// texts, where everything is one token, words count too: there may be twice as many.
func tooMany(src []byte) int {
	count, inWord := 0, false
	for i, c := range src {
		word := c == '_' || c == '.' || c >= '0' && c <= '9' || c|32 >= 'a' && c|32 <= 'z' || c >= 0x80
		if c != ' ' && c != '\t' && !(word && inWord) {
			if count++; count > 2*maxTokens {
				return i
			}
		}
		inWord = word
	}
	return len(src)
}

// opening is what a bracket, a brace, a quote or a template opened.
type opening struct {
	kind       hclsyntax.TokenType // 0: the file
	chain      int                 // operators and indexes since the last comma; lines of a text
	directives int                 // %{ if and %{ for that are open
}

var (
	nesting   = []hclsyntax.TokenType{hclsyntax.TokenOParen, hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl}
	quoting   = []hclsyntax.TokenType{hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc}
	closing   = []hclsyntax.TokenType{hclsyntax.TokenCParen, hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc}
	operators = []hclsyntax.TokenType{hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenQuestion, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenOBrack}
)

// checkTokens counts what nests, and lints numbers in templates on the way.
func checkTokens(r *Report, tokens hclsyntax.Tokens, inJSON bool) bool {
	stack, depth, blocks, arguments := []opening{{}}, 0, 0, 0
	for i, t := range tokens {
		top := &stack[len(stack)-1]
		switch {
		case t.Type == hclsyntax.TokenEqual:
			arguments++
		case t.Type == hclsyntax.TokenOBrace && i > 0 && (tokens[i-1].Type == hclsyntax.TokenIdent || tokens[i-1].Type == hclsyntax.TokenCQuote):
			blocks++
		}
		if i > maxTokens || blocks > maxBlocks || arguments > maxArguments {
			r.Error(t.Range, "Too much in one file", "A file has at most %d blocks, %d arguments and %d words and signs: split it into files of one directory.", maxBlocks, maxArguments, maxTokens)
			return false
		}
		if slices.Contains(operators, t.Type) {
			top.chain++
		}
		switch {
		case slices.Contains(nesting, t.Type):
			depth++
			stack = append(stack, opening{kind: t.Type})
			lintRegexGroup(r, tokens[i:])
		case t.Type == hclsyntax.TokenStringLit, t.Type == hclsyntax.TokenQuotedLit:
			if top.chain++; top.chain > maxLines {
				r.Error(t.Range, "Text too long", "A text has at most %d lines.", maxLines)
				return false
			}
			continue
		case slices.Contains(quoting, t.Type):
			stack = append(stack, opening{kind: t.Type})
		case slices.Contains(closing, t.Type) && len(stack) > 1:
			if slices.Contains(nesting, top.kind) {
				depth--
			}
			stack = stack[:len(stack)-1]
		case t.Type == hclsyntax.TokenComma, bytes.HasSuffix(t.Bytes, []byte("\n")) && (top.kind == 0 || top.kind == hclsyntax.TokenOBrace): // a comment has its line end
			top.chain = 0
		case t.Type == hclsyntax.TokenIdent && top.kind == hclsyntax.TokenTemplateControl:
			countDirective(&stack[len(stack)-2], string(t.Bytes))
		case t.Type == hclsyntax.TokenIdent && inJSON && string(t.Bytes) == "for" && slices.Contains(nesting, top.kind):
			r.Error(t.Range, "No for in JSON", "A for expression is not available in JSON: write out the list, or use HCL's native syntax.")
			return false
		case t.Type == hclsyntax.TokenNumberLit && tooLarge(string(t.Bytes)):
			r.Error(t.Range, "Number too large", "No number is larger than 1.8e308.")
			return false
		}
		if depth > maxNesting || top.directives > maxNesting || len(stack) > 1 && stack[len(stack)-2].directives > maxNesting {
			r.Error(t.Range, "Nested too deep", "Brackets, braces and templates nest at most %d deep. Is one not closed?", maxNesting)
			return false
		} else if top.chain > maxChain {
			r.Error(t.Range, "Expression too long", "An expression has at most %d operators: name a part of it in locals { … }, or split it.", maxChain)
			return false
		}
	}
	return true
}

// countDirective counts %{ if … }: its end is a directive of its own, not the closing brace.
func countDirective(around *opening, word string) {
	switch word {
	case "if", "for":
		around.directives++
	case "endif", "endfor":
		around.directives = max(0, around.directives-1)
	}
}

// lintRegexGroup refuses "${1}", which HCL reads as the number 1 and not as a regular expression's group.
func lintRegexGroup(r *Report, t hclsyntax.Tokens) {
	if len(t) > 2 && !r.Flooded() && t[0].Type == hclsyntax.TokenTemplateInterp && t[1].Type == hclsyntax.TokenNumberLit && t[2].Type == hclsyntax.TokenTemplateSeqEnd {
		n := t[1].Bytes
		r.Error(hcl.RangeBetween(t[0].Range, t[2].Range), "Regex group written as a template",
			"${%s} is the text %q here. For a group of a regular expression write $%s, or double the dollar: $${%s}.", n, n, n, n)
	}
}

// tooLarge: written out in a text, 1e999999999 takes a gigabyte.
func tooLarge(number string) bool {
	f, _ := strconv.ParseFloat(number, 64)
	return math.IsInf(f, 0)
}

// checkJSON does the same for JSON, whose strings are templates. What is no JSON never reaches HCL's parser.
func checkJSON(r *Report, s Source) bool {
	dec, depth, nodes, objects := json.NewDecoder(bytes.NewReader(s.Bytes)), 0, 0, 0
	dec.UseNumber()
	for {
		token, err := dec.Token()
		end := int(dec.InputOffset())
		if token == json.Delim('{') {
			objects++
		}
		if nodes++; nodes > maxNodes || objects > maxBlocks {
			r.Error(rangeAt(s.Bytes, s.Name, end-1, end), "Too much in one file", "A file has at most %d keys and values, where a text with a template counts as %d, and %d objects: split it into files of one directory.", maxNodes, templateNode, maxBlocks)
			return false
		}
		var wrong *json.SyntaxError
		switch t := token.(type) {
		case nil:
			if err == io.EOF && depth == 0 {
				return true
			} else if err == io.EOF {
				err = errors.New("the file ends before its last brace")
			} else if errors.As(err, &wrong) {
				end = int(wrong.Offset)
			}
			if err != nil {
				r.Error(rangeAt(s.Bytes, s.Name, end-1, end), "Invalid JSON", "%s.", err)
				return false
			}
		case json.Delim:
			if depth++; t == '}' || t == ']' {
				depth -= 2
			}
			if depth > maxNesting {
				r.Error(rangeAt(s.Bytes, s.Name, end-1, end), "Nested too deep", "Brackets and braces nest at most %d deep.", maxNesting)
				return false
			}
		case json.Number:
			if tooLarge(t.String()) {
				r.Error(rangeAt(s.Bytes, s.Name, end-len(t), end), "Number too large", "No number is larger than 1.8e308.")
				return false
			}
		case string:
			if strings.Contains(t, "${") || strings.Contains(t, "%{") {
				if nodes += templateNode - 1; !checkTemplate(r, s, t, end) {
					return false
				}
			}
		}
	}
}

// checkTemplate checks the string that ends at a place.
func checkTemplate(r *Report, s Source, text string, end int) bool {
	start := max(0, end-2-len(text)) // of a string without escapes: good enough to find it
	tokens, _ := hclsyntax.LexTemplate([]byte(text), s.Name, hcl.Pos{Byte: start})
	found := len(r.Diags)
	ok := checkTokens(r, tokens, true)
	for _, d := range r.Diags[found:] {
		*d.Subject = rangeAt(s.Bytes, s.Name, start, end)
	}
	return ok
}

// rangeAt makes a range of the byte offsets from and to of a file.
func rangeAt(src []byte, file string, from, to int) hcl.Range {
	return RangeWithin(src, hcl.Range{Filename: file, Start: hcl.InitialPos}, from, to)
}

// RangeWithin makes a range of byte offsets of a file that lie behind the start of another range.
func RangeWithin(src []byte, around hcl.Range, from, to int) hcl.Range {
	pos := func(i int) hcl.Pos {
		p := around.Start
		p.Byte = max(p.Byte, min(i, len(src)))
		text := src[around.Start.Byte:p.Byte]
		if n := bytes.Count(text, []byte("\n")); n > 0 {
			text, p.Line, p.Column = text[bytes.LastIndexByte(text, '\n')+1:], p.Line+n, 1
		}
		p.Column += utf8.RuneCount(text)
		return p
	}
	return hcl.Range{Filename: around.Filename, Start: pos(from), End: pos(to)}
}
