package main

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Bounds of an expression. What nests costs the parser and the engine time by the square of the depth, in which neither
// heeds a context, and stack, which cannot be recovered when it overflows: hours for 4 MiB of "1+1+1". At 2,000 it is
// 0.2 s at most. What people write stays below 100; long expressions are lists of alternatives in one string.
const (
	maxExpr    = 128 << 10 // bytes
	maxNesting = 2000      // operators and opening parentheses
)

var promqlParser = parser.NewParser(parser.Options{})

// parse checks the bounds of an expression and parses it; the error is a *sdk.QueryError.
func parse(expr string) (parser.Expr, error) {
	if err := bounded(expr); err != nil {
		return nil, err
	}
	e, err := promqlParser.ParseExpr(expr)
	return e, mistake(expr, err)
}

func bounded(expr string) error {
	if len(expr) > maxExpr {
		return &sdk.QueryError{Start: maxExpr, End: len(expr), Text: fmt.Sprintf("the expression is longer than %d KiB", maxExpr>>10)}
	}
	if len(expr) <= maxNesting {
		return nil
	}
	nesting := 0
	lexer := parser.Lex(expr)
	for item := (parser.Item{}); ; {
		lexer.NextItem(&item)
		switch {
		case item.Typ == parser.EOF, item.Typ == parser.ERROR:
			return nil // the parser says what is wrong
		case item.Typ == parser.LEFT_PAREN, item.Typ.IsOperator():
			nesting++
		}
		if nesting > maxNesting {
			at := min(int(item.Pos), len(expr))
			return &sdk.QueryError{Start: at, End: at, Text: fmt.Sprintf("the expression has more than %d operators and parentheses", maxNesting)}
		}
	}
}

// mistake turns the parser's error into a *sdk.QueryError; other errors are kept.
func mistake(expr string, err error) error {
	var list parser.ParseErrors
	if !errors.As(err, &list) || len(list) == 0 {
		return err
	}
	at := list[0].PositionRange
	start := min(max(int(at.Start), 0), len(expr))
	return &sdk.QueryError{Start: start, End: min(max(int(at.End), start), len(expr)), Text: list[0].Err.Error()}
}
