package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// checkTimeout bounds how long a check of an expression waits for the remote: without its answer the expression passes.
const checkTimeout = 5 * time.Second

// maxExpr is the length of an expression that is sent.
const maxExpr = 1 << 20

// reply is what Prometheus' HTTP API answers.
type reply struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	Infos     []string        `json:"infos"`
}

// Query asks the remote.
func (s *store) Query(ctx context.Context, q sdk.Query) (*sdk.Result, error) {
	if err := light(q.Expr); err != nil {
		return nil, err
	}
	form := url.Values{"query": {q.Expr}}
	route := "query"
	if q.Step > 0 {
		route = "query_range"
		form.Set("start", seconds(q.Start))
		form.Set("end", seconds(q.End))
		form.Set("step", strconv.FormatFloat(q.Step.Seconds(), 'f', -1, 64))
	} else {
		form.Set("time", seconds(q.Start))
	}
	timeout := s.cfg.QueryTimeout
	if q.Timeout > 0 {
		timeout = min(timeout, q.Timeout)
	}
	form.Set("timeout", timeout.String())
	answer, code, err := s.ask(ctx, route, form)
	switch {
	case err != nil:
		return nil, err
	case answer.Status != "success":
		return nil, s.mistake(q.Expr, answer, code)
	}
	result, err := resultOf(answer.Data)
	if err != nil {
		return nil, sdk.Target(fmt.Errorf("%s answers what is no result: %w", s.base, err))
	}
	result.Warnings = append(append(result.Warnings, answer.Warnings...), answer.Infos...)
	return result, nil
}

func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

// CheckQuery looks for quotes and brackets without their other half, and asks the remote for the rest; a remote that is
// not there, or that has no such route, lets the expression pass.
func (s *store) CheckQuery(expr string) error {
	if err := light(expr); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	answer, code, err := s.ask(ctx, "format_query", url.Values{"query": {expr}})
	if err != nil || answer.Status == "success" {
		return nil
	}
	var at *sdk.QueryError
	if errors.As(s.mistake(expr, answer, code), &at) {
		return at
	}
	return nil
}

// ask posts a form to a route of the HTTP API. What the remote cannot say in Prometheus' way is an error.
func (s *store) ask(ctx context.Context, route string, form url.Values) (answer reply, code int, err error) {
	address := s.base.JoinPath(route).String()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return answer, 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", "Magpie/"+version)
	response, err := s.queries.Do(request)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) && !outer.Timeout() {
			err = outer.Err
		}
		return answer, 0, sdk.Target(fmt.Errorf("POST %s: %w", address, err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(s.cfg.MaxResult)+1))
	switch {
	case err != nil:
		return answer, 0, sdk.Target(fmt.Errorf("POST %s: %w", address, err))
	case len(body) > int(s.cfg.MaxResult):
		err := fmt.Errorf("the answer of %s has more than %d bytes", address, s.cfg.MaxResult)
		return answer, 0, sdk.Permanent(sdk.Fix(sdk.Target(err), "ask for a shorter range or fewer series, or raise max_result"))
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" && answer.Error == "" {
		head := body[:min(len(body), maxAnswer)]
		return answer, 0, sdk.Target(fmt.Errorf("POST %s answers %d %s%s", address, response.StatusCode, http.StatusText(response.StatusCode), sdk.Excerpt(string(head))))
	}
	return answer, response.StatusCode, nil
}

// placed is where Prometheus says that an expression is wrong: line and column, from 1.
var placed = regexp.MustCompile(`^(?:invalid parameter "?'?query'?"?: )?(\d+):(\d+): (?:parse error: )?`)

// mistake makes an error of what the remote says against a query.
func (s *store) mistake(expr string, answer reply, code int) error {
	err := fmt.Errorf("%s: %s", answer.ErrorType, answer.Error)
	switch answer.ErrorType {
	case "bad_data":
		at := placed.FindStringSubmatch(answer.Error)
		if at == nil {
			return &sdk.QueryError{End: len(expr), Text: strings.TrimPrefix(answer.Error, `invalid parameter "query": `)}
		}
		line, _ := strconv.Atoi(at[1])
		column, _ := strconv.Atoi(at[2])
		from := offset(expr, line, column)
		return &sdk.QueryError{Start: from, End: min(from+1, len(expr)), Text: answer.Error[len(at[0]):]}
	case "execution":
		return sdk.Permanent(sdk.Target(err))
	}
	if code == http.StatusTooManyRequests || code/100 == 5 {
		return sdk.Target(err)
	}
	return sdk.Permanent(sdk.Target(err))
}

// offset is where a line and a column, counted from 1, are in a text.
func offset(text string, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text[at:], '\n')
		if i < 0 {
			break
		}
		at += i + 1
	}
	return min(max(at+column-1, 0), len(text))
}

