package buffer

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// disk is a disk with faults: it knows what of each file an fsync made durable, and fails when it is told to.
type disk struct {
	mu    sync.Mutex
	safe  map[string][]byte // what survives a crash, by path
	write func(path string) error
	sync  func(path string) error
	wipe  bool // a failed fsync forgets what was written, as some file systems do
}

func newDisk() *disk { return &disk{safe: map[string][]byte{}} }

func (d *disk) use(o *Options) {
	o.open = func(path string, flag int) (file, error) {
		f, err := openFile(path, flag)
		if err != nil {
			return nil, err
		}
		if flag&os.O_TRUNC != 0 {
			d.mu.Lock()
			delete(d.safe, path)
			d.mu.Unlock()
		}
		return &faulty{f, d, path}, nil
	}
}

func (d *disk) fail(write, sync func(path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write, d.sync = write, sync
}

type faulty struct {
	file
	d    *disk
	path string
}

func (f *faulty) WriteAt(b []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.write != nil {
		if err := f.d.write(f.path); err != nil {
			n, _ := f.file.WriteAt(b[:len(b)/2], at) // half of it is there
			return n, err
		}
	}
	return f.file.WriteAt(b, at)
}

func (f *faulty) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.sync != nil {
		if err := f.d.sync(f.path); err != nil {
			if f.d.wipe {
				safe := f.d.safe[f.path]
				f.file.Truncate(0)
				f.file.WriteAt(safe, 0)
			}
			return err
		}
	}
	if info, err := f.file.Stat(); err == nil && !info.IsDir() {
		b := make([]byte, info.Size())
		f.file.ReadAt(b, 0) // it may have another name by now
		f.d.safe[f.path] = b
		f.d.safe[strings.TrimSuffix(f.path, ".new")] = b // it is renamed next; a directory is durable at once here
	}
	return f.file.Sync()
}

// crash copies what would be left after the power failed, with as much of what was not durable as chance has it.
func (d *disk) crash(t testing.TB, dir string, r *rand.Rand) string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	to := t.TempDir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		written, err := os.ReadFile(path)
		if err != nil {
			continue // a directory, or just deleted
		}
		kept := d.safe[path]
		if extra := len(written) - len(kept); extra > 0 && strings.Trim(e.Name(), "0123456789") == "" {
			kept = append(kept[:len(kept):len(kept)], written[len(kept):len(kept)+r.IntN(extra+1)]...)
			if r.IntN(4) == 0 { // blocks came in another order
				clear(kept[len(d.safe[path]):][:(len(kept)-len(d.safe[path]))/2])
			}
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), kept, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// number is the payload of a numbered record, and numberOf reads it.
func number(n int) []byte { return payload(fmt.Sprintf("number %d", n)) }
func numberOf(t testing.TB, s string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(s, "number "))
	if err != nil {
		t.Fatalf("served %q", s)
	}
	return n
}

func TestAnAppendIsNotAcknowledgedByAFailedFsyncAndNeedsNoRepetition(t *testing.T) {
	for _, wipe := range []bool{false, true} {
		d := newDisk()
		d.wipe = wipe
		dir := t.TempDir()
		var told atomic.Int64
		l := open(t, dir, d.use, func(o *Options) {
			o.Carry = func(add func([]byte)) { add(payload("carried")) }
			o.Trouble = func(text string, err error) { told.Add(1) }
		})
		c := l.Cursor("c")
		put(t, l, "before", false)
		first := l.current
		d.fail(nil, func(string) error { return syscall.EIO })
		acknowledged := make(chan error, 3)
		for _, text := range []string{"one", "two", "three"} {
			if err := l.Append(payload(text), 1, false, func(err error) { acknowledged <- err }); err != nil {
				t.Fatal(err)
			}
		}
		for l.Stats().Failures < 2 { // the segment that was begun afterwards failed too
			time.Sleep(5 * time.Millisecond)
		}
		if err := l.Append(payload("refused"), 1, false, nil); !errors.Is(err, syscall.EIO) {
			t.Errorf("while the disk fails, Append says %v", err)
		}
		if len(acknowledged) > 0 {
			t.Error("acknowledged without a good fsync")
		}
		if d := l.Durable(); d != 1 {
			t.Errorf("durable up to %d", d)
		}
		d.fail(nil, nil)
		for range 3 {
			if err := <-acknowledged; err != nil {
				t.Error(err)
			}
		}
		expect(t, read(t, c, 5), "past carried", "before", "one", "two", "three")
		if l.current == first || l.Stats().Segments != 2 {
			t.Errorf("the segment was not sealed: %+v", l.Stats())
		}
		if n := told.Load(); n != 2 {
			t.Errorf("people were told %d times, not of the failure and of its end", n)
		}
		l.Close()
		l = open(t, dir)
		expect(t, read(t, l.Cursor("c"), 5), "past carried", "before", "one", "two", "three")
	}
}

