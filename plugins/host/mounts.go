package main

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
)

// mount is a mounted filesystem.
type mount struct {
	path         int    // where to ask for it: its place in mountTable.paths
	point        string // label
	device       string
	fstype       string
	major, minor string
	readonly     bool
}

// mountTable is the list of mounts to watch, with the calls that ask for them.
type mountTable struct {
	pointsExclude, pointsInclude *regexp.Regexp
	typesExclude, typesInclude   *regexp.Regexp
	page                         []byte // that list was made of
	list                         []mount
	paths                        []string // each once
	calls                        *statfsCalls
}

func newMountTable(cfg *Config) mountTable {
	t := mountTable{
		pointsExclude: pattern(cfg.MountPointsExclude), pointsInclude: pattern(cfg.MountPointsInclude),
		typesExclude: pattern(cfg.FSTypesExclude), typesInclude: pattern(cfg.FSTypesInclude),
		calls: newStatfsCalls(),
	}
	if t.pointsInclude != nil {
		t.pointsExclude = nil // its default
	}
	if t.typesInclude != nil {
		t.typesExclude = nil
	}
	return t
}

func (t *mountTable) watched(m *mount) bool {
	return !matches(t.pointsExclude, m.point) && (t.pointsInclude == nil || t.pointsInclude.MatchString(m.point)) &&
		!matches(t.typesExclude, m.fstype) && (t.typesInclude == nil || t.typesInclude.MatchString(m.fstype))
}

// mountList reads the mounts of the first process, or our own where that one is hidden from us.
func (h *host) mountList() ([]mount, error) {
	page, err := h.read(h.proc + "/1/mountinfo")
	if err != nil {
		if page, err = h.read(h.proc + "/self/mountinfo"); err != nil {
			return nil, err
		}
	}
	t := &h.mounts
	if bytes.Equal(page, t.page) {
		return t.list, nil
	}
	all, err := parseMountinfo(page)
	if err != nil {
		return nil, err
	}
	t.page = bytes.Clone(page)
	t.take(all, h.root)
	return t.list, nil
}

// take keeps the mounts to watch. Where a path is mounted over, statfs answers for the last of its mounts.
func (t *mountTable) take(all []mount, root string) {
	t.list, t.paths = nil, nil
	seen, paths := map[[3]string]int{}, map[string]int{}
	for _, m := range all {
		var path string
		if path, m.point = underRoot(root, m.point); !t.watched(&m) {
			continue
		}
		p, known := paths[path]
		if !known {
			p = len(t.paths)
			paths[path] = p
			t.paths = append(t.paths, path)
		}
		m.path = p
		key := [3]string{m.device, m.point, m.fstype}
		if i, again := seen[key]; again {
			t.list[i] = m
			continue
		}
		seen[key] = len(t.list)
		t.list = append(t.list, m)
	}
}

// underRoot tells where to find a mount point and what to call it. The list is that of the machine, or of a container
// that has the machine's filesystems under root.
func underRoot(root, point string) (path, name string) {
	if root == "" {
		return point, point
	}
	if point == root || strings.HasPrefix(point, root+"/") {
		return point, "/" + strings.TrimPrefix(point[len(root):], "/")
	}
	return root + strings.TrimSuffix(point, "/"), point
}

// parseMountinfo reads lines such as
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//
// of proc_pid_mountinfo(5): the number of fields before the dash varies.
func parseMountinfo(page []byte) (list []mount, err error) {
	for line := range bytes.Lines(page) {
		before, after, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" - "))
		a, b := bytes.Split(before, []byte(" ")), bytes.Split(after, []byte(" ")) // other blanks may be part of a name
		if len(a) < 6 || len(b) < 3 {
			return nil, errMount
		}
		major, minor, ok := bytes.Cut(a[2], []byte(":"))
		if !ok {
			return nil, errMount
		}
		list = append(list, mount{
			point: unescape(a[4]), device: unescape(b[1]), fstype: unescape(b[0]),
			major: label(major), minor: label(minor),
			readonly: hasOption(a[5], "ro") || hasOption(b[2], "ro") || hasOption(b[2], "emergency_ro"),
		})
	}
	return list, nil
}

var errMount = errors.New("mountinfo: a line is not as proc_pid_mountinfo(5) says")

func hasOption(options []byte, name string) bool {
	for o := range bytes.SplitSeq(options, []byte(",")) {
		if string(o) == name {
			return true
		}
	}
	return false
}

// unescape undoes the kernel's \ooo for space, tab, newline, backslash and #.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return label(b)
	}
	var plain []byte
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+3 < len(b) && octal(b[i+1]) && octal(b[i+2]) && octal(b[i+3]) {
			plain = append(plain, (b[i+1]-'0')<<6|(b[i+2]-'0')<<3|(b[i+3]-'0'))
			i += 3
			continue
		}
		plain = append(plain, b[i])
	}
	return label(plain)
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