// light finds what no PromQL can have: nothing at all, or a quote or a bracket without its other half.
func light(expr string) error {
	var open []int
	wrong := func(at int, format string, args ...any) error {
		return &sdk.QueryError{Start: at, End: min(at+1, len(expr)), Text: fmt.Sprintf(format, args...)}
	}
	if len(expr) > maxExpr {
		return &sdk.QueryError{Text: fmt.Sprintf("the expression has more than %d bytes", maxExpr)}
	}
	empty := true
	for i := 0; i < len(expr); i++ {
		switch c := expr[i]; c {
		case ' ', '\t', '\n', '\r':
			continue
		case '#':
			if end := strings.IndexByte(expr[i:], '\n'); end >= 0 {
				i += end
			} else {
				i = len(expr)
			}
			continue
		case '"', '\'', '`':
			end := i + 1
			for ; end < len(expr) && expr[end] != c; end++ {
				if expr[end] == '\\' && c != '`' {
					end++
				}
			}
			if end >= len(expr) {
				return wrong(i, "the quote is never closed")
			}
			i = end
		case '(', '[', '{':
			open = append(open, i)
		case ')', ']', '}':
			if len(open) == 0 || pairOf[expr[open[len(open)-1]]] != c {
				return wrong(i, "unexpected %q", c)
			}
			open = open[:len(open)-1]
		}
		empty = false
	}
	switch {
	case empty:
		return wrong(0, "there is no expression")
	case len(open) > 0:
		return wrong(open[len(open)-1], "%q is never closed", expr[open[len(open)-1]])
	}
	return nil
}

var pairOf = map[byte]byte{'(': ')', '[': ']', '{': '}'}

// resultOf reads the data of an answer. Native histograms have no place in a result yet: they are left out, and said.
func resultOf(data []byte) (*sdk.Result, error) {
	var d struct {
		ResultType sdk.ResultType  `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	r := &sdk.Result{Type: d.ResultType}
	switch d.ResultType {
	case sdk.Scalar:
		var p jsonPoint
		err := json.Unmarshal(d.Result, &p)
		r.Series = []sdk.ResultSeries{{Points: []sdk.Point{sdk.Point(p)}}}
		return r, err
	case sdk.String:
		var pair [2]any
		err := json.Unmarshal(d.Result, &pair)
		r.Text, _ = pair[1].(string)
		return r, err
	case sdk.Vector, sdk.Matrix:
	default:
		return nil, fmt.Errorf("the result is of type %.50q", d.ResultType)
	}
	var series []struct {
		Metric     map[string]string `json:"metric"`
		Value      *jsonPoint        `json:"value"`
		Values     []jsonPoint       `json:"values"`
		Histogram  json.RawMessage   `json:"histogram"`
		Histograms []json.RawMessage `json:"histograms"`
	}
	if err := json.Unmarshal(d.Result, &series); err != nil {
		return nil, err
	}
	histograms := 0
	for _, one := range series {
		out := sdk.ResultSeries{Labels: make(sdk.Labels, 0, len(one.Metric)), Points: make([]sdk.Point, 0, len(one.Values)+1)}
		for name, value := range one.Metric {
			out.Labels = append(out.Labels, sdk.Label{Name: name, Value: value})
		}
		slices.SortFunc(out.Labels, func(a, b sdk.Label) int { return strings.Compare(a.Name, b.Name) })
		if one.Value != nil {
			out.Points = append(out.Points, sdk.Point(*one.Value))
		}
		for _, p := range one.Values {
			out.Points = append(out.Points, sdk.Point(p))
		}
		if histograms += len(one.Histograms); len(one.Histogram) > 0 {
			histograms++
		}
		if len(out.Points) > 0 {
			r.Series = append(r.Series, out)
		}
	}
	if histograms > 0 {
		r.Warnings = []string{fmt.Sprintf("%d native histograms were left out: use histogram_quantile, histogram_sum or histogram_count", histograms)}
	}
	return r, nil
}

// jsonPoint is a point as the HTTP API writes it: [seconds, "value"].
type jsonPoint sdk.Point

// UnmarshalJSON reads a point.
func (p *jsonPoint) UnmarshalJSON(b []byte) error {
	at, value, ok := bytes.Cut(bytes.Trim(b, "[] \n\t"), []byte(","))
	if !ok {
		return fmt.Errorf("%.50q is no point", b)
	}
	t, err := strconv.ParseFloat(string(bytes.TrimSpace(at)), 64)
	if err != nil {
		return err
	}
	p.Time = time.UnixMilli(int64(t*1000 + 0.5))
	p.Value, err = strconv.ParseFloat(strings.Trim(string(bytes.TrimSpace(value)), `"`), 64)
	return err
}
