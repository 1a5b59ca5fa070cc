package rule

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	theirs "github.com/prometheus/prometheus/template"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/template"
)

// variables are declared before every text.
const variables = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"

// answer is what the query function finds in these tests.
var answer = promql.Vector{
	{Metric: labels.FromStrings("__name__", "m", "instance", "b:1", "job", "x", "__value__", "two"), F: 2},
	{Metric: labels.FromStrings("__name__", "m", "instance", "a:1", "job", "y"), F: 11},
	{Metric: labels.FromStrings("__name__", "m", "instance", "c:1"), F: math.NaN()},
}

func ask(expr string) (promql.Vector, error) {
	switch expr {
	case "m":
		return answer, nil
	case "none":
		return nil, nil
	}
	return nil, errors.New("parse error: " + expr)
}

var at = time.UnixMilli(1435065584128).UTC()

func newTestExpander(ctx context.Context, external string) *template.Expander {
	return template.New(ctx, template.Options{
		Name: "Name", At: at, ExternalLabels: map[string]string{"site": "fra1"}, ExternalURL: external,
		Query: func(expr string) (out []template.Sample, err error) {
			v, err := ask(expr)
			for _, s := range v {
				out = append(out, template.Sample{Labels: fromProm(s.Metric), Value: s.F})
			}
			return out, err
		},
	})
}

func theirExpansion(text, external string, s promql.Sample) string {
	u, _ := url.Parse(external)
	query := func(_ context.Context, expr string, _ time.Time) (promql.Vector, error) { return ask(expr) }
	data := theirs.AlertTemplateData(s.Metric.Map(), map[string]string{"site": "fra1"}, external, s)
	out, err := theirs.NewTemplateExpander(context.Background(), variables+text, "__alert_Name", data, model.Time(at.UnixMilli()), query, u, nil).Expand()
	if err != nil {
		return fmt.Sprintf("<error expanding template: %s>", err)
	}
	return out
}

