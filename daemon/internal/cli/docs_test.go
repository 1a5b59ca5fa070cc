package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/client"
	"github.com/magpie-monitoring/magpie/sdk/language"
)

// doors is what a plugin says that nobody of this house has written: all sorts of attributes, no example.
var doors = client.Description{Name: "doors", Version: "2.0", Types: []sdk.Type{{
	Kind: sdk.KindSource, Name: "doors", Doc: "Watches doors.", Live: true, Probes: true,
	Config: sdk.Schema{
		Attributes: []sdk.Attribute{
			{Name: "doors", Type: "list(string)", Required: true, Doc: "Doors to watch.", Was: "gates", Change: sdk.Live},
			{Name: "lock", Type: "string", Doc: "A file that only one may hold.", Change: sdk.Exclusive},
			{Name: "code", Type: "string", Sensitive: true, Doc: "The code of the house; a long sentence that is broken where the terminal ends, whatever that may be.", Change: sdk.Replace, Deprecated: "doors have none now"},
		},
		Blocks: []sdk.Block{{Name: "key", Labels: []string{"owner"}, Required: true, Was: "keys", Doc: "A key.", Body: sdk.Schema{Attributes: []sdk.Attribute{
			{Name: "teeth", Type: "number", Unit: sdk.IntegerUnit, HasDefault: true, Default: "5", Checks: []string{"min=1", "max=9"}, Doc: "Of the key."},
		}}}},
	},
}}, Metrics: []sdk.Metric{{Family: sdk.Family{Name: "door_open", Type: sdk.GaugeType, Help: "1 if it is open."}, LabelNames: []string{"door"}}}}

const manualOfDoors = `source "doors" "NAME"
  plugin doors 2.0

  Watches doors.

  - The label job is the block's name unless the block
    says otherwise.
  - magpie check -online asks whether what it needs is
    there.
  - A change of an attribute marked live is taken while it
    runs.
  - Any other change closes it before its successor opens,
    with a gap: two of them cannot hold what is marked
    exclusive.

attributes of source "doors"
         takes          default   change
  doors  list(string)   required  live
      Doors to watch. Was called gates.
  lock   string                   exclusive
      A file that only one may hold.
  code   secret string            replace
      The code of the house; a long sentence that is
      broken where the terminal ends, whatever that may
      be. Deprecated: doors have none now

key "OWNER", exactly one
  A key. Was called keys.
         takes            default  change
  teeth  integer, 1 to 9  5        replace
      Of the key.
`

const exampleOfDoors = `example
  source "doors" "main" {
    doors = … # list(string)
    key "OWNER" {}
  }

metrics
  door_open  gauge door
      1 if it is open.
`

// doorsPlugin makes a plugin directory with a program that cannot be started, and was described before.
func doorsPlugin(t *testing.T) string {
	t.Helper()
	plugins, cache := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	program := []byte("#!/bin/sh\nexit 1\n")
	sum := sha256.Sum256(program)
	described, err := json.Marshal(doors)
	if err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(cache, "magpie", "schemas", "describe-3-"+hex.EncodeToString(sum[:])+".json")
	os.MkdirAll(filepath.Dir(known), 0o700)
	for path, text := range map[string][]byte{filepath.Join(plugins, "doors"): program, known: described} {
		if err := os.WriteFile(path, text, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return plugins
}

// A plugin that was described once is not started again: this one cannot be.
func TestDocsComeFromWhatIsKnownOfAPlugin(t *testing.T) {
	t.Setenv("COLUMNS", "58")
	plugins := doorsPlugin(t)
	run := func(colour bool, args ...string) (string, int) {
		var out bytes.Buffer
		code := Main(append(append([]string{"docs"}, args...), "-plugin-dir", plugins), IO{Out: &out, Err: &out, Colour: colour})
		return out.String(), code
	}
	for _, what := range []string{"source.doors", "doors"} {
		got, code := run(false, what)
		if code != 0 || !strings.HasPrefix(got, manualOfDoors) || !strings.HasSuffix(got, exampleOfDoors) || !strings.Contains(got, "\nattributes of every source\n") {
			t.Errorf("docs %s: exit %d\n%s", what, code, got)
		}
		for line := range strings.Lines(got) {
			if len([]rune(line)) > 59 && !strings.Contains(line, "  ") && !strings.HasPrefix(line, "  - ") {
				t.Errorf("wider than the terminal: %q", line)
			}
		}
	}
	if got, _ := run(true, "doors"); !strings.Contains(got, "\x1b[1mdoors\x1b[0m  list(string)   \x1b[33mrequired\x1b[0m  live\n") {
		t.Errorf("on a terminal:\n%q", got)
	}
	if got, code := run(false, "source.dors"); code != exitErrors || !strings.Contains(got, `Did you mean "source.doors"?`) {
		t.Errorf("exit %d: %s", code, got)
	}
	var pages []docPage
	if got, _ := run(false, "doors", "-json"); json.Unmarshal([]byte(got), &pages) != nil || len(pages) != 1 || len(pages[0].Sections) != 2 || pages[0].Sections[1].Title != `key "OWNER"` || pages[0].Core == nil {
		t.Errorf("as JSON:\n%s", got)
	}
	if got, code := run(false, "source"); code != 0 || !strings.Contains(got, "  source.doors  Watches doors.\n") || !strings.Contains(got, "limit_series") {
		t.Errorf("the kind: exit %d\n%s", code, got)
	}
}

// The blocks of the language have their manuals, with examples that are right, and end where a block holds itself.
func TestEveryBlockOfTheLanguageHasAManual(t *testing.T) {
	for _, m := range language.Manuals() {
		var out bytes.Buffer
		if code := Main([]string{"docs", m.Name, "-plugin-dir", t.TempDir()}, IO{Out: &out, Err: &out}); code != 0 || !strings.Contains(out.String(), "\nexample\n") {
			t.Errorf("%s: exit %d\n%s", m.Name, code, out.String())
		}
	}
}

func TestThePartOfAnExampleThatIsOfATypeIsShown(t *testing.T) {
	x := sdk.Type{Kind: sdk.KindSink, Name: "a", Example: "# both\nsink \"b\" \"x\" {}\n\n# this\n# one\nsink \"a\" \"x\" {\n  b = 1 # c\n}\nsink \"a\" \"y\" {}\n"}
	if got, want := exampleOf(x), "# this\n# one\nsink \"a\" \"x\" {\n  b = 1 # c\n}\n\nsink \"a\" \"y\" {}"; got != want {
		t.Errorf("%s", got)
	}
	x.Example = "sink {"
	if got := exampleOf(x); got != `sink "a" "main" {}` {
		t.Errorf("%s", got)
	}
}
