package client

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

const ofNobody = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// reportOf is a report with some results.
func reportOf(results string) string {
	return fmt.Sprintf(`{"plugin": "doors", "sha256": %q, "kit": "0.1.0", "by": "0.1.0", "at": "2026-11-21T08:00:00Z", "results": %s}`, ofNobody, results)
}

const oneOK = `{"of": "plugin", "check": "a/b", "about": "it is so", "state": "ok"}`

func TestAReportIsReadAgainWhenItIsAnother(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "doors")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(binary+VerifiedSuffix, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := &Catalogue{Dirs: []string{filepath.Dir(binary)}}
	if v, err := c.Verified(binary); v != nil || err != nil {
		t.Errorf("there is a report that nobody wrote: %+v, %v", v, err)
	}
	write(reportOf(`[` + oneOK + `, {"state": "not applicable"}, {"of": "source \"doors\"", "check": "c/d", "about": "x", "state": "failed", "text": "was\nseen", "fix": "do"}]`))
	for range 2 {
		v, err := c.Verified(binary)
		if err != nil || v.SHA256 != ofNobody || v.OK != 1 || v.Failed != 1 || v.NotApplicable != 1 || v.By != "0.1.0" || !v.At.Equal(time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)) {
			t.Fatalf("%+v, %v", v, err)
		}
		if want := (FailedCheck{`source "doors"`, "c/d", "x", "was\nseen", "do"}); len(v.Checks) != 1 || v.Checks[0] != want {
			t.Errorf("%+v", v.Checks)
		}
	}
	write(reportOf("[" + oneOK + "]"))
	if v, err := c.Verified(binary); err != nil || v.Failed != 0 {
		t.Errorf("%+v, %v", v, err)
	}
	if plugins, err := c.Plugins(t.Context()); err != nil || len(plugins) != 0 { // even if it may be executed
		t.Errorf("a report is taken for a plugin: %v, %v", plugins, err)
	}
	os.Remove(binary + VerifiedSuffix)
	if v, err := c.Verified(binary); v != nil || err != nil {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestWhatIsNoReportIsSaidWithoutItsWords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, text := range []string{
		"", "canary", `"canary"`, "[]", "{}", "null", `{"canary": `, reportOf("[]"), reportOf("null"), reportOf(`"canary"`), reportOf(`[{"state": "canary"}]`), reportOf(`["canary"]`),
		reportOf("[" + strings.Repeat(oneOK+",", maxChecks) + oneOK + "]"), reportOf("[" + strings.Repeat("[", 1<<19) + "]"), strings.Repeat(" ", maxReport) + reportOf("["+oneOK+"]"),
		strings.Replace(reportOf("["+oneOK+"]"), ofNobody, "canary", 1), strings.Replace(reportOf("["+oneOK+"]"), "2026-", "canary", 1), strings.Replace(reportOf("["+oneOK+"]"), "2026-", "0000-", 1),
	} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := ReadVerified(path); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%.100q: %+v, %v", text, v, err)
		}
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, dir, filepath.Join(dir, "nothing")} {
		if v, err := ReadVerified(path); err == nil {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

func FuzzVerified(f *testing.F) {
	f.Add([]byte(reportOf("[" + oneOK + "]")))
	f.Add([]byte(reportOf(`[{"of": "\u001b[2J", "check": "<script>", "about": "\u202e", "state": "failed", "text": "a\r\nb", "fix": "` + strings.Repeat("ü", maxText+1) + `"}]`)))
	f.Add([]byte(reportOf(`null, "results": [` + oneOK + `], "results": [[]]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseVerified(b)
		if err != nil {
			return
		}
		all := []string{v.Plugin, v.By, v.Kit, v.SHA256}
		for _, c := range v.Checks {
			all = append(all, c.Of, c.Check, c.About, c.Text, c.Fix)
		}
		if len(v.Checks) > maxFailed || len(v.Checks) > v.Failed || v.OK+v.Failed+v.NotApplicable > maxChecks || v.OK+v.Failed == 0 {
			t.Fatalf("%+v", v)
		}
		for _, s := range all {
			if n := utf8.RuneCountInString(s); n > maxText+1 || !utf8.ValidString(s) {
				t.Fatalf("%d characters: %q", n, s)
			}
			for _, r := range s {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Fatalf("%q holds %q", s, r)
				}
			}
		}
		if _, err := json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	})
}
