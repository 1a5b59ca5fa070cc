package verify

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMain is also the main function of the plugins under test: what the program is follows from its name.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); !strings.HasSuffix(name, ".test") && !strings.HasPrefix(name, "verify") {
		be(name)
		return
	}
	os.Exit(m.Run())
}

// verified verifies one of these plugins, with only some of the checks.
func verified(t *testing.T, name string, patience float64, only ...string) *Report {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, binary); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, kind := range []string{"source", "sink", "store", "notifier", "processor", "discovery", "service"} {
		text.WriteString(kind + " \"defect\" \"verify\" {\n  url = env(\"VERIFY_URL\")\n  token = secret(\"env:TOKEN\")\n}\n")
	}
	text.WriteString("coordinator \"defect\" \"verify\" {\n  dir = env(\"VERIFY_DIR\")\n  token = secret(\"env:TOKEN\")\n}\n")
	r, err := Run(t.Context(), Options{Binary: binary, Example: &Example{"verify.hcl", []byte(text.String())}, Patience: patience, Only: only})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEachBrokenPluginIsCaughtByTheCheckThatShould(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup
	limit := make(chan struct{}, 6) // they wait more than they work
	for _, c := range []struct {
		name string
		want string   // the check that fails
		with []string // others that must be made for it
	}{
		{"start-says-junk", "start/handshake", nil},
		{"start-other-contract", "start/handshake", nil},
		{"start-dies", "start/handshake", nil},
		{"start-by-hand-hangs", "start/by-hand", nil},
		{"raw-dies-of-interrupt", "start/interrupt", nil},
		{"raw-speaks-everything", "start/later-daemon", nil},
		{"raw-speaks-everything", "start/too-late-daemon", nil},
		{"start-waits-for-its-protocol", "start/too-late-daemon", nil},
		{"exit-code", "end/shutdown", nil},

		{"raw-random-description", "describe/same", nil},
		{"raw-no-version", "describe/version", nil},
		{"raw-bad-metric", "describe/metrics", nil},
		{"raw-undocumented", "schema/documented", nil},
		{"raw-core-attribute", "schema/core", nil},
		{"raw-bad-default", "schema/defaults", nil},
		{"raw-bad-check", "schema/types", nil},
		{"raw-bad-type", "schema/types", nil},
		{"raw-live", "schema/changes", nil},
		{"raw-open-secret", "schema/secrets", nil},
		{"raw-twice", "schema/names", nil},
		{"raw-bad-path", "validate/paths", nil},
		{"raw-takes-anything", "validate/wrong-type", nil},
		{"validate-opens-files", "validate/traces", nil},

		{"open-hangs", "open/example", nil},
		{"open-panics", "said/panics", nil},
		{"close-hangs", "close/in-time", nil},
		{"collect-ignores-cancel", "close/busy", nil},
		{"global-state", "beside/two", nil},
		{"raw-health-asks", "health/listed", nil},
		{"huge-answer", "health/listed", nil},
		{"child-in-session", "process/children", nil},
		{"child-left", "process/children", nil},
		{"lock-left", "process/killed", nil},
		{"goroutine-leak", "leak/goroutines", nil},
		{"fd-leak", "leak/resources", nil},
		{"memory-leak", "leak/resources", nil},
		{"file-leak", "leak/resources", nil},

		{"secret-on-stdout", "said/secrets", nil},
		{"secret-on-stderr", "said/secrets", nil},
		{"secret-in-log", "said/secrets", nil},
		{"secret-in-status", "said/secrets", []string{"health/"}},
		{"secret-in-label", "said/secrets", []string{"source/format"}},
		{"secret-in-error", "said/secrets", []string{"notify/delivers"}},
		{"junk-on-stdout", "said/stdout", nil},

		{"collect-hangs", "source/timeout", nil},
		{"collect-panics", "said/panics", []string{"source/blame"}},
		{"collect-exits", "open/example|source/collects", nil},
		{"plain-error", "source/blame", nil},
		{"label-count", "source/blame", nil},
		{"invalid-utf8", "source/dropped", nil},
		{"nan-name", "source/names", nil},
		{"twice", "source/once", nil},
		{"future", "source/times", nil},
		{"undeclared-label", "source/declared", nil},

		{"raw-loses", "sink/acknowledges", nil},
		{"raw-acks-twice", "sink/acknowledges", nil},
		{"raw-acks-ahead", "sink/acknowledges", nil},
		{"sink-sends-nothing", "sink/delivers", nil},
		{"sink-sends-late", "sink/delivers", nil},
		{"sink-gives-up", "sink/transient", nil},
		{"sink-fails-for-good", "sink/transient", nil},
		{"sink-keeps-batches", "sink/memory", nil},
		{"sink-panics-at-odd", "said/panics", []string{"sink/odd"}},
		{"sink-ignores-cancel", "close/busy", nil},
		{"store-mistakes", "store/mistakes", nil},
		{"map-at-random", "map/same", nil},
		{"map-nameless", "map/valid", nil},
		{"notify-swallows", "notify/failing", nil},
		{"notify-panics", "said/panics", []string{"notify/odd"}},
		{"discover-nothing", "discover/lists", nil},
		{"discover-for-ever", "leak/goroutines", nil},
		{"run-ends", "service/runs", nil},

		{"lease-of-two", "lease/one", nil},
		{"lease-fence-falls", "lease/fence", nil},
		{"lease-no-fence", "lease/held", nil},
		{"lease-too-long", "lease/held", nil},
		{"lease-not-renewed", "lease/renewed", nil},
		{"lease-kept", "lease/released", nil},
		{"lease-ignores-cancel", "lease/cancelled", nil},
		{"lease-for-ever", "lease/killed", nil},
		{"raw-lease-lies", "lease/stopped", nil},
		{"members-alone", "members/lists", nil},
		{"members-for-ever", "members/leave", nil},
	} {
		limit <- struct{}{}
		running.Go(func() {
			defer func() { <-limit }()
			wants := strings.Split(c.want, "|") // one of them: it depends on when a death is noticed
			r := verified(t, c.name, 0.5, append(c.with, wants...)...)
			t.Logf("%s, in %s", c.name, r.Took)
			var failed []string
			for _, x := range r.Results {
				if x.State == Failed {
					failed = append(failed, x.Check)
					t.Logf("%s: %s\n%s", x.Check, x.Text, x.Fix)
				}
				if x.State == Failed && (x.Text == "" || x.Fix == "") {
					t.Errorf("%s says neither what is wrong nor what to do", x.Check)
				}
			}
			if !slices.ContainsFunc(failed, func(name string) bool {
				return slices.ContainsFunc(wants, func(want string) bool { return strings.HasPrefix(name, want) })
			}) {
				t.Errorf("%s: %s finds nothing; these do: %q", c.name, c.want, failed)
				for _, x := range r.Results {
					t.Logf("%s %s %s %s", x.Of, x.Check, x.State, x.Text)
				}
			}
		})
	}
	running.Wait()
}