// texts are templates of all functions; VALUE stands for each of the values below.
var texts = []string{
	`plain`, ``, `}}`, `{{ $value }}`, `{{ .Value }} {{ .Labels.instance }} {{ $labels.nope }}|{{ .Labels }}`, `{{ $externalLabels.site }} {{ .ExternalLabels }} {{ $externalURL }} {{ .ExternalURL }}`,
	`{{ .Nope }}`, `{{ if }}`, `{{ nope 1 }}`, `{{ template "x" }}`, `{{ $nope }}`, "line one\n{{ fail }}",
	`{{ humanize VALUE }}`, `{{ humanize1024 VALUE }}`, `{{ humanizeDuration VALUE }}`, `{{ humanizePercentage VALUE }}`, `{{ humanizeTimestamp VALUE }}`, `{{ toTime VALUE }}`, `{{ toDuration VALUE }}`,
	`{{ VALUE | humanize }}`, `{{ (toTime VALUE).Year }}`, `{{ VALUE | toDuration | humanizeDuration }}`, `{{ printf "%.3g" VALUE }}`, `{{ printf "%v %T" VALUE VALUE }}`, `{{ VALUE }}`,
	`{{ query "m" | first | value }}`, `{{ query "m" | first | label "instance" }}`, `{{ query "m" | first | strvalue }}`, `{{ query "none" | first }}`, `{{ query "broken(" }}`, `{{ query "none" }}`,
	`{{ range query "m" }}{{ .Labels.instance }}:{{ .Value }}{{ else }}none{{ end }}`, `{{ range query "none" }}x{{ else }}none{{ end }}`,
	`{{ range query "m" | sortByLabel "instance" }}{{ .Labels.instance }} {{ end }}`, `{{ range query "m" | sortByLabel "job" }}{{ .Labels.instance }} {{ end }}`,
	`{{ with query "m" }}{{ . | first | value | printf "%.2f" }}{{ end }}`, `{{ len (query "m") }}`, `{{ (index (query "m") 1).Labels }}`,
	`{{ define "x" }}{{ .arg0 }}-{{ .arg1 }}{{ end }}{{ template "x" (args "a" 5) }}`, `{{ block "y" . }}{{ .Value }}{{ end }}`,
	`{{ reReplaceAll "(.)b" "$1-" "abcab" }}`, `{{ reReplaceAll "x*" "-" "abxc" }}`, `{{ reReplaceAll "^a|c$" "" "abc" }}`, `{{ reReplaceAll "(?P<n>b)" "<${n}>" "abc" }}`, `{{ reReplaceAll "z" "y" "äöü" }}`,
	`{{ match "a.c" "xabcx" }}`, `{{ match "^b" "abc" }}`, `{{ if match "a" $labels.instance }}yes{{ else }}no{{ end }}`,
	`{{ title "don't panic o'neill hello-world x_y a1b 3d ǆ ÉCOLE" }}`, `{{ toUpper "straße" }}`, `{{ toLower "ÀB" }}`, `{{ safeHtml "<b>" }}`,
	`{{ graphLink "a + b{c=\"d\"}" }}`, `{{ tableLink "a + b" }}`, `{{ pathPrefix }}`, `{{ externalURL }}`, `{{ urlQueryEscape "a b&c=ä" }}`,
	`{{ stripPort "host.example:80" }} {{ stripPort "host" }} {{ stripPort "[::1]:80" }} {{ stripPort "::1" }}`,
	`{{ stripDomain "host.example:80" }} {{ stripDomain "host" }} {{ stripDomain "1.2.3.4:80" }} {{ stripDomain "[::1]:80" }} {{ stripDomain "a.b.c" }} {{ stripDomain "" }}`,
	`{{ now }}`, `{{ now | humanizeTimestamp }}`, `{{ parseDuration "1h30m" }} {{ parseDuration "-5m" }}`, `{{ parseDuration "x" }}`, `{{ parseDuration VALUE }}`,
	`{{ print 1 "a" "b" 2 3 }}|{{ println "x" 1 }}|{{ html "<&>" }}|{{ js "a'b" }}|{{ urlquery "a b" }}`, `{{ printf "%5d|%-5s|%05.1f|%q|%x" 3 "ab" 1.25 "q" 255 }}`,
	`{{ range $i, $e := query "m" }}{{ if eq $i 1 }}{{ break }}{{ end }}{{ continue }}{{ end }}done`,
	`{{- $x := "a" -}} {{- range query "m" }}{{ $x = printf "%s%s" $x .Labels.instance }}{{ end }} {{ $x -}} `, `{{/* nothing */}}x`, `{{ "{{" }}`,
	`{{ index $labels "instance" }}`, `{{ and 0 1 }} {{ or 0 "x" }} {{ not 1 }} {{ lt 1 2 }} {{ slice "abc" 1 2 }}`,
}

var values = []string{
	`0`, `1`, `-1`, `0.1`, `-0.00012`, `1e-30`, `999.9999`, `1000`, `1023`, `1024`, `123456789`, `-1e26`, `1e30`, `0.5`, `60`, `3661`, `90061.5`, `-172800`, `1.5e9`,
	`"12.5"`, `"x"`, `"+Inf"`, `"NaN"`, `$value`, `1435065584.128`, `9223372036`, `1e19`, `true`,
}

func TestTemplatesGiveWhatPrometheusGives(t *testing.T) {
	samples := promql.Vector{answer[0], {Metric: labels.FromStrings("instance", "a.example:9100"), F: math.Inf(-1)}, {Metric: labels.EmptyLabels(), F: math.NaN()}, {Metric: labels.EmptyLabels(), F: 1e-9}}
	var all []string
	for _, text := range texts {
		if !strings.Contains(text, "VALUE") {
			all = append(all, text)
			continue
		}
		for _, v := range values {
			all = append(all, strings.ReplaceAll(text, "VALUE", v))
		}
	}
	for _, external := range []string{"http://magpie.example/base?x=1", ""} {
		e := newTestExpander(t.Context(), external)
		for _, s := range samples {
			for _, text := range all {
				ours, _ := e.Expand(text, e.Data(template.Sample{Labels: fromProm(s.Metric), Value: s.F}))
				if want := theirExpansion(text, external, s); ours != want {
					t.Errorf("%s\nPrometheus: %q\nours:       %q", text, want, ours)
				}
			}
		}
	}
	t.Logf("%d templates, %d samples", len(all), len(samples))
}