func TestAFullDiskLosesNothingAndTheCursorsCanStillBeSaved(t *testing.T) {
	d := newDisk()
	dir := t.TempDir()
	const reserveBytes = 64 << 10
	l := open(t, dir, d.use, func(o *Options) { o.ReserveBytes = reserveBytes })
	c := l.Cursor("c")
	put(t, l, "before", false)
	room := func() bool { _, err := os.Stat(l.reserve.path); return err == nil }
	if !room() {
		t.Fatal("there is no reserve")
	}
	read(t, c, 1)
	full := func(path string) error {
		if room() || !strings.Contains(path, "cursors") {
			return syscall.ENOSPC
		}
		return nil
	}
	d.fail(full, nil)
	acknowledged := make(chan error, 1)
	if err := l.Append(payload("waits"), 1, false, func(err error) { acknowledged <- err }); err != nil {
		t.Fatal(err)
	}
	for l.Stats().Failures == 0 {
		time.Sleep(time.Millisecond)
	}
	c.Commit(1)
	if err := l.saveCursors(); err != nil {
		t.Errorf("the cursors are not saved: %v", err)
	}
	if len(acknowledged) > 0 {
		t.Error("acknowledged what is not there")
	}
	d.fail(nil, nil)
	if err := <-acknowledged; err != nil {
		t.Error(err)
	}
	expect(t, read(t, c, 1), "waits")
	if !room() {
		t.Error("the reserve is not back")
	}
}

func TestACrashLosesNothingThatWasAcknowledged(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range atLength(10, 100) {
		d := newDisk()
		dir := t.TempDir()
		l := open(t, dir, d.use, func(o *Options) {
			o.SegmentBytes = 2 << 10
			o.Carry = func(add func([]byte)) { add(payload("carried")) }
		})
		l.Cursor("c")
		var acknowledged atomic.Int64
		var writers sync.WaitGroup
		stop := make(chan struct{})
		writers.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				for l.Append(number(i), 1, false, func(err error) {
					if err == nil {
						acknowledged.Store(int64(i))
					}
				}) != nil {
				}
			}
		})
		if round%2 == 1 {
			var n atomic.Int64
			d.fail(nil, func(string) error {
				if n.Add(1)%5 == 0 {
					return syscall.EIO
				}
				return nil
			})
		}
		for acknowledged.Load() < int64(50+r.IntN(200)) {
			time.Sleep(time.Millisecond)
		}
		least := acknowledged.Load()
		left := d.crash(t, dir, r)
		close(stop)
		writers.Wait()
		l.Close()

		after := open(t, left, func(o *Options) { o.Sync = -1 })
		c := after.Cursor("c")
		put(t, after, "end", false)
		next := 1
		for {
			text := read(t, c, 1)[0]
			if text == "end" {
				break
			}
			if strings.HasPrefix(text, "past ") {
				continue
			}
			if n := numberOf(t, text); n != next {
				t.Fatalf("round %d: %d came where %d was due", round, n, next)
			}
			next++
		}
		if int64(next) <= least {
			t.Errorf("round %d: %d was acknowledged, and %d is the last that is there", round, least, next-1)
		}
		after.Close()
	}
}

