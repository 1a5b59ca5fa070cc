package language

import (
	"bytes"
	"regexp"
	"testing"
)

func TestCallsOfSensitiveAreFoundAsTheirPatternSays(t *testing.T) {
	pattern := regexp.MustCompile(`\bsensitive\s*\(`)
	for _, line := range []string{
		"", "a = 1", `password = sensitive("x")`, `a = insensitive("x")`, `a = sensitive ("x", f(")")) + sensitive(y)`, `"${sensitive("a")}" sensitive`,
		`sensitive(`, `sensitive(sensitive("a"), "b") c`, `sensitivesensitive("a")`, "_sensitive(1) 9sensitive(2) -sensitive(3)",
	} {
		found := sensitiveCalls([]byte(line))
		for _, call := range pattern.FindAllStringIndex(line, -1) {
			inside := false
			for _, f := range found {
				inside = inside || f[0] <= call[1] && call[1] <= f[1]
			}
			if !inside {
				t.Errorf("%q: the arguments at %d are not in %v", line, call[1], found)
			}
		}
		if all := pattern.FindAllStringIndex(line, -1); len(found) > len(all) {
			t.Errorf("%q: %v, and the pattern has %v", line, found, all)
		}
	}
	long := bytes.Repeat([]byte("sensitive("), 100_000) // linear, or this takes minutes
	if calls := sensitiveCalls(long); len(calls) != 1 {
		t.Error(len(calls))
	}
}
