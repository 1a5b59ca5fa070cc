package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("FILE_TEST_WRITE"); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// opened opens the sink through the SDK.
func opened(t *testing.T, cfg plugintest.Config) (*plugintest.Component, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out")
	cfg["path"] = path
	return plugintest.Open(t, capability(), cfg), path
}

// fill puts one sample of every sort into the sink's batch.
func fill(c *plugintest.Component) {
	b := c.Batch()
	b.Time = time.UnixMilli(1767225600123)
	up := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "up", "job", "a\"\\\nö", "instance", "x:1"), Family: &sdk.Family{Name: "up", Type: sdk.GaugeType, Help: "If \"it\"\nanswers."}})
	plain := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "plain")})
	odd := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "odd.name", "a.b", "c")})
	b.Put(up, 0.1)
	b.PutAt(plain, math.NaN(), time.UnixMilli(1500))
	b.PutAt(plain, math.Inf(-1), time.UnixMilli(-1500))
	b.Put(odd, sdk.StaleNaN)
	h := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "h"), Family: &sdk.Family{Name: "h", Type: sdk.HistogramType}})
	b.PutHistogram(h, &sdk.Histogram{Schema: 3, Count: 3, Sum: 4.5, ZeroCount: 1, PositiveSpans: []sdk.Span{{Offset: -2, Length: 1}, {Offset: 3, Length: 1}}, Positive: []float64{1, 1}})
}

