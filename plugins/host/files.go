package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxFile   = 16 << 20 // bytes of a file; more is an error
	slowEvery = 20       // collects between two readings of what rarely changes
)

// tree is where the kernel's files are, with the buffer that they are read into.
type tree struct {
	proc, sys, root string // root is "" for /
	buf             []byte
	cycle           uint64 // collects begun
	slow            map[string]*slowFile
}

// slowFile is the content of a file that rarely changes.
type slowFile struct {
	text  string
	err   error
	read  uint64 // cycle
	asked uint64
}

func newTree(proc, sys, root string) tree {
	cut := func(path string) string { return strings.TrimRight(path, "/") }
	return tree{proc: cut(proc), sys: cut(sys), root: cut(root), buf: make([]byte, 32<<10), slow: map[string]*slowFile{}}
}

// begin starts a collect.
func (t *tree) begin() {
	t.cycle++
	if len(t.buf) > 1<<20 { // one collect needed it; the next may not
		t.buf = make([]byte, 32<<10)
	}
	if t.cycle%slowEvery == 0 {
		maps.DeleteFunc(t.slow, func(_ string, f *slowFile) bool { return t.cycle-f.asked > slowEvery })
	}
}

// read returns what a file holds, valid until the next read. It makes the system calls itself: half as many as os.ReadFile,
// and a driver that answers EAGAIN is an error instead of a wait, as is a pipe in a file's place.
func (t *tree) read(path string) ([]byte, error) { return t.load(path, false) }

// glance is read for a file that the kernel gives out in one piece, such as one of sysfs: it saves asking for more.
func (t *tree) glance(path string) ([]byte, error) { return t.load(path, true) }

func (t *tree) load(path string, once bool) ([]byte, error) {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for n := 0; ; {
		if n == len(t.buf) {
			if n >= maxFile {
				return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
			}
			t.buf = append(t.buf, make([]byte, len(t.buf))...)
		}
		m, err := retry(func() (int, error) { return unix.Read(fd, t.buf[n:]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n += m; m == 0 || once && n < len(t.buf) {
			return t.buf[:n], nil
		}
	}
}

func retry(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); err != unix.EINTR {
			return n, err
		}
	}
}

// word reads a file that holds one short text.
func (t *tree) word(path string) (string, error) {
	b, err := t.glance(path)
	return label(bytes.TrimSpace(b)), err
}

// number reads a file that holds one number.
func (t *tree) number(path string) (float64, error) {
	b, err := t.glance(path)
	if err != nil {
		return 0, err
	}
	v, err := float(bytes.TrimSpace(b))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// slowly is word for a file that rarely changes: it is read in every slowEvery-th collect.
func (t *tree) slowly(path string) (string, error) {
	f := t.slow[path]
	if f == nil || t.cycle-f.read >= slowEvery {
		f = &slowFile{read: t.cycle}
		f.text, f.err = t.word(path)
		t.slow[path] = f
	}
	f.asked = t.cycle
	return f.text, f.err
}

// entries lists the names in a directory that begin with prefix, in order.
func entries(dir, prefix string) (names []string, err error) {
	all, err := os.ReadDir(dir)
	for _, e := range all {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// label makes a label value of bytes from outside: UTF-8.
func label(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// cut takes the first word off a line.
func cut(line []byte) (word, rest []byte) {
	i := 0
	for i < len(line) && line[i] <= ' ' {
		i++
	}
	j := i
	for j < len(line) && line[j] > ' ' {
		j++
	}
	return line[i:j], line[j:]
}

// skip takes n words off a line.
func skip(line []byte, n int) []byte {
	for range n {
		_, line = cut(line)
	}
	return line
}

// columns reads the numbers that a line consists of, in base 10 or 16, into the front of dst: as many as fit, up to the
// first word that is none.
func columns(dst []uint64, line []byte, base uint64) int {
	for i := range dst {
		var word []byte
		word, line = cut(line)
		v, ok := integer(word, base)
		if !ok {
			return i
		}
		dst[i] = v
	}
	return len(dst)
}

// integer reads digits of base 10 or 16 that fit into 64 bits.
func integer(b []byte, base uint64) (v uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := base
		if c >= '0' && c <= '9' {
			d = uint64(c - '0')
		} else if lower := c | 0x20; lower >= 'a' && lower <= 'f' {
			d = uint64(lower-'a') + 10
		}
		if d >= base || v > (1<<64-1)/base || v*base > 1<<64-1-d {
			return 0, false
		}
		v = v*base + d
	}
	return v, true
}

// float reads a number as a sample's value.
func float(b []byte) (float64, error) {
	if v, ok := integer(b, 10); ok {
		return float64(v), nil
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return 0, fmt.Errorf("%.64q is not a number", b)
	}
	return v, nil
}

// maxCPU is above the number of any CPU that Linux can have.
const maxCPU = 1 << 16

// cpuList reads a list such as "0-3,8".
func cpuList(s string) (ids []int, err error) {
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		if part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.ParseUint(from, 10, 16)
		b, errB := strconv.ParseUint(to, 10, 16)
		if errA != nil || errB != nil || b < a || len(ids)+int(b)-int(a) >= maxCPU {
			return nil, fmt.Errorf("%q is not a list of CPUs", s)
		}
		for id := a; id <= b; id++ {
			ids = append(ids, int(id))
		}
	}
	return ids, nil
}
