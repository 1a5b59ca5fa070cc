package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxPoints of a series in a range query, as in Prometheus' HTTP API.
const maxPoints = 11_000

// CheckQuery parses an expression.
func (s *store) CheckQuery(expr string) error {
	_, err := parse(expr)
	return err
}

// Query evaluates an expression.
func (s *store) Query(ctx context.Context, q sdk.Query) (*sdk.Result, error) {
	if err := bounded(q.Expr); err != nil {
		return nil, err
	}
	if err := checkRange(q); err != nil {
		return nil, err
	}
	f, err := s.enter()
	if err != nil {
		return nil, blameHost(sdk.RetryAfter(err, time.Second))
	}
	defer s.gate.RUnlock()
	timeout := f.limits.Timeout
	if q.Timeout > 0 {
		timeout = min(timeout, q.Timeout)
	}
	ctx, cancel := f.db.during(ctx, timeout)
	defer cancel()
	query, err := f.newQuery(ctx, q)
	if err != nil {
		return nil, refused(q.Expr, err)
	}
	defer query.Close()
	answer := query.Exec(ctx)
	if answer.Err != nil {
		return nil, failed(answer.Err)
	}
	result, err := resultOf(answer.Value)
	if err != nil {
		return nil, err
	}
	warnings, infos := answer.Warnings.AsStrings(q.Expr, 10, 10)
	result.Warnings = append(append(result.Warnings, warnings...), infos...)
	return result, nil
}

// checkRange refuses what the engine does not expect.
func checkRange(q sdk.Query) error {
	wrong := func(format string, args ...any) error { return sdk.Permanent(fmt.Errorf(format, args...)) }
	switch {
	case q.Step == 0:
		return nil
	case q.Step < time.Millisecond:
		return wrong("the step is %s, and must be 1ms or more", q.Step)
	case q.End.Before(q.Start):
		return wrong("the range ends at %s, before its start at %s", q.End.Format(time.RFC3339), q.Start.Format(time.RFC3339))
	case q.End.Sub(q.Start)/q.Step >= maxPoints:
		return wrong("a step of %s over %s gives more than %d points a series: use a longer step", q.Step, q.End.Sub(q.Start), maxPoints)
	}
	return nil
}

func (f *front) newQuery(ctx context.Context, q sdk.Query) (promql.Query, error) {
	if q.Step > 0 {
		return f.engine.NewRangeQuery(ctx, f.db, nil, q.Expr, q.Start, q.End, q.Step)
	}
	return f.engine.NewInstantQuery(ctx, f.db, nil, q.Expr, q.Start)
}

// refused is why the engine does not take a query: it waited for too long, or the expression is at fault.
func refused(expr string, err error) error {
	var (
		timeout  promql.ErrQueryTimeout
		canceled promql.ErrQueryCanceled
		at       *sdk.QueryError
	)
	if errors.As(err, &timeout) || errors.As(err, &canceled) {
		return failed(err)
	}
	if err = mistake(expr, err); errors.As(err, &at) {
		return at
	}
	return &sdk.QueryError{End: len(expr), Text: err.Error()} // such as a range query of a string
}

// failed says what can be done about an error of the engine.
func failed(err error) error {
	var (
		timeout promql.ErrQueryTimeout
		samples promql.ErrTooManySamples
	)
	switch {
	case errors.As(err, &timeout):
		return sdk.Fix(err, "ask for a shorter range or fewer series, or raise timeout in the store's query block")
	case errors.As(err, &samples):
		return sdk.Permanent(sdk.Fix(err, "ask for a shorter range or fewer series, or raise max_samples in the store's query block"))
	}
	return err
}

// resultOf converts what the engine found. A native histogram that is none for a sample, such as the difference of two with
// counts below zero, is left out, and that is said.
func resultOf(value parser.Value) (*sdk.Result, error) {
	r := &sdk.Result{}
	odd := 0
	add := func(ls labels.Labels, floats []promql.FPoint, histograms []promql.HPoint) {
		points := make([]sdk.Point, 0, len(floats)+len(histograms))
		for _, p := range floats {
			points = append(points, pointOf(p.T, p.F))
		}
		for _, p := range histograms {
			if h := resultHistogram(p.H); h.Validate() == nil {
				points = append(points, sdk.Point{Time: time.UnixMilli(p.T), Histogram: h})
			} else {
				odd++
			}
		}
		if len(floats) > 0 && len(histograms) > 0 {
			slices.SortFunc(points, func(a, b sdk.Point) int { return a.Time.Compare(b.Time) })
		}
		if len(points) > 0 {
			r.Series = append(r.Series, sdk.ResultSeries{Labels: labelsOf(ls), Points: points})
		}
	}
	switch v := value.(type) {
	case promql.Vector:
		r.Type, r.Series = sdk.Vector, make([]sdk.ResultSeries, 0, len(v))
		for _, s := range v {
			if s.H != nil {
				add(s.Metric, nil, []promql.HPoint{{T: s.T, H: s.H}})
				continue
			}
			r.Series = append(r.Series, sdk.ResultSeries{Labels: labelsOf(s.Metric), Points: []sdk.Point{pointOf(s.T, s.F)}})
		}
	case promql.Matrix:
		r.Type, r.Series = sdk.Matrix, make([]sdk.ResultSeries, 0, len(v))
		for _, s := range v {
			add(s.Metric, s.Floats, s.Histograms)
		}
	case promql.Scalar:
		r.Type, r.Series = sdk.Scalar, []sdk.ResultSeries{{Points: []sdk.Point{pointOf(v.T, v.V)}}}
	case promql.String:
		r.Type, r.Text = sdk.String, v.V
	default:
		return nil, fmt.Errorf("the engine gave a %T", value)
	}
	if odd > 0 {
		r.Warnings = []string{fmt.Sprintf("%d native histograms were left out: they have counts below zero, or are too large", odd)}
	}
	return r, nil
}

func pointOf(t int64, v float64) sdk.Point { return sdk.Point{Time: time.UnixMilli(t), Value: v} }

func labelsOf(ls labels.Labels) sdk.Labels {
	out := make(sdk.Labels, 0, ls.Len())
	ls.Range(func(l labels.Label) { out = append(out, sdk.Label{Name: l.Name, Value: l.Value}) })
	return out
}

// during makes a context that ends with ctx, after timeout, or when the database is closed.
func (db *database) during(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	stop := context.AfterFunc(db.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// slots bound how many run at the same time; it is the engine's promql.QueryTracker.
type slots chan struct{}

func (s slots) GetMaxConcurrent() int { return cap(s) }

// Insert waits for a free slot.
func (s slots) Insert(ctx context.Context, _ string) (int, error) {
	select {
	case s <- struct{}{}:
		return 0, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return 0, promql.ErrQueryTimeout("waiting for its turn: max_concurrent others are running")
		}
		return 0, promql.ErrQueryCanceled("waiting for its turn")
	}
}

// Delete frees a slot.
func (s slots) Delete(int) { <-s }

// Close is there for promql.QueryTracker.
func (s slots) Close() error { return nil }

var _ promql.QueryTracker = slots(nil)
