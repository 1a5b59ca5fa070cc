package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/verify"
)

func TestAReportFitsATerminalOf80Columns(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	var out bytes.Buffer
	o := &options{IO: IO{Out: &out}}
	o.plugin.all = true
	o.printReport(&verify.Report{Plugin: "door", Version: "1.2.3", Took: 2040 * time.Millisecond, Notes: []string{"There is no example file, and source \"door\" needs one to be opened: what needs an open component was not checked."}, Results: []verify.Result{
		{Of: "plugin", Check: "start/too-late-daemon", About: "a daemon that speaks later protocols only learns which one it speaks, and does not wait", State: verify.OK},
		{Of: "plugin", Check: "said/panics", About: "nothing panicked", State: verify.OK},
		{Of: `source "door"`, Check: "open/http", About: "its HTTP handler is there if, and only if, it says so", State: verify.NotApplicable, Text: "there is no example of it"},
		{Of: `source "door"`, Check: "source/times", About: "timestamps are of now", State: verify.Failed, Text: "soon{instance=\"verifyhost\", job=\"verify\"} is of 2026-11-23T01:06:02Z, which is tomorrow\nanother line", Fix: "times are Unix milliseconds, of the machine's clock"},
	}})
	want := `
plugin
  ok      start/too-late-daemon  a daemon that speaks later protocols only
                                 learns which one it speaks, and does not wait
  ok      said/panics            nothing panicked

source "door"
  n/a     open/http              its HTTP handler is there if, and only if, it
                                 says so (there is no example of it)
  failed  source/times           timestamps are of now
          soon{instance="verifyhost", job="verify"} is of 2026-11-23T01:06:02Z,
          which is tomorrow
          another line
        → times are Unix milliseconds, of the machine's clock

door 1.2.3: 2 ok, 1 failed, 1 not applicable, in 2s.
note: There is no example file, and source "door" needs one to be opened: what
      needs an open component was not checked.
`
	if out.String() != want {
		t.Errorf("it is\n%s\nand should be\n%s", out.String(), want)
	}
}
