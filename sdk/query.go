package sdk

import (
	"fmt"
	"time"
)

// Query asks a store. With a Step it is a range query over Start to End; without, an instant query at Start.
type Query struct {
	Expr    string
	Start   time.Time
	End     time.Time
	Step    time.Duration
	Timeout time.Duration // 0: the store's own
}

// ResultType is the shape of a result.
type ResultType string

// The shapes, as Prometheus' HTTP API names them.
const (
	Vector ResultType = "vector" // one point a series
	Matrix ResultType = "matrix"
	Scalar ResultType = "scalar" // one series without labels
	String ResultType = "string"
)

// Result is the answer to a query.
type Result struct {
	Type     ResultType
	Series   []ResultSeries
	Text     string // of a String result
	Warnings []string
}

// ResultSeries is one series of a result.
type ResultSeries struct {
	Labels Labels
	Points []Point
}

// Point is a value or a native histogram at a time.
type Point struct {
	Time      time.Time
	Value     float64
	Histogram *Histogram // nil: Value
}

// QueryError is a mistake in an expression, at byte offsets Start to End.
type QueryError struct {
	Start, End int
	Text       string
}

func (e *QueryError) Error() string { return fmt.Sprintf("%d: %s", e.Start, e.Text) }
