package template

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/common/helpers/templates"
	"github.com/prometheus/common/model"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// queryResult is what the function query returns.
type queryResult []*querySample

type querySample struct {
	Labels map[string]string
	Value  any
}

func newQueryResult(vector []Sample) queryResult {
	result := make(queryResult, len(vector))
	for i, s := range vector {
		result[i] = &querySample{s.Labels.Map(), s.Value}
	}
	return result
}

func (e *Expander) query(expr string) (queryResult, error) {
	if e.o.Query == nil {
		return nil, nil
	}
	vector, err := e.o.Query(expr)
	return newQueryResult(vector), err
}

// functions are Prometheus' template functions for alerts, and those of text/template whose result may grow, bounded.
func (e *Expander) functions() template.FuncMap {
	return template.FuncMap{
		stepName: e.step,
		"query":  e.query,
		"first": func(v queryResult) (*querySample, error) {
			if len(v) == 0 {
				return nil, errNoFirst
			}
			return v[0], nil
		},
		"label":    func(label string, s *querySample) string { return s.Labels[label] },
		"value":    func(s *querySample) any { return s.Value },
		"strvalue": func(s *querySample) string { return s.Labels["__value__"] },
		"sortByLabel": func(label string, v queryResult) queryResult {
			slices.SortStableFunc(v, func(a, b *querySample) int { return strings.Compare(a.Labels[label], b.Labels[label]) })
			return v
		},
		"args":         arguments,
		"print":        bound(fmt.Sprint),
		"println":      bound(fmt.Sprintln),
		"html":         bound(template.HTMLEscaper),
		"js":           bound(template.JSEscaper),
		"urlquery":     bound(template.URLQueryEscaper),
		"printf":       printf,
		"reReplaceAll": replaceAll,
		"match":        regexp.MatchString,
		"safeHtml":     func(text string) string { return text }, // nothing is escaped in texts

		"title":          cases.Title(language.AmericanEnglish, cases.NoLower).String,
		"toUpper":        strings.ToUpper,
		"toLower":        strings.ToLower,
		"stripPort":      stripPort,
		"stripDomain":    stripDomain,
		"urlQueryEscape": url.QueryEscape,
		"graphLink":      func(expr string) string { return "/graph?g0.expr=" + url.QueryEscape(expr) + "&g0.tab=0" },
		"tableLink":      func(expr string) string { return "/graph?g0.expr=" + url.QueryEscape(expr) + "&g0.tab=1" },
		"pathPrefix":     func() string { return e.url.Path },
		"externalURL":    e.url.String,

		"humanize":           humanize,
		"humanize1024":       humanize1024,
		"humanizeDuration":   templates.HumanizeDuration,
		"humanizePercentage": humanizePercentage,
		"humanizeTimestamp":  templates.HumanizeTimestamp,
		"toTime":             toTime,
		"toDuration":         toDuration,
		"now":                func() float64 { return float64(e.o.At.UnixMilli()) / 1000 },
		"parseDuration": func(text string) (float64, error) {
			d, err := model.ParseDurationAllowNegative(text)
			return time.Duration(d).Seconds(), err
		},
	}
}

// wideVerb is a verb of printf that may print thousands of spaces.
var wideVerb = regexp.MustCompile(`%[-+# 0-9.\[\]]*(\*|[0-9]{4})`)

func printf(format string, args ...any) (string, error) {
	if wideVerb.MatchString(format) {
		return "", errors.New("printf: a width of four digits or *")
	}
	return short(fmt.Sprintf(format, args...))
}

// arguments makes a map for a template that is called with several values. It holds no such map itself: they would double
// and double again.
func arguments(args ...any) (map[string]any, error) {
	result := make(map[string]any, len(args))
	for i, a := range args {
		if _, nested := a.(map[string]any); nested {
			return nil, errors.New("args within args")
		}
		result[fmt.Sprintf("arg%d", i)] = a
	}
	return result, nil
}

func bound(print func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) { return short(print(args...)) }
}

func short(text string) (string, error) {
	if len(text) > MaxBytes {
		return "", errTooLong
	}
	return text, nil
}

// replaceAll is regexp.ReplaceAllString that stops when the text is too long.
func replaceAll(pattern, replacement, text string) (string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return "", err
	}
	var out []byte
	end := 0
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		out = append(out, text[end:m[0]]...)
		out = re.ExpandString(out, replacement, text, m)
		if end = m[1]; len(out) > MaxBytes {
			return "", errTooLong
		}
	}
	return short(string(out) + text[end:])
}

func stripPort(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	return hostPort
}

func stripDomain(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	if net.ParseIP(host) != nil {
		return hostPort
	}
	host, _, _ = strings.Cut(host, ".")
	if port != "" {
		return net.JoinHostPort(host, port)
	}
	return host
}

var (
	larger     = []string{"", "k", "M", "G", "T", "P", "E", "Z", "Y"}
	larger1024 = []string{"", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"}
	smaller    = []string{"", "m", "u", "n", "p", "f", "a", "z", "y"}
)

// humanize writes a number with an SI prefix.
func humanize(i any) (string, error) {
	v, err := templates.ConvertToFloat(i)
	if err != nil {
		return "", err
	}
	if v != 0 && math.Abs(v) < 1 {
		n := 0
		for ; math.Abs(v) < 1 && n+1 < len(smaller); n++ {
			v *= 1000
		}
		return fmt.Sprintf("%.4g%s", v, smaller[n]), nil
	}
	return scaled(v, 1000, larger), nil
}

// humanize1024 writes a number with a binary prefix.
func humanize1024(i any) (string, error) {
	v, err := templates.ConvertToFloat(i)
	if err != nil {
		return "", err
	}
	return scaled(v, 1024, larger1024), nil
}

func scaled(v, base float64, prefixes []string) string {
	n := 0
	for ; math.Abs(v) >= base && !math.IsInf(v, 0) && n+1 < len(prefixes); n++ {
		v /= base
	}
	return fmt.Sprintf("%.4g%s", v, prefixes[n])
}

func humanizePercentage(i any) (string, error) {
	v, err := templates.ConvertToFloat(i)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.4g%%", v*100), nil
}

func toTime(i any) (*time.Time, error) {
	v, err := templates.ConvertToFloat(i)
	if err != nil {
		return nil, err
	}
	return templates.FloatToTime(v)
}

func toDuration(i any) (*time.Duration, error) {
	v, err := templates.ConvertToFloat(i)
	if err != nil {
		return nil, err
	}
	d := time.Duration(v * float64(time.Second))
	return &d, nil
}
