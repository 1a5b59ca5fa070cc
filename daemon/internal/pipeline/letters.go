package pipeline

import (
	"bufio"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/magpie-monitoring/magpie/sdk"
)

// maxLetters bounds the file of one sink; with the one before it there are twice as many bytes at most.
const maxLetters = 64 << 20

// Letters keeps what a sink will never take: a file of JSON lines for each sink, one line a sample as it came from its
// source, so that people can look at it and other programs can send it elsewhere.
type Letters struct {
	dir string
	mu  sync.Mutex
}

// NewLetters keeps letters in a directory, which is made when there is something to keep.
func NewLetters(dir string) *Letters { return &Letters{dir: dir} }

// letter is a line of the file.
type letter struct {
	Reason    string            `json:"reason"`
	Source    string            `json:"source"`
	Labels    map[string]string `json:"labels"`
	Time      int64             `json:"time"` // Unix ms
	Value     string            `json:"value,omitempty"`
	Histogram *sdk.Histogram    `json:"histogram,omitempty"`
	Record    *sdk.Record       `json:"record,omitempty"`
}

// Put keeps samples, and returns when they are durable.
func (l *Letters) Put(sink, reason string, runs []sdk.Run) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.open(sink)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	lines := json.NewEncoder(w)
	for _, run := range runs {
		for _, x := range sdk.ReadBatch(0, []sdk.Run{run}).Samples() {
			line := letter{Reason: reason, Source: run.Origin.Address, Labels: x.Labels.Map(), Time: x.Time.UnixMilli(), Histogram: x.Histogram, Record: x.Record}
			if x.Histogram == nil && x.Record == nil {
				line.Value = strconv.FormatFloat(x.Value, 'g', -1, 64)
			}
			if err := lines.Encode(line); err != nil {
				return err
			}
		}
	}
	return cmp.Or(w.Flush(), f.Sync())
}

func (l *Letters) open(sink string) (*os.File, error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(l.dir, sink+".jsonl")
	if info, err := os.Stat(path); err == nil && info.Size() > maxLetters {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
