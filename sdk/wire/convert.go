package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// Conversions between the SDK's words and the messages: each pair of functions is each other's inverse.

var blames = map[sdk.Blame]Problem_Blame{
	sdk.BlamePlugin: Problem_PLUGIN, sdk.BlameTarget: Problem_TARGET, sdk.BlameHost: Problem_HOST, sdk.BlameConfig: Problem_CONFIG,
}

// ToProblem makes a message of an error; nil of nil.
func ToProblem(err error) *Problem {
	p := sdk.AsProblem(err)
	if p == nil {
		return nil
	}
	m := &Problem{
		Blame: blames[p.Blame], Permanent: p.Permanent, RetryAfterNs: int64(p.RetryAfter),
		Path: ToPath(p.Path), Text: p.Error(), Fix: p.Fix,
	}
	var panicked *sdk.Panic
	if errors.As(err, &panicked) {
		m.Stack = string(panicked.Stack)
	}
	return m
}

// Err makes an error of a message; nil of nil.
func (m *Problem) Err() error {
	if m == nil {
		return nil
	}
	p := &sdk.Problem{Permanent: m.Permanent, RetryAfter: time.Duration(m.RetryAfterNs), Path: FromPath(m.Path), Fix: m.Fix, Err: errors.New(m.Text)}
	if m.Stack != "" {
		p.Err = &sdk.Panic{Where: "plugin", Value: m.Text, Stack: []byte(m.Stack)}
	}
	for b, wire := range blames {
		if wire == m.Blame {
			p.Blame = b
		}
	}
	return p
}

// ToPath makes steps of a path.
func ToPath(p sdk.Path) (steps []*Step) {
	for _, s := range p {
		switch {
		case s.Name != "":
			steps = append(steps, &Step{At: &Step_Name{s.Name}})
		case s.Key != "":
			steps = append(steps, &Step{At: &Step_Key{s.Key}})
		default:
			steps = append(steps, &Step{At: &Step_Index{uint32(s.Index)}})
		}
	}
	return steps
}

// FromPath makes a path of steps.
func FromPath(steps []*Step) (p sdk.Path) {
	for _, s := range steps {
		p = append(p, sdk.Step{Name: s.GetName(), Key: s.GetKey(), Index: int(s.GetIndex())})
	}
	return p
}

// ToType makes a message of what a capability offers.
func ToType(t sdk.Type) *Type {
	return &Type{
		Kind: string(t.Kind), Name: t.Name, Doc: t.Doc, Config: toSchema(t.Config), Job: t.Job, OwnLabels: t.OwnLabels, Streams: t.Streams,
		Discovers: t.Discovers, Http: t.HTTP, Mount: t.Mount, Late: t.Late, Live: t.Live, Validates: t.Validates,
		Histograms: t.Histograms, Logs: t.Logs, Exemplars: t.Exemplars, Derives: t.Derives, Probes: t.Probes, Example: t.Example,
	}
}

// FromType is the inverse of ToType.
func FromType(m *Type) sdk.Type {
	return sdk.Type{
		Kind: sdk.Kind(m.Kind), Name: m.Name, Doc: m.Doc, Config: fromSchema(m.Config), Job: m.Job, OwnLabels: m.OwnLabels, Streams: m.Streams,
		Discovers: m.Discovers, HTTP: m.Http, Mount: m.Mount, Late: m.Late, Live: m.Live, Validates: m.Validates,
		Histograms: m.Histograms, Logs: m.Logs, Exemplars: m.Exemplars, Derives: m.Derives, Probes: m.Probes, Example: m.Example,
	}
}

func toSchema(s sdk.Schema) *Schema {
	m := &Schema{}
	for _, a := range s.Attributes {
		w := &Attribute{
			Name: a.Name, Type: a.Type, Unit: string(a.Unit), Checks: a.Checks, Required: a.Required, Sensitive: a.Sensitive,
			Doc: a.Doc, Was: a.Was, Deprecated: a.Deprecated, Change: string(a.Change),
		}
		if a.HasDefault {
			w.Default = &a.Default
		}
		m.Attributes = append(m.Attributes, w)
	}
	for _, b := range s.Blocks {
		m.Blocks = append(m.Blocks, &Block{Name: b.Name, Many: b.Many, Required: b.Required, Labels: b.Labels, Body: toSchema(b.Body), Doc: b.Doc, Was: b.Was})
	}
	return m
}

func fromSchema(m *Schema) (s sdk.Schema) {
	for _, w := range m.GetAttributes() {
		s.Attributes = append(s.Attributes, sdk.Attribute{
			Name: w.Name, Type: w.Type, Unit: sdk.Unit(w.Unit), Checks: w.Checks, Default: w.GetDefault(), HasDefault: w.Default != nil,
			Required: w.Required, Sensitive: w.Sensitive, Doc: w.Doc, Was: w.Was, Deprecated: w.Deprecated, Change: sdk.Change(w.Change),
		})
	}
	for _, w := range m.GetBlocks() {
		s.Blocks = append(s.Blocks, sdk.Block{Name: w.Name, Many: w.Many, Required: w.Required, Labels: w.Labels, Body: fromSchema(w.Body), Doc: w.Doc, Was: w.Was})
	}
	return s
}

