package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

const (
	// keptRecords is how many records of the history are kept.
	keptRecords = 100
	// maxRecordText bounds the texts of a record: a plan may have thousands of steps.
	maxRecordText = 64 << 10
)

// Record is one apply. It is kept encrypted, as the configuration is that belongs to it: texts of diagnostics quote lines.
type Record struct {
	Number  uint64
	Time    time.Time
	Who     string // uid 1000, SIGHUP, start
	How     string // apply, reload, rollback to 3, start
	Outcome string // applied, failed, or what became of it later
	Applied bool
	Plan    string // as text; "" where there was none
	Problem string // why it failed
	Files   []string
	Sum     []byte // of the configuration, keyed: what is equal has the same
}

// History lists what is kept, the oldest first.
func (e *Engine) History() (all []Record, err error) {
	keys, err := e.state.Keys("history")
	for _, key := range keys {
		r, err := loadSealed[Record](e.state, "history", key)
		if err != nil {
			return nil, err
		}
		if r != nil {
			all = append(all, *r)
		}
	}
	return all, err
}

func recordKey(number uint64) string { return fmt.Sprintf("%012d", number) }

// sum tells configurations apart without keeping them.
func (e *Engine) sum(sources []language.Source) []byte {
	h := hmac.New(sha256.New, e.hmacKey)
	for _, s := range sources {
		fmt.Fprintf(h, "%q %d ", s.Name, len(s.Bytes))
		h.Write(s.Bytes)
	}
	return h.Sum(nil)
}

// filesSum is of the daemon's own files as they are now; nil where they cannot be read.
func (e *Engine) filesSum() []byte {
	sources, err := e.o.Read()
	if err != nil {
		return nil
	}
	return e.sum(sources)
}

// nextNumber is that of the next record.
func (e *Engine) nextNumber() uint64 {
	next := e.origin.Number + 1
	keys, _ := e.state.Keys("history")
	for _, key := range keys {
		if n, err := strconv.ParseUint(key, 10, 64); err == nil {
			next = max(next, n+1)
		}
	}
	return next
}

// keep writes a record, and the configuration if it was applied. What fails is logged: the apply itself stands.
func (e *Engine) keep(r Record, built *Built) {
	r.Plan, r.Problem = bounded(r.Plan), bounded(r.Problem)
	var err error
	if r.Applied {
		a := lastApplied{Time: r.Time, Sources: built.Sources, Number: r.Number, Files: e.filesSum()}
		r.Sum = e.sum(built.Sources)
		if err = saveSealed(e.state, "config", "applied", a); err == nil {
			err = saveSealed(e.state, "configurations", recordKey(r.Number), a)
		}
		e.mu.Lock()
		e.origin.Number = r.Number
		e.mu.Unlock()
	}
	if err == nil {
		err = saveSealed(e.state, "history", recordKey(r.Number), r)
	}
	if err == nil {
		err = e.forgetOld()
	}
	if err != nil {
		e.o.Log.Error("what was applied could not be kept for the next start and the history", "error", err)
	}
}

func bounded(text string) string {
	if len(text) <= maxRecordText {
		return text
	}
	return strings.ToValidUTF8(text[:maxRecordText], "") + fmt.Sprintf("\n… and %d bytes more\n", len(text)-maxRecordText)
}

// forgetOld deletes the oldest records and configurations, but for what runs and what may come back by itself.
func (e *Engine) forgetOld() error {
	needed := []string{recordKey(e.origin.Number)}
	if p := e.origin.Pending; p != nil {
		needed = append(needed, recordKey(p.Back))
	}
	for _, bucket := range []string{"history", "configurations"} {
		keys, err := e.state.Keys(bucket)
		if err != nil {
			return err
		}
		for len(keys) > keptRecords {
			if !slices.Contains(needed, keys[0]) {
				if err := e.state.Delete(bucket, keys[0]); err != nil {
					return err
				}
			}
			keys = keys[1:]
		}
	}
	return nil
}

// became notes what became of a record later.
func (e *Engine) became(number uint64, outcome string) {
	r, err := loadSealed[Record](e.state, "history", recordKey(number))
	if err == nil && r != nil {
		r.Outcome = outcome
		err = saveSealed(e.state, "history", recordKey(number), r)
	}
	if err != nil {
		e.o.Log.Error("the history could not be written", "error", err)
	}
}

// Kept finds the configuration of a record. Number 0 is the one that ran before and was another.
func (e *Engine) Kept(number uint64) (uint64, []language.Source, error) {
	if number == 0 {
		all, err := e.History()
		if err != nil {
			return 0, nil, err
		}
		e.mu.Lock()
		current := e.origin.Number
		e.mu.Unlock()
		var sum []byte
		for _, r := range slices.Backward(all) {
			if r.Number == current {
				sum = r.Sum
			}
			if r.Number < current && r.Applied && sum != nil && !hmac.Equal(r.Sum, sum) {
				number = r.Number
				break
			}
		}
		if number == 0 {
			return 0, nil, fmt.Errorf("there is no earlier configuration in the history that differs from what runs")
		}
	}
	a, err := loadSealed[lastApplied](e.state, "configurations", recordKey(number))
	if err == nil && a == nil {
		err = fmt.Errorf("no configuration %d is kept: magpie history lists what there is, and what was applied can be taken", number)
	}
	if err != nil {
		return 0, nil, err
	}
	return number, a.Sources, nil
}
