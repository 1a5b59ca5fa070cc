package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/storage"

	"github.com/magpie-monitoring/magpie/sdk"
	"github.com/magpie-monitoring/magpie/sdk/plugintest"
)

// children are what this test's binary does as a process of its own.
var children = map[string]func(dir string){
	"hold":  holdStore,
	"limit": writeThroughAFullDisk,
	"panic": panicInACommit,
}

const childKey = "MAGPIE_TSDB_TEST"

func TestMain(m *testing.M) {
	if name, dir, ok := strings.Cut(os.Getenv(childKey), " "); ok {
		children[name](dir)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, name, dir string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), childKey+"="+name+" "+dir)
	return c
}

// must ends a child with an error.
func must(err error) {
	if err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
}

func writeAll(t testing.TB, s *store, f *fleet) {
	t.Helper()
	b := sdk.ReadBatch(1, f.runs)
	if err := s.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if dropped := b.Dropped(); dropped != nil {
		t.Fatalf("dropped %v", dropped)
	}
}

// samples counts what a store holds of the fleets.
func samples(t testing.TB, s *store) int {
	t.Helper()
	r, err := s.Query(context.Background(), sdk.Query{Expr: `sum(count_over_time({job="bench"}[2h]))`, Start: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Series) == 0 {
		return 0
	}
	return int(r.Series[0].Points[0].Value)
}

func TestARestartKeepsTheData(t *testing.T) {
	t.Parallel()
	for _, compression := range []string{"none", "snappy", "zstd"} {
		cfg := plugintest.Config{"path": filepath.Join(t.TempDir(), "made", "here"), "wal_compression": compression}
		o := openStore(t, cfg)
		now := time.Now().Truncate(time.Second)
		b := o.Batch()
		b.PutAt(b.Define(series("m")), 42, now)
		o.written(1, map[string]uint64{})
		o.closeNow()
		again := openStore(t, cfg)
		if got := again.ask("m", now); got != "m 42" {
			t.Errorf("%s: %q", compression, got)
		}
	}
}

// What a killed process leaves is its directory as it is at some moment.
func TestWhatWasAcknowledgedSurvivesAProcessThatIsKilled(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), t.TempDir()
	s := openDirectly(t, &Config{Path: dir, OutOfOrder: time.Hour, WALCompression: "snappy"})
	f := newFleet(3, 100)
	for range 10 {
		f.next()
		writeAll(t, s, f)
	}
	f.at -= 5500 // between the others: out of order
	f.next()
	writeAll(t, s, f)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	again := openDirectly(t, &Config{Path: copied, OutOfOrder: time.Hour, WALCompression: "snappy"})
	if got := samples(t, again); got != 11*300 {
		t.Errorf("%d samples, want %d", got, 11*300)
	}
}

func TestADamagedLogIsCutAndSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := &Config{Path: dir, WALCompression: "none"}
	s, err := open(t.Context(), cfg, bareHost{})
	if err != nil {
		t.Fatal(err)
	}
	f := newFleet(1, 100)
	for range 50 {
		f.next()
		writeAll(t, s, f)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(dir, "wal", "00000000")
	log, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	log[len(log)/2] ^= 0xff
	if err := os.WriteFile(segment, log, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openDirectly(t, cfg)
	if got := samples(t, s); got == 0 || got == 5000 || got%100 != 0 {
		t.Errorf("%d samples, want those of whole batches before the damage", got)
	}
	if status, text := s.Health(); status != sdk.OK || !strings.Contains(text, "the log was damaged") {
		t.Errorf("%v, %s", status, text)
	}
	f.next()
	writeAll(t, s, f)
}

func TestTwoStoresDoNotShareADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	refused := func(by, path string) {
		t.Helper()
		_, err := plugintest.TryOpen(t, sdk.Store(open), plugintest.Config{"path": path})
		var p *sdk.Problem
		if !errors.As(err, &p) || p.Path.String() != "path" || p.Blame != sdk.BlameConfig || !strings.Contains(err.Error(), by) || !strings.Contains(p.Fix, "path of its own") {
			t.Errorf("%s: %v", path, err)
		}
	}
	s, err := open(t.Context(), &Config{Path: dir, WALCompression: "none"}, bareHost{})
	if err != nil {
		t.Fatal(err)
	}
	refused("in use by another store", dir)
	refused("in use by another store", link)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	holder := child(t, "hold", dir)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	refused("in use by another process", dir)
	holder.Process.Kill()
	holder.Wait()
	openDirectly(t, &Config{Path: dir, WALCompression: "none"})
}

func holdStore(dir string) {
	_, err := open(context.Background(), &Config{Path: dir, WALCompression: "none"}, bareHost{})
	must(err)
	fmt.Println("held")
	select {}
}

func TestADirectoryThatCannotBeUsedIsBlamedOnThePath(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below"), broken} {
		_, err := plugintest.TryOpen(t, sdk.Store(open), plugintest.Config{"path": path})
		var p *sdk.Problem
		if !errors.As(err, &p) || p.Path.String() != "path" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.Remove(filepath.Join(broken, "wal")); err != nil {
		t.Fatal(err)
	}
	openDirectly(t, &Config{Path: broken, WALCompression: "none"}) // the failed opening holds nothing
}

func TestALongOpeningSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said []string
		ctx := sdk.WithProgress(t.Context(), func(text string) { said = append(said, text) })
		done := make(chan error, 1)
		var segment atomic.Int32
		go func() {
			time.Sleep(12 * time.Second)
			segment.Add(1)
			time.Sleep(time.Hour) // and no segment more
			done <- errors.New("the end")
		}()
		if err := await(ctx, done, func() string { return fmt.Sprint("segment ", segment.Load()) }); err == nil || err.Error() != "the end" {
			t.Error(err)
		}
		if n := len(said); n != 2+int(progressUntil/progressEvery) || said[0] != "segment 0" || said[n-1] != "segment 1" {
			t.Errorf("%d messages: %q … %q", n, said[0], said[n-1])
		}
	})
}

func TestAnOpeningThatNobodyWaitsForIsClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(ctx, &Config{Path: dir, WALCompression: "none"}, bareHost{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	eventually(t, "the directory is free again", func() bool {
		s, err := open(t.Context(), &Config{Path: dir, WALCompression: "none"}, bareHost{})
		if err != nil {
			return false
		}
		return s.Close(t.Context()) == nil
	})
}

func TestClosingEndsQueries(t *testing.T) {
	t.Parallel()
	o, now := filled(t, nil)
	failed := make(chan error, 1)
	go func() {
		_, err := o.store.Query(context.Background(), sdk.Query{Expr: `max_over_time(rate(up[5m])[1y:1s])`, Start: now})
		failed <- err
	}()
	eventually(t, "the query runs", func() bool { return len(o.front.Load().engineSlots) == 1 })
	o.closeNow()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("the query ended with %v", err)
	}
	if _, err := o.store.Query(t.Context(), sdk.Query{Expr: "1"}); !errors.Is(err, errClosed) {
		t.Errorf("a query of a closed store: %v", err)
	}
	if err := o.store.Write(t.Context(), sdk.ReadBatch(1, nil)); !errors.Is(err, errClosed) {
		t.Errorf("a write to a closed store: %v", err)
	}
	if err := o.store.Reconfigure(t.Context(), &Config{}); !errors.Is(err, errClosed) {
		t.Errorf("a change of a closed store: %v", err)
	}
	if err := o.store.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestOpeningAndClosingLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	cycle := func() {
		s, err := open(t.Context(), &Config{Path: dir, OutOfOrder: time.Hour, WALCompression: "snappy"}, bareHost{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc here")
		}
		return len(files)
	}
	cycle()
	goroutines, files := runtime.NumGoroutine(), open()
	for range 5 {
		cycle()
	}
	eventually(t, "no goroutine and no file more than before", func() bool { return runtime.NumGoroutine() <= goroutines && open() <= files })
}

// A record that is torn by a full disk would hide everything behind it from the next start.
func TestNothingIsAcknowledgedBehindATornRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := child(t, "limit", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := openDirectly(t, &Config{Path: dir, OutOfOrder: time.Hour, WALCompression: "none"})
	if got, want := samples(t, s), 2*200+2*3000; got != want {
		t.Errorf("%d samples after the restart, want the %d that were acknowledged", got, want)
	}
}

// writeThroughAFullDisk meets a disk that takes no more, as far as the limit of a file's size is like one, and dies
// without closing.
func writeThroughAFullDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	s, err := open(ctx, &Config{Path: dir, OutOfOrder: time.Hour, WALCompression: "none"}, bareHost{})
	must(err)
	var unlimited syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited))
	limit := func(bytes uint64) {
		must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: unlimited.Max}))
	}
	small, large := newFleet(1, 200), newFleet(2, 3000)
	large.runs = large.runs[1:] // another host; its definitions fill many pages of the log
	small.next()
	must(s.Write(ctx, sdk.ReadBatch(1, small.runs)))
	large.next()
	batch := sdk.ReadBatch(2, large.runs)
	info, err := os.Stat(filepath.Join(dir, "wal", "00000000"))
	must(err)
	for _, room := range []uint64{uint64(info.Size()) + 100_000, 0, 50_000} { // torn in a record; nothing at all; torn again
		limit(room)
		if err := s.Write(ctx, batch); err == nil {
			must(fmt.Errorf("a write was acknowledged with room for %d bytes", room))
		}
		if status, text := s.Health(); status != sdk.Degraded || text == "" {
			must(fmt.Errorf("health with room for %d bytes: %v, %s", room, status, text))
		}
	}
	limit(unlimited.Cur)
	must(s.Write(ctx, batch))
	large.next()
	small.next()
	must(s.Write(ctx, sdk.ReadBatch(3, append(large.runs, small.runs...))))
	if status, text := s.Health(); status != sdk.OK {
		must(fmt.Errorf("health with room: %v, %s", status, text))
	}
	r, err := s.Query(ctx, sdk.Query{Expr: `count({job="bench"})`, Start: time.UnixMilli(large.at)})
	must(err)
	if got := r.Series[0].Points[0].Value; got != 3200 {
		must(fmt.Errorf("%v series", got))
	}
}

// The TSDB panics in a commit with locks held: a process that went on would hang.
func TestAPanicOfTheDatabaseInACommitEndsTheProcess(t *testing.T) {
	t.Parallel()
	out, err := child(t, "panic", t.TempDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the database failed in a commit: no chunk for you") || !strings.Contains(string(out), "panicInACommit") {
		t.Errorf("%v\n%s", err, out)
	}
}

type broken struct{ storage.AppenderV2 }

func (broken) Commit() error { panic("no chunk for you") }

func panicInACommit(string) {
	s := &store{}
	defer func() { recover() }() // as the SDK does
	s.commit(&database{}, &appending{app: broken{}})
	fmt.Println("still here")
}