// ToTargets makes messages of what a discovery found.
func ToTargets(found []sdk.Discovered) (ms []*Target) {
	for _, d := range found {
		ms = append(ms, &Target{Address: d.Address, Labels: d.Labels})
	}
	return ms
}

// FromTargets is the inverse of ToTargets.
func FromTargets(ms []*Target) (found []sdk.Discovered) {
	for _, m := range ms {
		found = append(found, sdk.Discovered{Address: m.Address, Labels: m.Labels})
	}
	return found
}

// ToMembers and FromMembers convert those who share a coordinator.
func ToMembers(all []sdk.Member) (ms []*Member) {
	for _, m := range all {
		ms = append(ms, &Member{Name: m.Name, Facts: m.Facts})
	}
	return ms
}

// FromMembers is the way back.
func FromMembers(ms []*Member) (all []sdk.Member) {
	for _, m := range ms {
		all = append(all, sdk.Member{Name: m.GetName(), Facts: m.GetFacts()})
	}
	return all
}

// ToLabels makes messages of labels.
func ToLabels(ls sdk.Labels) (ms []*Label) {
	for _, l := range ls {
		ms = append(ms, &Label{Name: l.Name, Value: l.Value})
	}
	return ms
}

// FromLabels makes labels of messages, sorted whatever their order was.
func FromLabels(ms []*Label) sdk.Labels {
	ls := make(sdk.Labels, 0, len(ms))
	for _, m := range ms {
		ls = ls.Set(m.Name, m.Value)
	}
	return ls
}

// ToQuery makes a message of a query to a component.
func ToQuery(component uint32, q sdk.Query) *QueryRequest {
	m := &QueryRequest{Component: component, Expr: q.Expr, StartMs: q.Start.UnixMilli(), StepMs: q.Step.Milliseconds(), TimeoutNs: int64(q.Timeout)}
	if q.Step > 0 {
		m.EndMs = q.End.UnixMilli()
	}
	return m
}

// FromQuery is the inverse of ToQuery.
func FromQuery(m *QueryRequest) sdk.Query {
	q := sdk.Query{Expr: m.Expr, Start: time.UnixMilli(m.StartMs), Step: time.Duration(m.StepMs) * time.Millisecond, Timeout: time.Duration(m.TimeoutNs)}
	if q.Step > 0 {
		q.End = time.UnixMilli(m.EndMs)
	}
	return q
}

// ToResult makes a message of a result or an error.
func ToResult(r *sdk.Result, err error) *QueryResponse {
	m := &QueryResponse{}
	var mistake *sdk.QueryError
	switch {
	case errors.As(err, &mistake):
		m.Mistake = ToMistake(mistake)
		return m
	case err != nil:
		m.Problem = ToProblem(err)
		return m
	}
	m.Type, m.Text, m.Warnings = string(r.Type), r.Text, r.Warnings
	for _, s := range r.Series {
		w := &ResultSeries{Labels: ToLabels(s.Labels), TimesMs: make([]int64, 0, len(s.Points)), Values: make([]float64, 0, len(s.Points))}
		for _, p := range s.Points {
			w.TimesMs, w.Values = append(w.TimesMs, p.Time.UnixMilli()), append(w.Values, p.Value)
			if p.Histogram != nil {
				w.Histograms = append(w.Histograms, make([][]byte, len(w.Values)-len(w.Histograms))...)
				w.Histograms[len(w.Values)-1] = appendHistogram(nil, p.Histogram)
			}
		}
		m.Series = append(m.Series, w)
	}
	return m
}

// Result is the inverse of ToResult.
func (m *QueryResponse) Result() (*sdk.Result, error) {
	if m.Mistake != nil {
		return nil, m.Mistake.Err()
	}
	if m.Problem != nil {
		return nil, m.Problem.Err()
	}
	r := &sdk.Result{Type: sdk.ResultType(m.Type), Text: m.Text, Warnings: m.Warnings}
	for _, w := range m.Series {
		if len(w.TimesMs) != len(w.Values) {
			return nil, fmt.Errorf("a result has %d times and %d values", len(w.TimesMs), len(w.Values))
		}
		s := sdk.ResultSeries{Labels: FromLabels(w.Labels), Points: make([]sdk.Point, 0, len(w.Values))}
		for i, v := range w.Values {
			p := sdk.Point{Time: time.UnixMilli(w.TimesMs[i]), Value: v}
			if i < len(w.Histograms) && len(w.Histograms[i]) > 0 {
				p.Histogram = new(sdk.Histogram)
				if err := readHistogram(w.Histograms[i], p.Histogram); err != nil {
					return nil, fmt.Errorf("a result: %w", err)
				}
			}
			s.Points = append(s.Points, p)
		}
		r.Series = append(r.Series, s)
	}
	return r, nil
}

// ToMistake makes a message of a mistake in an expression.
func ToMistake(e *sdk.QueryError) *QueryMistake {
	return &QueryMistake{Start: uint32(e.Start), End: uint32(e.End), Text: e.Text}
}

// Err is the inverse of ToMistake; nil of nil.
func (m *QueryMistake) Err() error {
	if m == nil {
		return nil
	}
	return &sdk.QueryError{Start: int(m.Start), End: int(m.End), Text: m.Text}
}
