package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/magpie-monitoring/magpie/sdk"
)

// LogConfig is the block log: that of the member on this machine.
type LogConfig struct {
	Path   string `hcl:"path" doc:"File that the member on this machine logs to (etcd's --log-outputs). It is followed through rotation, whether it is renamed or emptied."`
	Member string `hcl:"member" doc:"Whose log it is: the member's name, or the host:port of its client URL, by which it is known while no member answers, too."`
}

// of reports whether it is the log of a member.
func (c *LogConfig) of(m *member) bool {
	return c != nil && (c.Member == m.instance || m.name != "" && c.Member == m.name)
}

// logPatterns are what etcd says of itself in its log and on no page, in the words of 3.4 to 3.7; logs of 3.4 have others without zap.
var logPatterns = []struct {
	name  string
	texts []string
}{
	{"crc mismatch", []string{"crc mismatch"}},
	{"failed to list data directory", []string{"failed to list data directory", "cannot access data directory"}},
	{"slow fdatasync", []string{"slow fdatasync", "sync duration of"}},
	{"lost leader", []string{"lost leader"}},
	{"apply request took too long", []string{"apply request took too long", "took too long ("}},
}

// patternOf is the index of the pattern that a line has, -1 for none.
func patternOf(line []byte) int {
	for i, p := range logPatterns {
		for _, text := range p.texts {
			if bytes.Contains(line, []byte(text)) {
				return i
			}
		}
	}
	return -1
}

// Bounds: of a log as much as this is read in one cycle, the rest in those that follow; of a longer line only its beginning counts.
const (
	maxLogRead = 4 << 20
	maxLogLine = 64 << 10
)

var logLines = sdk.Counter("etcd_log_pattern_total", "Lines of the member's log that have the pattern, since this source began to follow it.", "pattern")

// followed is a log that is read as it grows. What was in it before is not counted.
type followed struct {
	path   string
	mu     sync.Mutex
	file   *os.File
	at     int64
	begun  bool // it was open, or not there, before: what is new from now on counts from its start
	line   []byte
	counts []float64
}

func follow(c *LogConfig) *followed {
	if c == nil {
		return nil
	}
	return &followed{path: c.Path, counts: make([]float64, len(logPatterns))}
}

// read counts what was written since the last time.
func (l *followed) read() error {
	room := maxLogRead
	for {
		if l.file == nil {
			if err := l.open(); err != nil {
				return err
			}
		}
		buffer := make([]byte, 64<<10)
		for room > 0 {
			n, err := l.file.ReadAt(buffer, l.at)
			l.at, room = l.at+int64(n), room-n
			l.take(buffer[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
		if room <= 0 || !l.rotated() {
			return nil
		}
	}
}

func (l *followed) open() error {
	f, size, err := openLog(l.path)
	if err != nil {
		l.begun = l.begun || errors.Is(err, fs.ErrNotExist)
		return err
	}
	l.file, l.at, l.line = f, 0, l.line[:0]
	if !l.begun {
		l.at, l.begun = size, true
	}
	return nil
}

// openLog opens a file for reading; what is none does not hold us up.
func openLog(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// rotated reports whether there is another file by now, or the same from its start. The old one has been read to its end.
func (l *followed) rotated() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	if mine.Size() < l.at {
		l.at, l.line = 0, l.line[:0]
		return true
	}
	if now, err := os.Stat(l.path); err != nil || os.SameFile(mine, now) {
		return false // renamed, and the new one is not there yet: the old one may still be written
	}
	l.close()
	return true
}

// take cuts lines.
func (l *followed) take(text []byte) {
	for len(text) > 0 {
		part, rest, whole := bytes.Cut(text, []byte("\n"))
		l.line = append(l.line, part[:min(len(part), maxLogLine-len(l.line))]...)
		if text = rest; !whole {
			return
		}
		if i := patternOf(l.line); i >= 0 {
			l.counts[i]++
		}
		l.line = l.line[:0]
	}
}

func (l *followed) close() {
	if l != nil && l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// set reads on and writes the counts.
func (l *followed) set(t *sdk.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.read()
	for i, p := range logPatterns {
		t.Set(logLines, l.counts[i], p.name)
	}
	return err
}

// A diagnosis looks at the end of the log only, and shows as many lines of each pattern.
const (
	maxLogTail  = 256 << 10
	maxLogShown = 3
)

// logs looks at what the member on this machine said of itself last.
func (x *exam) logs(context.Context) {
	if x.Log == nil {
		return
	}
	tail, err := tailOf(x.Log.Path)
	if err != nil {
		x.report.Checked("log "+x.Log.Path, "", err)
		return
	}
	found := make([][]string, len(logPatterns))
	for line := range bytes.Lines(tail) {
		if i := patternOf(line); i >= 0 {
			found[i] = append(found[i], clip(strings.TrimSpace(string(line))))
		}
	}
	n := 0
	for i, lines := range found {
		if n += len(lines); len(lines) == 0 {
			continue
		}
		f := sdk.Finding{Severity: sdk.Info, Title: fmt.Sprintf("the log of %s says %q, %s at its end", x.Log.Member, logPatterns[i].name, plural(len(lines), "time"))}
		for _, line := range lines[max(0, len(lines)-maxLogShown):] {
			f.Evidence = append(f.Evidence, sdk.Evidence{Where: x.Log.Member, What: "log", Value: line})
		}
		x.report.Find(f)
	}
	x.report.Checked("log "+x.Log.Path, plural(n, "line")+" of those that are looked for in the last "+size(maxLogTail), nil)
}

func tailOf(path string) ([]byte, error) {
	f, length, err := openLog(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tail := make([]byte, min(length, maxLogTail))
	n, err := f.ReadAt(tail, length-int64(len(tail)))
	if err == io.EOF {
		err = nil
	}
	return tail[:n], err
}
