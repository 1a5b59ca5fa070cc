// Package template expands the texts of alerts in Prometheus' template language: its functions, its data, and the texts of
// its errors (prometheus/template). Templates are untrusted: what they make and the steps they take are bounded.
//
//	template.go   a text is parsed, and expanded within its bounds
//	functions.go  what a template may call
package template

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// MaxBytes bounds a template, what it makes, and what a function returns.
const MaxBytes = 16 << 10

// Templates can loop (range in range, templates that call themselves): steps are counted.
const (
	maxSteps  = 10_000   // loop bodies, branches and templates that are entered
	stepName  = "__step" // the function that counts them
	variables = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)

var (
	errNoFirst = errors.New("first() called on vector with no elements")
	errTooLong = fmt.Errorf("the text is longer than %d bytes", MaxBytes)
	errTooBusy = fmt.Errorf("the template takes more than %d steps", maxSteps)
)

// Options say what the texts of an alert may ask for.
type Options struct {
	Name           string // of the alert, for errors
	At             time.Time
	ExternalURL    string
	ExternalLabels map[string]string
	Query          func(expr string) ([]Sample, error) // what the function query asks; nil: it finds nothing
}

// Sample is a value with its labels, as an expression gives it.
type Sample struct {
	Labels sdk.Labels
	Value  float64
}

// Expander expands the texts of one alert rule in one evaluation. It is not for concurrent use.
type Expander struct {
	o      Options
	ctx    context.Context
	url    *url.URL
	parsed map[string]*template.Template
	broken map[string]error
	steps  int
}

// Data is the dot of a template; without a name of its own, since errors print it.
type Data = struct {
	Labels         map[string]string
	ExternalLabels map[string]string
	ExternalURL    string
	Value          any
}

// New makes an expander whose expansions end with ctx.
func New(ctx context.Context, o Options) *Expander {
	e := &Expander{o: o, ctx: ctx, url: &url.URL{}, parsed: map[string]*template.Template{}, broken: map[string]error{}}
	if u, err := url.Parse(o.ExternalURL); err == nil {
		e.url = u
	}
	return e
}

// Data makes the dot for one sample.
func (e *Expander) Data(s Sample) Data {
	return Data{s.Labels.Map(), e.o.ExternalLabels, e.o.ExternalURL, s.Value}
}

// Check parses a text without expanding it. The error names the line of the text.
func Check(text string) error {
	if len(text) <= MaxBytes && !strings.Contains(text, "{{") {
		return nil
	}
	_, err := New(context.Background(), Options{Name: "t"}).parse(text)
	return err
}

// Functions are the names of the functions of Prometheus that a text may call.
func Functions() []string {
	names := slices.Sorted(maps.Keys(New(context.Background(), Options{}).functions()))
	return slices.DeleteFunc(names, func(name string) bool { return name == stepName })
}

// Expand returns the text with its templates expanded; with an error comes a text that says what is wrong, to stand in its
// place.
func (e *Expander) Expand(text string, data Data) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	out, err := e.execute(text, data)
	if err != nil {
		return fmt.Sprintf("<error expanding template: %s>", err), err
	}
	return out, nil
}

func (e *Expander) execute(text string, data Data) (out string, err error) {
	defer func() { // a bug in a template must not end the daemon
		if r := recover(); r != nil {
			out, err = "", fmt.Errorf("panic expanding template %s: %v", e.name(), r)
		}
	}()
	tmpl, err := e.parse(text)
	if err != nil {
		return "", fmt.Errorf("error parsing template %v: %w", e.name(), err)
	}
	e.steps = 0
	var w bounded
	if err := tmpl.Execute(&w, data); err != nil {
		return "", fmt.Errorf("error executing template %v: %w", e.name(), err)
	}
	return w.String(), nil
}

// parse parses a text once for all the alerts of an evaluation.
func (e *Expander) parse(text string) (*template.Template, error) {
	if tmpl := e.parsed[text]; tmpl != nil || e.broken[text] != nil {
		return tmpl, e.broken[text]
	}
	if len(text) > MaxBytes {
		return nil, errTooLong
	}
	tmpl, err := template.New(e.name()).Funcs(e.functions()).Option("missingkey=zero").Parse(variables + text)
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
func (e *Expander) step() (string, error) {
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

// bounded is a buffer that refuses to grow beyond MaxBytes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > MaxBytes {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

func (e *Expander) name() string { return "__alert_" + e.o.Name }
