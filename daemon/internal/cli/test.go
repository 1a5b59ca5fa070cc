package cli

import (
	"context"
	"encoding/xml"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/daemon/internal/engine"
)

const testHelp = `run the tests of the rules: test blocks, and promtool's test files unchanged

PATH is a configuration, whose test blocks are run, or a test file of promtool (*.yml, *.yaml). The rules are evaluated by the
daemon's own code, on a clock of their own, against the store plugin "tsdb", started in a temporary directory: no daemon needs
to run, and nothing is sent anywhere. What notifiers would be sent goes through the daemon's routes, groups and inhibitions, not silences;
-json and -junit tell all of it.
Native histograms in tests, start_timestamp and fuzzy_compare are refused.
It exits with 1 if a test fails. -junit FILE writes the results for CI too; -run REGEXP leaves out what does not match`

type testFlags struct{ junit, run string }

func testFlagsOf(f *flag.FlagSet, o *options) {
	f.StringVar(&o.test.run, "run", "", "run the tests only whose names this regular expression matches")
	f.StringVar(&o.test.junit, "junit", "", "write the results to this file as JUnit XML")
}

// testResult is what became of one test.
type testResult struct {
	Name     string    `json:"name"`
	Place    string    `json:"place"`
	Failures []failure `json:"failures,omitempty"`
	Seconds  float64   `json:"seconds"`

	Notifications []sentNotification `json:"notifications,omitempty"` // all that were sent, in their order
}

// failure is an expectation that was not met.
type failure struct {
	Place string `json:"place"`
	Text  string `json:"text"`
}

func test(ctx context.Context, o *options, _ []string) int {
	wanted, err := regexp.Compile(o.test.run)
	if err != nil {
		return o.fail(fmt.Errorf("-run: %w", err))
	}
	var cases []*ruleCase
	catalogue, err := o.catalogue()
	if err != nil {
		return o.fail(err)
	}
	defer os.RemoveAll(catalogue.Run)
	if ext := filepath.Ext(o.config); ext == ".yml" || ext == ".yaml" {
		if cases, err = readTestFile(ctx, catalogue, nil, o.config); err != nil {
			return o.fail(err)
		}
	} else {
		sources, err := o.read()
		if err != nil {
			return o.fail(err)
		}
		built, err := engine.Build(ctx, catalogue, sources, nil, true)
		if err != nil {
			return o.fail(err)
		}
		if o.report(built); built.Diags.HasErrors() {
			return exitErrors
		}
		if cases, err = casesOf(ctx, catalogue, built); err != nil {
			return o.fail(err)
		}
	}
	if len(cases) == 0 {
		return o.fail(fmt.Errorf("%s has no tests: write a block test, or give a test file of promtool", o.config))
	}
	all := len(cases)
	cases = slices.DeleteFunc(cases, func(c *ruleCase) bool { return !wanted.MatchString(c.name) })
	if len(cases) == 0 {
		return o.fail(fmt.Errorf("-run %s matches none of the %d tests", o.test.run, all))
	}
	store, err := startTestStore(ctx, catalogue)
	if err != nil {
		return o.fail(err)
	}
	defer store.stop()
	results := []testResult{}
	failed := 0
	for _, c := range cases {
		began := time.Now()
		r := testResult{Name: c.name, Place: c.place, Failures: c.run(ctx, store)}
		r.Seconds, r.Notifications = time.Since(began).Seconds(), c.sent
		if len(r.Failures) > 0 {
			failed++
		}
		results = append(results, r)
		if !o.json {
			o.printTest(r)
		}
	}
	if o.test.junit != "" {
		if err := writeJUnit(o.test.junit, results); err != nil {
			return o.fail(err)
		}
	}
	if o.json {
		o.writeJSON(results)
	} else {
		fmt.Fprintf(o.Out, "%s, %d failed.\n", count(len(results), "test"), failed)
	}
	if failed > 0 {
		return exitErrors
	}
	return exitOK
}

func (o *options) printTest(r testResult) {
	if len(r.Failures) == 0 {
		fmt.Fprintf(o.Out, "%s %s: %s\n", paint(o.Colour, green, "ok  "), r.Place, r.Name)
		return
	}
	fmt.Fprintf(o.Out, "%s %s: %s\n", paint(o.Colour, red, "FAIL"), r.Place, r.Name)
	for _, f := range r.Failures {
		fmt.Fprintf(o.Out, "     %s: %s\n", f.Place, strings.ReplaceAll(f.Text, "\n", "\n       "))
	}
}

// writeJUnit writes what CI systems read.
func writeJUnit(path string, results []testResult) error {
	type testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Seconds float64  `xml:"time,attr"`
		Failure []string `xml:"failure"`
		Out     string   `xml:"system-out,omitempty"`
	}
	suite := struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testcase `xml:"testcase"`
	}{Name: "magpie", Tests: len(results)}
	for _, r := range results {
		c := testcase{Name: r.Name, Class: r.Place, Seconds: r.Seconds}
		for _, f := range r.Failures {
			c.Failure = append(c.Failure, f.Place+": "+f.Text)
		}
		for _, n := range r.Notifications {
			c.Out += n.text(true) + "\n"
		}
		if len(c.Failure) > 0 {
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
	}
	b, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte(xml.Header), append(b, '\n')...), 0o644)
}
