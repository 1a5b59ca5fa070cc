package main

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func testTree(t *testing.T) (tree, string) {
	dir := t.TempDir()
	return newTree(dir, dir, dir), dir
}

func TestAFileIsReadWholeUpToALimit(t *testing.T) {
	t.Parallel()
	files, dir := testTree(t)
	path := filepath.Join(dir, "file")
	for _, size := range []int{0, 1, len(files.buf) - 1, len(files.buf), len(files.buf) + 1, maxFile - 1} {
		write(t, path, strings.Repeat("x", size))
		for name, read := range map[string]func(string) ([]byte, error){"read": files.read, "glance": files.glance} {
			if b, err := read(path); err != nil || len(b) != size {
				t.Errorf("%s of %d bytes: %d bytes, %v", name, size, len(b), err)
			}
		}
	}
	write(t, path, strings.Repeat("x", maxFile+1))
	if _, err := files.read(path); err == nil || !strings.Contains(err.Error(), "is larger than 16777216 bytes") {
		t.Errorf("one byte too many: %v", err)
	}
	if len(files.buf) > maxFile {
		t.Errorf("the buffer has grown to %d bytes", len(files.buf))
	}
	files.begin()
	if len(files.buf) > 1<<20 {
		t.Errorf("the buffer of %d bytes is kept", len(files.buf))
	}
	if _, err := files.read(filepath.Join(dir, "none")); !os.IsNotExist(err) || !strings.Contains(err.Error(), "none") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestWhatRarelyChangesIsReadRarely(t *testing.T) {
	t.Parallel()
	files, dir := testTree(t)
	path := filepath.Join(dir, "file")
	missing := filepath.Join(dir, "later")
	for cycle := range 2*slowEvery + 1 {
		files.begin()
		write(t, path, strconv.Itoa(cycle)+" \n")
		want := strconv.Itoa(cycle / slowEvery * slowEvery)
		if got, err := files.slowly(path); err != nil || got != want {
			t.Fatalf("in cycle %d it is %q, %v, and should be %q", cycle, got, err, want)
		}
		if _, err := files.slowly(missing); !os.IsNotExist(err) {
			t.Fatalf("a missing file: %v", err)
		}
	}
	for range 3 * slowEvery {
		files.begin()
	}
	if len(files.slow) != 0 {
		t.Errorf("%d files that nobody asks for are kept", len(files.slow))
	}
}

func TestListsOfCPUsAreRead(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]int{"": nil, "0": {0}, "0-2,8": {0, 1, 2, 8}, "3,5-5\n": {3, 5}} {
		if got, err := cpuList(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v, and should be %v", list, got, err, want)
		}
	}
	for _, list := range []string{"x", "1-", "-1", "3-1", "0-65535,0-65535", "99999", "1--2"} {
		if got, err := cpuList(list); err == nil {
			t.Errorf("%q is taken as %v", list, got)
		}
	}
}

func FuzzCPUList(f *testing.F) {
	f.Add("0-3,8")
	f.Fuzz(func(t *testing.T, list string) {
		if ids, err := cpuList(list); err == nil && len(ids) > maxCPU {
			t.Errorf("%d CPUs", len(ids))
		}
	})
}

func FuzzIntegersAreThoseOfStrconv(f *testing.F) {
	for _, s := range []string{"0", "18446744073709551615", "18446744073709551616", "ffffffffffffffff", "10000000000000000", "-1", "1_0", "0x1", "7f", "G", ":", "@", "`", "/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "+_xXoObB") && len(s) > 0 && (s[0] < '0' || s[0] > '9' || len(s) > 1 && s[0] == '0') {
			return // prefixes and underscores, which base 10 and 16 do not take either way
		}
		for _, base := range []uint64{10, 16} {
			want, err := strconv.ParseUint(s, int(base), 64)
			got, ok := integer([]byte(s), base)
			if ok != (err == nil) || ok && got != want {
				t.Errorf("%q in base %d is %d, %v; strconv has %d, %v", s, base, got, ok, want, err)
			}
		}
		if v, err := float([]byte(s)); err == nil {
			if want, e := strconv.ParseFloat(s, 64); e != nil || v != want && !(math.IsNaN(v) && math.IsNaN(want)) {
				t.Errorf("%q is %v; strconv has %v, %v", s, v, want, e)
			}
		}
	})
}
