package engine

import (
	"testing"
	"time"
)

func TestADiagnosisIsSharedByAlertsThatItCanTellOf(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	for name, c := range map[string]struct {
		began, since int // seconds ago
		want         bool
	}{
		"of one cause, evaluated a little later":      {8, 0, true},
		"pending when it was made":                    {50, 300, true},
		"true since after it was made":                {50, 0, false},
		"true since after it was made, and fires now": {50, 30, false},
		"too old for anything":                        {61, 300, false},
	} {
		if got := (&asked{began: ago(c.began)}).covers(ago(c.since), now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
