package language

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"syscall"
)

// Signs tell, by path, which content a file had: its time, size and inode, behind all symbolic links.
type Signs map[string]string

// signOf looks at a file.
func signOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "unreadable"
	}
	inode := uint64(0)
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = uint64(s.Ino)
	}
	return fmt.Sprintf("%d %d %d", info.ModTime().UnixNano(), info.Size(), inode)
}

// Again looks at the same files again.
func (s Signs) Again() Signs {
	now := make(Signs, len(s))
	for path := range s {
		now[path] = signOf(path)
	}
	return now
}

// Changed are the files that are others than before.
func (s Signs) Changed(before Signs) (paths []string) {
	for _, path := range Sorted(s) {
		if s[path] != before[path] {
			paths = append(paths, path)
		}
	}
	return paths
}

// contentSum is keyed, of the content of a file that an attribute names: what is another shows in a plan, though its name is the same.
func (d *Decoder) contentSum(path string) string {
	if d.env.Offline || path == "" || len(d.HMACKey) == 0 {
		return ""
	}
	d.watch[path] = signOf(path)
	sum := hmac.New(sha256.New, d.HMACKey)
	if b, err := d.env.ReadFile(path); err == nil { // where it cannot be read, its component says why
		sum.Write(b)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Watched are the files that secrets and attributes came from, as they were when they were read.
func (s *Scope) Watched() Signs { return s.watch }
