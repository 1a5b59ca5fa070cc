package verify

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/client"
)

// State is how a check ended.
type State string

// The states of a check.
const (
	OK            State = "ok"
	Failed        State = "failed"
	NotApplicable State = "not applicable"
)

// Result is one check of one thing: of the plugin, or of a type that it offers.
type Result struct {
	Of    string        `json:"of"`    // plugin, or a type: source "etcd"
	Check string        `json:"check"` // a fixed name, such as close/busy
	About string        `json:"about"` // what must hold
	State State         `json:"state"`
	Text  string        `json:"text,omitempty"` // what was seen, or why it does not apply
	Fix   string        `json:"fix,omitempty"`  // what to do
	Took  time.Duration `json:"took_ns"`
}

// Report is what a verification found.
type Report struct {
	Plugin  string        `json:"plugin"`
	Version string        `json:"version"`
	SDK     string        `json:"sdk,omitempty"`
	SHA256  string        `json:"sha256"`       // of the binary
	Kit     string        `json:"kit"`          // version of the checks
	By      string        `json:"by,omitempty"` // version of the magpie that made them; "": a test did
	At      time.Time     `json:"at"`
	Took    time.Duration `json:"took_ns"`
	Notes   []string      `json:"notes,omitempty"` // what was not checked, and why
	Results []Result      `json:"results"`
}

// Count is how many checks ended in a state.
func (r *Report) Count(s State) (n int) {
	for i := range r.Results {
		if r.Results[i].State == s {
			n++
		}
	}
	return n
}

// Summary is the report in a few words.
func (r *Report) Summary() string {
	text := fmt.Sprintf("%d ok", r.Count(OK))
	if n := r.Count(Failed); n > 0 {
		text += fmt.Sprintf(", %d failed", n)
	}
	if n := r.Count(NotApplicable); n > 0 {
		text += fmt.Sprintf(", %d not applicable", n)
	}
	return text
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     float64     `xml:"time,attr"`
	At       string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    float64       `xml:"time,attr"`
	Failure *junitMessage `xml:"failure,omitempty"`
	Skipped *junitMessage `xml:"skipped,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit is the report in the form that CI servers read.
func (r *Report) JUnit() ([]byte, error) {
	s := junitSuite{
		Name: "magpie plugin verify " + r.Plugin, Tests: len(r.Results), Failures: r.Count(Failed), Skipped: r.Count(NotApplicable),
		Time: r.Took.Seconds(), At: r.At.UTC().Format("2006-01-02T15:04:05"),
	}
	for _, x := range r.Results {
		c := junitCase{Class: x.Of, Name: x.Check + ": " + x.About, Time: x.Took.Seconds()}
		switch x.State {
		case Failed:
			c.Failure = &junitMessage{x.Text, x.Text + "\n" + x.Fix}
		case NotApplicable:
			c.Skipped = &junitMessage{Message: x.Text}
		}
		s.Cases = append(s.Cases, c)
	}
	b, err := xml.MarshalIndent(s, "", "  ")
	return append([]byte(xml.Header), append(b, '\n')...), err
}

// reportFile is where the report on a binary is kept.
func reportFile(dir, sha256 string) string {
	return filepath.Join(dir, "verify-"+sha256+".json")
}

// Save keeps the report in a directory under the binary's hash, where Load finds it.
func (r *Report) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return r.WriteFile(reportFile(dir, r.SHA256))
}

// longest is how much is written of what a check saw: the report stays below what is read of one.
const longest = 2000 // bytes

// WriteFile writes the report for all to read. Beside the binary, under its name with client.VerifiedSuffix, a daemon finds it.
func (r *Report) WriteFile(path string) error {
	short := *r
	short.Results = slices.Clone(r.Results)
	for i := range short.Results {
		x := &short.Results[i]
		x.Text, x.Fix = strings.ToValidUTF8(x.Text[:min(len(x.Text), longest)], ""), strings.ToValidUTF8(x.Fix[:min(len(x.Fix), longest)], "")
	}
	b, err := json.MarshalIndent(&short, "", "  ")
	if err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(temporary, append(b, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return nil
}

// Latest finds the report on the binary of a plugin's name that was verified last; nil: none was.
func Latest(dir, plugin string) (latest *client.Verified) {
	files, _ := filepath.Glob(reportFile(dir, "*"))
	for _, file := range files {
		if v, err := client.ReadVerified(file); err == nil && v.Plugin == plugin && (latest == nil || v.At.After(latest.At)) {
			latest = v
		}
	}
	return latest
}

// Load finds the report on the binary of a hash; nil: it was not verified.
func Load(dir, sha256 string) *client.Verified {
	v, err := client.ReadVerified(reportFile(dir, sha256))
	if err != nil || v.SHA256 != sha256 {
		return nil
	}
	return v
}
