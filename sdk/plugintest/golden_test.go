package plugintest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
)

// everything sets a sample of each sort.
type everything struct{}

func (everything) Collect(_ context.Context, out *sdk.Batch) error {
	out.Set(gauge, 1, "a")
	total := out.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "jobs_total"), Family: &sdk.Family{Name: "jobs", Type: sdk.CounterType}})
	out.Put(total, 2)
	out.PutExemplar(total, sdk.Exemplar{Labels: sdk.NewLabels("trace_id", "x"), Value: 1})
	out.PutHistogram(out.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "took")}), &sdk.Histogram{Count: 3, Positive: []float64{3}, PositiveSpans: []sdk.Span{{Length: 1}}})
	out.Stale(out.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "gone")}))
	log := out.Series(sdk.Series{Labels: sdk.NewLabels(sdk.NameLabel, "log")})
	out.Log(log, sdk.Record{Text: "it broke", Level: sdk.Error, Attributes: sdk.NewLabels("pid", fmt.Sprint(os.Getpid()))})
	out.Log(log, sdk.Record{Name: "restarted"})
	return nil
}

func TestAGoldenFileHoldsWhatComes(t *testing.T) {
	c := Open(t, sdk.Source(func(context.Context, *none, sdk.Host) (everything, error) { return everything{}, nil }), nil)
	Golden(t, "everything.txt", c.Cycle(), `pid="\d+"`, `pid="PID"`)
	Golden(t, "exemplars.txt", c.Exemplars())
	Golden(t, "value.json", json.RawMessage(`{"b":[1,{"x":null}],"a":"<"}`))
}

// failed keeps what a test that fails says.
type failed struct {
	testing.TB
	said string
}

func (f *failed) Errorf(format string, args ...any) { f.said += fmt.Sprintf(format, args...) }
func (f *failed) Fatalf(format string, args ...any) { f.Errorf(format, args...); panic(f) }

func TestUpdateWritesTheFileAndAComparisonTellsTheLines(t *testing.T) {
	t.Chdir(t.TempDir())
	f := &failed{TB: t}
	func() {
		defer func() { recover() }()
		Golden(f, "a/b.txt", "x")
	}()
	if !strings.Contains(f.said, "go test -update writes it") {
		t.Errorf("a file that is not there: %q", f.said)
	}
	flag.Set("update", "true")
	defer flag.Set("update", "false")
	Golden(t, "a/b.txt", "one\ntwo\nthree\nport 80\nfive\n\n", `port \d+`, "port PORT")
	flag.Set("update", "false")
	if b, err := os.ReadFile(filepath.Join("testdata", "a", "b.txt")); string(b) != "one\ntwo\nthree\nport PORT\nfive\n" {
		t.Errorf("%q, %v", b, err)
	}
	f.said = ""
	Golden(f, "a/b.txt", "one\nthree\nport 81\nnew\nfive", `port \d+`, "port PORT")
	if want := "\n    2 - two\n    4 + new"; !strings.HasSuffix(f.said, want) {
		t.Errorf("it says %q", f.said)
	}
}

func TestADifferenceIsShort(t *testing.T) {
	many := strings.Repeat("x\n", 3000)
	if d := difference(many+"a", many+"b"); d != " 3001 - a\n 3001 + b" {
		t.Errorf("%q", d)
	}
	if d := difference(many, strings.ReplaceAll(many, "x", "y")); strings.Count(d, "\n") != mostShown || !strings.HasSuffix(d, "… and 5900 lines more") {
		t.Errorf("%q", d)
	}
	if d := difference(many, many); d != "" {
		t.Error(d)
	}
}

func FuzzDifference(f *testing.F) {
	f.Add("a\nb\nc", "a\nc\nd")
	f.Fuzz(func(t *testing.T, want, got string) {
		w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
		if len(w)*len(g) > 10_000 {
			return
		}
		var made []string
		at := 0
		for _, e := range edits(w, g) {
			for ; at < e.at; at++ {
				made = append(made, w[at])
			}
			if strings.HasPrefix(e.text, "- ") {
				at++
			} else {
				made = append(made, e.text[2:])
			}
		}
		if text := strings.Join(append(made, w[at:]...), "\n"); text != got {
			t.Fatalf("%q and %q: %q", want, got, text)
		}
	})
}
