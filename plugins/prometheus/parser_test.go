package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/magpie-monitoring/magpie/sdk"
)

// sample is a sample of a page, for comparison.
type sample struct {
	labels sdk.Labels // sorted, and perhaps empty or twice
	bits   uint64
	t      int64
	timed  bool
}

func (s sample) String() string {
	return fmt.Sprintf("%q %v %d %v", s.labels, math.Float64frombits(s.bits), s.t, s.timed)
}

// readAll reads a page with the full parser alone.
func readAll(page []byte, f format) (samples []sample, err error) {
	p := parser{page: page, format: f}
	p.begin(noState)
	for {
		ok, err := p.head()
		if !ok || err != nil {
			return samples, p.tell(err)
		}
		raw := p.rawLabels()
		v, err := p.value()
		if err != nil {
			return samples, p.tell(err)
		}
		samples = append(samples, sample{sorted(raw), math.Float64bits(v.v), v.t, v.timed})
	}
}

func (s sample) equal(o sample) bool {
	return s.labels.Compare(o.labels) == 0 && s.bits == o.bits && s.t == o.t && s.timed == o.timed
}

func sorted(ls sdk.Labels) sdk.Labels {
	slices.SortFunc(ls, func(a, b sdk.Label) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	})
	return ls
}

// textparseAll reads a page with Prometheus' parser.
func textparseAll(page []byte, f format) (samples []sample, err error) {
	var p textparse.Parser
	if f == openMetrics {
		p = textparse.NewOpenMetricsParser(bytes.Clone(page), labels.NewSymbolTable())
	} else {
		p = textparse.NewPromParser(bytes.Clone(page), labels.NewSymbolTable(), false)
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return samples, err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		var ls labels.Labels
		p.Labels(&ls)
		series, t, v := p.Series()
		s := sample{bits: math.Float64bits(v)}
		if t != nil {
			s.t, s.timed = *t, true
		}
		var all sdk.Labels
		ls.Range(func(l labels.Label) {
			if l.Name == sdk.NameLabel && bytes.TrimLeft(series, " \t")[0] != '{' { // blanks before a line are not the name's
				l.Value = strings.TrimLeft(l.Value, " \t")
			}
			all = append(all, sdk.Label(l))
		})
		s.labels = sorted(all)
		samples = append(samples, s)
	}
}

// lenient matches what this parser takes, or names otherwise, on purpose: see its comment.
var lenient = regexp.MustCompile(`(?m)^[ \t]*#[ \t]+(TYPE|HELP)[^\n]*\{|\x00`)

func compareWithTextparse(t *testing.T, page []byte, f format) {
	t.Helper()
	if lenient.Match(page) {
		readAll(page, f)
		return
	}
	got, err := readAll(page, f)
	want, wantErr := textparseAll(page, f)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q:\ngot error %v\nPrometheus: %v", page, err, wantErr)
	}
	if err == nil && !slices.EqualFunc(got, want, sample.equal) {
		t.Fatalf("%q:\ngot\n%v\nPrometheus:\n%v", page, got, want)
	}
}

