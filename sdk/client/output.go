package client

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"
)

// Entry is a line that a plugin logged or printed.
type Entry struct {
	Level     string // debug, info, warn, error
	Component string // address, if it is of one component
	Text      string
	Fields    map[string]any
}

const (
	maxLine   = 16 << 10 // longer lines are cut
	keepLines = 20
	logRate   = 200 // lines a second
	logBurst  = 1000
)

// output reads what a process prints: it passes the handshake on, turns the rest into log entries at a bounded rate, and
// keeps the last lines for the cause of death. Memory: keepLines × maxLine.
type output struct {
	log     func(Entry)
	printed func(stream, line string)
	clean   func(string) string
	reading sync.WaitGroup

	mu      sync.Mutex
	lines   []string
	tokens  float64
	at      time.Time
	dropped int
}

func newOutput(log func(Entry), printed func(stream, line string), clean func(string) string) *output {
	if printed == nil {
		printed = func(string, string) {}
	}
	if clean == nil {
		clean = func(text string) string { return text }
	}
	o := &output{log: log, printed: printed, clean: clean, tokens: logBurst, at: time.Now()}
	o.reading.Add(2)
	return o
}

// stdout passes the first line of the handshake's shape on; every other line is only logged.
func (o *output) stdout(r io.Reader, hello *io.PipeWriter) {
	defer o.reading.Done()
	greeted := false
	eachLine(r, func(line string) {
		o.printed("stdout", line)
		if parts := strings.Split(line, "|"); !greeted && len(parts) >= 5 && parts[0] == "1" {
			greeted = true
			// go on only with what we use: a certificate where none was asked for makes go-plugin panic
			io.WriteString(hello, strings.Join(parts[:5], "|")+"\n")
			return
		}
		o.entry(Entry{Level: "info", Text: line, Fields: map[string]any{"printed": "stdout"}})
	})
}

func (o *output) stderr(r io.Reader) {
	defer o.reading.Done()
	eachLine(r, func(line string) {
		o.printed("stderr", line)
		e, ok := parseEntry(line)
		if !ok {
			e = Entry{Level: "info", Text: line, Fields: map[string]any{"printed": "stderr"}}
		}
		o.keep(e, line, ok)
		o.entry(e)
	})
}

// keep remembers the line for the cause of death: all plain lines, and of log lines the bad ones.
func (o *output) keep(e Entry, line string, logged bool) {
	if logged {
		if e.Level != "error" && e.Level != "warn" {
			return
		}
		line = e.Text
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lines = append(o.lines, o.clean(line)); len(o.lines) > keepLines {
		o.lines = o.lines[1:]
	}
}

func (o *output) last() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.lines...)
}

// drained waits until both pipes are read to their end, or for a while.
func (o *output) drained(patience time.Duration) {
	done := make(chan struct{})
	go func() { o.reading.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

// cleaned is what a log may say of a value in JSON.
func (o *output) cleaned(value any) any {
	switch v := value.(type) {
	case string:
		return o.clean(v)
	case []any:
		for i := range v {
			v[i] = o.cleaned(v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for k, e := range v {
			clean[o.clean(k)] = o.cleaned(e)
		}
		return clean
	}
	return value
}

// entry logs within the rate.
func (o *output) entry(e Entry) {
	if o.log == nil {
		return
	}
	o.mu.Lock()
	now := time.Now()
	o.tokens = min(logBurst, o.tokens+now.Sub(o.at).Seconds()*logRate)
	o.at = now
	if o.tokens < 1 {
		o.dropped++
		o.mu.Unlock()
		return
	}
	o.tokens--
	e.Text, e.Component = o.clean(e.Text), o.clean(e.Component)
	e.Fields, _ = o.cleaned(e.Fields).(map[string]any)
	dropped := o.dropped
	o.dropped = 0
	o.mu.Unlock()
	if dropped > 0 {
		o.log(Entry{Level: "warn", Text: "the plugin logs too much: lines were left out", Fields: map[string]any{"lines": dropped}})
	}
	o.log(e)
}

// stray is where go-plugin writes what the plugin's own code prints with fmt.Print.
func (o *output) stray(stream string) io.Writer { return &strayWriter{o, stream} }

type strayWriter struct {
	o      *output
	stream string
}

func (w *strayWriter) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if len(line) > maxLine {
			line = line[:maxLine]
		}
		w.o.entry(Entry{Level: "info", Text: strings.TrimRight(line, "\r\n"), Fields: map[string]any{"printed": w.stream}})
	}
	return len(b), nil
}

// parseEntry reads a line in hclog's JSON.
func parseEntry(line string) (e Entry, ok bool) {
	if !strings.HasPrefix(line, "{") {
		return e, false
	}
	var m map[string]any
	if json.Unmarshal([]byte(line), &m) != nil {
		return e, false
	}
	e.Level, _ = m["@level"].(string)
	e.Text, _ = m["@message"].(string)
	e.Component, _ = m["component"].(string)
	for _, k := range []string{"@level", "@message", "@timestamp", "@module", "component"} {
		delete(m, k)
	}
	e.Fields = m
	return e, e.Level != "" && e.Text != ""
}

// eachLine calls visit for every line, cut to maxLine; a line without end costs no more memory than that.
func eachLine(r io.Reader, visit func(string)) {
	b := bufio.NewReaderSize(r, maxLine)
	for skipping := false; ; {
		line, err := b.ReadSlice('\n')
		if !skipping && len(line) > 0 {
			visit(strings.TrimRight(strings.ToValidUTF8(string(line), "�"), "\r\n"))
		}
		skipping = err == bufio.ErrBufferFull
		if err != nil && !skipping {
			return
		}
	}
}
