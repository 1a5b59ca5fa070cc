package buffer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, dir string, change ...func(*Options)) *Log {
	t.Helper()
	o := Options{Sync: time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// payload is text padded to a multiple of 8.
func payload(text string) []byte {
	b := []byte(text)
	return append(b, make([]byte, (8-len(b)%8)%8)...)
}

func textOf(b []byte) string {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}

// put appends and waits until it is durable.
func put(t testing.TB, l *Log, text string, defines bool) {
	t.Helper()
	done := make(chan error, 1)
	if err := l.Append(payload(text), 1, defines, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// read reads n records from a cursor.
func read(t testing.TB, c *Cursor, n int) (got []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for range n {
		r, err := c.Next(ctx, func(n int) []byte { return make([]byte, n) })
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		line := textOf(r.Payload)
		if r.Past {
			line = "past " + line
		}
		got = append(got, line)
	}
	return got
}

func expect(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestACursorReadsWhatCameAfterItAndStartsOverAtItsCommit(t *testing.T) {
	l := open(t, t.TempDir())
	put(t, l, "define a", true)
	put(t, l, "old", false)
	c := l.Cursor("c")
	put(t, l, "one", false)
	put(t, l, "two", false)
	expect(t, read(t, c, 3), "past define a", "one", "two")
	c.Commit(3)
	c.Rewind()
	expect(t, read(t, c, 2), "past define a", "two")
	if lag := c.Lag(); lag != 1 {
		t.Errorf("lag %d", lag)
	}
}

func TestARestartGoesOnWhereTheCursorWas(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	c := l.Cursor("c")
	for i := range 10 {
		put(t, l, fmt.Sprint(i), false)
	}
	c.Commit(6)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	put(t, l, "new", false)
	expect(t, read(t, l.Cursor("c"), 5), "6", "7", "8", "9", "new")
}

func TestALostCursorFileMakesDuplicatesAndNoGap(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	l.Cursor("c")
	put(t, l, "one", false)
	put(t, l, "two", false)
	l.Close()
	if err := os.WriteFile(filepath.Join(dir, "cursors"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir)
	expect(t, read(t, l.Cursor("c"), 2), "one", "two")
}

func TestSegmentsCarryDefinitionsAndGoWhenPassed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, func(o *Options) {
		o.SegmentBytes = 200
		o.Carry = func(add func([]byte)) { add(payload("carried")) }
	})
	c := l.Cursor("c")
	for i := range 20 {
		put(t, l, fmt.Sprintf("record %d", i), false)
	}
	got := read(t, c, 21)
	expect(t, got[:2], "past carried", "record 0")
	expect(t, got[20:], "record 19")
	before := l.Stats().Segments
	c.Commit(20)
	for l.Stats().Segments > 1 {
		time.Sleep(10 * time.Millisecond)
	}
	if before < 4 {
		t.Errorf("only %d segments", before)
	}
	put(t, l, "after", false)
	late := l.Cursor("late")
	put(t, l, "for late", false)
	expect(t, read(t, late, 2), "past carried", "for late")
}

func TestTheOldestGoesWhenThereIsNoRoomAndIsCounted(t *testing.T) {
	lost := map[string]uint64{}
	l := open(t, t.TempDir(), func(o *Options) {
		o.SegmentBytes, o.MaxBytes = 200, 1000
		o.Lost = func(name string, n uint64) { lost[name] += n }
	})
	c := l.Cursor("c")
	const n = 100
	for i := range n {
		put(t, l, fmt.Sprintf("record %d", i), false)
	}
	kept := int(c.Lag())
	if lost["c"]+uint64(kept) != n || kept == n {
		t.Errorf("lost %d and kept %d of %d", lost["c"], kept, n)
	}
	got := read(t, c, kept)
	expect(t, got[kept-1:], "record 99")
}

func TestATornTailIsCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for i := range 5 {
		put(t, l, fmt.Sprintf("record number %d", i), false)
	}
	l.Close()
	paths, _ := segmentPaths(dir)
	whole, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	for cut := segmentHeader; cut <= len(whole); cut++ {
		torn := t.TempDir()
		if err := os.WriteFile(filepath.Join(torn, filepath.Base(paths[0])), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(torn, Options{Sync: -1})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		kept := (cut - segmentHeader) / (recordHeader + len(payload("record number 0")))
		put(t, l, "next", false)
		var want []string
		for i := range kept {
			want = append(want, fmt.Sprintf("record number %d", i))
		}
		expect(t, read(t, l.Cursor("c"), kept+1), append(want, "next")...)
		l.Close()
	}
}

func TestDamageIsSkippedCountedAndNeverServed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	l.Cursor("c")
	var all []string
	for i := range 50 {
		all = append(all, fmt.Sprintf("record number %d", i))
		put(t, l, all[i], false)
	}
	l.Close()
	paths, _ := segmentPaths(dir)
	whole, _ := os.ReadFile(paths[0])
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		damaged := t.TempDir()
		b := slices.Clone(whole)
		b[segmentHeader+r.IntN(len(b)-segmentHeader)] ^= 1 << r.IntN(8)
		os.WriteFile(filepath.Join(damaged, filepath.Base(paths[0])), b, 0o600)
		l, err := Open(damaged, Options{Sync: -1})
		if err != nil {
			t.Fatal(err)
		}
		put(t, l, "end", false)
		c := l.Cursor("c")
		var got []string
		for len(got) == 0 || got[len(got)-1] != "end" {
			got = append(got, read(t, c, 1)...)
		}
		if len(got) < 49 || len(got) > 51 {
			t.Errorf("%d of 50 records survived one flipped bit", len(got)-1)
		}
		for _, line := range got[:len(got)-1] {
			if !slices.Contains(all, line) {
				t.Errorf("served %q", line)
			}
		}
		l.Close()
	}
}

func TestManyWritersAndReadersSeeTheSameOrder(t *testing.T) {
	l := open(t, t.TempDir(), func(o *Options) { o.SegmentBytes = 4 << 10 })
	const writers, each, readers = 4, 200, 3
	var cursors []*Cursor
	for i := range readers {
		cursors = append(cursors, l.Cursor(fmt.Sprint(i)))
	}
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			for i := range each {
				err := l.Append(payload(fmt.Sprintf("%d/%d", w, i)), 1, false, func(err error) {
					if err != nil {
						t.Error(err)
					}
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	results := make([][]string, readers)
	for i, c := range cursors {
		done.Go(func() { results[i] = read(t, c, writers*each) })
	}
	done.Wait()
	for i := 1; i < readers; i++ {
		expect(t, results[i], results[0]...)
	}
}

func TestAClosedLogSaysSo(t *testing.T) {
	l := open(t, t.TempDir())
	c := l.Cursor("c")
	l.Close()
	if _, err := c.Next(context.Background(), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Next: %v", err)
	}
	if err := l.Append(payload("x"), 1, false, func(error) { t.Error("told of what was not taken") }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Append: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	l, _ := Open(dir, Options{Sync: -1})
	done := make(chan error, 2)
	l.Append(payload("define"), 0, true, func(err error) { done <- err })
	l.Append(payload("samples"), 3, false, func(err error) { done <- err })
	<-done
	<-done
	l.Close()
	paths, _ := segmentPaths(dir)
	seed, _ := os.ReadFile(paths[0])
	cursors, _ := os.ReadFile(filepath.Join(dir, "cursors"))
	f.Add(seed, cursors)
	f.Fuzz(func(t *testing.T, segment, cursors []byte) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "00000000000000000001"), segment, 0o600)
		os.WriteFile(filepath.Join(dir, "cursors"), cursors, 0o600)
		l, err := Open(dir, Options{Sync: -1})
		if err != nil {
			return
		}
		defer l.Close()
		l.Definitions(func([]byte) {})
		c := l.Cursor("c")
		put(t, l, "end", false)
		for textOf(payload(read(t, c, 1)[0])) != "end" {
		}
	})
}

func BenchmarkAppendAndRead(b *testing.B) {
	l := open(b, b.TempDir(), func(o *Options) { o.Sync = 20 * time.Millisecond })
	c := l.Cursor("c")
	record := make([]byte, 40<<10) // 5,000 samples
	buf := make([]byte, len(record))
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	ahead := make(chan struct{}, 64) // how far the writer may run before the reader
	go func() {
		for ahead <- struct{}{}; b.Context().Err() == nil; ahead <- struct{}{} {
			l.Append(record, 5000, false, func(error) {})
		}
	}()
	for b.Loop() {
		<-ahead
		r, err := c.Next(context.Background(), func(int) []byte { return buf })
		if err != nil {
			b.Fatal(err)
		}
		c.Commit(r.Position)
	}
}
