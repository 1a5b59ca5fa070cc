package sdk

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Record is a line of a log, or an event if it has a name. It belongs to a series, whose labels say where it comes from:
// __name__, such as "log", and those that it is found by, such as filename. What differs from record to record is an
// attribute. The model is that of OpenTelemetry's log records.
type Record struct {
	Time       time.Time // zero: the batch's
	Level      Level     // how severe it is
	Name       string    // of an event, such as "process.restarted"; "": a line of a log
	Text       string    // at most 256 KiB
	Attributes Labels    // sorted; at most 256, of at most 64 KiB in all
}

// Level is how severe a record is: 1 to 24 as OpenTelemetry has them, 0 where it is not known.
type Level uint8

// The first level of each range.
const (
	Trace Level = 1
	Debug Level = 5
	Notes Level = 9 // info
	Warn  Level = 13
	Error Level = 17
	Fatal Level = 21
)

var levels = [...]string{"trace", "debug", "info", "warn", "error", "fatal"}

// String is the name of the level's range, "" where it is not known.
func (l Level) String() string {
	if l == 0 || int(l) > 4*len(levels) {
		return ""
	}
	return levels[(l-1)/4]
}

// ParseLevel understands the words that logs have for levels; 0 if it knows none.
func ParseLevel(word string) Level {
	switch strings.ToLower(word) {
	case "trace", "t", "verbose", "finest":
		return Trace
	case "debug", "d", "dbg", "fine":
		return Debug
	case "info", "i", "inf", "information", "informational", "notice", "n", "log":
		return Notes
	case "warn", "w", "wrn", "warning":
		return Warn
	case "error", "e", "err", "severe":
		return Error
	case "fatal", "f", "ftl", "crit", "critical", "c", "panic", "emerg", "emergency", "alert":
		return Fatal
	}
	return 0
}

// Bounds of a record.
const (
	maxRecordText       = 256 << 10
	maxRecordAttributes = 64 << 10
)

// RefRecord is a record of a series.
type RefRecord struct {
	Ref Ref // of the series
	Record
}

// Log adds a record to a series. Records count as samples do; they never go stale. A text that is too long is cut, what is no
// UTF-8 in it is replaced; a record whose attributes break the rules is counted as dropped under "invalid_record".
func (b *Batch) Log(ref Ref, r Record) {
	if ref >= badRef {
		b.refuse(ref)
		return
	}
	if len(r.Text) > maxRecordText {
		end := maxRecordText
		for end > 0 && !utf8.RuneStart(r.Text[end]) {
			end--
		}
		r.Text = r.Text[:end]
	}
	r.Text = strings.ToValidUTF8(r.Text, "�")
	if !r.valid() {
		b.scope.drop("invalid_record", 1)
		return
	}
	s := b.columns.signals()
	s.Records = append(s.Records, RefRecord{ref, r})
}

func (r *Record) valid() bool {
	return sortedWithin(r.Attributes, maxRecordAttributes) && len(r.Attributes) <= 256 && len(r.Name) <= 1<<10 && utf8.ValidString(r.Name) && r.Level <= 24
}

// sortedWithin reports whether labels are sorted, valid, and of at most so many bytes.
func sortedWithin(labels Labels, most int) bool {
	size := 0
	for i, l := range labels {
		size += len(l.Name) + len(l.Value)
		if i > 0 && labels[i-1].Name >= l.Name {
			return false
		}
	}
	return size <= most && labels.Valid()
}
