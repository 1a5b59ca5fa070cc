package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
)

// parser makes records of text.
type parser struct {
	json   bool
	starts *regexp.Regexp // nil: every line is a record
	level  *regexp.Regexp
}

// word is where a level is looked for: the word alone, as name=word, or in brackets.
var word = regexp.MustCompile(`(?i)\b(trace|debug|info|notice|warn(?:ing)?|err(?:or)?|fatal|crit(?:ical)?|panic|emerg)\b`)

const levelWithin = 160 // bytes at the beginning of a line that have its level

func newParser(cfg *SourceConfig) (p parser) {
	p.json, p.level = cfg.Format == "json", word
	if cfg.Starts != "" {
		p.starts = regexp.MustCompile(cfg.Starts) // checked by Validate
	}
	if cfg.Level != "" {
		p.level = regexp.MustCompile(cfg.Level)
	}
	return p
}

// record makes a record of its text. What is no JSON is a text, whatever the format.
func (p *parser) record(text []byte) sdk.Record {
	if p.json {
		if r, ok := fromJSON(text); ok {
			return r
		}
	}
	r := sdk.Record{Text: strings.ToValidUTF8(string(text), "�")}
	if first, _, _ := bytes.Cut(text, []byte(" ")); len(first) >= len("2006-01-02T15:04:05Z") && len(first) <= 40 && first[4] == '-' {
		if at, err := time.Parse(time.RFC3339Nano, string(first)); err == nil {
			r.Time = at
		}
	}
	where := text
	if p.level == word {
		where = text[:min(len(text), levelWithin)]
	}
	if m := p.level.FindSubmatch(where); m != nil {
		r.Level = sdk.ParseLevel(string(m[1]))
	}
	return r
}

// The names that loggers have for what a record has; the first that is there counts.
var (
	textKeys  = []string{"msg", "message", "log", "text", "event"}
	levelKeys = []string{"level", "severity", "lvl", "loglevel", "@level"}
	timeKeys  = []string{"time", "ts", "timestamp", "@timestamp", "t"}
)

const maxAttributes = 64 // of a record; others are left in none

func fromJSON(text []byte) (r sdk.Record, ok bool) {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil || m == nil {
		return r, false
	}
	take := func(keys []string, use func(string) bool) {
		for _, k := range keys {
			if v, there := m[k]; there && use(plain(v)) {
				delete(m, k)
				return
			}
		}
	}
	take(textKeys, func(v string) bool { r.Text = v; return true })
	take(levelKeys, func(v string) bool { r.Level = levelOf(v); return r.Level > 0 })
	take(timeKeys, func(v string) (ok bool) { r.Time, ok = timeOf(v); return ok })
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if len(r.Attributes) == maxAttributes {
			break
		}
		if value := plain(m[k]); k != "" && len(k) <= 200 && value != "" {
			r.Attributes = append(r.Attributes, sdk.Label{Name: strings.ToValidUTF8(k, "�"), Value: cutAt(strings.ToValidUTF8(value, "�"), 900)})
		}
	}
	slices.SortFunc(r.Attributes, func(a, b sdk.Label) int { return strings.Compare(a.Name, b.Name) })
	r.Attributes = slices.CompactFunc(r.Attributes, func(a, b sdk.Label) bool { return a.Name == b.Name })
	return r, true
}

// cutAt cuts a text at so many bytes: 64 attributes stay below what a record may have.
func cutAt(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// plain is a JSON value as text: a string without its quotes, anything else as it is written.
func plain(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// levelOf understands words, and the numbers of bunyan and pino: 10 trace to 60 fatal.
func levelOf(v string) sdk.Level {
	if n, err := strconv.Atoi(v); err == nil && n >= 10 && n <= 60 {
		return []sdk.Level{sdk.Trace, sdk.Debug, sdk.Notes, sdk.Warn, sdk.Error, sdk.Fatal}[n/10-1]
	}
	return sdk.ParseLevel(v)
}

// timeOf understands RFC 3339, and Unix times in seconds, milliseconds, microseconds or nanoseconds, told by their size.
func timeOf(v string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999"} {
		if at, err := time.Parse(layout, v); err == nil {
			return at, true
		}
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || n <= 0 || n > math.MaxInt64 {
		return time.Time{}, false
	}
	switch {
	case n < 1e11:
		return time.UnixMicro(int64(n * 1e6)), true
	case n < 1e14:
		return time.UnixMicro(int64(n * 1e3)), true
	case n < 1e17:
		return time.UnixMicro(int64(n)), true
	}
	return time.Unix(0, int64(n)), true
}