func TestAHealthyPluginOfEachKindPasses(t *testing.T) {
	for _, kind := range []string{"source", "sink", "notify", "map", "discover", "run", "lease"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := verified(t, kind+"-healthy", 10)
			for _, x := range r.Results {
				if x.State == Failed {
					t.Errorf("%s: %s", x.Check, x.Text)
				}
			}
			if n := r.Count(OK); n < 50 {
				t.Errorf("only %d checks apply", n)
			}
		})
	}
}

func TestThereAreAtLeastFiftyChecksEachWithWhatToDo(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Listed() {
		if names[c[0]] || c[1] == "" || len(c[1]) > 100 {
			t.Errorf("the check %q is there twice, or says too little or too much: %q", c[0], c[1])
		}
		names[c[0]] = true
	}
	if len(names) < 50 {
		t.Errorf("there are %d", len(names))
	}
	t.Logf("%d checks", len(names))
}

func TestAReportIsJUnitAndFoundAgainByTheHash(t *testing.T) {
	t.Parallel()
	r := verified(t, "future", 1, "source/times", "map/", "describe/name")
	b, err := r.JUnit()
	if err != nil {
		t.Fatal(err)
	}
	var suite junitSuite
	if err := xml.Unmarshal(b, &suite); err != nil || suite.Failures != 1 || suite.Tests != len(r.Results) {
		t.Errorf("%v %+v", err, suite)
	}
	dir := t.TempDir()
	if err := r.Save(dir); err != nil {
		t.Fatal(err)
	}
	if again := Load(dir, r.SHA256); again == nil || again.OK != r.Count(OK) || again.Failed != 1 || again.NotApplicable != r.Count(NotApplicable) || again.Checks[0].Fix == "" {
		t.Errorf("saved %q, found %+v", r.Summary(), again)
	}
	if Load(dir, strings.Repeat("0", 64)) != nil {
		t.Error("there is a report on a binary that nobody verified")
	}
}

// On a machine that is ten times too busy, a good plugin takes ten times as long to end.
func TestThePatienceOfAVerificationIsAlsoThatOfTheEnd(t *testing.T) {
	t.Parallel()
	if r := verified(t, "ends-slowly", 10, "end/"); r.Count(Failed) > 0 || r.Count(OK) == 0 {
		t.Errorf("%+v", r.Results)
	}
}

func TestWithoutAnExampleItSaysWhatWasNotChecked(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "needs-example")
	if err := os.Symlink(self, binary); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Options{Binary: binary, Only: []string{"open/", "schema/core"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Count(Failed) > 0 || len(r.Notes) != 0 { // it requires nothing: an empty block opens it
		t.Errorf("%s %q", r.Summary(), r.Notes)
	}
}
