package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A log is followed into a file, over its rotation and the deaths of the plugin and of the daemon: each line comes into the
// buffer exactly once, and into the file at least once.
func TestLinesOfALogAreNeitherLostNorTwiceWhateverDies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, archive := filepath.Join(dir, "app.log"), filepath.Join(dir, "archive.jsonl")
	m := start(t, fmt.Sprintf(`
source "file" "app" {
  paths  = [%q]
  from   = "beginning"
  format = "json"
}
sink "file" "archive" { path = %q }
`, log+"*", archive))
	lines := 0
	write := func(n int) {
		f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range n {
			fmt.Fprintf(f, `{"level":"warn","msg":"line %d","n":%d}`+"\n", lines, lines)
			lines++
		}
	}
	received := func() float64 { return sumOf(m.get("/metrics"), "magpie_buffer_samples_total") }
	for round := range atLength(6, 100) {
		write(500 + rand.N(1000))
		if round%2 == 1 {
			os.Rename(log, fmt.Sprintf("%s.%d", log, round))
			write(100)
		}
		time.Sleep(rand.N(300 * time.Millisecond))
		switch round % 3 {
		case 0:
			if pid := m.pids()["file"]; pid != 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		case 1:
			m.cmd.Process.Kill()
			<-m.done
			write(100)
			m.run()
		}
	}
	m.eventually("all lines are in the buffer", func() bool { return received() >= float64(lines) })
	seen := map[int]int{}
	m.eventually("all lines are in the file", func() bool {
		clear(seen)
		f, err := os.Open(archive)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for scanner := bufio.NewScanner(f); scanner.Scan(); {
			var r struct {
				Text, Level string
				Labels      map[string]string
				Attributes  map[string]string
			}
			if err := json.Unmarshal(scanner.Bytes(), &r); err != nil {
				return false // it is being written
			}
			n, err := strconv.Atoi(strings.TrimPrefix(r.Text, "line "))
			if err != nil || r.Level != "warn" || r.Attributes["n"] != strconv.Itoa(n) || !strings.HasPrefix(r.Labels["filename"], log) || r.Labels["job"] != "app" {
				t.Fatalf("%s", scanner.Text())
			}
			seen[n]++
		}
		return len(seen) >= lines
	})
	if len(seen) != lines {
		t.Errorf("%d lines were written, and %d are in the file", lines, len(seen))
	}
	if got := received(); got != float64(lines) {
		t.Errorf("%d lines were written, and %.0f are in the buffer", lines, got)
	}
}
