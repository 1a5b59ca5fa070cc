package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/magpie-monitoring/magpie/daemon/internal/buffer"
)

// brokenLog makes a log with a segment of each sort: whole, with a damaged payload and a damaged header, none at all, and
// one that ends in the middle of a write.
func brokenLog(t *testing.T, dir string) {
	t.Helper()
	l, err := buffer.Open(dir, buffer.Options{SegmentBytes: 2 << 10, ReserveBytes: 4096, Carry: func(add func([]byte)) { add([]byte("carried.")) }})
	if err != nil {
		t.Fatal(err)
	}
	fast, _ := l.Cursor("default -> store.tsdb.main"), l.Cursor("default -> sink.remote_write.far")
	for i := range 60 {
		done := make(chan error, 1)
		if err := l.Append(fmt.Appendf(nil, "%80d", i), 10, i%9 == 0, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i == 39 {
			for range 40 {
				r, err := fast.Next(t.Context(), func(n int) []byte { return make([]byte, n) })
				if err != nil {
					t.Fatal(err)
				}
				fast.Commit(r.Position)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	segments, _ := filepath.Glob(filepath.Join(dir, "0*"))
	change := func(path string, change func([]byte) []byte) {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, change(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	change(segments[1], func(b []byte) []byte { b[80+48+120+60] ^= 1; b[80+48+4*120+9] ^= 1; return b })
	change(segments[len(segments)-1], func(b []byte) []byte { return b[:len(b)-11] })
	os.WriteFile(filepath.Join(dir, "00000000000000000099"), []byte("not a segment"), 0o600)
	os.WriteFile(filepath.Join(dir, "00000000000000000101.new"), nil, 0o600)
}

// The story of a broken log through the binary: what is seen, checked and repaired, and that a daemon's log is left alone.
func TestALogIsInspectedVerifiedAndRepaired(t *testing.T) {
	t.Parallel()
	const path = "testdata/cli/buffer.txtar"
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	brokenLog(t, filepath.Join(dir, "data", "buffer"))
	magpieBinary(t) // built before the clock of the first command runs
	names := regexp.MustCompile(`(Log |"id": ")[0-9a-f]{16}`)
	for i, f := range a.Files {
		line, code, _ := strings.Cut(f.Name, " => ")
		stdout, stderr, exit := command(t, dir, strings.Fields(line)...)
		got := names.ReplaceAllString(stdout+stderr, "${1}0123456789abcdef")
		if fmt.Sprint("exit ", exit) != code {
			t.Errorf("%s: exit %d\n%s", line, exit, got)
		}
		expect(t, path, a, i, got)
	}
	l, err := buffer.Open(filepath.Join(dir, "data", "buffer"), buffer.Options{Sync: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if st := l.Stats(); st.Damaged != 0 || st.Samples != 590 {
		t.Errorf("after the repair: %+v", st)
	}
}

func TestALogThatADaemonUsesIsInspectedAndNotRepaired(t *testing.T) {
	t.Parallel()
	m := start(t, machine)
	m.value("node_load1")
	out, stderr, code := m.cli("buffer", "verify", "data")
	if code != 0 || !strings.Contains(out, "default -> store.tsdb.main") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
	if out, stderr, code = m.cli("buffer", "repair"); code != 1 || !strings.Contains(stderr, "another daemon uses the data directory") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}
	inspected := func() (last, read uint64) {
		var report struct {
			Last    uint64 `json:"last_position"`
			Cursors []struct{ Position uint64 }
		}
		out, stderr, code := m.cli("buffer", "inspect", "-json", "data")
		if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Cursors) != 1 {
			t.Fatalf("exit %d, %v\n%s%s", code, err, out, stderr)
		}
		return report.Last, report.Cursors[0].Position
	}
	before, _ := inspected()
	m.eventually("what was in the log is read", func() bool {
		_, read := inspected()
		return read >= before
	})
}