func TestEveryFunctionOfPrometheusIsThere(t *testing.T) {
	functions := template.Functions()
	for _, name := range []string{
		"query", "first", "label", "value", "strvalue", "args", "reReplaceAll", "safeHtml", "match", "title", "toUpper", "toLower", "graphLink", "tableLink",
		"sortByLabel", "stripPort", "stripDomain", "humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "toTime", "toDuration",
		"now", "pathPrefix", "externalURL", "parseDuration", "urlQueryEscape",
	} {
		if !slices.Contains(functions, name) {
			t.Errorf("no %s", name)
		}
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, name) }) {
			t.Errorf("%s is not compared", name)
		}
	}
}

func TestTemplatesThatRunAwayAreStopped(t *testing.T) {
	double := `{{ $x := "0123456789" }}` + strings.Repeat(`{{ $x = FUNC }}`, 60) + `{{ len $x }}`
	nested := strings.Repeat(`{{ range query "m" }}`, 12) + strings.Repeat(`{{ end }}`, 12)
	for name, text := range map[string]string{
		"output":       `{{ range query "m" }}{{ range query "m" }}{{ range query "m" }}` + strings.Repeat("x", 2000) + `{{ end }}{{ end }}{{ end }}`,
		"print":        strings.ReplaceAll(double, "FUNC", `print $x $x`),
		"printf":       strings.ReplaceAll(double, "FUNC", `printf "%s%s" $x $x`),
		"println":      strings.ReplaceAll(double, "FUNC", `println $x $x`),
		"js":           strings.ReplaceAll(strings.ReplaceAll(double, "FUNC", `js $x`), "0123456789", `\\`),
		"html":         strings.ReplaceAll(double, "FUNC", `html $x $x`),
		"urlquery":     strings.ReplaceAll(double, "FUNC", `urlquery $x $x`),
		"reReplaceAll": strings.ReplaceAll(double, "FUNC", `reReplaceAll "." $x $x`),
		"nested args":  `{{ $m := args 1 }}{{ $m = args $m $m }}`,
		"width":        `{{ printf "%999999d" 1 }}`,
		"star":         `{{ printf "%*d" 999999 1 }}`,
		"nested range": nested,
		"recursion":    `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`,
		"fan":          `{{ define "a" }}{{ template "b" }}{{ template "b" }}{{ end }}{{ define "b" }}{{ template "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`,
		"long text":    `{{ $value }}` + strings.Repeat("x", template.MaxBytes),
		"parentheses":  `{{ ` + strings.Repeat("(", 15000) + ` }}`,
	} {
		t.Run(name, func(t *testing.T) {
			e := newTestExpander(t.Context(), "")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			out, _ := e.Expand(text, e.Data(template.Sample{}))
			runtime.ReadMemStats(&after)
			if !strings.HasPrefix(out, "<error expanding template: ") {
				t.Errorf("%.200q", out)
			}
			if took, mem := time.Since(start), after.TotalAlloc-before.TotalAlloc; took > 20*time.Second || mem > 512<<20 {
				t.Errorf("took %v and %d MiB", took, mem>>20)
			}
		})
	}
}

func TestAnExpansionEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e := newTestExpander(ctx, "")
	if out, _ := e.Expand(`{{ $value }}`, e.Data(template.Sample{})); !strings.Contains(out, "context canceled") {
		t.Errorf("%q", out)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, text := range texts {
		f.Add(strings.ReplaceAll(text, "VALUE", "1.5"), 1.5)
	}
	f.Fuzz(func(t *testing.T, text string, value float64) {
		e := newTestExpander(t.Context(), "http://magpie.example/base")
		out, _ := e.Expand(text, e.Data(template.Sample{Labels: sdk.NewLabels("instance", text), Value: value}))
		if strings.Contains(text, "{{") && len(out) > 4*template.MaxBytes {
			t.Errorf("%d bytes", len(out))
		}
	})
}