func TestWhatIsNoSegmentIsPutAsideAndTheLogOpens(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	l.Cursor("c")
	put(t, l, "one", false)
	l.Close()
	for name, text := range map[string]string{"00000000000000000009": "", "00000000000000000010": "MAGPIELG of another version, perhaps, but not of this one: nobody could read it", "00000000000000000000": "x"} {
		os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
	}
	l = open(t, dir)
	if got := l.Stats().Damaged; got != 3 {
		t.Errorf("%d counted", got)
	}
	if files := quarantined(dir); len(files) != 3 {
		t.Errorf("put aside: %v", names(files))
	}
	put(t, l, "two", false)
	expect(t, read(t, l.Cursor("c"), 2), "one", "two")
}

func names(files []fs.FileInfo) (all []string) {
	for _, f := range files {
		all = append(all, f.Name())
	}
	return all
}

func TestNoPositionIsUsedTwiceAfterDamageAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	c := l.Cursor("c")
	put(t, l, "one", false)
	put(t, l, "two", false)
	read(t, c, 2)
	c.Commit(2)
	id := l.ID()
	l.Close()
	path := segmentPath(dir, 1)
	b, _ := os.ReadFile(path)
	b[len(b)-8] ^= 1
	os.WriteFile(path, b, 0o600)
	l = open(t, dir)
	c = l.Cursor("c")
	put(t, l, "three", false)
	r, err := c.Next(t.Context(), func(n int) []byte { return make([]byte, n) })
	if err != nil || r.Position != 3 || textOf(r.Payload) != "three" || l.ID() == id {
		t.Errorf("%v %q %v; the log's name is the same: %v", r.Position, r.Payload, err, l.ID() == id)
	}
	if files := quarantined(dir); len(files) != 1 || l.Stats().Damaged != 1 {
		t.Errorf("%v %+v", names(files), l.Stats())
	}
}

