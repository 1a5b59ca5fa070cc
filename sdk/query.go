package sdk

import (
	"fmt"
	"time"
)

// Query asks a store. With a Step it is a range query over Start to End; without, an instant query at Start.
type Query struct {
	Expr    string // in the store's language: PromQL, as a rule
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
	Type     ResultType     // what Series or Text hold
	Series   []ResultSeries // in the order in which the expression gives them
	Text     string         // of a String result
	Warnings []string       // for the person who asked
}

// ResultSeries is one series of a result.
type ResultSeries struct {
	Labels Labels  // without a name where the expression has taken it away
	Points []Point // by time
}

// Point is a value or a native histogram at a time.
type Point struct {
	Time      time.Time  // to the millisecond
	Value     float64    // where Histogram is nil
	Histogram *Histogram // nil: Value
}

// QueryError is a mistake in an expression, at byte offsets Start to End.
type QueryError struct {
	Start, End int
	Text       string // what is wrong there
}

func (e *QueryError) Error() string { return fmt.Sprintf("%d: %s", e.Start, e.Text) }
