package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// VerifiedSuffix makes of a binary's name that of the file beside it which says what magpie plugin verify found: so the report goes
// where the binary goes, to another user and another machine.
const VerifiedSuffix = ".verify.json"

// A report comes from elsewhere: no more is read of it, and no more is kept of what failed.
const (
	maxReport = 1 << 20 // bytes of the file: one of seventy checks of one type has 20,000
	maxChecks = 2000    // results in it
	maxFailed = 20      // of which it is kept what failed and what to do
	maxWords  = 100     // characters of a name or a version
	maxText   = 600     // characters of what was seen, or of what to do
)

// Verified is what a report says of a binary.
type Verified struct {
	SHA256        string        `json:"sha256"` // of the binary that was verified: of another one it says nothing
	Plugin        string        `json:"plugin"`
	At            time.Time     `json:"at"`
	By            string        `json:"by,omitempty"` // version of magpie
	Kit           string        `json:"kit"`          // version of the checks
	OK            int           `json:"ok"`
	Failed        int           `json:"failed"`
	NotApplicable int           `json:"not_applicable"`
	Checks        []FailedCheck `json:"checks,omitempty"` // the first of those that failed
}

// FailedCheck is a check that failed.
type FailedCheck struct {
	Of    string `json:"of"`    // the plugin, or a type: source "etcd"
	Check string `json:"check"` // its name
	About string `json:"about"` // what must hold
	Text  string `json:"text"`  // what was seen
	Fix   string `json:"fix"`   // what to do
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ReadVerified reads a report. What it returns is printable, whatever was in the file, and bounded.
func ReadVerified(path string) (*Verified, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO is not waited for
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxReport+1))
	if err != nil {
		return nil, err
	}
	v, err := parseVerified(b)
	if err != nil {
		return nil, fmt.Errorf("%s is no report of magpie plugin verify: %w", path, err)
	}
	return v, nil
}

// parseVerified reads a report; no error repeats a word of what may be another's file.
func parseVerified(b []byte) (*Verified, error) {
	if len(b) > maxReport {
		return nil, fmt.Errorf("it has more than %d bytes", maxReport)
	}
	var r struct {
		Plugin  string    `json:"plugin"`
		SHA256  string    `json:"sha256"`
		Kit     string    `json:"kit"`
		By      string    `json:"by"`
		At      time.Time `json:"at"`
		Results checked   `json:"results"`
	}
	if json.Unmarshal(b, &r) != nil {
		return nil, errors.New("its JSON is another")
	}
	if r.Results.wrong != nil {
		return nil, r.Results.wrong
	}
	if !sha256Hex.MatchString(r.SHA256) || r.At.Unix() <= 0 {
		return nil, errors.New("it does not say of which binary it is, and of when")
	}
	v := r.Results.Verified
	v.SHA256, v.At, v.Plugin, v.By, v.Kit = r.SHA256, r.At, words(r.Plugin, maxWords), words(r.By, maxWords), words(r.Kit, maxWords)
	if v.OK+v.Failed == 0 {
		return nil, errors.New("it has no results")
	}
	return &v, nil
}

// checked counts results as they are read, so that a file of nothing but brackets takes no memory.
type checked struct {
	Verified
	wrong error // UnmarshalJSON's own errors would be told with words of the file
}

func (c *checked) UnmarshalJSON(b []byte) error {
	*c = checked{}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		c.wrong = errors.New("its results are no list")
		return nil
	}
	for n := 0; d.More(); n++ {
		var x struct {
			FailedCheck
			State string `json:"state"`
		}
		if d.Decode(&x) != nil || n >= maxChecks {
			c.wrong = fmt.Errorf("result %d is none, or one too many", n+1)
			return nil
		}
		switch x.State {
		case "ok":
			c.OK++
		case "not applicable":
			c.NotApplicable++
		case "failed":
			if c.Failed++; len(c.Checks) < maxFailed {
				c.Checks = append(c.Checks, FailedCheck{
					Of: words(x.Of, maxWords), Check: words(x.Check, maxWords), About: words(x.About, 2*maxWords), Text: words(x.Text, maxText), Fix: words(x.Fix, maxText),
				})
			}
		default:
			c.wrong = fmt.Errorf("result %d has no state that there is", n+1)
			return nil
		}
	}
	return nil
}

// words are a text of at most so many characters that does nothing to a terminal or a page; its lines stay.
func words(s string, most int) string {
	var out strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			return out.String() + "…"
		}
		if r != '\n' && !unicode.IsPrint(r) {
			r = ' '
		}
		out.WriteRune(r)
	}
	return strings.TrimSpace(out.String())
}

// reported is a report as it was read last, or why it could not be.
type reported struct {
	identity string
	verified *Verified
	err      error
}

// Verified is what the report beside a binary says; nil: there is none. It is read again when it is another file.
func (c *Catalogue) Verified(binary string) (*Verified, error) {
	path := binary + VerifiedSuffix
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	identity, changed := identify(info)
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.reports[path]
	if !ok || known.identity != identity {
		known = reported{identity: identity}
		known.verified, known.err = ReadVerified(path)
		if c.reports == nil {
			c.reports = map[string]reported{}
		}
		if time.Since(changed) > settled {
			c.reports[path] = known
		}
	}
	return known.verified, known.err
}