// pages are tried in both formats.
var pages = []string{
	"", "\n", "a 1", "a 1\n", "a 1\n\n", " \t a 1\n", "a\t1\n", "a  1  5  \n", "a-1\n", "a 1 -5\n", "a 1 99999999999999999999\n", "a 1 5 6\n",
	"# HELP a help\n# TYPE a counter\na 1\n# EOF\n", "# HELP a\n", "# HELP a \n", "# HELP  a  b c \na 1\n", "#HELP a\na 1\n", "# nothing\na 1\n",
	"# TYPE a gauge\n", "# TYPE a  gauge\n", "# TYPE a gauge \n", "# TYPE a unknown\n", "# TYPE a untyped\n", "# TYPE a stateset\n# EOF\n",
	"# TYPE a{b=\"c\"} gauge\na{b=\"c\"} 1\n", "# UNIT a_seconds seconds\n# EOF\n", "# UNIT a seconds\n# EOF\n", "# EOF", "# EOF\n", "# EOF\n\n", "# EOFx",
	"a{} 1\n# EOF\n", `a{b="c"} 1` + "\n# EOF\n", `a{b="c",} 1` + "\n# EOF\n", `a{b="c" d="e"} 1` + "\n# EOF\n", `a { b = "c" , d = "e" } 1` + "\n",
	`a{,} 1`, `a{b} 1`, `a{"b"} 1`, `{"a"} 1` + "\n# EOF\n", `{"a b",c="d"} 1` + "\n# EOF\n", `{b="c","a"} 1` + "\n# EOF\n", `{"a","b"} 1`, `{b="c"} 1`, `{""} 1`,
	`a{"b c"="d"} 1` + "\n# EOF\n", `a{b="c\"d\\e\nf\x"} 1` + "\n# EOF\n", "a{b=\"c\nd\"} 1\n# EOF\n", "a{b=\"c\\\nd\"} 1\n", "a{b=\"\xff\"} 1\n# EOF\n",
	"a{b=\"c\"}1\n", "a{b=\"c\"} 1{\n", "a 1#\n", "a NaN\n# EOF\n", "a nan\n", "a +Inf\n", "a -inf\n", "a infinity\n", "a 0x1p-2\n", "a 1_0\n", "a 1e999\n", "a 1e-999\n",
	"a 0.1e+1\n# EOF\n", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nb{le=\"5\"} 1\n# TYPE s summary\ns{quantile=\"0\"} NaN\nb{le=\"1\"} 3\n# EOF\n",
	"a 1 2\n# EOF\n", "a 1 2.5\n# EOF\n", "a 1 NaN\n# EOF\n", "a 1 # {} 1\n# EOF\n", "a 1 # {b=\"c\"} 1 2\n# EOF\n", "a 1 5 # {b=\"c\",} 1 2.5\n# EOF\n",
	"a 1 # {b=\"c\"} 1 x\n# EOF\n", "a 1 # {\"b\"=\"c\"} 1\n# EOF\n", "a 1 # {\"b\"} 1\n# EOF\n", "a 1 # x\n# EOF\n", "a 1 #{} 1\n# EOF\n", "a 1 2 # {b=\"c\"}  1\n# EOF\n",
	"a{b=\"1\",b=\"2\"} 1\n# EOF\n", "a{b=\"\"} 1\n# EOF\n", "# TYPE \"a b\" gauge\n{\"a b\"} 1\n# EOF\n", "# HELP a \xff\n", "1a 1\n", "a\n", "a \n", "\x00", "a 1\n\x00b 2\n",
	"é 1\n", "a{é=\"1\"} 1\n", "a:b 1\n# EOF\n", ":a 1\n", "a{b:c=\"1\"} 1\n", "a 1\r\n",
}

func TestTheFullParserAgreesWithPrometheus(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		compareWithTextparse(t, []byte(page), plainText)
		compareWithTextparse(t, []byte(page), openMetrics)
	}
}

func TestTheFullParserSaysWhereAMistakeIs(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"a 1\nb x\n":               `line 2, column 3: a number is expected, not "x"`,
		"a 1\n\n  {b=\"c\"} 1":     `line 3, column 10: the sample has no metric name, not " 1"`,
		"<html>\n":                 `line 1, column 1: a line starts with a metric name, { or #, not "<html>"`,
		"# TYPE a gauges\n":        `line 1, column 9: a metric type is expected, not " gauges"`,
		"a{b=\"c\" 1\n":            `line 1, column 9: a label name is expected, not "1"`,
		"a 1 99999999999999999999": `line 1, column 5: the time is too large, not "99999999999999999999"`,
	} {
		if _, err := readAll([]byte(page), plainText); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", page, err, want)
		}
	}
}

func TestLabelsInTypeLinesAreSkipped(t *testing.T) {
	t.Parallel()
	p := parser{page: []byte("# HELP a{b=\"c}\"} Some help.\n# TYPE a{b=\"c}\"} counter\na{b=\"c}\"} 1\n")}
	p.begin(noState)
	if ok, err := p.head(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if got, want := *p.settle(nil), (state{sdk.CounterType, sdk.Family{Name: "a", Type: sdk.CounterType, Help: "Some help."}}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzFullParserAgreesWithPrometheus(f *testing.F) {
	for _, page := range pages {
		f.Add([]byte(page), false)
		f.Add([]byte(page), true)
	}
	f.Fuzz(func(t *testing.T, page []byte, open bool) {
		format := plainText
		if open {
			format = openMetrics
		}
		compareWithTextparse(t, page, format)
	})
}