func TestJSONLinesHoldAllThereIs(t *testing.T) {
	t.Parallel()
	c, path := opened(t, plugintest.Config{})
	fill(c)
	if ack := c.Write(); ack.Stored != 5 || len(ack.Dropped) != 0 {
		t.Errorf("%v", ack)
	}
	want := `{"name":"up","labels":{"instance":"x:1","job":"a\"\\\nö"},"type":"gauge","value":0.1,"timestamp":1767225600123}
{"name":"plain","labels":{},"value":"NaN","timestamp":1500}
{"name":"plain","labels":{},"value":"-Inf","timestamp":-1500}
{"name":"odd.name","labels":{"a.b":"c"},"value":null,"stale":true,"timestamp":1767225600123}
{"name":"h","labels":{},"type":"histogram","histogram":{"schema":3,"count":3,"sum":4.5,"zero_threshold":0,"zero_count":1,"positive_spans":[[-2,1],[3,1]],"positive":[1,1]},"timestamp":1767225600123}
`
	got := read(t, path)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

func TestOpenMetricsNamesEachTypeOnce(t *testing.T) {
	t.Parallel()
	c, path := opened(t, plugintest.Config{"format": "openmetrics"})
	fill(c)
	if ack := c.Write(); ack.Stored != 4 || ack.Dropped["histograms"] != 1 {
		t.Errorf("%v", ack)
	}
	b := c.Batch()
	b.Time = time.UnixMilli(1767225601000)
	b.Put(0, 2)
	c.Write()
	want := `# TYPE up gauge
# HELP up If \"it\"\nanswers.
up{instance="x:1",job="a\"\\\nö"} 0.1 1767225600.123
plain NaN 1.500
plain -Inf -1.500
{"odd.name","a.b"="c"} NaN 1767225600.123
up{instance="x:1",job="a\"\\\nö"} 2 1767225601.000
`
	if got := read(t, path); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPromtoolMakesBlocksOfWhatWasRotated(t *testing.T) {
	t.Parallel()
	promtool := plugintest.Program(t, "promtool")
	c, path := opened(t, plugintest.Config{"format": "openmetrics", "max_size": 4096, "compress": false})
	b := c.Batch()
	up := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "up", "job", "x"), Family: &sdk.Family{Name: "up", Type: sdk.GaugeType, Help: "Up."}})
	orders := b.Define(sdk.Series{Labels: sdk.NewLabels("__name__", "orders_total"), Family: &sdk.Family{Name: "orders_total", Type: sdk.CounterType}})
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range 120 {
		b.Time = start.Add(time.Duration(i) * time.Second)
		b.Put(up, 1)
		b.Put(orders, float64(i))
		c.Write()
	}
	files, err := filepath.Glob(path + ".2*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		text := read(t, f)
		if !strings.HasSuffix(text, "\n# EOF\n") || !strings.HasPrefix(text, "# TYPE up gauge\n") || len(text) > 4096+len(eof) {
			t.Errorf("%s:\n%s", f, text)
		}
		out, err := exec.Command(promtool, "tsdb", "create-blocks-from", "openmetrics", f, filepath.Join(t.TempDir(), "blocks")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// batches is a source of numbered samples for a sink without the SDK's runtime.
type batches struct {
	origin *sdk.Origin
	n      int
}

func newBatches() *batches {
	return &batches{origin: sdk.NewOrigin("source.test.main", func(ref sdk.Ref) (sdk.Series, bool) {
		return sdk.Series{Labels: sdk.NewLabels("__name__", "n", "ref", strconv.Itoa(int(ref)))}, true
	})}
}

func (b *batches) next(samples int) *sdk.Batch {
	run := sdk.Run{Origin: b.origin, Base: 1000}
	for range samples {
		b.n++
		run.Refs = append(run.Refs, sdk.Ref(b.n%10))
		run.Values = append(run.Values, float64(b.n))
	}
	return sdk.ReadBatch(uint64(b.n), []sdk.Run{run})
}

// values are the values in a file, which must be whole lines of JSON.
func values(t *testing.T, text string) (all []float64) {
	t.Helper()
	if text != "" && !strings.HasSuffix(text, "\n") {
		t.Errorf("the file ends in %q", text[max(0, len(text)-50):])
	}
	for line := range strings.Lines(text) {
		var sample struct{ Value float64 }
		if err := json.Unmarshal([]byte(line), &sample); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, sample.Value)
	}
	return all
}

// quiet is a host that only has a log.
type quiet struct{ sdk.Host }

func (quiet) Log() *slog.Logger { return slog.New(slog.DiscardHandler) }
func (quiet) Fail(error)        {}

func direct(t *testing.T, cfg *Config) *sink {
	t.Helper()
	s, err := open(t.Context(), cfg, quiet{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func writeUntilKilled(path string) {
	s, err := open(context.Background(), &Config{Path: path, MaxSize: 200_000, Compress: true}, quiet{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	b := newBatches()
	b.n, _ = strconv.Atoi(os.Getenv("FILE_TEST_FROM"))
	for {
		if err := s.Write(context.Background(), b.next(50)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(b.n) // acknowledged
	}
}

func TestNothingAcknowledgedIsLostWhenTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	acknowledged := 0
	for range 30 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FILE_TEST_WRITE="+path, fmt.Sprintf("FILE_TEST_FROM=%d", acknowledged))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for left := rand.IntN(60); lines.Scan(); left-- {
			if acknowledged, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(lines.Text())
			}
			if left == 0 {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
	}
	s := direct(t, &Config{Path: path, MaxSize: 1 << 30, Compress: true})
	s.Close(context.Background())
	seen := map[float64]bool{}
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text := read(t, f)
		switch {
		case strings.HasSuffix(f, ".gz"):
			text = unzip(t, text)
		case strings.HasSuffix(f, ".part"):
			t.Errorf("%s is left", f)
		}
		for _, v := range values(t, text) {
			seen[v] = true
		}
	}
	for i := 1; i <= acknowledged; i++ {
		if !seen[float64(i)] {
			t.Fatalf("sample %d of %d was acknowledged and is in no file", i, acknowledged)
		}
	}
	if acknowledged < 1000 || len(files) < 2 {
		t.Errorf("only %d samples in %d files", acknowledged, len(files))
	}
}

func unzip(t *testing.T, text string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestATornEndIsCutAtEveryByte(t *testing.T) {
	t.Parallel()
	whole := `{"name":"a","labels":{},"value":1,"timestamp":1}` + "\n"
	for format, line := range map[string]string{"json": whole, "openmetrics": "a 1 1.000\n"} {
		dir := t.TempDir()
		for cut := range len(line) + 1 {
			for _, zeros := range []int{0, 1, 5000} {
				path := filepath.Join(dir, "f")
				if err := os.WriteFile(path, []byte(line+line+line[:cut]+strings.Repeat("\x00", zeros)), 0o600); err != nil {
					t.Fatal(err)
				}
				s := direct(t, &Config{Path: path, Format: format, MaxSize: 1 << 20})
				s.Close(t.Context())
				want := line + line
				if cut == len(line) {
					want += line
				}
				if got := read(t, path); got != want {
					t.Fatalf("%d bytes, %d zeros: %q", cut, zeros, got)
				}
			}
		}
	}
}

func TestARotationThatDidNotEndIsGoneOnFrom(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("a 1 1.000\n# EOF\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := direct(t, &Config{Path: path, Format: "openmetrics", MaxSize: 1 << 20})
	if err := s.Write(t.Context(), newBatches().next(1)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "a 1 1.000\nn{ref=\"1\"} 1 1.000\n" {
		t.Errorf("%q", got)
	}
}

func TestWhatTheSinkHasNotWrittenIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Dir(path), "/dev/null", filepath.Join(path, "x"), filepath.Dir(path) + "/no/such"} {
		_, err := plugintest.TryOpen(t, capability(), plugintest.Config{"path": p})
		if problem := sdk.AsProblem(err); problem == nil || problem.Path.String() != "path" {
			t.Errorf("%s: %v", p, err)
		}
	}
	if got := read(t, path); got != "precious" {
		t.Errorf("%q", got)
	}
}

func TestTwoComponentsDoNotWriteOneFile(t *testing.T) {
	t.Parallel()
	_, path := opened(t, plugintest.Config{})
	_, err := plugintest.TryOpen(t, capability(), plugintest.Config{"path": path})
	if p := sdk.AsProblem(err); p == nil || p.Path.String() != "path" || !strings.Contains(p.Error(), "is written by another") {
		t.Errorf("%v", err)
	}
}

// faulty is a disk that fails when it is told to.
type faulty struct {
	file
	calls *[]string
	fail  map[string]error
}

func (f *faulty) did(what string) error {
	*f.calls = append(*f.calls, what)
	return f.fail[what]
}

func (f *faulty) WriteAt(b []byte, at int64) (int, error) {
	if err := f.did("write"); err != nil {
		n, _ := f.file.WriteAt(b[:len(b)/2], at) // half of it arrives
		return n, err
	}
	return f.file.WriteAt(b, at)
}

func (f *faulty) Sync() error {
	if err := f.did("sync"); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f *faulty) Truncate(n int64) error {
	if err := f.did("truncate"); err != nil {
		return err
	}
	return f.file.Truncate(n)
}

func TestAFailingDiskLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	var calls []string
	fail := map[string]error{}
	s := direct(t, &Config{Path: path, MaxSize: 1 << 20})
	s.log.open = func(path string) (file, error) {
		calls = append(calls, "open")
		if err := fail["open"]; err != nil {
			return nil, err
		}
		f, err := openFile(path)
		return &faulty{f, &calls, fail}, err
	}
	s.log.doubtful = true // so that it opens again
	b := newBatches()
	write := func(batch *sdk.Batch, want error) {
		t.Helper()
		calls = calls[:0]
		err := s.Write(t.Context(), batch)
		if !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
		if status, text := s.Health(); (status == sdk.Failed) != (want != nil) {
			t.Errorf("%v %s", status, text)
		}
		if err != nil && (sdk.AsProblem(err).Permanent || sdk.AsProblem(err).Blame != sdk.BlameHost) {
			t.Errorf("%+v", sdk.AsProblem(err))
		}
	}
	write(b.next(10), nil)
	for _, what := range []string{"write", "sync", "truncate", "open"} {
		for _, also := range []string{"", "truncate", "open"} {
			batch := b.next(10)
			cause := fmt.Errorf("no %s", what)
			clear(fail)
			if what == "truncate" || what == "open" {
				fail["write"] = cause
			}
			fail[what] = cause
			if also != "" {
				fail[also] = cause
			}
			write(batch, cause)
			write(batch, cause)
			clear(fail)
			write(batch, nil)
			if w := slices.Index(calls, "write"); w < 0 || !slices.Contains(calls[w:], "sync") {
				t.Errorf("%s: acknowledged after %v", what, calls)
			}
		}
	}
	got := values(t, read(t, path))
	for i, v := range got {
		if v != float64(i+1) {
			t.Fatalf("sample %d is %v", i, v)
		}
	}
	if len(got) != b.n {
		t.Errorf("%d of %d", len(got), b.n)
	}
}

func TestAFullDiskIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no file system of its own: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	s := direct(t, &Config{Path: path, MaxSize: 1 << 30})
	b := newBatches()
	var batch *sdk.Batch
	for {
		batch = b.next(100)
		if err := s.Write(t.Context(), batch); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	acknowledged := values(t, read(t, path)) // already cut
	if len(acknowledged) != b.n-100 {
		t.Errorf("%d of %d", len(acknowledged), b.n-100)
	}
	if err := s.Write(t.Context(), batch); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	os.Remove(ballast)
	if err := s.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := values(t, read(t, path)); len(got) != b.n || got[b.n-1] != float64(b.n) {
		t.Errorf("%d of %d", len(got), b.n)
	}
}

func TestOldFilesAreCompressedAndOnlySoManyKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	os.WriteFile(path+".20200101T000000.000Z.gz.part", []byte("x"), 0o600)
	os.WriteFile(path+".20200101T000000.000Z", []byte("{\"value\":1}\n"), 0o600)
	os.WriteFile(path+".notes", []byte("mine"), 0o600)
	s := direct(t, &Config{Path: path, MaxSize: 4096, Keep: 3, Compress: true})
	b := newBatches()
	for range 200 {
		if err := s.Write(t.Context(), b.next(10)); err != nil {
			t.Fatal(err)
		}
	}
	s.stop()
	s.tidying.Wait()
	if err := s.tidyUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(path + ".2*")
	if len(files) != 3 {
		t.Errorf("%q", files)
	}
	slices.SortFunc(files, byTime)
	text := ""
	for _, f := range files {
		if !strings.HasSuffix(f, "Z.gz") && !strings.Contains(f, "Z-") {
			t.Errorf("%s", f)
		}
		text += unzip(t, read(t, f))
	}
	got := values(t, text+read(t, path))
	for i, v := range got {
		if want := float64(b.n - len(got) + i + 1); v != want {
			t.Fatalf("sample %d is %v, want %v", i, v, want)
		}
	}
	if read(t, path+".notes") != "mine" {
		t.Error("a file of somebody else was changed")
	}
}

func TestAFileThatIsOldIsRotated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	s := direct(t, &Config{Path: path, MaxSize: 1 << 30, MaxAge: time.Hour})
	now := time.Now()
	s.now = func() time.Time { return now }
	b := newBatches()
	for _, c := range []struct {
		after time.Duration
		files int
	}{{0, 0}, {59 * time.Minute, 0}, {time.Minute, 1}, {time.Minute, 1}, {time.Hour, 2}} {
		now = now.Add(c.after)
		if err := s.Write(t.Context(), b.next(1)); err != nil {
			t.Fatal(err)
		}
		if files, _ := filepath.Glob(path + ".2*"); len(files) != c.files {
			t.Errorf("%v: %q", c.after, files)
		}
	}
}

func TestMistakesInTheBlockAreFoundOffline(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"-": "a plugin's standard output belongs to the daemon: give the path of a file", "x.json": `"x.json" does not begin at the root: the plugin's working directory is not yours`, "/x": "",
	} {
		got := ""
		for _, d := range plugintest.Validate(t, capability(), plugintest.Config{"path": path}) {
			got += d.Text
		}
		if got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	plugintest.Example(t, "example.hcl", "file", capability())
}

func FuzzTheEndOfAFile(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n{\"b\""))
	f.Add([]byte("{\n\x00\x00{\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		end, err := wholeLines(bytes.NewReader(content), int64(len(content)))
		if err != nil || end < 0 || end > int64(len(content)) || end > 0 && content[end-1] != '\n' || bytes.IndexByte(content[:end], 0) >= 0 {
			t.Fatalf("%d, %v", end, err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, format := range []string{"json", "openmetrics"} {
		b.Run(format, func(b *testing.B) {
			l := &lines{openmetrics: format == "openmetrics"}
			batch := newBatches().next(5000)
			families := map[string]bool{}
			b.ReportAllocs()
			for b.Loop() {
				l.format(batch, families)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/sample")
		})
	}
}

func TestAProbeOfTheFileWritesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{there: true, filepath.Join(dir, "new"): true, filepath.Join(dir, "none", "x"): false, dir: false, "/proc/version": false} {
		_, err := plugintest.Probe(t, capability(), plugintest.Config{"path": path})
		if p := sdk.AsProblem(err); (p == nil) != ok || p != nil && p.Path.String() != "path" {
			t.Errorf("%s: %v", path, err)
		}
	}
	entries, _ := os.ReadDir(dir)
	if text, _ := os.ReadFile(there); len(entries) != 1 || string(text) != "x\n" {
		t.Errorf("%v, %q", entries, text)
	}
}
