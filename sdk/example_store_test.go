package sdk_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

type LastConfig struct{}

// last keeps the newest sample of each series, and is asked for a metric by its name.
type last struct {
	mu     sync.Mutex
	points map[string]sdk.ResultSeries // by labels
}

func openLast(context.Context, *LastConfig, sdk.Host) (*last, error) {
	return &last{points: map[string]sdk.ResultSeries{}}, nil
}

func (l *last) Write(_ context.Context, in *sdk.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range in.Samples() {
		l.points[s.Labels.String()] = sdk.ResultSeries{Labels: s.Labels, Points: []sdk.Point{{Time: s.Time, Value: s.Value}}}
	}
	return nil
}

func (l *last) CheckQuery(expr string) error {
	for i, c := range expr {
		if c != '_' && (c < 'a' || c > 'z') {
			return &sdk.QueryError{Start: i, End: i + 1, Text: "a name has letters and underscores"}
		}
	}
	return nil
}

func (l *last) Query(_ context.Context, q sdk.Query) (*sdk.Result, error) {
	if err := l.CheckQuery(q.Expr); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &sdk.Result{Type: sdk.Vector}
	for _, s := range l.points {
		if s.Labels.Get(sdk.NameLabel) == q.Expr {
			r.Series = append(r.Series, s)
		}
	}
	return r, nil
}

var _ sdk.Storer = (*last)(nil)

// A store: a sink that answers queries, in whatever language its expressions are.
func ExampleStore() {
	_ = sdk.Store(openLast) // for serve.Main

	l, _ := openLast(context.Background(), nil, nil)
	_, err := l.Query(context.Background(), sdk.Query{Expr: "up!", Start: time.Now()})
	fmt.Println(err)
	// Output: 2: a name has letters and underscores
}