// A damaged record is counted once, whoever meets it how often, and every reader knows how many samples it missed.
func TestDamageIsCountedOnceAndItsSamplesByEachReader(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	a, b := l.Cursor("a"), l.Cursor("b")
	for i := range 5 {
		if err := l.Append(number(i), 10, false, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	put(t, l, "end", false)
	damage := func(at int64) {
		f, err := os.OpenFile(segmentPath(dir, 1), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteAt([]byte{0xff}, at)
		f.Close()
	}
	size := int64(recordHeader + len(number(0)))
	damage(segmentHeader + size + 4)                  // a header
	damage(segmentHeader + 3*size + recordHeader + 1) // a payload
	for _, c := range []*Cursor{a, b} {
		expect(t, read(t, c, 4), "number 0", "number 2", "number 4", "end")
		c.Rewind()
		expect(t, read(t, c, 4), "number 0", "number 2", "number 4", "end")
		if n := c.Damaged(); n != 0 {
			t.Errorf("%d missed before it was committed", n)
		}
		c.Commit(6)
		if n := c.Damaged(); n != 20 || c.Buffered() != 0 {
			t.Errorf("%d missed, %d buffered", n, c.Buffered())
		}
	}
	if n := l.Stats().Damaged; n != 2 {
		t.Errorf("%d counted", n)
	}
	if files := quarantined(dir); len(files) != 2 {
		t.Errorf("put aside: %v", names(files))
	}
}

// What the reader was handed before its segment was deleted may still be committed; it is lost only if the reader starts over.
func TestWhatIsDeletedWhileItIsOnItsWayIsCountedOnce(t *testing.T) {
	for _, again := range []bool{false, true} {
		var lost uint64
		l := open(t, t.TempDir(), func(o *Options) {
			o.SegmentBytes, o.MaxBytes = 200, 2000
			o.Carry = func(add func([]byte)) { add(payload("carried")) }
			o.Lost = func(_ string, n uint64) { lost += n }
		})
		c := l.Cursor("c")
		const n = 100
		for i := range 10 {
			put(t, l, fmt.Sprintf("number %d", i), false)
		}
		expect(t, read(t, c, 6), "past carried", "number 0", "number 1", "number 2", "number 3", "number 4")
		for i := 10; i < n; i++ {
			put(t, l, fmt.Sprintf("number %d", i), false)
		}
		done := 0
		if again {
			c.Rewind()
		} else {
			c.Commit(5)
			done = 5
		}
		for text := ""; text != "number 99"; {
			if text = read(t, c, 1)[0]; !strings.HasPrefix(text, "past ") {
				done++
			}
		}
		c.Commit(n)
		if lost == 0 || int(lost)+done != n || c.Buffered() != 0 || c.Damaged() != 0 {
			t.Errorf("again %v: %d lost and %d read of %d; %d buffered, %d damaged", again, lost, done, n, c.Buffered(), c.Damaged())
		}
	}
}

// staysOpen is a file that can be read a moment longer than it should.
type staysOpen struct{ file }

func (staysOpen) Close() error { return nil }

// What is deleted while it is read counts as lost, and is not handed over.
func TestWhatIsDeletedWhileItIsReadIsNotReadToo(t *testing.T) {
	var lost uint64
	l := open(t, t.TempDir(), func(o *Options) {
		o.SegmentBytes, o.MaxBytes = 200, 1000
		o.Lost = func(_ string, n uint64) { lost += n }
		o.open = func(path string, flag int) (file, error) {
			f, err := openFile(path, flag)
			return staysOpen{f}, err
		}
	})
	c := l.Cursor("c")
	const n = 50
	put(t, l, "number 0", false)
	got := 0
	for last := uint64(0); last < n; got++ {
		r, err := c.Next(t.Context(), func(size int) []byte {
			for i := 1; last == 0 && i < n; i++ { // while the first is read, it is deleted
				put(t, l, fmt.Sprintf("number %d", i), false)
			}
			last = 1
			return make([]byte, size)
		})
		if err != nil {
			t.Fatal(err)
		}
		last = r.Position
	}
	if lost == 0 || lost+uint64(got) != n {
		t.Errorf("%d lost and %d read of %d", lost, got, n)
	}
}

func TestTheQuarantineIsBounded(t *testing.T) {
	l := open(t, t.TempDir())
	for i := range 5 {
		if err := l.quarantine(fmt.Sprint(i), func(path string) error {
			f, err := os.Create(path)
			if err == nil {
				f.Truncate(quarantineBytes / 3)
				f.Close()
				os.Chtimes(path, time.Now(), time.Unix(int64(i), 0))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if files := quarantined(l.dir); total(files) > quarantineBytes || len(files) != 3 || files[2].Name() != "4" {
		t.Errorf("%v", names(files))
	}
}

// atLength is how much of a fault run is made: in the suite, and in make soak.
func atLength(suite, soak int) int {
	if os.Getenv("MAGPIE_SOAK") != "" {
		return soak
	}
	return suite
}

// A daemon is back soon whatever it has to keep: only the last segment is read when a log is opened.
func TestALargeLogOpensAtOnce(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, func(o *Options) { o.Sync = -1 })
	l.Cursor("c")
	record := make([]byte, 512<<10)
	for range atLength(256, 2048) { // 128 MiB, 1 GiB
		for l.Append(record, 1, false, func(error) {}) != nil {
		}
	}
	l.Close()
	since := time.Now()
	l = open(t, dir)
	put(t, l, "next", false)
	took := time.Since(since)
	t.Logf("%d MiB: %s", l.Stats().Bytes>>20, took.Round(time.Millisecond))
	if took > 2*time.Second && os.Getenv("MAGPIE_SOAK") != "" { // in the suite the machine is busy with others
		t.Errorf("a log of %d MiB was ready after %s", l.Stats().Bytes>>20, took)
	}
}
