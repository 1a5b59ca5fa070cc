package rule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// The bounds of one expansion. Templates can loop (range in range, templates that call themselves): steps are counted.
const (
	maxTemplate = 16 << 10 // bytes of a template, of what it makes, and of what a function returns
	maxSteps    = 10_000   // loop bodies, branches and templates that are entered
	stepName    = "__step" // the function that counts them
	variables   = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)

var (
	errNoFirst = errors.New("first() called on vector with no elements")
	errTooLong = fmt.Errorf("the text is longer than %d bytes", maxTemplate)
	errTooBusy = fmt.Errorf("the template takes more than %d steps", maxSteps)
)

// expander expands the texts of one alert rule in one evaluation. The functions and the data are those of Prometheus'
// alert templates (template/template.go); so are the texts of errors.
type expander struct {
	ctx      context.Context
	name     string
	at       time.Time
	o        *Options
	url      *url.URL
	query    func(expr string) (queryResult, error)
	parsed   map[string]*template.Template
	broken   map[string]error
	steps    int
	reported bool
}

// templateData is the dot of a template; without a name of its own, since errors print it.
type templateData = struct {
	Labels         map[string]string
	ExternalLabels map[string]string
	ExternalURL    string
	Value          any
}

// newExpander prepares the expansion of the texts of the rule named name, for the evaluation at at.
func (g *group) newExpander(ctx context.Context, name string, at time.Time) *expander {
	e := &expander{
		ctx: ctx, name: "__alert_" + name, at: at, o: g.o, url: &url.URL{},
		parsed: map[string]*template.Template{}, broken: map[string]error{},
	}
	if u, err := url.Parse(g.o.ExternalURL); err == nil {
		e.url = u
	}
	e.query = func(expr string) (queryResult, error) {
		vector, err := g.query(ctx, expr, at)
		if err != nil {
			return nil, err
		}
		return newQueryResult(vector), nil
	}
	return e
}

func (e *expander) data(s Sample) templateData {
	return templateData{labelMap(s.Labels), e.o.ExternalLabels, e.o.ExternalURL, s.Value}
}

// expand returns the text with its templates expanded, or a text that says what is wrong.
func (e *expander) expand(text string, data templateData) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	out, err := e.execute(text, data)
	if err == nil {
		return out
	}
	if !e.reported {
		e.reported = true
		e.o.Log.Warn("a template of an alert could not be expanded", "template", e.name, "error", err)
	}
	return fmt.Sprintf("<error expanding template: %s>", err)
}

func (e *expander) execute(text string, data templateData) (out string, err error) {
	defer func() { // a bug in a template must not end the daemon
		if r := recover(); r != nil {
			out, err = "", fmt.Errorf("panic expanding template %s: %v", e.name, r)
		}
	}()
	tmpl, err := e.parse(text)
	if err != nil {
		return "", fmt.Errorf("error parsing template %v: %w", e.name, err)
	}
	e.steps = 0
	var w bounded
	if err := tmpl.Execute(&w, data); err != nil {
		return "", fmt.Errorf("error executing template %v: %w", e.name, err)
	}
	return w.String(), nil
}

// parse parses a text once for all the alerts of an evaluation.
func (e *expander) parse(text string) (*template.Template, error) {
	if tmpl := e.parsed[text]; tmpl != nil || e.broken[text] != nil {
		return tmpl, e.broken[text]
	}
	if len(text) > maxTemplate {
		return nil, errTooLong
	}
	tmpl, err := template.New(e.name).Funcs(e.functions()).Option("missingkey=zero").Parse(variables + text)
	if err != nil {
		e.broken[text] = err
		return nil, err
	}
	for _, one := range tmpl.Templates() {
		if one.Tree != nil {
			count(one.Tree.Root)
		}
	}
	e.parsed[text] = tmpl
	return tmpl, nil
}

// step is called at the start of every list of nodes that is entered.
func (e *expander) step() (string, error) {
	if e.steps++; e.steps > maxSteps {
		return "", errTooBusy
	}
	return "", e.ctx.Err()
}

// count puts a step at the start of a list and of all lists within it.
func count(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.IfNode:
			count(n.List)
			count(n.ElseList)
		case *parse.RangeNode:
			count(n.List)
			count(n.ElseList)
		case *parse.WithNode:
			count(n.List)
			count(n.ElseList)
		}
	}
	list.Nodes = append([]parse.Node{stepNode}, list.Nodes...)
}

// stepNode is the parsed form of a call of the function that counts.
var stepNode = template.Must(template.New("").Funcs(template.FuncMap{stepName: func() string { return "" }}).Parse("{{" + stepName + "}}")).Root.Nodes[0]

// bounded is a buffer that refuses to grow beyond maxTemplate.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplate {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

func labelMap(ls sdk.Labels) map[string]string {
	m := make(map[string]string, len(ls))
	for _, l := range ls {
		m[l.Name] = l.Value
	}
	return m
}
