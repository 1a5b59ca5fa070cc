package sdk

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a diagnosis, so that it fits in a message and in a page: what goes beyond them is cut, and said.
const (
	maxFindings  = 100
	maxEvidence  = 100       // of a finding, and steps
	maxChecks    = 500       // of a diagnosis
	maxReported  = 4 << 10   // bytes of a text
	maxDiagnosis = 256 << 10 // bytes of all texts
)

// Severity says how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Critical Severity = "critical" // it does not do its work, or may lose data
	Warning  Severity = "warning"  // it will not for long, or does it badly
	Info     Severity = "info"     // worth knowing
)

var severities = []Severity{Critical, Warning, Info}

// Question is what a diagnoser is asked.
type Question struct {
	Alert *Alert `json:"alert,omitempty"` // that made the daemon ask; nil: a person does
}

// Finding is one thing that is wrong, with what shows it and what to do about it.
type Finding struct {
	Severity Severity   `json:"severity"`           // Info if it is none of these
	Title    string     `json:"title"`              // what is wrong, in a line
	Text     string     `json:"text,omitempty"`     // why, and what follows from it
	Evidence []Evidence `json:"evidence,omitempty"` // what shows it
	Next     []NextStep `json:"next,omitempty"`     // in order
}

// Evidence is what was seen.
type Evidence struct {
	Time  time.Time `json:"time"`            // zero: when it was added
	Where string    `json:"where,omitempty"` // such as the member that it was seen at
	What  string    `json:"what"`            // such as "database size"
	Value string    `json:"value,omitempty"` // such as "2.1 GiB of 2 GiB"
}

// NextStep is something that a person may do now.
type NextStep struct {
	Text    string `json:"text"`              // what to do, a sentence
	Command string `json:"command,omitempty"` // to be copied into a shell
	Changes bool   `json:"changes,omitempty"` // it changes something: not only a look
}

// Check is something that a diagnoser looked at, whatever came of it.
type Check struct {
	Name    string `json:"name"`              // what was looked at
	Outcome string `json:"outcome,omitempty"` // in a few words
	Trouble string `json:"trouble,omitempty"` // why it could not be looked at; nothing is known of it then
}

// Diagnosis is what a diagnoser found.
type Diagnosis struct {
	Address  string    `json:"address"`           // of the diagnoser
	Question Question  `json:"question"`          // what was asked
	Started  time.Time `json:"started"`           // when it began
	Ended    time.Time `json:"ended"`             // when it was done
	Findings []Finding `json:"findings"`          // the worst first
	Checks   []Check   `json:"checks"`            // in order
	Problem  string    `json:"problem,omitempty"` // why it is not complete
	Cut      int       `json:"cut,omitempty"`     // findings, checks and evidence beyond the bounds
}

// Worst is the severity of the worst finding, "" if there is none.
func (d *Diagnosis) Worst() Severity {
	if len(d.Findings) == 0 {
		return ""
	}
	return d.Findings[0].Severity
}

// Report is what a diagnoser writes into, while it works. It is safe for use by several goroutines.
type Report struct {
	say func(string)

	mu        sync.Mutex
	diagnosis Diagnosis
	size      int
}

// NewReport begins a report for a diagnoser at an address. progress is told what it does; nil: nobody listens.
func NewReport(address string, q Question, progress func(string)) *Report {
	return &Report{say: progress, diagnosis: Diagnosis{Address: address, Question: q, Started: time.Now(), Findings: []Finding{}, Checks: []Check{}}}
}

// Progress says what is being done now, for the person who waits.
func (r *Report) Progress(text string) {
	if r.say != nil {
		r.say(cut(text))
	}
}

// Find adds a finding.
func (r *Report) Find(f Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &r.diagnosis
	if len(d.Findings) == maxFindings {
		d.Cut++
		return
	}
	if !slices.Contains(severities, f.Severity) {
		f.Severity = Info
	}
	if !r.cut(&f.Title, &f.Text) {
		return
	}
	evidence, next := f.Evidence, f.Next
	f.Evidence, f.Next = nil, nil
	for _, e := range evidence {
		if len(f.Evidence) == maxEvidence {
			d.Cut++
		} else if r.cut(&e.Where, &e.What, &e.Value) {
			if e.Time.IsZero() {
				e.Time = time.Now()
			}
			f.Evidence = append(f.Evidence, e)
		}
	}
	for _, n := range next {
		if len(f.Next) == maxEvidence {
			d.Cut++
		} else if r.cut(&n.Text, &n.Command) {
			f.Next = append(f.Next, n)
		}
	}
	d.Findings = append(d.Findings, f)
}

// Checked notes something that was looked at: what came of it, or the error because of which nothing is known of it.
func (r *Report) Checked(name, outcome string, err error) {
	c := Check{Name: name, Outcome: outcome}
	if err != nil {
		c.Trouble = AsProblem(err).Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.diagnosis.Checks) == maxChecks {
		r.diagnosis.Cut++
	} else if r.cut(&c.Name, &c.Outcome, &c.Trouble) {
		r.diagnosis.Checks = append(r.diagnosis.Checks, c)
	}
}

// End ends the report: err is what the diagnoser returned. What was found so far counts in any case.
func (r *Report) End(err error) *Diagnosis {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.diagnosis
	d.Ended = time.Now()
	if err != nil {
		d.Problem = cut(AsProblem(err).Error())
	}
	d.Findings, d.Checks = slices.Clone(d.Findings), slices.Clone(d.Checks)
	slices.SortStableFunc(d.Findings, func(a, b Finding) int {
		return cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity))
	})
	return &d
}

// cut cuts texts to what one may have. If all together have too much already, it reports that these are left out.
func (r *Report) cut(texts ...*string) bool {
	if r.size > maxDiagnosis {
		r.diagnosis.Cut++
		return false
	}
	for _, s := range texts {
		*s = cut(*s)
		r.size += len(*s)
	}
	return true
}

func cut(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxReported {
		return s
	}
	end := maxReported
	for end > 0 && s[end]&0xC0 == 0x80 { // not within a letter
		end--
	}
	return s[:end] + " […]"
}
