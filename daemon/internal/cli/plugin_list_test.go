package cli

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
)

func TestAListFitsATerminalAndIsALineEachInAPipe(t *testing.T) {
	t.Parallel()
	list := []listed{
		{
			Plugin: client.Plugin{Name: "remote_write", SHA256: "a", Description: client.Description{Version: "0.1.0", Types: []sdk.Type{
				{Kind: sdk.KindSink, Name: "remote_write"}, {Kind: sdk.KindSource, Name: "remote_write"}, {Kind: sdk.KindStore, Name: "prometheus"},
			}}},
			Verified: &verified{Verified: client.Verified{SHA256: "b", At: time.Now(), OK: 70, Failed: 2}, Trouble: "the report cannot be read"},
			Processes: []listedProcess{{
				Pid: 4121, State: "running", Current: true, Components: map[string]string{"sink.remote_write.far": "degraded"}, RSS: 12 << 20,
				LastError: "http://far.example/api/v1/write answers 503 Service Unavailable, for the third time",
			}},
		},
		{Plugin: client.Plugin{Name: "broken"}, Error: "plugin broken did not start: it says \"no libraries\""},
	}
	print := func(width int) string {
		var out strings.Builder
		(&options{}).listInto(&table{w: &out}, list, true, width)
		return out.String()
	}
	wide, narrow := print(0), print(80)
	if strings.Count(wide, "\n") != 3 {
		t.Errorf("not a line for each plugin:\n%s", wide)
	}
	for line := range strings.Lines(narrow) {
		if n := utf8.RuneCountInString(strings.TrimSpace(line)); n > 80 {
			t.Errorf("%d characters in\n%s", n, narrow)
		}
	}
	for _, word := range []string{"no; another binary: 2 failed", `store "prometheus"`, "degraded", "12.0 MiB", "503 Service Unavailable", `it says "no libraries"`} {
		if !strings.Contains(wide, word) || !strings.Contains(strings.Join(strings.Fields(narrow), " "), word) {
			t.Errorf("it does not say %q:\n%s\n%s", word, wide, narrow)
		}
	}
}
