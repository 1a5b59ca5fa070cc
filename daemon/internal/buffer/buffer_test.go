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
	"strings"
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
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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

// Definitions that are larger than a segment do not make every commit a segment of its own.
func TestDefinitionsAreAtMostHalfOfWhatIsWritten(t *testing.T) {
	large := make([]byte, 64<<10)
	l := open(t, t.TempDir(), func(o *Options) {
		o.SegmentBytes = 1 << 10
		o.Carry = func(add func([]byte)) { add(large) }
	})
	l.Cursor("c") // keeps everything
	written := 0
	for range 300 {
		put(t, l, strings.Repeat("x", 1000), false)
		written += 1000
	}
	if size := l.Stats().Bytes; size > int64(3*written) {
		t.Errorf("%d bytes for %d of records", size, written)
	}
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

// The last 64 KiB of a log are cut at every byte; the suite looks at every byte of the last records, and at some of the
// others.
func TestATornTailIsCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, func(o *Options) { o.Carry = func(add func([]byte)) { add(payload("carried")) } })
	c := l.Cursor("c")
	var ends []int // of the records
	at := segmentHeader + recordHeader + len(payload("carried"))
	for i := 0; at < segmentHeader+64<<10; i++ {
		text := number(i)
		text = append(text, make([]byte, i%50*8)...)
		if err := l.Append(text, 1, false, func(error) {}); err != nil {
			t.Fatal(err)
		}
		at += recordHeader + len(text)
		ends = append(ends, at)
	}
	c.Commit(0)
	l.Close()
	whole, err := os.ReadFile(segmentPath(dir, 1))
	if err != nil || len(whole) != at {
		t.Fatalf("%d bytes, not %d: %v", len(whole), at, err)
	}
	cursors, _ := os.ReadFile(filepath.Join(dir, "cursors"))
	step := atLength(97, 1)
	for cut := len(whole); cut >= 0; cut-- {
		if cut < len(whole)-300 && cut > segmentHeader+100 && cut%step != 0 {
			continue
		}
		torn := t.TempDir()
		os.WriteFile(segmentPath(torn, 1), whole[:cut], 0o600)
		os.WriteFile(filepath.Join(torn, "cursors"), cursors, 0o600)
		l, err := Open(torn, Options{Sync: -1})
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		kept, _ := slices.BinarySearch(ends, cut+1)
		if st := l.Stats(); st.Samples != uint64(kept) || st.Damaged > 0 && cut >= segmentHeader {
			t.Fatalf("cut at %d: %+v, and %d records are whole", cut, st, kept)
		}
		put(t, l, "next", false)
		if cut%(11*step) == 0 || cut > len(whole)-300 {
			c, n := l.Cursor("c"), 0
			for text := ""; text != "next"; {
				switch text = read(t, c, 1)[0]; {
				case text == "next" && n != kept:
					t.Fatalf("cut at %d: %d of %d records are served", cut, n, kept)
				case text == "next", strings.HasPrefix(text, "past "):
				case numberOf(t, text) == n:
					n++
				default:
					t.Fatalf("cut at %d: %q came where %d was due", cut, text, n)
				}
			}
		}
		l.Close()
		os.RemoveAll(torn)
	}
}

// One bit is flipped anywhere in a log of several segments: it opens, serves every other record, and nothing else.
func TestDamageIsSkippedCountedAndNeverServed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, func(o *Options) {
		o.SegmentBytes = 700
		o.Carry = func(add func([]byte)) { add(payload("carried")) }
	})
	l.Cursor("c")
	const n = 60
	for i := range n {
		put(t, l, fmt.Sprintf("number %d", i), i%7 == 0)
	}
	l.Close()
	entries, _ := os.ReadDir(dir)
	files := map[string][]byte{}
	var names []string
	for _, e := range entries {
		files[e.Name()], _ = os.ReadFile(filepath.Join(dir, e.Name()))
		names = append(names, e.Name())
	}
	if len(names) < 4 {
		t.Fatalf("only %v", names)
	}
	r := rand.New(rand.NewPCG(1, 2))
	silent := 0
	for range atLength(1000, 10000) {
		damaged := t.TempDir()
		hit := names[r.IntN(len(names))]
		at, bit := r.IntN(len(files[hit])), byte(1)<<r.IntN(8)
		for name, b := range files {
			if name == hit {
				b = slices.Clone(b)
				b[at] ^= bit
			}
			os.WriteFile(filepath.Join(damaged, name), b, 0o600)
		}
		where := fmt.Sprintf("a bit at %d of %s", at, hit)
		l, err := Open(damaged, Options{Sync: -1})
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		l.Definitions(func(b []byte) {
			if text := textOf(b); text != "carried" && numberOf(t, text)%7 != 0 {
				t.Fatalf("%s: it gives %q for a definition", where, text)
			}
		})
		put(t, l, "end", false)
		c := l.Cursor("c")
		last, served := -1, 0
		for {
			text := read(t, c, 1)[0]
			if text == "end" {
				break
			}
			if text == "past carried" {
				continue
			}
			i := numberOf(t, text)
			if i <= last || i >= n {
				t.Fatalf("%s: %q came after %d", where, text, last)
			}
			last, served = i, served+1
		}
		c.Commit(l.Durable())
		missing := n - served
		if missing > 1 || uint64(missing) > l.Stats().Damaged {
			t.Fatalf("%s: %d records are missing, %+v", where, missing, l.Stats())
		}
		if missing == 1 && int(c.Damaged()) != 1 {
			silent++ // the last of the log: nothing tells that there was one, but for the stretch that is counted
		}
		l.Close()
		os.RemoveAll(damaged)
	}
	if silent > atLength(1000, 10000)/20 {
		t.Errorf("%d times a reader did not know that it had missed a sample", silent)
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
