package language_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

func TestAMaskFindsASecretInEveryWriting(t *testing.T) {
	t.Parallel()
	const secret = "S3cret+\"word\"/<é>\\4711"
	m := &language.Mask{}
	if m.Clean(secret) != secret || m.Holds([]byte(secret)) {
		t.Error("a mask that knows no secret hides one")
	}
	m.Keep([]string{secret, "abc", "first line is long\nsecond line is long"})
	inJSON, _ := json.Marshal(map[string]string{"a": secret})
	for _, text := range []string{
		secret, string(inJSON), fmt.Sprintf("%q", secret), url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("me", secret).String(), hex.EncodeToString([]byte(secret)), fmt.Sprintf("%X", secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte("u:" + secret)), base64.RawStdEncoding.EncodeToString([]byte("user:" + secret + "!")),
		"first line is long", "  | second line is long", language.Quote(secret),
	} {
		text = "before " + text + " after"
		clean := m.Clean(text)
		if !m.Holds([]byte(text)) || !strings.Contains(clean, "(sensitive)") || !strings.HasPrefix(clean, "before ") || !strings.HasSuffix(clean, " after") || strings.Contains(clean, "4711") {
			t.Errorf("%s: %s", text, clean)
		}
	}
	for _, text := range []string{"abc", "", "S3cret", "a b c d e f"} {
		if m.Clean(text) != text {
			t.Errorf("%q is hidden: %q", text, m.Clean(text))
		}
	}
	if got := m.Clean(secret + secret + "x" + secret); got != "(sensitive)(sensitive)x(sensitive)" {
		t.Error(got)
	}
	var out bytes.Buffer
	if n, err := io.WriteString(m.Writer(&out), "say "+secret+"\n"); err != nil || n != len(secret)+5 || out.String() != "say (sensitive)\n" {
		t.Errorf("%d, %v, %q", n, err, &out)
	}
}

func TestAMaskKeepsTheSecretsThatAreInUse(t *testing.T) {
	t.Parallel()
	m := &language.Mask{}
	for i := range 100 {
		m.Keep([]string{"of-what-runs"})
		m.Keep([]string{fmt.Sprintf("rotated-%03d", i)})
	}
	for text, hidden := range map[string]bool{"of-what-runs": true, "rotated-099": true, "rotated-090": true, "rotated-001": false} {
		if m.Holds([]byte(text)) != hidden {
			t.Errorf("%s: hidden is %v", text, !hidden)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("secret", "a secret b")
	f.Add("aaaa", "aaaaaaaaab")
	f.Add("line one is long\nline two is long", "line two is long\xff")
	f.Fuzz(func(t *testing.T, secret, text string) {
		m := &language.Mask{}
		m.Keep([]string{secret})
		clean := m.Clean(text + secret + text)
		if len(secret) >= 4 && !strings.Contains("(sensitive)"+text+"(sensitive)", secret) && strings.Count(clean, secret) > 2*strings.Count(m.Clean(text), secret) {
			t.Errorf("%q is in %q", secret, clean)
		}
		if m.Holds([]byte(text)) != (m.Clean(text) != text) && !strings.Contains(text, "(sensitive)") {
			t.Errorf("%q: %v and %q", text, m.Holds([]byte(text)), m.Clean(text))
		}
	})
}

func TestAProgramGivesASecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if text, err := language.Ask(script("good", `echo "$1 and $2"`) + " one  two"); text != "one and two" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	for command, want := range map[string]string{
		"":                                "whole path",
		"pass show x":                     "whole path",
		filepath.Join(dir, "none"):        "does not start",
		script("silent", ""):              "printed nothing",
		script("bad", "echo out; exit 3"): "failed: exit status 3. What it says of that is not shown",
		script("much", "head -c 70000 /bin/sh; sleep 60"): "more than 64 KiB",
	} {
		text, err := language.Ask(command)
		if text != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v", command, text, err)
		}
	}
}
