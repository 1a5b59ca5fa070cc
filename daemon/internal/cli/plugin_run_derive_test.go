package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
)

// readText lists the batches of a text, as name{labels}=value@milliseconds; a sample of now has no time.
func readText(text string) (batches []string, err error) {
	b := sdk.NewScope(sdk.SourceSettings{}, "", true).Batch()
	err = readBatches(strings.NewReader(text), b, func() error {
		var series []string
		b.Seal(func(c *sdk.Columns) {
			for i, ref := range c.Run.Refs {
				at := ""
				if ms := c.Run.Time(i); ms < 1e12 {
					at = fmt.Sprintf("@%d", ms)
				}
				series = append(series, fmt.Sprintf("%d=%v%s", ref, c.Run.Values[i], at))
			}
		})
		batches = append(batches, strings.Join(series, " "))
		return nil
	})
	return batches, err
}

func TestAnEmptyLineEndsABatch(t *testing.T) {
	got, err := readText("\n# HELP up Up.\nup 1 1000\nup{job=\"a b\"} NaN\n\n\nup 2 2000\n")
	if want := "[0=1@1000 1=NaN 0=2@2000]"; err != nil || fmt.Sprint(got) != want || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
	for text, want := range map[string]string{"up": "a value is to follow", "up x": `"x" is no value`, "up 1 soon": "no time", "up 1 2 3": "a value is to follow", "up{": "} is missing"} {
		if _, err := readText("ok 1\n" + text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
