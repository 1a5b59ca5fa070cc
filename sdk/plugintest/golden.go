package plugintest

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
)

// The flag is there for every test that imports this package; one that defines it too would be told by package flag.
func init() {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "write what the tests get into their golden files")
	}
}

// Golden compares what came with the file of a name in testdata, and tells line by line what differs; with
//
//	go test -update
//
// it writes the file. Samples are sorted, below a line with the type of their family: a staleness marker's value is stale, that of
// scrape_duration_seconds, which is never the same twice, is written as …, and times are left out. Exemplars are written with
// their series, strings and bytes as they are, and anything else, a json.RawMessage among it, as JSON with its keys in order.
//
// replace are pairs of a regular expression and of what stands in the file for what it matches ($1 is its first group): for
// directories, ports and what else is not the same in the next run.
func Golden(t testing.TB, name string, got any, replace ...string) {
	t.Helper()
	text, err := textOf(got)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(replace); i += 2 {
		pattern, err := regexp.Compile(replace[i])
		if err != nil {
			t.Fatal(err)
		}
		text = pattern.ReplaceAllString(text, replace[i+1])
	}
	text = strings.TrimRight(text, "\n") + "\n"
	path := filepath.Join("testdata", name)
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: go test -update writes it", err)
	}
	if d := difference(string(want), text); d != "" {
		t.Errorf("this differs from %s, which go test -update would write anew:\n%s", path, d)
	}
}

func textOf(got any) (string, error) {
	switch v := got.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case Samples:
		return v.page(), nil
	case []Exemplar:
		var lines []string
		for _, e := range v {
			lines = append(lines, fmt.Sprintf("%s # %s %v", e.Series, e.Labels, e.Value))
		}
		return strings.Join(lines, "\n"), nil
	case json.RawMessage:
		if err := json.Unmarshal(v, &got); err != nil {
			return "", fmt.Errorf("%w: %s", err, v)
		}
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(got)
	return b.String(), err
}

// page writes samples with the types of their families.
func (s Samples) page() string {
	type entry struct{ family, kind, line string }
	var all []entry
	for _, x := range s {
		e := entry{x.Labels.Get(sdk.NameLabel), sdk.Unknown.String(), x.line()}
		if x.Family != nil {
			e.family, e.kind = x.Family.Name, x.Family.Type.String()
		}
		if x.Record != nil {
			e.kind = "record"
		}
		if x.Labels.Get(sdk.NameLabel) == "scrape_duration_seconds" && !x.stale() {
			e.line = x.Labels.String() + " …"
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b entry) int {
		return strings.Compare(a.family+"\x00"+a.kind+"\x00"+a.line, b.family+"\x00"+b.kind+"\x00"+b.line)
	})
	var b strings.Builder
	for i, e := range all {
		if i == 0 || all[i-1].family != e.family || all[i-1].kind != e.kind {
			fmt.Fprintf(&b, "# TYPE %s %s\n", e.family, e.kind)
		}
		b.WriteString(e.line + "\n")
	}
	return b.String()
}

func (x *Sample) stale() bool {
	v := x.Value
	if x.Histogram != nil {
		v = x.Histogram.Sum
	}
	return x.Record == nil && math.Float64bits(v) == math.Float64bits(sdk.StaleNaN)
}

// line is the sample in one line.
func (x *Sample) line() string {
	switch {
	case x.stale():
		return x.Labels.String() + " stale"
	case x.Histogram != nil:
		return fmt.Sprintf("%s %+v", x.Labels, *x.Histogram)
	case x.Record != nil && x.Record.Name != "":
		return fmt.Sprintf("%s %s event %q %q %s", x.Labels, x.Record.Level, x.Record.Name, x.Record.Text, x.Record.Attributes)
	case x.Record != nil:
		return fmt.Sprintf("%s %s %q %s", x.Labels, x.Record.Level, x.Record.Text, x.Record.Attributes)
	}
	return fmt.Sprintf("%s %v", x.Labels, x.Value)
}

const (
	mostCompared = 4 << 20 // pairs of lines; beyond, all that is between the first and the last difference is shown as different
	mostShown    = 100     // lines
)

// difference shows the lines that only one of two texts has, as diff does: with the number of the line in the first text, or of the
// line there that it follows. It is "" where they are equal.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	begin := 0
	for begin < min(len(w), len(g)) && w[begin] == g[begin] {
		begin++
	}
	end := 0
	for end < min(len(w), len(g))-begin && w[len(w)-1-end] == g[len(g)-1-end] {
		end++
	}
	var lines []string
	for _, e := range edits(w[begin:len(w)-end], g[begin:len(g)-end]) {
		at := begin + e.at + 1
		if e.text[0] == '+' {
			at-- // behind it
		}
		lines = append(lines, fmt.Sprintf("%5d %s", at, e.text))
	}
	if n := len(lines); n > mostShown {
		lines = append(lines[:mostShown], fmt.Sprintf("      … and %d lines more", n-mostShown))
	}
	return strings.Join(lines, "\n")
}

// edit is a line that is missing (- ) or new (+ ), at a line of the text that was wanted.
type edit struct {
	at   int
	text string
}

// edits are the fewest that make one text of another: what is not on the longest list of lines that both have in order.
func edits(w, g []string) (list []edit) {
	common := make([][]int32, len(w)+1) // of w from i and g from k on
	compared := len(w)*len(g) <= mostCompared
	for i := len(w); i >= 0 && compared; i-- {
		common[i] = make([]int32, len(g)+1)
		for k := len(g) - 1; k >= 0 && i < len(w); k-- {
			if common[i][k] = max(common[i+1][k], common[i][k+1]); w[i] == g[k] {
				common[i][k] = common[i+1][k+1] + 1
			}
		}
	}
	i, k := 0, 0
	for i < len(w) || k < len(g) {
		switch {
		case compared && i < len(w) && k < len(g) && w[i] == g[k]:
			i, k = i+1, k+1
		case i < len(w) && (k == len(g) || !compared || common[i+1][k] >= common[i][k+1]):
			list = append(list, edit{i, "- " + w[i]})
			i++
		default:
			list = append(list, edit{i, "+ " + g[k]})
			k++
		}
	}
	return list
}
