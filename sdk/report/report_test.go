package report

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

func example() *sdk.Diagnosis {
	r := sdk.NewReport("diagnoser.etcd.main", sdk.Question{Alert: &sdk.Alert{Labels: map[string]string{"alertname": "etcdDatabaseFull"}}}, nil)
	at := time.Date(2026, 11, 21, 3, 4, 5, 0, time.UTC)
	r.Checked("members", "3 of 3 answer", nil)
	r.Find(sdk.Finding{Severity: sdk.Info, Title: "an even\nnumber"})
	r.Find(sdk.Finding{
		Severity: sdk.Critical, Title: "the database is full", Text: "No write is taken any more.\nReads are.",
		Evidence: []sdk.Evidence{{Time: at, Where: "m1", What: "database size", Value: "2.0 GiB of 2.0 GiB"}, {Time: at, Where: "member2", What: "alarm", Value: "NOSPACE"}},
		Next:     []sdk.NextStep{{Text: "Look at it", Command: "etcdctl endpoint status"}, {Text: "Compact", Command: "etcdctl compact 7\netcdctl defrag", Changes: true}},
	})
	r.Checked("hash of all members", "", errors.New("m3 does not answer"))
	d := r.End(errors.New("the time was up"))
	d.Started, d.Ended = at, at.Add(1234*time.Millisecond)
	for i := range d.Findings {
		for j := range d.Findings[i].Evidence {
			d.Findings[i].Evidence[j].Time = at
		}
	}
	return d
}

func ExampleText() {
	Text(os.Stdout, example(), false)
	// Output:
	// diagnoser.etcd.main: 1 critical, 1 info; not complete: the time was up  2026-11-21 03:04:05 UTC, in 1.234s
	// asked because of alert etcdDatabaseFull
	//
	// CRITICAL  the database is full
	//           No write is taken any more.
	//           Reads are.
	//           03:04:05  m1       database size  2.0 GiB of 2.0 GiB
	//           03:04:05  member2  alarm          NOSPACE
	//           1. Look at it
	//              $ etcdctl endpoint status
	//           2. Compact (this changes something)
	//              $ etcdctl compact 7
	//              $ etcdctl defrag
	//
	// INFO      an even number
	//
	// Looked at
	//   ✓ members              3 of 3 answer
	//   ? hash of all members  not known: m3 does not answer
}

func ExampleMarkdown() {
	Markdown(os.Stdout, example())
	// Output:
	// # diagnoser.etcd.main: 1 critical, 1 info; not complete: the time was up
	//
	// 2026-11-21 03:04:05 UTC, in 1.234s
	// asked because of alert etcdDatabaseFull
	//
	// ## critical: the database is full
	//
	// No write is taken any more. Reads are.
	//
	// | time | where | what | value |
	// |---|---|---|---|
	// | 03:04:05 | m1 | database size | 2.0 GiB of 2.0 GiB |
	// | 03:04:05 | member2 | alarm | NOSPACE |
	//
	// 1. Look at it
	//
	//        etcdctl endpoint status
	//
	// 2. Compact (this changes something)
	//
	//        etcdctl compact 7
	//        etcdctl defrag
	//
	//
	// ## info: an even number
	//
	//
	// ## Looked at
	//
	// - members: 3 of 3 answer
	// - hash of all members: not known: m3 does not answer
}

// What comes from a plugin or from its target is text, whatever is in it.
func TestWhatIsReportedIsNeverMarkup(t *testing.T) {
	r := sdk.NewReport("diagnoser.x.y", sdk.Question{}, nil)
	evil := "<script>alert(1)</script>\x1b[2J\u009b5m[a](javascript:1)|`x`"
	r.Find(sdk.Finding{Severity: "odd", Title: evil, Text: evil, Evidence: []sdk.Evidence{{Where: evil, What: evil, Value: evil}}, Next: []sdk.NextStep{{Text: evil, Command: evil}}})
	r.Checked(evil, evil, nil)
	r.Checked("x", "", errors.New(evil))
	d := r.End(errors.New(evil))
	var html, text, md strings.Builder
	HTML(&html, d)
	Text(&text, d, false)
	Markdown(&md, d)
	if strings.Contains(html.String(), "<script") {
		t.Error(html.String())
	}
	if strings.ContainsAny(text.String(), "\x1b\u009b") {
		t.Errorf("%q", text.String())
	}
	if strings.Contains(md.String(), "\n[a](") || strings.Contains(md.String(), " [a](") {
		t.Error(md.String())
	}
	if d.Findings[0].Severity != sdk.Info {
		t.Error("a severity that there is not")
	}
}

func TestAReportIsBounded(t *testing.T) {
	r := sdk.NewReport("a", sdk.Question{}, nil)
	long := strings.Repeat("ä", 10_000)
	for i := range 1000 {
		r.Find(sdk.Finding{Title: fmt.Sprint(i), Text: long, Evidence: make([]sdk.Evidence, 1000)})
		r.Checked(long, long, nil)
	}
	d := r.End(nil)
	size := 0
	for _, f := range d.Findings {
		size += len(f.Title) + len(f.Text)
	}
	for _, c := range d.Checks {
		size += len(c.Name) + len(c.Outcome)
	}
	if size > 300<<10 || len(d.Findings) > 100 || d.Cut == 0 {
		t.Errorf("%d bytes, %d findings, %d left out", size, len(d.Findings), d.Cut)
	}
}
